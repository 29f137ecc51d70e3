import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { packStrings } from '../../../src/caches/valkey/msgpack.ts';

/** Reads one MessagePack array of strings by its specification: array 32 (0xdd) of str 32 (0xdb). */
function unpack(bytes: Buffer): string[] {
  let at = 0;
  const header = (type: number): number => {
    expect(bytes[at]).toBe(type);
    at += 5;
    return bytes.readUInt32BE(at - 4);
  };
  const strings = Array.from({ length: header(0xdd) }, () => {
    const length = header(0xdb);
    at += length;
    return bytes.subarray(at - length, at).toString();
  });
  expect(at).toBe(bytes.length);
  return strings;
}

describe('packStrings', () => {
  it('packs any strings as MessagePack', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: 'binary' })), (strings) => {
        expect(unpack(packStrings(strings))).toEqual(strings);
      }),
    );
  });

  it('writes array and strings with lengths of 32 bits', () => {
    expect(packStrings(['é', '']).toString('hex')).toBe(`dd00000002${'db00000002c3a9'}${'db00000000'}`);
    expect(packStrings([]).toString('hex')).toBe('dd00000000');
  });

  it('packs strings that are larger than its buffer', () => {
    const strings = ['x'.repeat(100_000), 'é'.repeat(300_000), '🍕'.repeat(10), ''];
    expect(unpack(packStrings(strings))).toEqual(strings);
    expect(unpack(packStrings(['small']))).toEqual(['small']);
  });

  it('returns bytes that later calls do not change', () => {
    const first = packStrings(['a']);
    packStrings(['b']);
    expect(unpack(first)).toEqual(['a']);
  });
});
