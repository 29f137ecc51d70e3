import type { ListPosition } from '../../cache.ts';

/** Positions in ascending order: by score, then by the bytes of the names, as Redis orders a sorted set. */
export class Ranking {
  readonly #positions: ListPosition[] = [];

  get size(): number {
    return this.#positions.length;
  }

  add(position: ListPosition): void {
    this.#positions.splice(this.#rank(position), 0, position);
  }

  /** `position` must be in the ranking. */
  remove(position: ListPosition): void {
    this.#positions.splice(this.#rank(position), 1);
  }

  /** In ascending order. */
  get scores(): readonly number[] {
    return this.#positions.map(({ score }) => score);
  }

  get lowest(): ListPosition | undefined {
    return this.#positions[0];
  }

  /** Up to `limit` positions after this one, in the order asked for. `after` need not be in the ranking. */
  page(limit: number, after: ListPosition | undefined, descending: boolean): readonly ListPosition[] {
    if (descending) {
      const end = after ? this.#rank(after) : this.#positions.length;
      return this.#positions.slice(Math.max(0, end - limit), end).reverse();
    }
    let start = after ? this.#rank(after) : 0;
    const first = this.#positions[start];
    if (after && first && compare(first, after) === 0) start += 1;
    return this.#positions.slice(start, start + limit);
  }

  /** The number of positions before this one, in ascending order. */
  #rank(position: ListPosition): number {
    let [low, high] = [0, this.#positions.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (compare(this.#positions[middle] as ListPosition, position) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

function compare(a: ListPosition, b: ListPosition): number {
  if (a.score !== b.score) return a.score - b.score;
  return a.member === b.member ? 0 : Buffer.compare(Buffer.from(a.member), Buffer.from(b.member));
}
