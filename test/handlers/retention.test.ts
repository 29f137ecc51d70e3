import { describe, expect, it } from 'vitest';
import { type RetentionOptions, retentionWatch } from '../../src/handlers/retention.ts';

const HOUR = 3_600_000;
const NOON = Date.parse('2026-11-20T12:00:00Z');

/** A watch that takes the ages of the oldest and the newest record in hours, and the time in hours since noon. */
function watch(options?: RetentionOptions) {
  const { see } = retentionWatch(options);
  return (oldest: number, at = 0, newest = oldest, stream = 'shop') => {
    const now = NOON + at * HOUR;
    return see({ stream, oldest: now - oldest * HOUR, newest: now - newest * HOUR, now });
  };
}

describe('retentionWatch', () => {
  it('gives the age of the oldest record, and the time until the stream may trim it', () => {
    expect(watch()(2, 0, 1)).toEqual({ oldestAgeMs: 2 * HOUR, headroomMs: 22 * HOUR, state: 'in time', changed: false });
  });

  it.each([
    [0, 'in time'],
    [5.99, 'in time'],
    [6, 'late'],
    [22.99, 'late'],
    [23, 'lost'],
    [24, 'lost'],
    [30, 'lost'],
    [48, 'lost'],
  ])('calls records that wait for %d hours %s', (hours, state) => {
    expect(watch()(hours)).toMatchObject({ state, headroomMs: Math.round(Math.max(0, 24 - hours) * HOUR) });
  });

  it('takes other limits', () => {
    const see = watch({ warnMs: HOUR, marginMs: 4 * HOUR });
    expect([0.9, 1, 19.9, 20].map((hours) => see(hours)?.state)).toEqual(['in time', 'late', 'late', 'lost']);
  });

  it('gives nothing for records that are older than two days, because those are saved events', () => {
    expect(watch()(48.01)).toBeUndefined();
    expect(watch()(24 * 365)).toBeUndefined();
  });

  it('reports each change of the state once', () => {
    const see = watch();
    expect([1, 7, 8, 23.5, 23.9, 7, 1, 1, 6].map((hours, i) => see(hours, i / 100)?.changed)).toEqual([
      false,
      true,
      false,
      true,
      false,
      true,
      true,
      false,
      true,
    ]);
  });

  it('takes a record from the future, written by a clock that is off, for a new one', () => {
    expect(watch()(-0.1)).toMatchObject({ oldestAgeMs: 0, headroomMs: 24 * HOUR, state: 'in time' });
  });
});

describe('retentionWatch, of the span that may be lost', () => {
  it('begins the span with the newest record seen before, and ends it with the oldest of the batch', () => {
    const see = watch();
    see(0.5, 0, 0.25);
    see(0.6, 0.1, 0.6);
    expect(see(23.5, 26)?.span).toEqual({ from: NOON - HOUR / 4, to: NOON + 2.5 * HOUR });
  });

  it('gives no beginning where the environment has seen nothing, or a newer record of another shard', () => {
    expect(watch()(23.5)?.span).toEqual({ to: NOON - 23.5 * HOUR });
    const see = watch();
    see(0);
    expect(see(23.5, 0.1)?.span).toEqual({ to: NOON - 23.4 * HOUR });
  });

  it('reports a loss when a backlog comes after nothing was delivered for a day', () => {
    const see = watch();
    see(0, 0);
    expect(see(3, 30)).toMatchObject({ state: 'lost', changed: true, span: { from: NOON, to: NOON + 27 * HOUR } });
  });

  it('reports no loss when a quiet table is written to again', () => {
    const see = watch();
    see(0, 0);
    expect(see(0.001, 30)?.state).toBe('in time');
    expect(see(0.2, 60)?.state).toBe('in time');
    expect(see(3, 80)?.state).toBe('in time');
  });

  it('watches each stream by itself', () => {
    const see = watch();
    see(0, 0, 0, 'one');
    expect(see(3, 30, 3, 'two')?.state).toBe('in time');
    expect(see(3, 30, 3, 'one')?.state).toBe('lost');
  });
});
