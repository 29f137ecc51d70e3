import type { Item } from './item.ts';

/** How old a state an ordinary read may see. Both bounds apply where both are given. */
export interface StaleReads {
  /** The probability that an ordinary read sees an older state, where there is one. */
  readonly probability: number;
  /** The age of the oldest visible state, ms: from the moment when it was replaced. Default: no bound. */
  readonly withinMs?: number;
  /** The number of replaced states that are visible. Default: no bound beside `withinMs`, else 1. */
  readonly writes?: number;
  readonly seed?: number;
}

interface Past {
  readonly item: Item | undefined;
  /** The time when the next state replaced this one, ms. */
  readonly until: number;
}

/** Earlier states of keys, for reads of a lagging replica. */
export class Staleness {
  readonly #past = new Map<string, Past[]>();
  readonly #probability: number;
  readonly #withinMs: number;
  readonly #writes: number;
  readonly #random: () => number;

  constructor({ probability, withinMs = Number.POSITIVE_INFINITY, writes, seed = 1 }: StaleReads) {
    this.#probability = probability;
    this.#withinMs = withinMs;
    this.#writes = writes ?? (withinMs === Number.POSITIVE_INFINITY ? 1 : Number.POSITIVE_INFINITY);
    this.#random = mulberry32(seed);
  }

  keep(name: string, item: Item | undefined, now: number): void {
    const states = this.#past.get(name) ?? [];
    states.push({ item, until: now });
    while (states.length > this.#writes || this.#tooOld(states[0], now)) states.shift();
    this.#past.set(name, states);
  }

  /** Chooses the state of a key that a read sees. */
  look(name: string, current: Item | undefined, now: number): Item | undefined {
    const states = this.#past.get(name);
    if (states === undefined || this.#random() >= this.#probability) return current;
    const seen = states.filter((state) => !this.#tooOld(state, now));
    return seen.length === 0 ? current : seen[Math.floor(this.#random() * seen.length)]?.item;
  }

  #tooOld(state: Past | undefined, now: number): boolean {
    return state !== undefined && now - state.until > this.#withinMs;
  }

  clear(): void {
    this.#past.clear();
  }
}

/** https://gist.github.com/tommyettinger/46a874533244883189143505d203312c */
function mulberry32(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
