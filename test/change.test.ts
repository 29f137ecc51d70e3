import { describe, expect, it } from 'vitest';
import { type Change, factsOf, itemOf } from '../src/change.ts';
import { versionOf } from '../src/version.ts';

describe('itemOf', () => {
  it('names an item by the values of its keys, in the order of the names of the keys', () => {
    expect(itemOf({ pk: 'order#7' })).toBe('["order#7"]');
    expect(itemOf({ pk: 'order#7', sk: 'order' })).toBe('["order#7","order"]');
    expect(itemOf({ sk: 'order', pk: 'order#7' })).toBe('["order#7","order"]');
    expect(itemOf({ c: 3, a: 1, b: 2 })).toBe('[1,2,3]');
  });

  it('names different items differently', () => {
    expect(itemOf({ pk: 'a', sk: 'b,c' })).not.toBe(itemOf({ pk: 'a,b', sk: 'c' }));
    expect(itemOf({ pk: 7 })).not.toBe(itemOf({ pk: '7' }));
  });
});

describe('factsOf', () => {
  const change: Change = {
    table: 'shop',
    keys: { pk: 'a' },
    item: '["a"]',
    version: versionOf('2026-11-01T09:00:00.123', '7'),
    at: 1_795_204_800_000,
    expired: true,
  };
  const [before, after] = [{ pk: 'a' }, { pk: 'a', n: 1 }];

  it.each([
    ['INSERT', { after }],
    ['MODIFY', { before, after }],
    ['REMOVE', { before }],
  ])('keeps all of an %s but its images', (kind, images) => {
    expect(factsOf({ ...change, ...images })).toStrictEqual({ kind, ...change });
  });
});
