import type { Clock } from '../../../src/testing/index.ts';

interface Sleeper {
  readonly at: number;
  readonly wake: () => void;
}

/** An answer of another process, and the call that waits for it. */
interface Arrival {
  readonly settled: Promise<unknown>;
  readonly deliver: () => void;
}

/** Every history comes to rest in fewer turns, even one with nights. A history that does not will never end. */
const PATIENCE_TURNS = 2_000_000;

/**
 * The time of one history. Time passes only while `until` or `advance` runs, without waiting, and always in the same order: one sleeper wakes, and
 * everything that is ready runs. While another process works, time stands still. The answers of processes come in the order of the calls.
 */
export class WorldClock implements Clock {
  #now: number;
  /** The last one is the next to wake. */
  readonly #sleepers: Sleeper[] = [];
  #asked: Arrival[] = [];
  #turns = 0;

  constructor(start: number = Date.UTC(2026, 10, 22)) {
    this.#now = start;
  }

  /** Counts how often a sleeper woke or time was driven. */
  get turn(): number {
    return this.#turns;
  }

  readonly now = (): number => this.#now;

  readonly sleep = (ms: number, signal?: AbortSignal): Promise<void> =>
    new Promise((resolve) => {
      if (signal?.aborted) return resolve();
      const sleeper = {
        at: this.#now + Math.max(0, ms),
        wake: () => {
          signal?.removeEventListener('abort', giveUp);
          resolve();
        },
      };
      const giveUp = () => {
        this.#sleepers.splice(this.#sleepers.indexOf(sleeper), 1);
        sleeper.wake();
      };
      this.#add(sleeper);
      signal?.addEventListener('abort', giveUp);
    });

  /** The answer of a process outside of the time of the history. */
  outside<T>(answer: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const arrival = { settled: answer.catch(() => {}), deliver: () => answer.then(resolve, reject) };
      this.#asked.push(arrival);
    });
  }

  /** Lets time pass until the promise settles. Throws after `limitMs`, and when nothing goes on that could settle the promise. */
  async until<T>(promise: Promise<T>, limitMs: number): Promise<T> {
    let settled = false;
    const settle = () => {
      settled = true;
    };
    promise.then(settle, settle);
    const limit = this.#now + limitMs;
    for (;;) {
      await this.#quiet();
      if (settled) return promise;
      const sleeper = this.#sleepers.at(-1);
      if (!sleeper) throw new Error('nothing goes on, and what is waited for is not there');
      if (sleeper.at > limit) throw new Error(`what is waited for is not there after ${limitMs / 1_000} s`);
      this.#wake();
    }
  }

  /** Lets `ms` pass. */
  async advance(ms: number): Promise<void> {
    const until = this.#now + ms;
    for (await this.#quiet(); (this.#sleepers.at(-1)?.at ?? Infinity) <= until; await this.#quiet()) this.#wake();
    this.#now = until;
  }

  /** Resolves when nothing is ready any more. */
  async #quiet(): Promise<void> {
    this.#turns += 1;
    if (this.#turns > PATIENCE_TURNS) throw new Error('this history does not come to an end');
    await new Promise(setImmediate);
    while (this.#asked.length > 0) {
      const asked = this.#asked;
      this.#asked = [];
      await Promise.all(asked.map(({ settled }) => settled));
      for (const { deliver } of asked) deliver();
      await new Promise(setImmediate);
    }
  }

  /** Adds a sleeper behind those of the same moment. */
  #add(sleeper: Sleeper): void {
    let low = 0;
    let high = this.#sleepers.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#sleepers[middle] as Sleeper).at > sleeper.at) low = middle + 1;
      else high = middle;
    }
    this.#sleepers.splice(low, 0, sleeper);
  }

  #wake(): void {
    const sleeper = this.#sleepers.pop() as Sleeper;
    this.#now = sleeper.at;
    sleeper.wake();
  }
}

/**
 * Replaces `AbortSignal.timeout` by one of this clock. Returns what undoes that. Work that is ready begins before even a timeout of 0, as with the real
 * one. Only the property `aborted` of the signals works; they call no listeners.
 */
export function ruleTimeouts(clock: WorldClock): () => void {
  const real = AbortSignal.timeout;
  AbortSignal.timeout = (ms) => {
    const [over, turn] = [clock.now() + ms, clock.turn];
    return Object.defineProperty(new AbortController().signal, 'aborted', { get: () => clock.turn > turn && clock.now() >= over });
  };
  return () => {
    AbortSignal.timeout = real;
  };
}
