import { describe, expect, it } from 'vitest';
import { type RecordPage, type Shard, type StreamReader, TrimmedError } from '../../../src/testing/index.ts';
import { type MappingWorld, mappingWorld, numberOf } from '../mapping-world.ts';

/** A reader of the world's stream. `page` may change the nth page (from 0), and `list` the nth list of shards. */
function tampered(
  world: MappingWorld,
  tamper: {
    readonly page?: (page: RecordPage, n: number, iterator: string) => RecordPage;
    readonly list?: (shards: readonly Shard[], n: number) => readonly Shard[];
  },
): StreamReader {
  let [pages, lists] = [0, 0];
  return {
    async shards() {
      const shards = await world.stream.shards();
      lists += 1;
      return tamper.list?.(shards, lists - 1) ?? shards;
    },
    iterator: (shardId, position) => world.stream.iterator(shardId, position),
    async records(iterator, limit) {
      const page = await world.stream.records(iterator, limit);
      pages += 1;
      return tamper.page?.(page, pages - 1, iterator) ?? page;
    },
  };
}

/** What a reader may return in place of an iterator. */
const NO_ITERATOR: readonly [string, object][] = [
  ['no iterator', {}],
  ['an empty iterator', { next: '' }],
  ['an iterator that is null', { next: null }],
  ['an iterator that is undefined', { next: undefined }],
];

describe('a page without an iterator', () => {
  it.each(NO_ITERATOR)('does not end an open shard: %s', async (_, next) => {
    const world = mappingWorld();
    world.write('a');
    const reader = tampered(world, { page: (page, n) => (n === 0 ? { records: page.records, ...next } : page) });
    const mapping = world.mapping({ reader });
    await mapping.start();
    await world.clock.advance(1_000);
    world.write('b', 'a');
    await world.clock.run(mapping.drained());
    expect(world.batches).toEqual([['a1'], ['b2', 'a3']]);
    expect(world.eventsOf('shard-ended')).toEqual([]);
    expect(world.eventsOf('gap')).toEqual([]);
    await world.clock.run(mapping.stop());
  });

  it('does not end an open shard from which nothing was read yet', async () => {
    for (const startingPosition of ['TRIM_HORIZON', 'LATEST'] as const) {
      const world = mappingWorld();
      const reader = tampered(world, { page: ({ records }, n) => (n < 3 ? { records } : { records, next: 'x' }) });
      const honest = { ...reader, records: world.stream.records };
      let broken = true;
      const mapping = world.mapping({
        reader: { ...reader, records: (...call) => (broken ? reader.records(...call) : honest.records(...call)) },
        startingPosition,
      });
      await mapping.start();
      await world.clock.advance(1_000);
      broken = false;
      world.write('a');
      await world.clock.run(mapping.drained());
      expect(world.batches).toEqual([['a1']]);
      await world.clock.run(mapping.stop());
    }
  });

  it('does not end a shard that is listed as closed and has more records', async () => {
    const world = mappingWorld();
    const [first] = world.write('a', 'b', 'c');
    world.stream.close(world.stream.open[0] as string);
    const reader = tampered(world, { page: ({ records }, n) => ({ records: n === 0 ? records.slice(0, 1) : records }) });
    await world.follow({ reader, batchSize: 1 });
    expect(world.batches).toEqual([['a1'], ['b2'], ['c3']]);
    expect(world.eventsOf('shard-ended')).toHaveLength(1);
    expect(world.events.findIndex(({ type }) => type === 'shard-ended')).toBeGreaterThan(
      world.events.findLastIndex(({ type }) => type === 'succeeded'),
    );
    expect(numberOf(first)).not.toBe('none');
  });

  it('does not end a shard whose list fails at that moment: the list is asked for again', async () => {
    const world = mappingWorld();
    world.write('a');
    const reader = tampered(world, {
      page: ({ records, next }, n) => (n === 0 ? { records } : { records, next }),
      list(shards, n) {
        if (n > 0 && n < 4) throw new Error('the list is not to be had');
        return shards;
      },
    });
    const mapping = world.mapping({ reader });
    await mapping.start();
    await world.clock.advance(500);
    expect(world.eventsOf('read-failed').map(({ error }) => error.message)).toContain('the list is not to be had');
    world.write('a');
    await world.clock.run(mapping.drained());
    expect(world.batches).toEqual([['a1'], ['a2']]);
    expect(world.eventsOf('shard-ended')).toEqual([]);
    await world.clock.run(mapping.stop());
  });

  it('does not end an open shard that a list leaves out', async () => {
    const world = mappingWorld();
    world.write('a');
    const reader = tampered(world, {
      page: ({ records, next }, n) => (n === 0 ? { records } : { records, next }),
      list: (shards, n) => (n === 1 ? [] : shards),
    });
    const mapping = world.mapping({ reader });
    await mapping.start();
    await world.clock.advance(500);
    world.write('a');
    await world.clock.run(mapping.drained());
    expect(world.batches).toEqual([['a1'], ['a2']]);
    expect(world.eventsOf('gap')).toEqual([]);
    await world.clock.run(mapping.stop());
  });

  it('says so, with growing delays, when an open shard has none again and again', async () => {
    const world = mappingWorld();
    const [{ length: before }] = [world.events];
    const reader = tampered(world, { page: ({ records }) => ({ records }) });
    const mapping = world.mapping({ reader, backoffMs: (failures) => failures * 1_000 });
    world.write('a');
    await mapping.start();
    await world.clock.advance(20_000);
    world.write('b');
    await world.clock.advance(20_000);
    expect(world.batches).toEqual([['a1'], ['b2']]);
    const failures = world.eventsOf('read-failed');
    expect(failures.length).toBeGreaterThan(before + 3);
    expect(failures.length).toBeLessThan(12);
    expect(failures[0]?.error.message).toBe(`the stream returned no iterator of shard ${world.stream.open[0]}, which is open`);
    await world.clock.run(mapping.stop());
  });

  it('ends a closed shard once, and then follows its children', async () => {
    const world = mappingWorld();
    world.write('a');
    const mapping = world.mapping({});
    await mapping.start();
    await world.clock.run(mapping.drained());
    world.stream.split(world.stream.open[0] as string);
    world.write('a', 'b');
    await world.clock.run(mapping.drained());
    expect(world.batches.flat().sort()).toEqual(['a1', 'a2', 'b3']);
    expect(world.eventsOf('shard-ended')).toHaveLength(1);
    expect(world.eventsOf('read-failed')).toEqual([]);
    await world.clock.run(mapping.stop());
  });

  it('ends a shard that the stream removes before its end is certain, and reports that records may be lost', async () => {
    const world = mappingWorld();
    const [first] = world.write('a');
    const parent = world.stream.open[0] as string;
    world.stream.roll(parent);
    const [, second] = world.write('b', 'b');
    let gone = false;
    const reader = tampered(world, {
      page(page) {
        if (page.next === undefined && !gone) {
          gone = true;
          world.stream.trim(numberOf(second));
        }
        return page;
      },
    });
    const mapping = world.mapping({ reader });
    await mapping.start();
    world.write('b');
    await world.clock.advance(20_000);
    expect(world.batches[0]).toEqual(['a1']);
    expect(world.eventsOf('shard-ended').map(({ shardId }) => shardId)).toEqual([parent]);
    expect(world.eventsOf('gap').filter(({ shardId }) => shardId === parent)).toMatchObject([
      { reason: 'vanished', from: { sequenceNumber: numberOf(first) } },
    ]);
    await world.clock.run(mapping.stop());
  });
});

describe('an iterator that leads back', () => {
  it.each([1, 2, 5])('delivers each record once when a page has the iterator that it was read with, %i times', async (times) => {
    const world = mappingWorld();
    world.write('a', 'b');
    const reader = tampered(world, { page: (page, n, iterator) => (n < times ? { records: page.records, next: iterator } : page) });
    const mapping = world.mapping({ reader });
    await mapping.start();
    await world.clock.advance(10_000);
    world.write('a');
    await world.clock.run(mapping.drained());
    expect(world.batches).toEqual([['a1', 'b2'], ['a3']]);
    await world.clock.run(mapping.stop());
  });

  it('delivers each record once when iterators go round in a circle', async () => {
    const world = mappingWorld({ pageSize: 1 });
    world.write('a', 'b', 'c');
    const first: string[] = [];
    const reader = tampered(world, {
      page(page, n, iterator) {
        first.push(iterator);
        return n === 1 ? { records: page.records, next: first[0] as string } : page;
      },
    });
    await world.follow({ reader, batchSize: 10 });
    expect(world.batches.flat()).toEqual(['a1', 'b2', 'c3']);
  });

  it('waits for records with an iterator that stays the same while there are none', async () => {
    const world = mappingWorld();
    const iterators = new Set<string>();
    const reader = tampered(world, {
      page(page, _, iterator) {
        iterators.add(iterator);
        return page;
      },
    });
    const mapping = world.mapping({ reader });
    await mapping.start();
    await world.clock.advance(5_000);
    world.write('a');
    await world.clock.run(mapping.drained());
    expect(world.batches).toEqual([['a1']]);
    expect(iterators.size).toBeLessThanOrEqual(2);
    expect(world.eventsOf('read-failed')).toEqual([]);
    await world.clock.run(mapping.stop());
  });
});

describe('a shard that looks removed', () => {
  it('is followed on when it is listed as open: an open shard cannot be removed', async () => {
    const world = mappingWorld();
    world.write('a');
    let refusals = 4;
    const reader: StreamReader = {
      ...world.stream,
      async iterator(shardId, position) {
        refusals -= 1;
        if (refusals >= 0) throw new TrimmedError('Requested resource not found');
        return world.stream.iterator(shardId, position);
      },
    };
    const mapping = world.mapping({ reader });
    await mapping.start();
    await world.clock.run(mapping.drained());
    expect(world.batches).toEqual([['a1']]);
    expect(world.eventsOf('shard-ended')).toEqual([]);
    expect(world.eventsOf('gap')).toEqual([]);
    await world.clock.run(mapping.stop());
  });

  it('has ended with a gap when the stream no longer lists it', async () => {
    const world = mappingWorld();
    world.write('a');
    const shardId = world.stream.open[0] as string;
    const mapping = world.mapping({});
    await mapping.start();
    await world.clock.run(mapping.drained());
    await world.clock.run(mapping.stop());
    world.stream.roll(shardId);
    const [last] = world.write('a');
    world.stream.trim(numberOf(last));
    world.write('b');
    await world.follow();
    expect(world.batches).toEqual([['a1'], ['b3']]);
    expect(world.eventsOf('gap').map(({ shardId, reason }) => [shardId, reason])).toContainEqual([shardId, 'vanished']);
  });
});
