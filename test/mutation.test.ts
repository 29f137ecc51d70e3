import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Address, APPLIED, type Entry, forgetInstead, nameOf, putOf, STALE, without } from '../src/mutation.ts';
import { versionOf } from '../src/version.ts';

const version = versionOf('2026-11-01T09:00:00.123', '7');
const document: Entry = { kind: 'document', key: 'detail@1:7', json: '{"id":7}' };
const member: Entry = { kind: 'member', list: 'orders@1:all', member: 'm', score: 5, keep: 20, json: '{}' };

describe('putOf', () => {
  it('puts a document at the version', () => {
    expect(putOf(document, version)).toStrictEqual({ kind: 'document', type: 'put', key: 'detail@1:7', json: '{"id":7}', version });
  });

  it('puts a member at the version, and tells the score that it had', () => {
    const put = { kind: 'member', type: 'put', list: 'orders@1:all', member: 'm', score: 5, keep: 20, json: '{}', version };
    expect(putOf(member, version, 3)).toStrictEqual({ ...put, from: 3 });
    expect(putOf(member, version, 0)).toStrictEqual({ ...put, from: 0 });
    expect(putOf(member, version)).toStrictEqual({ ...put, from: undefined });
  });
});

describe('without', () => {
  it.each(['delete', 'forget'] as const)('makes a %s of a document, without its value', (type) => {
    expect(without(document, type, version)).toStrictEqual({ kind: 'document', key: 'detail@1:7', type, version });
  });

  it.each(['delete', 'forget'] as const)('makes a %s of a member, at its score and without its value', (type) => {
    expect(without(member, type, version)).toStrictEqual({
      kind: 'member',
      list: 'orders@1:all',
      member: 'm',
      type,
      version,
      score: 5,
      keep: 20,
    });
  });
});

describe('forgetInstead', () => {
  it('forgets the document of a put at the version of the put', () => {
    const put = { kind: 'document', type: 'put', key: 'k', json: '1', version } as const;
    expect(forgetInstead(put)).toStrictEqual({ kind: 'document', type: 'forget', key: 'k', version });
  });

  it.each([
    [undefined, 5],
    [3, 5],
    [5, 5],
    [8, 8],
  ])('forgets a member that came from the score %s at the higher of its scores', (from, score) => {
    const put = { kind: 'member', type: 'put', list: 'l', member: 'm', score: 5, keep: 20, json: '1', version, from } as const;
    expect(forgetInstead(put)).toStrictEqual({ kind: 'member', type: 'forget', list: 'l', member: 'm', keep: 20, version, score });
  });
});

describe('nameOf', () => {
  it('names a document by its key', () => {
    expect(nameOf({ kind: 'document', key: 'detail@1:7' })).toBe('detail@1:7');
  });

  it('names different members differently, whatever their lists and names contain', () => {
    const nameIn = ([list, member]: readonly [string, string]) => nameOf({ kind: 'member', list, member });
    expect(nameIn(['a', 'bc'])).not.toBe(nameIn(['ab', 'c']));
    expect(nameIn(['1', '1:11'])).not.toBe(nameIn(['11:1', '1']));
    const text = fc.string({ unit: fc.constantFrom('1', '2', ':', 'a'), maxLength: 4 });
    fc.assert(
      fc.property(fc.tuple(text, text), fc.tuple(text, text), (one, other) => {
        expect(nameIn(one) === nameIn(other)).toBe(one[0] === other[0] && one[1] === other[1]);
      }),
    );
  });

  it('names an entry as it names the address of the entry', () => {
    const address: Address = { kind: 'member', list: 'orders@1:all', member: 'm' };
    expect(nameOf(member)).toBe(nameOf(address));
  });
});

describe('an outcome', () => {
  it('is `applied` or `stale`, which need no more to be said', () => {
    expect([APPLIED, STALE]).toStrictEqual([{ type: 'applied' }, { type: 'stale' }]);
  });
});
