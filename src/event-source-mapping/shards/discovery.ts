import type { Checkpoint } from '../checkpoints/checkpoints.ts';
import type { Gap } from '../events.ts';
import type { Shard } from '../streams/reader.ts';

export interface KnownShards {
  readonly checkpoints: ReadonlyMap<string, Checkpoint>;
  /** No mapping was here before: there is nothing that could have been lost. */
  readonly first: boolean;
  /** Where shards begin that are there at first. All others are read from their beginning. */
  readonly startingPosition: 'TRIM_HORIZON' | 'LATEST';
  readonly now: number;
  /** When the stream was asked for its shards before, by this mapping: what is new was born since. */
  readonly askedAt: number | undefined;
}

export interface Discovered {
  readonly gaps: readonly Gap[];
  /** To be saved before anything is read. */
  readonly checkpoints: ReadonlyMap<string, Checkpoint>;
  /** Checkpoints that nothing asks for any more. */
  readonly obsolete: readonly string[];
}

/** What the stream's shards are to a mapping that knows some of them. */
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
    // A whole generation came and went.
    if (!first && parent !== undefined && !listed.has(parent) && !known.has(parent)) vanish(parent, { at: latest });
    // It has been there since then at most.
    const at = first ? now : (askedAt ?? (parent === undefined ? undefined : known.get(parent)?.at) ?? latest);
    checkpoints.set(id, { type: 'start', position: 'TRIM_HORIZON', at });
  }
  const obsolete = [...known].filter(([id, { type }]) => !listed.has(id) && (type !== 'ended' || !parents.has(id))).map(([id]) => id);
  return { gaps: [...vanished.values()], checkpoints, obsolete };
}
