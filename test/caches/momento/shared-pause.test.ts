import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { deadlineIn } from '../../../src/caches/momento/deadline.ts';
import { SharedPause } from '../../../src/caches/momento/shared-pause.ts';

describe('a pause of all calls', () => {
  let pause: SharedPause;
  beforeEach(() => {
    // The clock stands still between steps.
    vi.useFakeTimers({ toFake: ['performance'] });
    vi.spyOn(Math, 'random').mockReturnValue(0.999);
    pause = new SharedPause();
  });
  afterEach(() => {
    vi.useRealTimers();
    vi.restoreAllMocks();
  });
  const fails = () => pause.begin(performance.now());
  /** Whether the pause ends within this time from now, ms. */
  const endsWithin = (ms: number) => pause.wait(deadlineIn(ms));

  it('does not begin before a failure', async () => {
    expect(await endsWithin(1)).toBe(true);
  });

  it('doubles with each failure of a call that was sent after it, up to half a second', async () => {
    for (const limit of [25, 50, 100, 200, 400, 500, 500]) {
      fails();
      expect([limit, await endsWithin(limit - 1), await endsWithin(limit)]).toEqual([limit, false, true]);
      vi.advanceTimersByTime(limit);
      expect(await endsWithin(1)).toBe(true);
    }
  });

  it('is not prolonged by calls that were sent before it', async () => {
    const sentAt = performance.now();
    for (let n = 0; n < 50; n += 1) pause.begin(sentAt);
    expect(await endsWithin(25)).toBe(true);
  });

  it('ends with a success, and begins short again', async () => {
    for (let n = 0; n < 4; n += 1) pause.begin(Infinity);
    expect(await endsWithin(100)).toBe(false);
    pause.end();
    expect(await endsWithin(1)).toBe(true);
    fails();
    expect([await endsWithin(24), await endsWithin(25)]).toEqual([false, true]);
  });

  it('lets a call wait until it is over', async () => {
    for (let n = 0; n < 3; n += 1) pause.begin(Infinity);
    const started = process.hrtime.bigint();
    expect(await endsWithin(1_000)).toBe(true);
    expect(process.hrtime.bigint() - started).toBeGreaterThan(90_000_000n);
  });
});
