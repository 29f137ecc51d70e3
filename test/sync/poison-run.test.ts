import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { poisonRun } from '../../src/sync/poison-run.ts';

const names = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => `record ${from + i}`);

describe('a run of poison', () => {
  it('of single records is admitted up to the limit', () => {
    const run = poisonRun(3);
    expect(names(0, 6).map((name) => run.admit([name]))).toEqual([1, 1, 1, 0, 0, 0]);
  });

  it('that ended makes room for as many again', () => {
    const run = poisonRun(3);
    for (const round of [0, 100, 200]) {
      expect(names(round, round + 4).map((name) => run.admit([name]))).toEqual([1, 1, 1, 0]);
      run.reset([]);
    }
  });

  it('admits the first records of a batch, as far as there is room', () => {
    const run = poisonRun(10);
    expect(run.admit(names(0, 6))).toBe(6);
    expect(run.admit(names(6, 1_000))).toBe(4);
    expect(run.admit(names(10, 1_000))).toBe(0);
    expect(run.admit(names(8, 1_000))).toBe(2);
    expect(run.admit(['another', ...names(0, 10)])).toBe(0);
    expect(poisonRun(10).admit(names(0, 1_000))).toBe(10);
  });

  it('counts a record once, however often it is retried, and always admits it again', () => {
    const run = poisonRun(4);
    for (let i = 0; i < 10; i += 1) expect(run.admit(names(0, 2))).toBe(2);
    expect(run.admit(names(1, 4))).toBe(3);
    expect(run.admit(['another'])).toBe(0);
    expect(run.admit(names(0, 4))).toBe(4);
    expect(run.admit([...names(0, 4), 'another'])).toBe(4);
    run.reset([]);
    expect(run.admit([...names(0, 4), ...names(100, 104), 'another'])).toBe(8);
  });

  it('admits what was beside a sound record, and does not count it', () => {
    const run = poisonRun(2);
    run.reset(names(0, 50));
    expect(run.admit(names(0, 50))).toBe(50);
    expect(run.admit(names(100, 103))).toBe(2);
    expect(run.admit(names(0, 50))).toBe(50);
    run.reset(names(200, 250));
    expect(run.admit([...names(0, 50), ...names(100, 102), ...names(200, 250)])).toBe(102);
  });

  it('remembers 10,000 records that were admitted, the latest', () => {
    const run = poisonRun(1);
    run.reset(names(0, 6_000));
    run.reset(names(6_000, 10_000));
    expect(run.admit(names(0, 10_000))).toBe(10_000);
    run.reset(names(0, 1_000));
    run.reset(names(10_000, 15_000));
    expect(run.admit([...names(0, 1_000), ...names(6_000, 15_000)])).toBe(10_000);
    expect(run.admit(names(1_000, 6_000))).toBe(1);
  });

  it('counts a name that a batch has twice once', () => {
    expect(poisonRun(1).admit(['a', 'a'])).toBe(2);
  });

  it('has no end if there is no limit', () => {
    const run = poisonRun(0);
    expect(run.admit(names(0, 10_000))).toBe(10_000);
    expect(run.admit(names(10_000, 20_000))).toBe(10_000);
  });

  it('admits no more than the limit that was not admitted before, until it ends', () => {
    const some = fc.array(fc.integer({ min: 0, max: 12 }).map(String), { maxLength: 8 });
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 4 }),
        fc.array(fc.record({ isSound: fc.boolean(), batch: some }), { maxLength: 30 }),
        (limit, history) => {
          const run = poisonRun(limit);
          const ever = new Set<string>();
          let row = new Set<string>();
          for (const { isSound, batch } of history) {
            if (isSound) {
              run.reset(batch);
              for (const name of batch) ever.add(name);
              row = new Set();
              continue;
            }
            const count = run.admit(batch);
            for (const name of batch.slice(0, count)) if (!ever.has(name)) row.add(name);
            for (const name of row) ever.add(name);
            expect(row.size).toBeLessThanOrEqual(limit);
            const next = batch[count];
            if (next !== undefined) expect([row.size, ever.has(next)]).toEqual([limit, false]);
          }
        },
      ),
    );
  });
});
