import { setTimeout as sleep } from 'node:timers/promises';
import { fullJitter } from '../../backoff.ts';

/** When a call of the cache must be over, with all its tries. */
export interface Deadline {
  /** By the clock of `performance.now()`, ms. */
  readonly at: number;
}

export function deadlineIn(ms: number): Deadline {
  return { at: performance.now() + ms };
}

/** ms; 0 when it is over. */
export function remaining({ at }: Deadline): number {
  return Math.max(0, at - performance.now());
}

const LONGEST_PAUSE_MS = 1_000;

/** Waits before a further try. False, and at once, when the deadline would be over. */
export async function pause(attempt: number, firstMs: number, deadline: Deadline): Promise<boolean> {
  const ms = fullJitter(attempt, firstMs, LONGEST_PAUSE_MS);
  if (ms >= remaining(deadline)) return false;
  await sleep(ms);
  return true;
}
