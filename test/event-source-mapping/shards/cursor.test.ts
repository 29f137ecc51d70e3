import { describe, expect, it } from 'vitest';
import type { StreamReader } from '../../../src/testing/index.ts';
import { faulty, mappingWorld, numberOf } from '../mapping-world.ts';

describe('a stream whose calls fail', () => {
  it('repeats failed calls with growing delays', async () => {
    const world = mappingWorld();
    world.write('a');
    const faults = ['throttled', 'away', 'away'];
    const reader: StreamReader = {
      ...world.stream,
      async records(iterator, limit) {
        const fault = faults.shift();
        if (fault !== undefined) throw new Error(fault);
        return world.stream.records(iterator, limit);
      },
    };
    const mapping = world.mapping({ reader, backoffMs: (failures) => failures * 1_000 });
    await mapping.start();
    await world.clock.run(mapping.drained());
    expect(world.batches).toEqual([['a1']]);
    expect(world.eventsOf('read-failed').map(({ delayMs, error }) => [delayMs, error.message])).toEqual([
      [1_000, 'throttled'],
      [2_000, 'away'],
      [3_000, 'away'],
    ]);
    await world.clock.run(mapping.stop());
  });

  it('reads no record twice when calls fail', async () => {
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
});

describe('an iterator that expired', () => {
  it('renews an expired iterator after the last record that was read', async () => {
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
    expect(world.eventsOf('read-failed')).toEqual([]);
    await world.clock.run(mapping.stop());
  });

  it('loses no record when the iterator of LATEST expires before one was read', async () => {
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

  it('waits before it renews an iterator that expires at once', async () => {
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
    expect(world.eventsOf('read-failed').length).toBeGreaterThan(3);
    expect(world.eventsOf('read-failed').length).toBeLessThan(20);
    await world.clock.run(mapping.stop());
  });
});
