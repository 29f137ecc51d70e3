import type { Clock } from './clock.ts';

/** Time that passes only when it is driven, at once. */
export interface VirtualClock extends Clock {
  /** Lets time pass until the promise settles, and gives what it settles to. Throws when nothing sleeps and it does not settle. */
  run<T>(promise: Promise<T>): Promise<T>;
  /** Lets `ms` pass. */
  advance(ms: number): Promise<void>;
}

interface Sleeper {
  readonly at: number;
  readonly wake: () => void;
}

/** So long nothing may happen, real ms: what sleeps on no clock, such as a call of another process, is waited for. */
const STUCK_MS = 10_000;

/**
 * A clock for tests: ten retries with an hour between them take microseconds, and always happen in the same order. Between two sleepers
 * everything that is ready runs: promises, and what they wait for by `setImmediate`.
 *
 *     const clock = virtualClock();
 *     const mapping = eventSourceMapping({ ..., clock });
 *     await mapping.start();
 *     await clock.run(mapping.drained());
 */
export function virtualClock(start: number = Date.UTC(2026, 0, 1)): VirtualClock {
  let now = start;
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

  /** The earliest; of those of one moment, the first that went to sleep. */
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
          throw new Error('nothing sleeps on the virtual clock, and what is waited for does not settle');
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
