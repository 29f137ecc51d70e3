import { describe, expect, it } from 'vitest';
import type { StreamReader } from '../../../src/testing/index.ts';
import { faulty, mappingWorld, nameOf, numberOf } from '../mapping-world.ts';

const DAY = 86_400_000;

describe('records that the stream removed', () => {
  const afterADay = { pollIntervalMs: 3_600_000 };

  it('reports a gap from the checkpoint to the first remaining record', async () => {
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
    const [{ from, ...gap } = { from: {} }] = world.eventsOf('gap');
    expect(gap).toEqual({
      type: 'gap',
      shardId: world.stream.open[0],
      reason: 'trimmed',
      to: { sequenceNumber: numberOf(kept), at: (kept?.dynamodb?.ApproximateCreationDateTime as number) * 1_000 },
    });
    expect(from).toMatchObject({ sequenceNumber: numberOf(first[1]) });
    expect(from.at).toBeLessThanOrEqual(stoppedAt);
    expect(world.eventsOf('gap')).toHaveLength(1);
    await world.follow();
    expect(world.eventsOf('gap')).toHaveLength(1);
  });

  it('reports a gap from the first record that was read if none was done', async () => {
    const world = mappingWorld();
    const [first] = world.write('a');
    const mapping = world.mapping({ answer: () => Promise.reject(new Error('fails')) });
    await mapping.start();
    await world.clock.advance(5_000);
    mapping.kill();
    world.write('b');
    world.stream.trim(numberOf(first));
    await world.follow();
    expect(world.eventsOf('gap')).toMatchObject([{ reason: 'trimmed', from: { sequenceNumber: numberOf(first) } }]);
    expect(world.batches.at(-1)).toEqual(['b2']);
  });

  it('reports a gap from the time when the shard was found if no record was read', async () => {
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
    expect(world.eventsOf('gap')).toMatchObject([{ reason: 'trimmed', to: { sequenceNumber: numberOf(kept) } }]);
    expect(world.eventsOf('gap')[0]?.from.at).toBeLessThanOrEqual(knewAt);
  });

  it('reports a gap while the mapping runs', async () => {
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
    expect(world.eventsOf('gap')).toMatchObject([{ reason: 'trimmed', from: { sequenceNumber: numberOf(read) } }]);
    await world.clock.run(mapping.stop());
  });

  it('reports a gap without an end when a whole shard was removed', async () => {
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
    expect(world.eventsOf('gap')).toEqual([
      { type: 'gap', shardId: root, reason: 'vanished', from: { sequenceNumber: numberOf(done), at: expect.any(Number) } },
      // When the child was created is unknown, so its gap starts at the time of the checkpoint.
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
    expect(world.eventsOf('gap')).toHaveLength(2);
  });

  it('reports a gap when a shard was created and removed between two mappings', async () => {
    const world = mappingWorld();
    const [root = ''] = world.stream.open;
    world.write('a');
    world.stream.roll(root);
    // The mapping sees the root to its end, and does not see the child.
    const reader: StreamReader = { ...world.stream, shards: async () => (await world.stream.shards()).filter(({ id }) => id === root) };
    await world.follow({ reader });
    const [child = ''] = world.stream.open;
    world.write('b');
    world.stream.roll(child);
    await world.clock.advance(DAY + 1_000);
    world.stream.trim(new Date(world.clock.now()));
    world.write('c');
    await world.follow();
    expect(world.eventsOf('gap')).toMatchObject([{ reason: 'vanished', shardId: child }, { reason: 'trimmed' }]);
    expect(world.batches).toEqual([['a1'], ['c3']]);
    await world.follow();
    expect(world.eventsOf('gap')).toHaveLength(2);
  });

  it('reports a gap in a child whose parent was retried for a day', async () => {
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
    expect(world.eventsOf('gap')).toMatchObject([
      { reason: 'expired', shardId: root },
      { reason: 'trimmed', shardId: world.stream.open[0] },
    ]);
    expect(world.batches.at(-1)).toEqual(['a3']);
  });

  it('reports a gap without a later record once, and not again by later mappings', async () => {
    const world = mappingWorld();
    world.write('a');
    await world.follow();
    const [lost] = world.write('b');
    await world.clock.advance(DAY + 1_000);
    world.stream.trim(numberOf(lost));
    for (let i = 0; i < 3; i += 1) await world.follow();
    expect(world.eventsOf('gap')).toHaveLength(1);
    expect(world.eventsOf('gap')[0]).not.toHaveProperty('to');
    world.write('c');
    await world.follow();
    expect(world.batches).toEqual([['a1'], ['c3']]);
    expect(world.eventsOf('gap')).toHaveLength(1);
  });

  it('reports no gap when no record was removed', async () => {
    const world = mappingWorld();
    world.write('a');
    await world.follow();
    await world.clock.advance(2 * DAY);
    world.write('b');
    await world.follow();
    expect(world.batches).toEqual([['a1'], ['b2']]);
    expect(world.eventsOf('gap')).toEqual([]);
  });

  it('reports no gap for a new shard whose parent was found more than a day ago', async () => {
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
    expect(world.eventsOf('gap')).toEqual([]);
    await world.clock.run(mapping.stop());
  });

  it('reports no gap for records that were removed before the first mapping', async () => {
    const world = mappingWorld();
    const [root = ''] = world.stream.open;
    const [gone] = world.write('a');
    world.stream.roll(root);
    await world.clock.advance(2 * DAY);
    world.stream.trim(new Date(world.clock.now()));
    world.write('b');
    await world.follow();
    expect(world.eventsOf('gap')).toEqual([]);
    expect(world.batches).toEqual([['b2']]);
    expect(gone).toBeDefined();
  });
});
