import { describe, expect, it } from 'vitest';
import type { FoundList } from '../../src/cache.ts';
import { checkFound, checkKeys, checkListName, checkMutations, checkTargets } from '../../src/caches/arguments.ts';
import { MAX_NAME_BYTES } from '../../src/mutation.ts';
import { FLOOR } from '../../src/version.ts';

const LIST = { target: { kind: 'list', list: 'l', keep: 2 } } as const;
const DOCUMENT = { target: { kind: 'document', key: 'd' } } as const;
const MEMBER = { member: 'm', score: 2, json: '1' } as const;
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
    ['a next score above the last member', LIST, found([3, 2], 2.5), /^list l: "next" is 2.5, which is above the score of the last member/],
    ['a next score that is no number', LIST, found([3], Number.NaN), /"next" is NaN: give a finite number/],
    ['a next score without an end', LIST, found([3], -Infinity), /"next" is -Infinity: give a finite number/],
    [
      'the former flag',
      LIST,
      { ...found([3]), more: true } as FoundList,
      /^list l: give "next", the score of the member that follows the newest 2, instead of "more"; omit it if none follows$/,
    ],
    ['members out of order', LIST, found([1, 2]), /descending score$/],
    ['a score that is no number', LIST, found([3, Number.NaN]), /^the score of newest\[1\] is NaN: give a finite number$/],
    [
      'a member twice',
      LIST,
      { kind: 'list', newest: [MEMBER, { ...MEMBER, score: 1 }] } as const,
      /newest\[0\] and newest\[1\] are one member/,
    ],
    ['a member without a name', LIST, { kind: 'list', newest: [{ ...MEMBER, member: '' }] } as const, /^the name of newest\[0\] is empty$/],
    [
      'half a surrogate pair',
      LIST,
      { kind: 'list', newest: [{ ...MEMBER, json: '"\ud83c"' }] } as const,
      /newest\[0\] has JSON text with half a char/,
    ],
    ['a document without text', DOCUMENT, { kind: 'document', json: null as never } as const, /^the document has no JSON text$/],
  ])('throws a TypeError for %s', (_, lease, it, message) => {
    expect(() => checkFound(lease, it)).toThrow(message);
    expect(() => checkFound(lease, it)).toThrow(TypeError);
  });
});

describe('the checks of arguments', () => {
  const put = { kind: 'member', type: 'put', list: 'l', member: 'm', score: 1, keep: 2, version: FLOOR, json: '1' } as const;

  it('accept what CacheClient takes', () => {
    checkKeys(['a', '\u{1f355}', ' ', 'x'.repeat(MAX_NAME_BYTES)]);
    checkListName('{}');
    checkTargets([
      { kind: 'document', key: 'a' },
      { kind: 'list', list: 'l', keep: Number.MAX_SAFE_INTEGER },
    ]);
    checkMutations([put, { ...put, from: -0 }, { ...put, type: 'forget' }, { kind: 'document', type: 'delete', key: 'a', version: FLOOR }]);
  });

  it.each([
    ['an empty key', () => checkKeys(['a', '']), /^the key of a document is empty$/],
    [
      'half a surrogate pair',
      () => checkListName('a\ud83c'),
      /^the name of a list has half a character: it was cut inside a surrogate pair$/,
    ],
    ['a name that is too long', () => checkListName('€'.repeat(21_846)), /^the name of a list has more than 65536 bytes$/],
    ['a key that is no string', () => checkKeys([7 as never]), /^the key of a document is of type number$/],
    [
      'a list of no members',
      () => checkTargets([{ kind: 'list', list: 'l', keep: 0 }]),
      /^a list keeps 0 members: give a positive integer$/,
    ],
    ['a target of no kind', () => checkTargets([{ kind: 'set' } as never]), /^a lease is on a target of the kind "document" or "list"$/],
    [
      'an endless score',
      () => checkMutations([put, { ...put, score: Infinity }]),
      /^the score of a member is Infinity: give a finite number$/,
    ],
    [
      'a score that is text',
      () => checkMutations([{ ...put, score: '1' as never }]),
      /^the score of a member is of type string: give a finite number$/,
    ],
    [
      'a former score that is no number',
      () => checkMutations([{ ...put, from: Number.NaN }]),
      /^the former score of a member is NaN: give a finite number$/,
    ],
    [
      'a version of no stream',
      () => checkMutations([{ ...put, version: 'v' as never }]),
      /^a mutation has a version that versionOf did not make$/,
    ],
    ['a put without text', () => checkMutations([{ ...put, json: undefined as never }]), /^a put has no JSON text$/],
    [
      'a mutation of no type',
      () => checkMutations([{ ...put, type: 'set' as never }]),
      /^a mutation is of the type "put", "delete" or "forget"$/,
    ],
    [
      'a mutation of no kind',
      () => checkMutations([{ ...put, kind: 'set' as never }]),
      /^a mutation is of the kind "document" or "member"$/,
    ],
  ])('throw a TypeError that quotes no name for %s', (_, check, message) => {
    expect(check).toThrow(message);
    expect(check).toThrow(TypeError);
  });
});
