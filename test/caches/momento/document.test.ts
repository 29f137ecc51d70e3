import { describe, expect, it } from 'vitest';
import { documentCodec, lookup } from '../../../src/caches/momento/document.ts';
import { FLOOR, versionOf } from '../../../src/version.ts';

const version = (n: number) => versionOf('2026-11-22T03:01:52.091', String(n));
const NONCE = 'abcdef0123456789';
const LEASE = '0123456789abcdef';
const EXPIRES_AT = 1_800_000_000_000;

describe('the stored form of a document', () => {
  it.each([
    [
      'leased',
      { version: version(7), state: 'live', json: '{"pizza":"é🍕"}', lease: LEASE, expiresAt: EXPIRES_AT },
      `M1p${version(7)}${LEASE}${NONCE}1800000000000{"pizza":"é🍕"}`,
    ],
    [
      'gone',
      { version: version(8), state: 'gone', json: '', expiresAt: EXPIRES_AT },
      `M1d${version(8)}${' '.repeat(16)}${NONCE}1800000000000`,
    ],
    ['forgotten', { version: FLOOR, state: 'forgotten', json: '', expiresAt: 7 }, `M1f${FLOOR}${' '.repeat(16)}${NONCE}0000000000007`],
  ] as const)('writes and reads a document that is %s as earlier versions did', (_, state, text) => {
    expect(Buffer.from(documentCodec.encode(state, NONCE).bytes).toString()).toBe(text);
    expect(documentCodec.decode(Buffer.from(text))).toMatchObject({ state, nonce: NONCE });
  });

  it.each(['', 'text', `M1x${FLOOR}`, `M1p${version(7)}`, `M2p${version(7)}${LEASE}${NONCE}1800000000000{}`])(
    'refuses bytes that are no document: %j',
    (text) => {
      expect(documentCodec.decode(Buffer.from(text))).toBeUndefined();
      expect(lookup(Buffer.from(text))).toEqual({ type: 'miss' });
    },
  );

  it('answers hit, gone or miss for a stored document', () => {
    const stored = (letter: string, json: string) => Buffer.from(`M1${letter}${version(7)}${LEASE}${NONCE}1800000000000${json}`);
    expect(lookup(stored('p', '{"a":1}'))).toEqual({ type: 'hit', value: { a: 1 }, version: version(7) });
    expect(lookup(stored('d', ''))).toEqual({ type: 'gone', version: version(7) });
    expect(lookup(stored('f', ''))).toEqual({ type: 'miss' });
    expect(lookup(stored('p', '{'))).toEqual({ type: 'miss' });
    expect(lookup(undefined)).toEqual({ type: 'miss' });
  });
});
