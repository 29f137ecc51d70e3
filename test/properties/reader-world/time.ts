import { WorldClock } from '../chaos/clock.ts';

/** Runs a history, with the time and the chance that it meets. */
export type Run = (history: () => Promise<void>, random: () => number) => Promise<void>;

/** Runs in real time. */
export const inRealTime: Run = (history) => history();

/** Longer than every history lasts, ms. A read that waits in vain lasts for ever. */
const LONGEST_MS = 300_000;

/** What a clock needs of an AbortSignal. A real one costs more than all else that a sleep does. */
class Timer {
  aborted = false;
  #abort = (): void => {};

  addEventListener(_: 'abort', abort: () => void): void {
    this.#abort = abort;
  }

  removeEventListener(): void {
    this.#abort = () => {};
  }

  clear(): void {
    this.aborted = true;
    this.#abort();
  }
}

/** Runs in virtual time: sleeps take none, and one seed always gives the same history. The test mocks `node:timers/promises`. */
export const inVirtualTime: Run = async (history, random) => {
  const clock = new WorldClock();
  const real = { setTimeout, clearTimeout, dateNow: Date.now, performanceNow: performance.now, random: Math.random };
  const set = (run: (...args: unknown[]) => void, ms = 0, ...args: unknown[]) => {
    const timer = new Timer();
    void clock.sleep(ms, timer as unknown as AbortSignal).then(() => {
      if (!timer.aborted) run(...args);
    });
    return timer;
  };
  globalThis.setTimeout = set as unknown as typeof setTimeout;
  globalThis.clearTimeout = ((timer: unknown) => {
    if (timer instanceof Timer) timer.clear();
  }) as typeof clearTimeout;
  Date.now = () => Math.floor(clock.now());
  performance.now = clock.now;
  Math.random = random;
  try {
    await clock.until(history(), LONGEST_MS);
  } finally {
    globalThis.setTimeout = real.setTimeout;
    globalThis.clearTimeout = real.clearTimeout;
    Date.now = real.dateNow;
    performance.now = real.performanceNow;
    Math.random = real.random;
  }
};

/** A sleep by the present `setTimeout`, in place of that of `node:timers/promises`. */
export function sleep(ms?: number, value?: unknown, { signal }: { readonly signal?: AbortSignal } = {}): Promise<unknown> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const abort = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', abort);
      resolve(value);
    }, ms);
    signal?.addEventListener('abort', abort, { once: true });
  });
}
