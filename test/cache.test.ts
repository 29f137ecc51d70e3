import { describe, expect, it } from 'vitest';
import { checkFound, cursorOf, type FoundList, isComplete, parseQuery } from '../src/cache.ts';

const LIST = { target: { kind: 'list', list: 'l', keep: 2 } } as const;
const DOCUMENT = { target: { kind: 'document', key: 'd' } } as const;
const found = (scores: readonly number[], next?: number): FoundList => ({
  kind: 'list',
  newest: scores.map((score, i) => ({ member: `m${i}`, score, json: '1' })),
  next,
});

describe('checkFound', () => {
  it('accepts what the table can have', () => {
    for (const [lease, it] of [
      [DOCUMENT, { kind: 'document' }],
      [DOCUMENT, { kind: 'document', json: '1' }],
      [LIST, found([])],
      [LIST, found([3, 3], 3)],
      [LIST, found([3, 2], 1)],
      [LIST, found([3], 2)],
      [LIST, found([3])],
    ] as const) {
      expect(() => checkFound(lease, it)).not.toThrow();
    }
  });

  it.each([
    ['a list for a document', DOCUMENT, found([]), /^a lease on a document cannot be settled with a list$/],
    ['a document for a list', LIST, { kind: 'document' } as const, /^a lease on a list cannot be settled with a document$/],
    [
      'more members than the list keeps',
      LIST,
      found([3, 2, 1]),
      /^list l keeps 2 members, not 3: of the member that follows, give the score/,
    ],
    ['a next score without members', LIST, found([], 1), /^list l: "next" is 1, so give the members before it$/],
    ['a next score above the last member', LIST, found([3, 2], 2.5), /^list l: "next" is 2.5: give a finite number, not above 2/],
    ['a next score that is no number', LIST, found([3], Number.NaN), /"next" is NaN: give a finite number/],
    ['a next score without an end', LIST, found([3], -Infinity), /"next" is -Infinity: give a finite number/],
    [
      'the former flag',
      LIST,
      { ...found([3]), more: true } as FoundList,
      /^list l: give "next", the score of the member that follows the newest 2, instead of "more"; omit it if none follows$/,
    ],
    ['members out of order', LIST, found([1, 2]), /descending score$/],
    ['a score that is no number', LIST, found([Number.NaN]), /descending score$/],
  ])('throws a TypeError for %s', (_, lease, it, message) => {
    expect(() => checkFound(lease, it)).toThrow(message);
    expect(() => checkFound(lease, it)).toThrow(TypeError);
  });
});

describe('parseQuery', () => {
  it('reads limit, order and the position that a cursor encodes', () => {
    expect(parseQuery({ limit: 1 })).toEqual({ limit: 1, descending: true });
    expect(parseQuery({ limit: 2, order: 'asc' })).toEqual({ limit: 2, descending: false });
    for (const position of [
      { score: -1e308, member: 'é"🍕' },
      { score: 5e-324, member: '' },
    ]) {
      expect(parseQuery({ limit: 1, after: cursorOf(position) })).toEqual({ limit: 1, descending: true, after: position });
    }
  });

  it.each([0, -1, 1.5, Number.NaN, Infinity])('throws a RangeError for the limit %s', (limit) => {
    expect(() => parseQuery({ limit })).toThrow(`limit is ${limit}: give a positive integer`);
    expect(() => parseQuery({ limit })).toThrow(RangeError);
  });

  it.each([
    '',
    'x',
    Buffer.from('["1","a"]').toString('base64url'),
    Buffer.from('[1,2]').toString('base64url'),
    Buffer.from('1').toString('base64url'),
  ])('throws a RangeError for the cursor %j', (after) => {
    expect(() => parseQuery({ limit: 1, after })).toThrow(RangeError);
    expect(() => parseQuery({ limit: 1, after })).toThrow(/was not given by a page/);
  });
});

describe('isComplete', () => {
  const coverage = { bottom: 5, settled: true, forgotten: false };
  const at = (score: number) => ({ score, member: 'm' });

  it('calls a descending page complete if its last member is above the bottom', () => {
    expect([at(6), at(5), at(4), undefined].map((last) => isComplete(coverage, true, at(9), last))).toEqual([true, false, false, false]);
  });

  it('calls an ascending page complete if it starts above the bottom', () => {
    expect([at(6), at(5), undefined].map((after) => isComplete(coverage, false, after, at(9)))).toEqual([true, false, false]);
  });

  it('calls each page complete if the list has no bottom', () => {
    const all = { ...coverage, bottom: -Infinity };
    expect([isComplete(all, true, undefined, undefined), isComplete(all, false, undefined, undefined)]).toEqual([true, true]);
  });

  it('calls no page complete if the list was never settled, or has a forgotten member', () => {
    for (const lacking of [{ settled: false }, { forgotten: true }]) {
      expect(isComplete({ ...coverage, bottom: -Infinity, ...lacking }, true, undefined, at(9))).toBe(false);
    }
  });
});
