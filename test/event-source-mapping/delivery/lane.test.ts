import { describe, expect, it } from 'vitest';
import { mappingWorld, nameOf, numberOf, randomOf } from '../mapping-world.ts';

const ITEMS = Array.from({ length: 40 }, (_, i) => `item-${i}-`);
const itemOf = (name: string): string => name.replace(/\d+$/, '');

describe('the parallelization factor', () => {
  it.each([1, 2, 10])('delivers at most %i batches of one shard at a time', async (parallelizationFactor) => {
    const world = mappingWorld();
    world.write(...ITEMS, ...ITEMS);
    let [running, most] = [0, 0];
    await world.follow({
      parallelizationFactor,
      batchSize: 2,
      answer: async () => {
        running += 1;
        most = Math.max(most, running);
        await world.clock.sleep(100);
        running -= 1;
      },
    });
    expect(most).toBe(parallelizationFactor);
    expect(world.batches.flat()).toHaveLength(80);
    expect(Math.max(...world.batches.map(({ length }) => length))).toBe(2);
  });

  it('delivers each item in one batch at a time, in order, when invocations fail', async () => {
    const world = mappingWorld();
    const random = randomOf(7);
    const records = world.write(...Array.from({ length: 400 }, () => ITEMS[Math.floor(random() * 12)] ?? ''));
    const busy = new Set<string>();
    const done: string[] = [];
    await world.follow({
      parallelizationFactor: 5,
      batchSize: 7,
      functionResponseTypes: ['ReportBatchItemFailures'],
      bisectBatchOnFunctionError: true,
      answer: async (names, _context, event) => {
        const items = new Set(names.map(itemOf));
        for (const item of items) {
          expect(busy).not.toContain(item);
          busy.add(item);
        }
        await world.clock.sleep(Math.floor(random() * 300));
        for (const item of items) busy.delete(item);
        const luck = random();
        if (luck < 0.1) throw new Error('bad luck');
        const from = luck < 0.2 ? Math.floor(random() * names.length) : names.length;
        done.push(...names.slice(0, from));
        return { batchItemFailures: event.Records.slice(from).map((record) => ({ itemIdentifier: numberOf(record) })) };
      },
    });
    const written = records.map(nameOf);
    for (const item of ITEMS.slice(0, 12)) {
      expect(done.filter((name) => itemOf(name) === item)).toEqual(written.filter((name) => itemOf(name) === item));
    }
    expect(done).toHaveLength(400);
  });

  it('delivers other items while one fails, and keeps the checkpoint before the first record that is not done', async () => {
    const world = mappingWorld();
    const records = world.write(...ITEMS, ...ITEMS);
    const bad = 'item-5-';
    const settings = { parallelizationFactor: 10, batchSize: 1 };
    const mapping = world.mapping({ ...settings, answer: ([name = '']) => itemOf(name) === bad && Promise.reject(new Error('bad')) });
    await mapping.start();
    await world.clock.advance(60_000);
    const delivered = new Set(world.batches.flat().map(itemOf));
    expect(delivered.size).toBeGreaterThan(30);
    expect(delivered).toContain(bad);
    const first = records.findIndex((record) => itemOf(nameOf(record)) === bad);
    const [checkpoint] = (await world.checkpoints.load()).values();
    expect(checkpoint).toMatchObject({ type: 'after', sequenceNumber: numberOf(records[first - 1]) });
    await world.clock.run(mapping.stop());

    const before = world.deliveries.length;
    await world.follow(settings);
    const again = world.batches.slice(before).flat();
    expect([...again].sort()).toEqual(records.slice(first).map(nameOf).sort());
  });

  it('makes the batches of each lane separately', async () => {
    const world = mappingWorld();
    world.write(...ITEMS);
    const started = world.clock.now();
    await world.follow({ parallelizationFactor: 2, batchSize: 1_000, maximumBatchingWindowInSeconds: 3 });
    expect(world.deliveries).toHaveLength(2);
    expect(world.batches.flat()).toHaveLength(40);
    for (const { at } of world.deliveries) expect(at - started).toBe(3_000);
  });
});
