/** Stores how far a mapping is in its stream, so that another mapping can resume. Serves one stream, and one running mapping at a time. */
export interface Checkpoints {
  /** Returns the checkpoints by shard. */
  load(): Promise<ReadonlyMap<string, Checkpoint>>;
  /** Resolves when the checkpoint is durable. */
  save(shardId: string, checkpoint: Checkpoint): Promise<void>;
  delete(shardId: string): Promise<void>;
}

/** How far a shard is done. `at`: when that was noted, ms since the epoch. */
export type Checkpoint =
  /** No record was read. */
  | { readonly type: 'start'; readonly position: 'TRIM_HORIZON' | 'LATEST'; readonly at: number }
  /** This record is the first that was read, and it is not done. */
  | { readonly type: 'at'; readonly sequenceNumber: string; readonly at: number }
  /** This record and all records before it are done. */
  | { readonly type: 'after'; readonly sequenceNumber: string; readonly at: number }
  /** Every record is done, and no record will be added. */
  | { readonly type: 'ended'; readonly at: number };

/** Keeps checkpoints in memory. The same object may serve one mapping after another. */
export function memoryCheckpoints(): Checkpoints {
  const checkpoints = new Map<string, Checkpoint>();
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
