import { describe, expect, it } from 'vitest';
import { type RetryOptions, retry } from '../src/backoff.ts';

/** A clock that only sleeping moves. */
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

/** Fails so many times. */
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

describe('a call that fails', () => {
  it('is attempted again until it works, and its result is returned', async () => {
    const { options, slept } = clock(60_000);
    const { attempt, attempts } = failing(3);
    expect(await retry(attempt, options(0.5))).toBe('done');
    expect([attempts(), slept.length]).toEqual([4, 3]);
  });

  it('is not followed by another one if it worked', async () => {
    const { options, slept } = clock(60_000);
    const { attempt, attempts } = failing(0);
    expect(await retry(attempt, options(1))).toBe('done');
    expect([attempts(), slept]).toEqual([1, []]);
  });

  it('throws what the last attempt threw, once the next could not begin in time', async () => {
    const { options, now } = clock(1_000);
    let attempts = 0;
    const attempt = async () => {
      attempts += 1;
      throw new Error(`attempt ${attempts}`);
    };
    await expect(retry(attempt, options(1))).rejects.toThrow('attempt 4');
    // 100 + 200 + 400; 800 more would be too long.
    expect(now()).toBe(700);
  });

  it('is attempted once where there is no time at all', async () => {
    for (const limit of [0, -5_000]) {
      const { options, slept } = clock(limit);
      const { attempt, attempts } = failing(9);
      await expect(retry(attempt, options(0))).rejects.toThrow('not now');
      expect([attempts(), slept]).toEqual([1, []]);
    }
  });

  it('is not repeated if its fault will not pass', async () => {
    const { options, slept } = clock(60_000);
    const { attempt, attempts } = failing(9, new TypeError('never'));
    await expect(retry(attempt, { ...options(0.5), isTransient: (error) => !(error instanceof TypeError) })).rejects.toThrow('never');
    expect([attempts(), slept]).toEqual([1, []]);
  });

  it('may throw at once, and anything', async () => {
    const { options } = clock(60_000);
    let attempts = 0;
    const attempt = (): Promise<string> => {
      attempts += 1;
      if (attempts < 3) throw undefined;
      return Promise.resolve('done');
    };
    expect(await retry(attempt, options(0.5))).toBe('done');
  });

  it('is told of, with the time until the next attempt', async () => {
    const { options } = clock(60_000);
    const told: unknown[] = [];
    const error = new Error('not now');
    await retry(failing(2, error).attempt, { ...options(0.5), onRetry: (...what) => void told.push(what) });
    expect(told).toEqual([
      [error, 50],
      [error, 100],
    ]);
  });
});

describe('the wait between attempts', () => {
  const waits = async (random: number, more: Partial<RetryOptions> = {}) => {
    const { options, slept } = clock(1_000_000);
    await retry(failing(9).attempt, { ...options(random), ...more });
    return slept;
  };

  it('doubles at the most, up to a cap', async () => {
    expect(await waits(1)).toEqual([100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000, 5_000]);
    expect(await waits(1, { baseMs: 1, capMs: 3 })).toEqual([1, 2, 3, 3, 3, 3, 3, 3, 3]);
  });

  it('is anything from nothing up to that, so that many callers part', async () => {
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

  it('is real unless told otherwise', async () => {
    const begun = performance.now();
    await retry(failing(2).attempt, { remainingMs: () => 60_000, random: () => 1, baseMs: 10 });
    // Timers may fire a millisecond early.
    expect(performance.now() - begun).toBeGreaterThan(25);
  });
});
