import { describe, expect, it } from 'vitest';
import { admit, checkNamespace, checkWholeNumbers, overLimit } from '../../src/caches/checks.ts';
import { APPLIED, type Mutation } from '../../src/mutation.ts';
import { FLOOR } from '../../src/version.ts';

describe('the checks of the backends', () => {
  it.each(['', 'a:b', 'a b', 'é', 'a\n'])('refuses the namespace %j', (namespace) => {
    expect(() => checkNamespace(namespace)).toThrow(`cache namespace "${namespace}": use letters, digits, "-" and "_"`);
  });

  it('accepts namespaces of letters, digits, "-" and "_"', () => {
    expect(() => checkNamespace('shop-2_A')).not.toThrow();
  });

  it.each([Number.NaN, 1.5, -1, 4, Infinity, 2 ** 53])('refuses %s for a whole number of 5 or more', (value) => {
    const options = [['first', 5, 5] as const, ['second', value, 5] as const];
    expect(() => checkWholeNumbers(options)).toThrow(`cache option second is ${value}: give a whole number of 5 or more`);
    expect(() => checkWholeNumbers(options)).toThrow(TypeError);
  });

  it('measures values in bytes of UTF-8', () => {
    expect(overLimit('12345', 5)).toBeUndefined();
    expect(overLimit('123456', 5)).toBe('value of 6 bytes is over the limit of 5');
    expect(overLimit('€€', 6)).toBeUndefined();
    expect(overLimit('€€', 5)).toBe('value of 6 bytes is over the limit of 5');
    expect(overLimit('🍕', 4)).toBeUndefined();
    expect(overLimit('🍕', 3)).toBe('value of 4 bytes is over the limit of 3');
  });

  it('admits a mutation that the cache accepts', () => {
    const put: Mutation = { kind: 'document', type: 'put', key: 'a', version: FLOOR, json: '1' };
    const remove: Mutation = { kind: 'document', type: 'delete', key: 'a', version: FLOOR };
    expect(admit(put, () => undefined)).toEqual({ mutation: put, ifApplied: APPLIED });
    expect(admit(remove, () => 'too large')).toEqual({ mutation: remove, ifApplied: APPLIED });
  });

  it('replaces a put that the cache rejects by a forget at the highest of its scores', () => {
    const common = { kind: 'member', list: 'l', member: 'm', version: FLOOR, keep: 3 } as const;
    expect(admit({ ...common, type: 'put', score: 1, from: 4, json: '1' }, () => 'too large')).toEqual({
      mutation: { ...common, type: 'forget', score: 4 },
      ifApplied: { type: 'rejected', reason: 'too large' },
    });
  });
});
