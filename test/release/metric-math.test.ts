import { expect, it } from 'vitest';
import { evaluateMath } from './metric-math.ts';

it.each([
  ['a', 2],
  ['a - b * 2', -4],
  ['(a - b) * 2', -2],
  ['a / (b + 1) * 100', 50],
  ['a > b', 0],
  ['a < b AND gap > 0', undefined],
  ['FILL(gap, 7)', 7],
  ['FILL(a, 7)', 2],
  ['IF((FILL(gap, 0) + a) > 1 AND FILL(gap, 0) == 0, 1, 0)', 1],
  ['IF(gap > 0, 1, 0)', undefined],
  ['IF(a == 2 OR b == 2, b, a)', 3],
  ['gap + a', undefined],
])('evaluates %s', (expression, value) => {
  expect(evaluateMath(expression, { a: 2, b: 3, gap: undefined })).toBe(value);
});

it.each(['c + 1', 'MAX(a)', 'a +', 'a $ b', '(a'])('refuses %s', (expression) => {
  expect(() => evaluateMath(expression, { a: 2, b: 3 })).toThrow();
});
