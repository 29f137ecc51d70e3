import { describe, expect, it } from 'vitest';
import { DOCUMENT_HEADER_BYTES, keysIn, lookupOf, MEMBER_HEADER_BYTES } from '../../../src/caches/valkey/layout.ts';
import { versionOf } from '../../../src/version.ts';

const version = versionOf('2026-11-22T03:01:52.091', '7');
const keys = keysIn('millrace');

describe('the layout in Valkey', () => {
  it('stores a document at one key', () => {
    expect(keys.document('detail@1:42')).toBe('millrace:doc:detail@1:42');
  });

  it('stores a list at three keys with one hash tag', () => {
    expect(keys.list('orders@1:all')).toEqual(['members', 'scores', 'peaks'].map((part) => `millrace:list:{orders@1:all}:${part}`));
  });

  it('escapes what would end the hash tag early', () => {
    expect(keys.list('a}b%c{d')[0]).toBe('millrace:list:{a%7Db%25c{d}:members');
    expect(keys.list('}')[0]).not.toBe(keys.list('%7D')[0]);
  });

  it('begins the JSON text of a document at byte 80, and that of a member at byte 65', () => {
    expect([DOCUMENT_HEADER_BYTES, MEMBER_HEADER_BYTES]).toEqual([80, 65]);
  });

  it('answers hit, gone or miss for a stored document', () => {
    const stored = (state: string, json: string, token = ' '.repeat(15)) => `${version}${state}${token}${json}`;
    expect(lookupOf(stored('p', '{"a":"é"}'))).toEqual({ type: 'hit', value: { a: 'é' }, version });
    expect(lookupOf(stored('p', '1', 'abcdef012345678'))).toEqual({ type: 'hit', value: 1, version });
    expect(lookupOf(stored('d', ''))).toEqual({ type: 'gone', version });
    for (const miss of [stored('f', ''), '', null]) expect(lookupOf(miss)).toEqual({ type: 'miss' });
  });
});
