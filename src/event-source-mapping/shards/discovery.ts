import type { Checkpoint } from '../checkpoints/checkpoints.ts';
import type { Gap } from '../events.ts';
import type { Shard } from '../streams/reader.ts';

/** What a mapping knows when it lists the shards of its stream. */
export interface KnownShards {
  readonly checkpoints: ReadonlyMap<string, Checkpoint>;
  /** Whether no mapping followed this stream before. Then nothing can have been lost. */
  readonly first: boolean;
  /** Where the shards of the first list start. All later shards are read from their beginning. */
  readonly startingPosition: 'TRIM_HORIZON' | 'LATEST';
  /** Ms since the epoch. */
  readonly now: number;
  /** When this mapping last listed the shards, ms since the epoch. A shard that is new now was created later. */
  readonly askedAt: number | undefined;
}

export interface Discovered {
  readonly gaps: readonly Gap[];
  /** Checkpoints of new shards. They must be saved before anything is read. */
  readonly checkpoints: ReadonlyMap<string, Checkpoint>;
  /** Shards whose checkpoints are no longer needed. */
  readonly obsolete: readonly string[];
}

/** Compares the shards of a stream with those that a mapping knows. */
export function discover(shards: readonly Shard[], { checkpoints: known, first, startingPosition, now, askedAt }: KnownShards): Discovered {
  const listed = new Set(shards.map(({ id }) => id));
  const parents = new Set(shards.map(({ parent }) => parent));
  const vanished = new Map<string, Gap>();
  const vanish = (shardId: string, from: Gap['from']) => vanished.set(shardId, { type: 'gap', shardId, reason: 'vanished', from });
  for (const [id, checkpoint] of known) {
    if (listed.has(id) || checkpoint.type === 'ended') continue;
    vanish(id, 'sequenceNumber' in checkpoint ? { sequenceNumber: checkpoint.sequenceNumber, at: checkpoint.at } : { at: checkpoint.at });
  }
  const checkpoints = new Map<string, Checkpoint>();
  const latest = Math.max(...[...known.values()].map(({ at }) => at));
  for (const { id, parent, closed } of shards) {
    if (known.has(id)) continue;
    if (first && startingPosition === 'LATEST') {
      checkpoints.set(id, closed ? { type: 'ended', at: now } : { type: 'start', position: 'LATEST', at: now });
      continue;
    }
    // The parent was created and removed between two lists.
    if (!first && parent !== undefined && !listed.has(parent) && !known.has(parent)) vanish(parent, { at: latest });
    // A later shard was created after this time.
    const at = first ? now : (askedAt ?? (parent === undefined ? undefined : known.get(parent)?.at) ?? latest);
    checkpoints.set(id, { type: 'start', position: 'TRIM_HORIZON', at });
  }
  const obsolete = [...known].filter(([id, { type }]) => !listed.has(id) && (type !== 'ended' || !parents.has(id))).map(([id]) => id);
  return { gaps: [...vanished.values()], checkpoints, obsolete };
}
