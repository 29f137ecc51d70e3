import { describe, expect, it } from 'vitest';
import type { StreamReader } from '../../../src/testing/index.ts';
import { mappingWorld } from '../mapping-world.ts';

describe('polling', () => {
  /** A reader that notes the times of its polls. */
  const watched = (reader: StreamReader, now: () => number): StreamReader & { readonly polls: number[] } => {
    const polls: number[] = [];
    return {
      polls,
      shards: () => reader.shards(),
      iterator: (shardId, position) => reader.iterator(shardId, position),
      records(iterator, limit) {
        polls.push(now());
        return reader.records(iterator, limit);
      },
    };
  };

  it('polls a shard four times a second', async () => {
    const world = mappingWorld();
    const reader = watched(world.stream, world.clock.now);
    const mapping = world.mapping({ reader });
    await mapping.start();
    for (let i = 0; i < 40; i += 1) {
      world.write('a');
      await world.clock.advance(250);
    }
    expect(reader.polls.length).toBeGreaterThanOrEqual(39);
    expect(reader.polls.length).toBeLessThanOrEqual(41);
    expect(world.batches.flat()).toHaveLength(40);
    await world.clock.run(mapping.stop());
  });

  it('polls again at once after a full page', async () => {
    const world = mappingWorld();
    world.write(...Array.from({ length: 3_001 }, () => 'a'));
    const reader = watched(world.stream, world.clock.now);
    const started = world.clock.now();
    await world.follow({ reader, batchSize: 10_000 });
    expect(reader.polls).toEqual([started, started, started, started, started + 250]);
  });

  it('stops polling when too many records are not done', async () => {
    const world = mappingWorld();
    world.write(...Array.from({ length: 9_000 }, () => 'a'));
    const mapping = world.mapping({
      answer: () => {
        throw new Error('for ever');
      },
    });
    await mapping.start();
    await world.clock.advance(60_000);
    expect(world.eventsOf('polled').map(({ records }) => records)).toEqual([1_000]);
    await world.clock.run(mapping.stop());
  });
});
