import { describe, expect, it } from 'vitest';
import { poisonRun } from '../src/poison-run.ts';

const names = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => `record ${from + i}`);

describe('a run of poison', () => {
  it('of single records is admitted up to the limit', () => {
    const run = poisonRun(3);
    expect(names(0, 6).map((name) => run.admits([name]))).toEqual([true, true, true, false, false, false]);
  });

  it('that ended is forgotten', () => {
    const run = poisonRun(3);
    for (const round of [0, 100, 200]) {
      expect(names(round, round + 4).map((name) => run.admits([name]))).toEqual([true, true, true, false]);
      run.end();
    }
  });

  it('admits a batch as a whole or not at all, and what it does not admit takes no room', () => {
    const run = poisonRun(10);
    expect(run.admits(names(0, 1_000))).toBe(false);
    expect(run.admits(names(0, 6))).toBe(true);
    expect(run.admits(names(6, 11))).toBe(false);
    expect(run.admits(names(6, 10))).toBe(true);
    expect(run.admits(names(10, 11))).toBe(false);
  });

  it('counts a record once, however often it is retried, and always admits it again', () => {
    const run = poisonRun(4);
    for (let i = 0; i < 10; i += 1) expect(run.admits(names(0, 2))).toBe(true);
    expect(run.admits(names(1, 4))).toBe(true);
    expect(run.admits(['another'])).toBe(false);
    expect(run.admits(names(0, 4))).toBe(true);
    expect(run.admits([...names(0, 4), 'another'])).toBe(false);
  });

  it('counts a name that a batch has twice once', () => {
    const run = poisonRun(1);
    expect(run.admits(['a', 'a'])).toBe(true);
  });

  it('has no end if there is no limit', () => {
    const run = poisonRun(0);
    expect(run.admits(names(0, 10_000))).toBe(true);
    expect(run.admits(names(10_000, 20_000))).toBe(true);
  });
});
