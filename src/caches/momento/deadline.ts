import { setTimeout as sleep } from 'node:timers/promises';
import { fullJitter } from '../../backoff.ts';

/** When a call of the cache must be over, with all its attempts. */
export interface Deadline {
  /** By the clock of `performance.now()`, ms. */
  readonly at: number;
}

export function deadlineIn(ms: number): Deadline {
  return { at: performance.now() + ms };
}

/** The time until the deadline, ms; 0 after it. */
export function remaining({ at }: Deadline): number {
  return Math.max(0, at - performance.now());
}

const LONGEST_WAIT_MS = 1_000;

/**
 * Waits before the next attempt. Returns false at once if the wait would not end before the deadline.
 *
 * @param failures how many attempts failed before the one that failed last
 * @param firstMs the longest wait after the first failure; it doubles with each failure, up to 1 s
 */
export async function waitForRetry(failures: number, firstMs: number, deadline: Deadline): Promise<boolean> {
  const ms = fullJitter(failures, firstMs, LONGEST_WAIT_MS);
  if (ms >= remaining(deadline)) return false;
  await sleep(ms);
  return true;
}
