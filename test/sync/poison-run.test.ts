import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { poisonRun } from '../../src/sync/poison-run.ts';

const names = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => `record ${from + i}`);

describe('poisonRun', () => {
  it('admits single records of a run up to the limit', () => {
    const run = poisonRun(3);
    expect(names(0, 6).map((name) => run.admit([name]))).toEqual([1, 1, 1, 0, 0, 0]);
  });

  it('admits as many records again after a run has ended', () => {
    const run = poisonRun(3);
    for (const round of [0, 100, 200]) {
      expect(names(round, round + 4).map((name) => run.admit([name]))).toEqual([1, 1, 1, 0]);
      run.reset([]);
    }
  });

  it('admits the first records of a batch up to the limit', () => {
    const run = poisonRun(10);
    expect(run.admit(names(0, 6))).toBe(6);
    expect(run.admit(names(6, 1_000))).toBe(4);
    expect(run.admit(names(10, 1_000))).toBe(0);
    expect(run.admit(names(8, 1_000))).toBe(2);
    expect(run.admit(['another', ...names(0, 10)])).toBe(0);
    expect(poisonRun(10).admit(names(0, 1_000))).toBe(10);
  });

  it('counts a record once, and admits it again at each retry', () => {
    const run = poisonRun(4);
    for (let i = 0; i < 10; i += 1) expect(run.admit(names(0, 2))).toBe(2);
    expect(run.admit(names(1, 4))).toBe(3);
    expect(run.admit(['another'])).toBe(0);
    expect(run.admit(names(0, 4))).toBe(4);
    expect(run.admit([...names(0, 4), 'another'])).toBe(4);
    run.reset([]);
    expect(run.admit([...names(0, 4), ...names(100, 104), 'another'])).toBe(8);
  });

  it('admits without counting the poison of a batch that has a sound record', () => {
    const run = poisonRun(2);
    run.reset(names(0, 50));
    expect(run.admit(names(0, 50))).toBe(50);
    expect(run.admit(names(100, 103))).toBe(2);
    expect(run.admit(names(0, 50))).toBe(50);
    run.reset(names(200, 250));
    expect(run.admit([...names(0, 50), ...names(100, 102), ...names(200, 250)])).toBe(102);
  });

  it('remembers the last 10,000 records that it admitted', () => {
    const run = poisonRun(1);
    run.reset(names(0, 6_000));
    run.reset(names(6_000, 10_000));
    expect(run.admit(names(0, 10_000))).toBe(10_000);
    run.reset(names(0, 1_000));
    run.reset(names(10_000, 15_000));
    expect(run.admit([...names(0, 1_000), ...names(6_000, 15_000)])).toBe(10_000);
    expect(run.admit(names(1_000, 6_000))).toBe(1);
  });

  it('counts a record once that a batch has twice', () => {
    expect(poisonRun(1).admit(['a', 'a'])).toBe(2);
  });

  it('admits every record when the limit is 0', () => {
    const run = poisonRun(0);
    expect(run.admit(names(0, 10_000))).toBe(10_000);
    expect(run.admit(names(10_000, 20_000))).toBe(10_000);
  });

  it('admits at most the limit of new records until a run ends', () => {
    const some = fc.array(fc.integer({ min: 0, max: 12 }).map(String), { maxLength: 8 });
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 4 }),
        fc.array(fc.record({ isSound: fc.boolean(), batch: some }), { maxLength: 30 }),
        (limit, history) => {
          const { reset, admit } = poisonRun(limit);
          const ever = new Set<string>();
          let run = new Set<string>();
          for (const { isSound, batch } of history) {
            if (isSound) {
              reset(batch);
              for (const name of batch) ever.add(name);
              run = new Set();
              continue;
            }
            const count = admit(batch);
            for (const name of batch.slice(0, count)) if (!ever.has(name)) run.add(name);
            for (const name of run) ever.add(name);
            expect(run.size).toBeLessThanOrEqual(limit);
            const next = batch[count];
            if (next !== undefined) expect([run.size, ever.has(next)]).toEqual([limit, false]);
          }
        },
      ),
    );
  });
});
