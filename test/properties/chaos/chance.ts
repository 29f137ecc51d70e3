/** Random numbers that are the same for the same seed (T. Ettinger's mulberry32). */
export class Chance {
  #state: number;

  constructor(seed: number) {
    this.#state = seed | 0;
  }

  /** From 0 to below 1, as `Math.random`. */
  readonly next = (): number => {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };

  hits(probability: number): boolean {
    return this.next() < probability;
  }

  /** A whole number from 0 to below `n`. */
  upTo(n: number): number {
    return Math.floor(this.next() * n);
  }

  of<T>(choices: readonly T[]): T | undefined {
    return choices[this.upTo(choices.length)];
  }
}
