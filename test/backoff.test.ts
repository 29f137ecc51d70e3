import { describe, expect, it } from 'vitest';
import { fullJitter, type RetryOptions, retry } from '../src/backoff.ts';

/** A clock that only sleeping moves, and that has `limitMs` left at first. */
function clock(limitMs: number) {
  const slept: number[] = [];
  const now = () => slept.reduce((sum, ms) => sum + ms, 0);
  const options = (random: number): RetryOptions => ({
    remainingMs: () => limitMs - now(),
    sleep: async (ms) => void slept.push(ms),
    random: () => random,
  });
  return { slept, now, options };
}

/** An attempt that fails `times` times. */
function failing(times: number, error: unknown = new Error('not now')) {
  let attempts = 0;
  return {
    attempts: () => attempts,
    attempt: async () => {
      attempts += 1;
      if (attempts <= times) throw error;
      return 'done';
    },
  };
}

describe('retry', () => {
  it('attempts a call again until it works, and returns the result', async () => {
    const { options, slept } = clock(60_000);
    const { attempt, attempts } = failing(3);
    expect(await retry(attempt, options(0.5))).toBe('done');
    expect([attempts(), slept.length]).toEqual([4, 3]);
  });

  it('does not attempt a call again that worked', async () => {
    const { options, slept } = clock(60_000);
    const { attempt, attempts } = failing(0);
    expect(await retry(attempt, options(1))).toBe('done');
    expect([attempts(), slept]).toEqual([1, []]);
  });

  it('throws what the last attempt threw when the next one could not begin in time', async () => {
    const { options, now } = clock(1_000);
    let attempts = 0;
    const attempt = async () => {
      attempts += 1;
      throw new Error(`attempt ${attempts}`);
    };
    await expect(retry(attempt, options(1))).rejects.toThrow('attempt 4');
    // 100 + 200 + 400. Another 800 ms would be too long.
    expect(now()).toBe(700);
  });

  it('attempts a call once when there is no time at all', async () => {
    for (const limit of [0, -5_000]) {
      const { options, slept } = clock(limit);
      const { attempt, attempts } = failing(9);
      await expect(retry(attempt, options(0))).rejects.toThrow('not now');
      expect([attempts(), slept]).toEqual([1, []]);
    }
  });

  it('does not attempt a call again whose fault is not transient', async () => {
    const { options, slept } = clock(60_000);
    const { attempt, attempts } = failing(9, new TypeError('never'));
    await expect(retry(attempt, { ...options(0.5), isTransient: (error) => !(error instanceof TypeError) })).rejects.toThrow('never');
    expect([attempts(), slept]).toEqual([1, []]);
  });

  it('attempts a call again that throws undefined without a promise', async () => {
    const { options } = clock(60_000);
    let attempts = 0;
    const attempt = (): Promise<string> => {
      attempts += 1;
      if (attempts < 3) throw undefined;
      return Promise.resolve('done');
    };
    expect(await retry(attempt, options(0.5))).toBe('done');
  });

  it('gives `onRetry` each error, with the pause before the next attempt', async () => {
    const { options } = clock(60_000);
    const retries: unknown[] = [];
    const error = new Error('not now');
    await retry(failing(2, error).attempt, { ...options(0.5), onRetry: (...what) => void retries.push(what) });
    expect(retries).toEqual([
      [error, 50],
      [error, 100],
    ]);
  });
});

describe('the pause of retry', () => {
  const waits = async (random: number, more: Partial<RetryOptions> = {}) => {
    const { options, slept } = clock(1_000_000);
    await retry(failing(9).attempt, { ...options(random), ...more });
    return slept;
  };

  it('doubles its limit from attempt to attempt, up to a cap', async () => {
    expect(await waits(1)).toEqual([100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000, 5_000]);
    expect(await waits(1, { baseMs: 1, capMs: 3 })).toEqual([1, 2, 3, 3, 3, 3, 3, 3, 3]);
  });

  it('takes any length up to the limit, so that callers who failed together do not come back together', async () => {
    expect(await waits(0)).toEqual(Array(9).fill(0));
    expect(await waits(0.25)).toEqual([25, 50, 100, 200, 400, 800, 1_250, 1_250, 1_250]);
    const first = await Promise.all(
      Array.from({ length: 200 }, async () => {
        const { options, slept } = clock(1_000_000);
        await retry(failing(1).attempt, { ...options(0), random: Math.random });
        return slept[0] as number;
      }),
    );
    expect(new Set(first.map((ms) => Math.ceil(ms / 10))).size).toBeGreaterThan(5);
    expect(Math.max(...first)).toBeLessThanOrEqual(100);
  });

  it('sleeps by the real clock by default', async () => {
    const begun = performance.now();
    await retry(failing(2).attempt, { remainingMs: () => 60_000, random: () => 1, baseMs: 10 });
    // Timers may fire a millisecond early.
    expect(performance.now() - begun).toBeGreaterThan(25);
  });
});

describe('fullJitter', () => {
  it.each([
    [0, 100],
    [1, 200],
    [3, 800],
    [4, 1_000],
    [2_000, 1_000],
  ])('gives a part of its limit after %d earlier failures', (failures, limit) => {
    expect([0, 0.5, 1].map((random) => fullJitter(failures, 100, 1_000, () => random))).toEqual([0, limit / 2, limit]);
  });

  it('is random by default', () => {
    expect(new Set(Array.from({ length: 10 }, () => fullJitter(0, 100, 1_000))).size).toBeGreaterThan(1);
  });
});
