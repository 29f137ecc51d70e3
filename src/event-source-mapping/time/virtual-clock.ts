import type { Clock } from './clock.ts';

/** A clock whose time passes only in `run` and `advance`, and then without waiting. */
export interface VirtualClock extends Clock {
  /**
   * Lets time pass until the promise settles, and settles in the same way. Rejects when nothing sleeps on the clock for 10 s of real time and
   * the promise does not settle.
   */
  run<T>(promise: Promise<T>): Promise<T>;
  /** Lets `ms` pass, and wakes all that sleep until then. */
  advance(ms: number): Promise<void>;
}

interface Sleeper {
  readonly at: number;
  readonly wake: () => void;
}

/** How long nothing may sleep on the clock before `run` rejects, ms of real time. Calls of other processes may take that long. */
const STUCK_MS = 10_000;

/**
 * A clock for tests, starting at 2026-01-01: ten retries with an hour between them take microseconds, always in the same order. Before it
 * wakes the next sleeper, it runs all promises and `setImmediate` callbacks that are ready.
 *
 *     const clock = virtualClock();
 *     const mapping = eventSourceMapping({ ..., clock });
 *     await mapping.start();
 *     await clock.run(mapping.drained());
 */
export function virtualClock(): VirtualClock {
  let now = Date.UTC(2026, 0, 1);
  const sleepers = new Set<Sleeper>();

  const sleep = (ms: number, signal?: AbortSignal): Promise<void> =>
    new Promise((resolve) => {
      if (signal?.aborted) return resolve();
      const wake = () => {
        sleepers.delete(sleeper);
        signal?.removeEventListener('abort', wake);
        resolve();
      };
      const sleeper: Sleeper = { at: now + Math.max(0, ms), wake };
      sleepers.add(sleeper);
      signal?.addEventListener('abort', wake);
    });

  /** The sleeper that wakes first. Of several at one moment, the first that went to sleep. */
  const next = (): Sleeper | undefined => {
    let earliest: Sleeper | undefined;
    for (const sleeper of sleepers) if (!earliest || sleeper.at < earliest.at) earliest = sleeper;
    return earliest;
  };
  const wake = (sleeper: Sleeper): void => {
    now = sleeper.at;
    sleeper.wake();
  };

  return {
    now: () => now,
    sleep,
    async run(promise) {
      let settled = false;
      const settle = () => {
        settled = true;
      };
      promise.then(settle, settle);
      let idleSince: number | undefined;
      for (;;) {
        await new Promise(setImmediate);
        if (settled) return promise;
        const sleeper = next();
        if (sleeper) {
          idleSince = undefined;
          wake(sleeper);
          continue;
        }
        idleSince ??= Date.now();
        if (Date.now() - idleSince > STUCK_MS)
          throw new Error('nothing sleeps on the virtual clock, and the promise of `run` does not settle');
      }
    },
    async advance(ms) {
      const until = now + ms;
      for (;;) {
        await new Promise(setImmediate);
        const sleeper = next();
        if (!sleeper || sleeper.at > until) break;
        wake(sleeper);
      }
      now = until;
    },
  };
}
