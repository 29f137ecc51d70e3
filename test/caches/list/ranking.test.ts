import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ListPosition } from '../../../src/cache.ts';
import { Ranking } from '../../../src/caches/list/ranking.ts';

// By the bytes in UTF-8 these names are in this order. By UTF-16 code units the last two would change places.
const NAMES = ['a', 'b', 'é', '\uffff', '\u{10000}'];
const position: fc.Arbitrary<ListPosition> = fc.record({ score: fc.constantFrom(-1.5, 0, 3, 4), member: fc.constantFrom(...NAMES) });

function ascending(a: ListPosition, b: ListPosition): number {
  return a.score - b.score || NAMES.indexOf(a.member) - NAMES.indexOf(b.member);
}

function rankingOf(positions: readonly ListPosition[]): Ranking {
  const ranking = new Ranking();
  for (const it of positions) ranking.add(it);
  return ranking;
}

const distinct = fc.uniqueArray(position, { comparator: (a, b) => ascending(a, b) === 0, maxLength: 12 });

describe('Ranking', () => {
  it('orders positions by score, and those of equal score by the bytes of their names', () => {
    fc.assert(
      fc.property(distinct, (positions) => {
        const ranking = rankingOf(positions);
        const sorted = positions.toSorted(ascending);
        expect(ranking.page(99, undefined, false)).toEqual(sorted);
        expect(ranking.page(99, undefined, true)).toEqual(sorted.toReversed());
        expect([ranking.size, ranking.lowest, ranking.scores]).toEqual([sorted.length, sorted[0], sorted.map(({ score }) => score)]);
      }),
    );
  });

  it('pages from any position on, whether or not it is in the ranking', () => {
    fc.assert(
      fc.property(distinct, position, fc.integer({ min: 1, max: 5 }), fc.boolean(), (positions, after, limit, descending) => {
        const sign = descending ? -1 : 1;
        const expected = positions.toSorted((a, b) => sign * ascending(a, b)).filter((it) => sign * ascending(it, after) > 0);
        expect(rankingOf(positions).page(limit, after, descending)).toEqual(expected.slice(0, limit));
      }),
    );
  });

  it('removes exactly the given position', () => {
    fc.assert(
      fc.property(distinct, fc.nat(), (positions, n) => {
        fc.pre(positions.length > 0);
        const removed = positions[n % positions.length] as ListPosition;
        const ranking = rankingOf(positions);
        ranking.remove(removed);
        expect(ranking.page(99, undefined, false)).toEqual(positions.filter((it) => it !== removed).toSorted(ascending));
      }),
    );
  });
});
