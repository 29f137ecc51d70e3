import { describe, expect, it } from 'vitest';
import { cursorOf, hitOf, isComplete, MISS, parseQuery } from '../src/cache.ts';
import { FLOOR } from '../src/version.ts';

describe('hitOf', () => {
  it('returns the value of JSON text, and a miss for other text', () => {
    expect(hitOf('{"a":1}', FLOOR)).toEqual({ type: 'hit', value: { a: 1 }, version: FLOOR });
    for (const text of ['', '{', 'undefined', '{"a":1}x']) expect(hitOf(text, FLOOR)).toBe(MISS);
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

  it.each(['up', 'DESC', ''])('throws a RangeError for the order %j', (order) => {
    expect(() => parseQuery({ limit: 1, order: order as 'asc' })).toThrow(`order is "${order}": give "desc" or "asc"`);
    expect(() => parseQuery({ limit: 1, order: order as 'asc' })).toThrow(RangeError);
  });

  it.each([
    '',
    'x',
    Buffer.from('["1","a"]').toString('base64url'),
    Buffer.from('[1,2]').toString('base64url'),
    Buffer.from('[1e999,"a"]').toString('base64url'),
    Buffer.from('[-0,"a"]').toString('base64url'),
    Buffer.from('[1,"a",2]').toString('base64url'),
    Buffer.from('[1,"\\ud83c"]').toString('base64url'),
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
