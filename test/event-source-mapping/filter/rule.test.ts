import { describe, expect, it } from 'vitest';
import { NumberText, ruleOf } from '../../../src/event-source-mapping/filter/rule.ts';

const number = (text: string) => new NumberText(text);

describe('a rule', () => {
  it.each<[string, unknown, { readonly yes: readonly unknown[]; readonly no: readonly unknown[] }]>([
    ['a text', 'a', { yes: ['a'], no: ['A', '', null, undefined] }],
    ['null', null, { yes: [null], no: ['', 0, false, undefined] }],
    ['a boolean', true, { yes: [true], no: [false, 'true', undefined] }],
    ['a number', number('300'), { yes: [300], no: ['300', 301, undefined] }],
    ['a number that JavaScript writes with other digits', number('300.0'), { yes: [], no: [300, '300.0'] }],
    ['prefix', { prefix: 'ab' }, { yes: ['ab', 'abc'], no: ['cab', 'AB', 1, undefined] }],
    ['suffix', { suffix: 'ab' }, { yes: ['ab', 'cab'], no: ['abc', 'AB', 1, undefined] }],
    ['equals-ignore-case', { 'equals-ignore-case': 'aB' }, { yes: ['ab', 'AB'], no: ['abc', null, undefined] }],
    ['anything-but', { 'anything-but': ['a', number('1')] }, { yes: ['b', 2, null, '1'], no: ['a', 1, undefined] }],
    ['exists: true', { exists: true }, { yes: ['', 0, null, false], no: [undefined] }],
    ['exists: false', { exists: false }, { yes: [undefined], no: ['', 0, null, false] }],
    ['numeric =', { numeric: ['=', number('3.0e2')] }, { yes: [300], no: ['300', 301, undefined] }],
    ['numeric > <=', { numeric: ['>', number('0'), '<=', number('5')] }, { yes: [0.1, 5], no: [0, 5.1, '1', undefined] }],
    ['numeric >= <', { numeric: ['>=', number('0'), '<', number('5')] }, { yes: [0, 4.9], no: [-0.1, 5] }],
  ])('decides by %s', (_what, rule, { yes, no }) => {
    const matches = ruleOf(rule, 'field');
    expect(yes.filter((leaf) => !matches(leaf))).toEqual([]);
    expect(no.filter(matches)).toEqual([]);
  });

  it.each<[string, unknown, string]>([
    ['a list', ['a'], '"field" has a list inside its list of rules'],
    ['an unknown name', { wildcard: 'a*' }, '"field" has the rule ["wildcard"]: use one of prefix, suffix, equals-ignore-case'],
    ['two names', { prefix: 'a', suffix: 'b' }, '"field" has the rule ["prefix","suffix"]'],
    ['a number as prefix', { prefix: number('1') }, '"prefix" of "field" takes a text'],
    [
      'one comparison too many',
      { numeric: ['>', number('0'), '<', number('5'), '=', number('1')] },
      '"numeric" of "field" takes one or two',
    ],
    ['a comparison without a bound', { numeric: ['>', number('0'), '<'] }, '"numeric" of "field" takes one or two'],
  ])('throws for %s', (_what, rule, message) => {
    expect(() => ruleOf(rule, 'field')).toThrow(message);
  });
});
