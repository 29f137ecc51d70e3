import { describe, expect, it } from 'vitest';
import type { StreamReader } from '../../../src/testing/index.ts';
import { type MappingWorld, mappingWorld, recordOf } from '../mapping-world.ts';

/** Removes all shards that are closed, and all records. */
async function trimClosed({ stream, clock }: MappingWorld): Promise<void> {
  await clock.advance(1_000);
  stream.trim(new Date(clock.now()));
}

describe('shards', () => {
  it('follows shards in parallel', async () => {
    const world = mappingWorld({ shards: 4 });
    world.write(...'abcdefghijklmnop');
    let [running, most] = [0, 0];
    await world.follow({
      answer: async () => {
        running += 1;
        most = Math.max(most, running);
        await world.clock.sleep(10);
        running -= 1;
      },
    });
    expect(most).toBe(4);
    expect(world.batches.flat()).toHaveLength(16);
  });

  it('starts a shard when every record of its parent is done', async () => {
    const world = mappingWorld();
    const [root = ''] = world.stream.open;
    world.write('a', 'b', 'c', 'd');
    const children = world.stream.split(root);
    world.write('a', 'b', 'c', 'd');
    const grandchild = world.stream.roll(children[0]);
    world.write('a', 'b', 'c', 'd');
    let fails = 3;
    await world.follow({ answer: (names) => names.includes('a1') && fails-- > 0 && Promise.reject(new Error('not yet')) });

    for (const item of 'abcd') {
      const names = world.batches.flat().filter((name) => name.startsWith(item));
      expect(names.slice(-3).map((name) => Math.ceil(Number(name.slice(1)) / 4))).toEqual([1, 2, 3]);
    }
    const story = world.events.flatMap((event) =>
      event.type === 'shard-started' || event.type === 'shard-ended' ? [`${event.type} ${event.shardId}`] : [],
    );
    const at = (what: string) => story.indexOf(what);
    for (const child of children) expect(at(`shard-ended ${root}`)).toBeLessThan(at(`shard-started ${child}`));
    expect(at(`shard-ended ${children[0]}`)).toBeLessThan(at(`shard-started ${grandchild}`));
    expect(story).not.toContain(`shard-ended ${grandchild}`);
  });

  it('reads new shards from their beginning', async () => {
    const world = mappingWorld();
    const mapping = world.mapping({ startingPosition: 'LATEST' });
    await mapping.start();
    await world.clock.advance(1_000);
    const [root = ''] = world.stream.open;
    world.write('a');
    world.stream.split(root);
    world.write('a', 'b', 'c', 'd');
    await world.clock.advance(1_000);
    expect(world.batches.flat().sort()).toEqual(['a1', 'a2', 'b3', 'c4', 'd5']);
    await world.clock.run(mapping.stop());
  });

  it('finds a shard within 10 s that is listed late', async () => {
    const world = mappingWorld();
    const [root = ''] = world.stream.open;
    world.write('a');
    world.stream.roll(root);
    world.write('a');
    let late = true;
    const reader: StreamReader = {
      ...world.stream,
      shards: async () => (await world.stream.shards()).filter(({ parent }) => !late || parent === undefined),
    };
    const mapping = world.mapping({ reader });
    await mapping.start();
    await world.clock.advance(1_000);
    late = false;
    expect(world.batches).toEqual([['a1']]);
    await world.clock.advance(10_000);
    expect(world.batches).toEqual([['a1'], ['a2']]);
    await world.clock.run(mapping.stop());
  });

  it('delivers other shards while one fails, but not its children', async () => {
    const world = mappingWorld({ shards: 2 });
    const [first = '', second = ''] = world.stream.open;
    const bad = [...'abcdefgh'].find((item) => world.stream.shardOf(recordOf(item, 0)) === first) ?? '';
    const good = [...'abcdefgh'].find((item) => world.stream.shardOf(recordOf(item, 0)) === second) ?? '';
    world.write(bad, good);
    world.stream.roll(first);
    world.stream.roll(second);
    world.write(bad, good);
    const mapping = world.mapping({ answer: (names) => names.includes(`${bad}1`) && Promise.reject(new Error('stuck')) });
    await mapping.start();
    await world.clock.advance(60_000);
    expect(new Set(world.batches.flat())).toEqual(new Set([`${bad}1`, `${good}2`, `${good}4`]));
    expect(world.batches.flat().filter((name) => name === `${good}4`)).toHaveLength(1);
    await world.clock.run(mapping.stop());
  });

  it('reads a shard to its end past empty pages', async () => {
    const world = mappingWorld({ pageSize: 2 });
    world.write('a', 'b', 'c', 'd', 'e');
    let empty = 0;
    const reader: StreamReader = {
      ...world.stream,
      // DynamoDB may return empty pages between records.
      records: async (iterator, limit) => (empty++ % 3 === 0 ? { records: [], next: iterator } : world.stream.records(iterator, limit)),
    };
    for (const shard of world.stream.open) world.stream.close(shard);
    await world.follow({ reader, batchSize: 10 });
    expect(world.batches.flat()).toEqual(['a1', 'b2', 'c3', 'd4', 'e5']);
    expect(world.eventsOf('shard-ended')).toHaveLength(1);
  });

  it('deletes the checkpoint of a shard when no listed shard is its child', async () => {
    const world = mappingWorld();
    const [root = ''] = world.stream.open;
    world.write('a');
    const child = world.stream.roll(root);
    await world.follow();
    expect([...(await world.checkpoints.load()).keys()]).toEqual([root, child]);
    await trimClosed(world);
    await world.follow();
    // The child still names the root as its parent.
    expect([...(await world.checkpoints.load()).keys()]).toEqual([root, child]);
    const grandchild = world.stream.roll(child);
    await world.follow();
    await trimClosed(world);
    await world.follow();
    expect([...(await world.checkpoints.load()).keys()]).toEqual([child, grandchild]);
    expect(world.eventsOf('gap')).toEqual([]);
  });

  it('repeats a failed list of shards', async () => {
    const world = mappingWorld();
    const [root = ''] = world.stream.open;
    let away = 0;
    const reader: StreamReader = {
      ...world.stream,
      async shards() {
        if (away-- > 0) throw new Error('away');
        return world.stream.shards();
      },
    };
    const mapping = world.mapping({ reader });
    await mapping.start();
    await world.clock.run(mapping.drained());
    world.write('a');
    world.stream.roll(root);
    world.write('a');
    away = 3;
    await world.clock.run(mapping.drained());
    expect(world.batches).toEqual([['a1'], ['a2']]);
    expect(world.eventsOf('read-failed').filter(({ shardId }) => shardId === undefined)).toHaveLength(3);
    await world.clock.run(mapping.stop());
  });
});

describe('the starting position', () => {
  const from = async (startingPosition?: 'TRIM_HORIZON' | 'LATEST') => {
    const world = mappingWorld();
    world.write('a', 'b');
    const mapping = world.mapping(startingPosition ? { startingPosition } : {});
    await mapping.start();
    await world.clock.advance(1_000);
    world.write('c');
    await world.clock.run(mapping.drained());
    return world.batches.flat();
  };

  it('starts at the first record of the stream with TRIM_HORIZON, which is the default', async () => {
    expect(await from('TRIM_HORIZON')).toEqual(['a1', 'b2', 'c3']);
    expect(await from()).toEqual(['a1', 'b2', 'c3']);
  });

  it('starts at the first record that is written later with LATEST', async () => {
    expect(await from('LATEST')).toEqual(['c3']);
  });

  it('applies LATEST to the shards at the start only, and reads their children from the beginning', async () => {
    const world = mappingWorld({ shards: 2 });
    const [closed = '', open = ''] = world.stream.open;
    world.write('a', 'b', 'c', 'd');
    world.stream.roll(closed);
    const mapping = world.mapping({ startingPosition: 'LATEST' });
    await mapping.start();
    await world.clock.advance(1_000);
    expect(world.batches).toEqual([]);
    // The children get records before the mapping lists them.
    world.stream.split(open);
    world.write('a', 'b', 'c', 'd');
    await world.clock.run(mapping.drained());
    expect(world.batches.flat().sort()).toEqual(['a5', 'b6', 'c7', 'd8']);
  });

  it('starts a child at LATEST at once if its parent was closed before', async () => {
    const world = mappingWorld();
    const [root = ''] = world.stream.open;
    world.write('a');
    world.stream.roll(root);
    const reader: StreamReader = {
      ...world.stream,
      async iterator(shardId, position) {
        const iterator = await world.stream.iterator(shardId, position);
        await world.clock.sleep(1_000);
        return iterator;
      },
    };
    const mapping = world.mapping({ reader, startingPosition: 'LATEST' });
    await mapping.start();
    await world.clock.advance(500);
    world.write('b');
    await world.clock.run(mapping.drained());
    expect(world.batches).toEqual([['b2']]);
    await world.clock.run(mapping.stop());
  });
});
