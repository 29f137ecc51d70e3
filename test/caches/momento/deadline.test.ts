import { describe, expect, it, vi } from 'vitest';
import { deadlineIn, remaining, waitForRetry } from '../../../src/caches/momento/deadline.ts';

describe('a deadline', () => {
  it('has the given time left, and none once it has passed', () => {
    expect(remaining(deadlineIn(1_000))).toBeGreaterThan(900);
    expect(remaining(deadlineIn(1_000))).toBeLessThanOrEqual(1_000);
    expect(remaining(deadlineIn(-1))).toBe(0);
  });

  it('lets a wait end before it', async () => {
    vi.spyOn(Math, 'random').mockReturnValue(0.5);
    const started = performance.now();
    expect(await waitForRetry(1, 20, deadlineIn(1_000))).toBe(true);
    // Half of 20 ms doubled once.
    expect(performance.now() - started).toBeGreaterThanOrEqual(18);
    vi.restoreAllMocks();
  });

  it('refuses at once a wait that would end after it', async () => {
    vi.spyOn(Math, 'random').mockReturnValue(0.99);
    const started = performance.now();
    expect(await waitForRetry(30, 20, deadlineIn(900))).toBe(false);
    expect(performance.now() - started).toBeLessThan(100);
    // The longest wait is one second.
    vi.spyOn(Math, 'random').mockReturnValue(0.01);
    expect(await waitForRetry(30, 20, deadlineIn(900))).toBe(true);
    vi.restoreAllMocks();
  });
});
