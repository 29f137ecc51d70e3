import { expect, it } from 'vitest';
import { memoOf } from '../../../src/caches/momento/memo.ts';

it('removes a value when it is taken', () => {
  const memo = memoOf<string>(10);
  memo.put('a', 'x', 1);
  expect([memo.take('a'), memo.take('a'), memo.take('never')]).toEqual(['x', undefined, undefined]);
});

it('drops the least recently used values above its weight', () => {
  const memo = memoOf<string>(10);
  for (const key of ['a', 'b', 'c']) memo.put(key, key, 3);
  memo.put('a', 'again', 3);
  memo.put('d', 'd', 4);
  expect(['a', 'b', 'c', 'd'].map((key) => memo.take(key))).toEqual(['again', undefined, 'c', 'd']);
});

it('keeps values up to exactly its weight, and none that is heavier', () => {
  const memo = memoOf<string>(10);
  memo.put('a', 'a', 10);
  expect(memo.take('a')).toBe('a');
  memo.put('b', 'b', 11);
  expect(memo.take('b')).toBeUndefined();
});

it('counts a replaced value no more', () => {
  const memo = memoOf<string>(10);
  memo.put('a', 'heavy', 9);
  memo.put('a', 'light', 1);
  memo.put('b', 'b', 9);
  expect([memo.take('a'), memo.take('b')]).toEqual(['light', 'b']);
});
