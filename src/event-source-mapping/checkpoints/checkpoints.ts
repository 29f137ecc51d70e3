/** Where a mapping is in its stream, so that another one goes on from there. Of one stream, and of one running mapping at a time. */
export interface Checkpoints {
  /** By shard. */
  load(): Promise<ReadonlyMap<string, Checkpoint>>;
  /** Durable once it resolves. */
  save(shardId: string, checkpoint: Checkpoint): Promise<void>;
  delete(shardId: string): Promise<void>;
}

/** How far a shard is done. `at`: when that was so, ms since the epoch. */
export type Checkpoint =
  /** Nothing of it was read. */
  | { readonly type: 'start'; readonly position: 'TRIM_HORIZON' | 'LATEST'; readonly at: number }
  /** This record was read, as the first, and is not done. */
  | { readonly type: 'at'; readonly sequenceNumber: string; readonly at: number }
  /** This record and all before it are done. */
  | { readonly type: 'after'; readonly sequenceNumber: string; readonly at: number }
  /** All of it, and there will be no more. */
  | { readonly type: 'ended'; readonly at: number };

/** Lost with the process. One object can serve a mapping, and the next one after it was killed. */
export function memoryCheckpoints(saved: Iterable<readonly [string, Checkpoint]> = []): Checkpoints {
  const checkpoints = new Map(saved);
  return {
    load: async () => new Map(checkpoints),
    async save(shardId, checkpoint) {
      checkpoints.set(shardId, checkpoint);
    },
    async delete(shardId) {
      checkpoints.delete(shardId);
    },
  };
}
