import { describe, expect, it } from 'vitest';
import type { Position, StreamReader } from '../../src/testing/index.ts';
import { changeOf, type MappingWorld, mappingWorld, nameOf, numberOf } from './mapping.ts';

const DAY = 86_400_000;

/** A reader that fails when it is told to. */
function faulty(world: MappingWorld) {
  const faults: Error[] = [];
  const asked: Position[] = [];
  let lists = 0;
  const fault = () => {
    const error = faults.shift();
    if (error) throw error;
  };
  const reader: StreamReader = {
    async shards() {
      lists += 1;
      fault();
      return world.stream.shards();
    },
    async iterator(shardId, position) {
      asked.push(position);
      fault();
      return world.stream.iterator(shardId, position);
    },
    async records(iterator, limit) {
      fault();
      return world.stream.records(iterator, limit);
    },
  };
  return { reader, faults, asked, lists: () => lists };
}

/** Removes all shards that are closed, and all records. */
async function trimClosed({ stream, clock }: MappingWorld): Promise<void> {
  await clock.advance(1_000);
  stream.trim(new Date(clock.now()));
}

describe('shards', () => {
  it('are followed side by side', async () => {
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

  it('begin when their parents have ended: when every record of these is done', async () => {
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

  it('that come while the mapping runs are found, and read from their beginning', async () => {
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

  it('that are told of late are found soon', async () => {
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

  it('that are stuck do not stop the others, but their children', async () => {
    const world = mappingWorld({ shards: 2 });
    const [first = '', second = ''] = world.stream.open;
    const bad = [...'abcdefgh'].find((item) => world.stream.shardOf(changeOf(item, 0)) === first) ?? '';
    const good = [...'abcdefgh'].find((item) => world.stream.shardOf(changeOf(item, 0)) === second) ?? '';
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

  it('are read from page to page to their end, whatever pages are empty', async () => {
    const world = mappingWorld({ pageSize: 2 });
    world.write('a', 'b', 'c', 'd', 'e');
    let empty = 0;
    const reader: StreamReader = {
      ...world.stream,
      // DynamoDB's pages have little to do with where its records are.
      records: async (iterator, limit) => (empty++ % 3 === 0 ? { records: [], next: iterator } : world.stream.records(iterator, limit)),
    };
    for (const shard of world.stream.open) world.stream.close(shard);
    await world.follow({ reader, batchSize: 10 });
    expect(world.batches.flat()).toEqual(['a1', 'b2', 'c3', 'd4', 'e5']);
    expect(world.told('shard-ended')).toHaveLength(1);
  });

  it('are forgotten when neither they nor their children are there any more', async () => {
    const world = mappingWorld();
    const [root = ''] = world.stream.open;
    world.write('a');
    const child = world.stream.roll(root);
    await world.follow();
    expect([...(await world.checkpoints.load()).keys()]).toEqual([root, child]);
    await trimClosed(world);
    await world.follow();
    // Its child still names it.
    expect([...(await world.checkpoints.load()).keys()]).toEqual([root, child]);
    const grandchild = world.stream.roll(child);
    await world.follow();
    await trimClosed(world);
    await world.follow();
    expect([...(await world.checkpoints.load()).keys()]).toEqual([child, grandchild]);
    expect(world.told('gap')).toEqual([]);
  });
});

describe('a stream that fails', () => {
  it('is asked again, later and later', async () => {
    const world = mappingWorld();
    world.write('a');
    const { reader, faults } = faulty(world);
    const mapping = world.mapping({ reader, backoffMs: (failures) => failures * 1_000 });
    await mapping.start();
    // An iterator, a page, and then it serves.
    faults.push(new Error('throttled'), new Error('away'), new Error('away'));
    await world.clock.run(mapping.drained());
    expect(world.batches).toEqual([['a1']]);
    expect(world.told('read-failed').map(({ delayMs, error }) => [delayMs, error.message])).toEqual(
      expect.arrayContaining([[1_000, 'throttled']]),
    );
    await world.clock.run(mapping.stop());
  });

  it('keeps its place: nothing is read twice', async () => {
    const world = mappingWorld();
    world.write('a', 'b');
    const { reader, faults, asked } = faulty(world);
    const mapping = world.mapping({ reader });
    await mapping.start();
    await world.clock.run(mapping.drained());
    for (let i = 0; i < 5; i += 1) {
      faults.push(new Error('away'));
      await world.clock.advance(5_000);
      world.write('c');
      await world.clock.run(mapping.drained());
    }
    expect(world.batches).toEqual([['a1', 'b2'], ['c3'], ['c4'], ['c5'], ['c6'], ['c7']]);
    expect(asked).toEqual([{ type: 'TRIM_HORIZON' }]);
    await world.clock.run(mapping.stop());
  });

  it('when it is asked for shards, is asked again for these', async () => {
    const world = mappingWorld();
    const [root = ''] = world.stream.open;
    const { reader, faults } = faulty(world);
    const mapping = world.mapping({ reader });
    await mapping.start();
    await world.clock.run(mapping.drained());
    world.write('a');
    world.stream.roll(root);
    world.write('a');
    // The parent's page, then the list of shards, three times.
    const shards = world.stream.shards.bind(world.stream);
    let away = 3;
    reader.shards = async () => {
      if (away-- > 0) throw new Error('away');
      return shards();
    };
    await world.clock.run(mapping.drained());
    expect(faults).toEqual([]);
    expect(world.batches).toEqual([['a1'], ['a2']]);
    expect(world.told('read-failed').filter(({ shardId }) => shardId === undefined)).toHaveLength(3);
    await world.clock.run(mapping.stop());
  });

  it('at the start is an error of the start, which can be tried again', async () => {
    const world = mappingWorld();
    world.write('a');
    const { reader, faults } = faulty(world);
    const mapping = world.mapping({ reader });
    faults.push(new Error('no such stream'));
    await expect(mapping.start()).rejects.toThrow('no such stream');
    await mapping.start();
    await world.clock.run(mapping.drained());
    expect(world.batches).toEqual([['a1']]);
    await expect(mapping.start()).rejects.toThrow('was started before');
  });
});

describe('an iterator that expired', () => {
  it('is renewed after the last record that was read', async () => {
    const world = mappingWorld();
    const records = world.write('a', 'b');
    const { reader, asked } = faulty(world);
    const mapping = world.mapping({ reader });
    await mapping.start();
    await world.clock.run(mapping.drained());
    world.stream.expireIterators();
    world.write('c');
    await world.clock.run(mapping.drained());
    expect(world.batches).toEqual([['a1', 'b2'], ['c3']]);
    expect(asked).toEqual([{ type: 'TRIM_HORIZON' }, { type: 'AFTER', sequenceNumber: numberOf(records[1]) }]);
    expect(world.told('read-failed')).toEqual([]);
    await world.clock.run(mapping.stop());
  });

  it('of LATEST, before anything was read, does not lose what was written since', async () => {
    const world = mappingWorld();
    world.write('a');
    await world.clock.advance(60_000);
    const mapping = world.mapping({ startingPosition: 'LATEST' });
    await mapping.start();
    await world.clock.advance(1_000);
    world.stream.expireIterators();
    world.write('b');
    await world.clock.run(mapping.drained());
    expect(world.batches).toEqual([['b2']]);
    await world.clock.run(mapping.stop());
  });

  it('again and again is a stream that fails', async () => {
    const world = mappingWorld();
    const reader: StreamReader = {
      ...world.stream,
      async records(iterator, limit) {
        world.stream.expireIterators();
        return world.stream.records(iterator, limit);
      },
    };
    const mapping = world.mapping({ reader });
    await mapping.start();
    await world.clock.advance(10_000);
    expect(world.told('read-failed').length).toBeGreaterThan(3);
    expect(world.told('read-failed').length).toBeLessThan(20);
    await world.clock.run(mapping.stop());
  });
});

describe('records that the stream removed', () => {
  const afterADay = { pollIntervalMs: 3_600_000 };

  it('while the mapping was stopped are a gap: from the checkpoint to the first record that is there', async () => {
    const world = mappingWorld();
    const first = world.write('a', 'b');
    await world.follow();
    const stoppedAt = world.clock.now();
    await world.clock.advance(1_000);
    const lost = world.write('c', 'd');
    await world.clock.advance(DAY);
    const [kept] = world.write('e');
    world.stream.trim(numberOf(lost[1]));
    await world.follow();
    expect(world.batches).toEqual([['a1', 'b2'], ['e5']]);
    const [{ from, ...gap } = { from: {} }] = world.told('gap');
    expect(gap).toEqual({
      type: 'gap',
      shardId: world.stream.open[0],
      reason: 'trimmed',
      to: { sequenceNumber: numberOf(kept), at: (kept?.dynamodb?.ApproximateCreationDateTime as number) * 1_000 },
    });
    expect(from).toMatchObject({ sequenceNumber: numberOf(first[1]) });
    expect(from.at).toBeLessThanOrEqual(stoppedAt);
    expect(world.told('gap')).toHaveLength(1);
    await world.follow();
    expect(world.told('gap')).toHaveLength(1);
  });

  it('before anything was done are a gap from the first record that was read', async () => {
    const world = mappingWorld();
    const [first] = world.write('a');
    const mapping = world.mapping({ answer: () => Promise.reject(new Error('fails')) });
    await mapping.start();
    await world.clock.advance(5_000);
    mapping.kill();
    world.write('b');
    world.stream.trim(numberOf(first));
    await world.follow();
    expect(world.told('gap')).toMatchObject([{ reason: 'trimmed', from: { sequenceNumber: numberOf(first) } }]);
    expect(world.batches.at(-1)).toEqual(['b2']);
  });

  it('before anything was read are a gap from when the mapping knew of the shard', async () => {
    const world = mappingWorld();
    const mapping = world.mapping();
    await mapping.start();
    await world.clock.run(mapping.drained());
    mapping.kill();
    const knewAt = world.clock.now();
    const [lost] = world.write('a');
    await world.clock.advance(DAY + 1_000);
    world.stream.trim(numberOf(lost));
    const [kept] = world.write('b');
    await world.follow();
    expect(world.batches).toEqual([['b2']]);
    expect(world.told('gap')).toMatchObject([{ reason: 'trimmed', to: { sequenceNumber: numberOf(kept) } }]);
    expect(world.told('gap')[0]?.from.at).toBeLessThanOrEqual(knewAt);
  });

  it('while the mapping runs are a gap, too', async () => {
    const world = mappingWorld();
    const [read] = world.write('a');
    const { reader, faults } = faulty(world);
    const mapping = world.mapping({ reader });
    await mapping.start();
    await world.clock.run(mapping.drained());
    faults.push(new Error('away for long'));
    await world.clock.advance(500);
    const lost = world.write('b', 'c');
    world.write('d');
    world.stream.trim(numberOf(lost[1]));
    await world.clock.run(mapping.drained());
    expect(world.batches).toEqual([['a1'], ['d4']]);
    expect(world.told('gap')).toMatchObject([{ reason: 'trimmed', from: { sequenceNumber: numberOf(read) } }]);
    await world.clock.run(mapping.stop());
  });

  it('with their whole shard are a gap without an end', async () => {
    const world = mappingWorld();
    const [root = ''] = world.stream.open;
    const [done] = world.write('a');
    await world.follow();
    const [lost] = world.write('b');
    world.stream.roll(root);
    await world.clock.advance(DAY + 1_000);
    const [kept] = world.write('c');
    world.stream.trim(new Date(world.clock.now() - 1_000));
    expect((await world.stream.shards()).map(({ id }) => id)).not.toContain(root);
    await world.follow();
    expect(world.told('gap')).toEqual([
      { type: 'gap', shardId: root, reason: 'vanished', from: { sequenceNumber: numberOf(done), at: expect.any(Number) } },
      // Nobody knows for how long its child had been there.
      {
        type: 'gap',
        shardId: world.stream.open[0],
        reason: 'trimmed',
        from: { at: expect.any(Number) },
        to: { sequenceNumber: numberOf(kept), at: expect.any(Number) },
      },
    ]);
    expect(world.batches).toEqual([['a1'], ['c3']]);
    expect([lost, kept].map((record) => record && nameOf(record))).toEqual(['b2', 'c3']);
    await world.follow();
    expect(world.told('gap')).toHaveLength(2);
  });

  it('with shards that came and went unseen are a gap', async () => {
    const world = mappingWorld();
    const [root = ''] = world.stream.open;
    world.write('a');
    world.stream.roll(root);
    // The root is seen to its end, the child is not seen.
    const reader: StreamReader = { ...world.stream, shards: async () => (await world.stream.shards()).filter(({ id }) => id === root) };
    await world.follow({ reader });
    const [child = ''] = world.stream.open;
    world.write('b');
    world.stream.roll(child);
    await world.clock.advance(DAY + 1_000);
    world.stream.trim(new Date(world.clock.now()));
    world.write('c');
    await world.follow();
    expect(world.told('gap')).toMatchObject([{ reason: 'vanished', shardId: child }, { reason: 'trimmed' }]);
    expect(world.batches).toEqual([['a1'], ['c3']]);
    await world.follow();
    expect(world.told('gap')).toHaveLength(2);
  });

  it('of a child whose parent was stuck for a day are a gap', async () => {
    const world = mappingWorld();
    const [root = ''] = world.stream.open;
    world.write('a');
    world.stream.roll(root);
    const [lost] = world.write('a');
    await world.follow({
      ...afterADay,
      backoffMs: () => 3_600_000,
      answer: (names) => {
        if (!names.includes('a1')) return undefined;
        if (world.deliveries.length === 25) {
          world.stream.trim(numberOf(lost));
          world.write('a');
        }
        throw new Error('stuck');
      },
    });
    expect(world.told('gap')).toMatchObject([
      { reason: 'expired', shardId: root },
      { reason: 'trimmed', shardId: world.stream.open[0] },
    ]);
    expect(world.batches.at(-1)).toEqual(['a3']);
  });

  it('are told once, and not by every mapping that comes after, when there is nothing more in the shard', async () => {
    const world = mappingWorld();
    world.write('a');
    await world.follow();
    const [lost] = world.write('b');
    await world.clock.advance(DAY + 1_000);
    world.stream.trim(numberOf(lost));
    for (let i = 0; i < 3; i += 1) await world.follow();
    expect(world.told('gap')).toHaveLength(1);
    expect(world.told('gap')[0]).not.toHaveProperty('to');
    world.write('c');
    await world.follow();
    expect(world.batches).toEqual([['a1'], ['c3']]);
    expect(world.told('gap')).toHaveLength(1);
  });

  it('are none when nothing was', async () => {
    const world = mappingWorld();
    world.write('a');
    await world.follow();
    await world.clock.advance(2 * DAY);
    world.write('b');
    await world.follow();
    expect(world.batches).toEqual([['a1'], ['b2']]);
    expect(world.told('gap')).toEqual([]);
  });

  it('are none when a shard is born while its parent, known for long, is still at work', async () => {
    const world = mappingWorld();
    const [root = ''] = world.stream.open;
    const mapping = world.mapping({ ...afterADay, functionTimeoutMs: 900_000, answer: () => world.clock.sleep(60_000) });
    await mapping.start();
    await world.clock.advance(DAY + 6 * 3_600_000 - 1_000);
    world.write('a');
    await world.clock.advance(2_000);
    world.stream.roll(root);
    world.write('b');
    await world.clock.run(mapping.drained());
    expect(world.batches).toEqual([['a1'], ['b2']]);
    expect(world.told('gap')).toEqual([]);
    await world.clock.run(mapping.stop());
  });

  it('before the first start of all are no gap', async () => {
    const world = mappingWorld();
    const [root = ''] = world.stream.open;
    const [gone] = world.write('a');
    world.stream.roll(root);
    await world.clock.advance(2 * DAY);
    world.stream.trim(new Date(world.clock.now()));
    world.write('b');
    await world.follow();
    expect(world.told('gap')).toEqual([]);
    expect(world.batches).toEqual([['b2']]);
    expect(gone).toBeDefined();
  });
});
