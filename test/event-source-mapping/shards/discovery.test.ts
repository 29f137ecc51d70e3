import { describe, expect, it } from 'vitest';
import type { Checkpoint } from '../../../src/event-source-mapping/checkpoints/checkpoints.ts';
import { discover, type KnownShards } from '../../../src/event-source-mapping/shards/discovery.ts';
import type { Shard } from '../../../src/event-source-mapping/streams/reader.ts';

const NOW = 10_000;

const shard = (id: string, parent?: string, closed = false): Shard => ({ id, ...(parent !== undefined && { parent }), closed });
const doneUpTo = (sequenceNumber: string, at: number): Checkpoint => ({ type: 'after', sequenceNumber, at });
const ended = (at: number): Checkpoint => ({ type: 'ended', at });
const start = (at: number, position: 'TRIM_HORIZON' | 'LATEST' = 'TRIM_HORIZON'): Checkpoint => ({ type: 'start', position, at });

/** What a mapping discovers that has these checkpoints. */
function discovered(shards: readonly Shard[], checkpoints: Record<string, Checkpoint>, more: Partial<KnownShards> = {}) {
  const known: KnownShards = {
    checkpoints: new Map(Object.entries(checkpoints)),
    first: false,
    startingPosition: 'TRIM_HORIZON',
    now: NOW,
    askedAt: undefined,
    ...more,
  };
  const { gaps, checkpoints: added, obsolete } = discover(shards, known);
  return { gaps: gaps.map(({ shardId, reason, from }) => ({ shardId, reason, from })), added: Object.fromEntries(added), obsolete };
}

const NOTHING = { gaps: [], added: {}, obsolete: [] };

describe('discover', () => {
  it('starts all shards of the first list at TRIM_HORIZON, from now on', () => {
    expect(discovered([shard('a', 'gone', true), shard('b', 'a')], {}, { first: true })).toEqual({
      ...NOTHING,
      added: { a: start(NOW), b: start(NOW) },
    });
  });

  it('starts open shards of the first list at LATEST, and counts closed ones as ended', () => {
    expect(discovered([shard('a', undefined, true), shard('b', 'a')], {}, { first: true, startingPosition: 'LATEST' })).toEqual({
      ...NOTHING,
      added: { a: ended(NOW), b: start(NOW, 'LATEST') },
    });
  });

  it('adds nothing for shards that have a checkpoint', () => {
    expect(discovered([shard('a'), shard('b')], { a: doneUpTo('5', 3), b: ended(4) })).toEqual(NOTHING);
  });

  it('starts a later shard at its beginning, also with LATEST', () => {
    const { added } = discovered([shard('a'), shard('b', 'a')], { a: doneUpTo('5', 3) }, { startingPosition: 'LATEST' });
    expect(added).toEqual({ b: start(3) });
  });

  it('dates a new shard by the last list, else by its parent, else by the latest checkpoint', () => {
    const known = { a: doneUpTo('5', 3), other: ended(7) };
    const dateOf = (parent: string | undefined, askedAt?: number) =>
      discovered([shard('a'), shard('new', parent)], known, { askedAt }).added.new?.at;
    expect([dateOf('a', 9), dateOf('a'), dateOf(undefined)]).toEqual([9, 3, 7]);
  });

  it('reports a shard that vanished before its end, from its checkpoint on', () => {
    expect(discovered([], { a: doneUpTo('5', 3), b: start(4) })).toEqual({
      ...NOTHING,
      gaps: [
        { shardId: 'a', reason: 'vanished', from: { sequenceNumber: '5', at: 3 } },
        { shardId: 'b', reason: 'vanished', from: { at: 4 } },
      ],
      obsolete: ['a', 'b'],
    });
  });

  it('reports no gap for a shard that ended before it was removed', () => {
    expect(discovered([], { a: ended(3) })).toEqual({ ...NOTHING, obsolete: ['a'] });
  });

  it('keeps the checkpoint of an ended shard while a child names it', () => {
    expect(discovered([shard('b', 'a')], { a: ended(3), b: doneUpTo('5', 4) })).toEqual(NOTHING);
  });

  it('reports a parent that was created and removed between two lists, once for all its children', () => {
    const { gaps } = discovered([shard('c', 'b'), shard('d', 'b')], { a: ended(3) });
    expect(gaps).toEqual([{ shardId: 'b', reason: 'vanished', from: { at: 3 } }]);
  });

  it('reports no gap for an unknown parent in the first list', () => {
    expect(discovered([shard('c', 'b')], {}, { first: true }).gaps).toEqual([]);
  });
});
