/** Things that wait for their times, in classes of a few ms, so that adding and taking are cheap. */
export class Waiting<T> {
  readonly #grainMs: number;
  readonly #classes = new Map<number, T[]>();
  #size = 0;

  constructor(grainMs: number) {
    this.#grainMs = Math.max(1, grainMs);
  }

  get size(): number {
    return this.#size;
  }

  /** The time of the next thing, ms since 1970. */
  get next(): number {
    return this.#size === 0 ? Infinity : Math.min(...this.#classes.keys());
  }

  add(at: number, thing: T): void {
    const due = Math.ceil(at / this.#grainMs) * this.#grainMs;
    const things = this.#classes.get(due);
    if (things) things.push(thing);
    else this.#classes.set(due, [thing]);
    this.#size += 1;
  }

  /** Removes and returns the things whose times have come, at most `most`. */
  take(now: number, most: number): T[] {
    const taken: T[] = [];
    for (const due of [...this.#classes.keys()].filter((due) => due <= now).sort((a, b) => a - b)) {
      const things = this.#classes.get(due) ?? [];
      taken.push(...things.splice(0, most - taken.length));
      if (things.length === 0) this.#classes.delete(due);
      if (taken.length === most) break;
    }
    this.#size -= taken.length;
    return taken;
  }

  /** Removes and returns everything. */
  drain(): T[] {
    return this.take(Infinity, Infinity);
  }
}
