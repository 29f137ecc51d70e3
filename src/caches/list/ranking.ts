import type { Place } from '../../cache.ts';

/** Places in ascending order: by score, then by the bytes of the names, as Redis sorts a sorted set. */
export class Ranking {
  readonly #rows: Place[] = [];

  get size(): number {
    return this.#rows.length;
  }

  add(row: Place): void {
    this.#rows.splice(this.#rank(row), 0, row);
  }

  remove(row: Place): void {
    this.#rows.splice(this.#rank(row), 1);
  }

  /** Ascending. */
  get scores(): readonly number[] {
    return this.#rows.map(({ score }) => score);
  }

  get lowest(): Place | undefined {
    return this.#rows[0];
  }

  page(limit: number, after: Place | undefined, descending: boolean): readonly Place[] {
    if (descending) {
      const end = after ? this.#rank(after) : this.#rows.length;
      return this.#rows.slice(Math.max(0, end - limit), end).reverse();
    }
    let start = after ? this.#rank(after) : 0;
    const first = this.#rows[start];
    if (after && first && compare(first, after) === 0) start += 1;
    return this.#rows.slice(start, start + limit);
  }

  /** How many rows come before this one. */
  #rank(row: Place): number {
    let [low, high] = [0, this.#rows.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (compare(this.#rows[middle] as Place, row) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

function compare(a: Place, b: Place): number {
  if (a.score !== b.score) return a.score - b.score;
  return a.member === b.member ? 0 : Buffer.compare(Buffer.from(a.member), Buffer.from(b.member));
}
