import { setTimeout } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { deadlineIn } from '../../../src/caches/momento/deadline.ts';
import { SharedPause } from '../../../src/caches/momento/shared-pause.ts';

describe('a pause of all calls', () => {
  let pause: SharedPause;
  beforeEach(() => {
    pause = new SharedPause();
    vi.spyOn(Math, 'random').mockReturnValue(0.999);
  });
  afterEach(() => {
    vi.restoreAllMocks();
  });
  /** Waits, and resolves to the time that it took, ms. */
  const wait = async () => {
    const started = performance.now();
    expect(await pause.wait(deadlineIn(5_000))).toBe(true);
    return performance.now() - started;
  };
  const fails = () => pause.begin(performance.now());

  it('does not begin before a failure', async () => {
    expect(await wait()).toBeLessThan(100);
  });

  it('doubles with each failure of a call that was sent after it', async () => {
    const waits: number[] = [];
    for (let n = 0; n < 3; n += 1) {
      fails();
      waits.push(await wait());
      // A timer of Node may end 1 ms early. The next call must be sent after the pause.
      await setTimeout(5);
    }
    // Each wait may be 1 ms short for the same reason.
    for (const [n, ms] of waits.entries()) expect(ms).toBeGreaterThan(20 * 2 ** n - 2);
  });

  it('is not prolonged by calls that were sent before it', async () => {
    const sentAt = performance.now();
    for (let n = 0; n < 50; n += 1) pause.begin(sentAt);
    expect(await wait()).toBeLessThan(400);
  });

  it('ends with a success', async () => {
    for (let n = 0; n < 8; n += 1) pause.begin(Infinity);
    pause.end();
    expect(await wait()).toBeLessThan(400);
    fails();
    expect(await wait()).toBeLessThan(400);
  });

  it('refuses at once a wait that would end after the deadline', async () => {
    for (let n = 0; n < 8; n += 1) pause.begin(Infinity);
    const started = performance.now();
    expect(await pause.wait(deadlineIn(400))).toBe(false);
    expect(performance.now() - started).toBeLessThan(300);
    // The longest pause is half a second.
    expect(await pause.wait(deadlineIn(1_000))).toBe(true);
  });
});
