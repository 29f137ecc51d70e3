import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MalformedRecordError } from '../src/errors.ts';
import { FLOOR, isVersion, VERSION_LENGTH, versionOf } from '../src/version.ts';

const LABEL = '2026-11-22T03:01:52.091';

describe('versionOf', () => {
  it('joins the label of the stream and the sequence number, filled up to 40 digits', () => {
    expect(versionOf(LABEL, '7')).toBe('2026-11-22T03:01:52.091/0000000000000000000000000000000000000007');
    expect(versionOf(LABEL, '1'.repeat(40))).toBe(`2026-11-22T03:01:52.091/${'1'.repeat(40)}`);
  });

  it('gives every version the same length', () => {
    for (const sequenceNumber of ['0', '418800000000000004200117', '9'.repeat(40)]) {
      expect(versionOf(LABEL, sequenceNumber)).toHaveLength(VERSION_LENGTH);
    }
  });

  it('gives versions that sort as text by the stream, and within a stream by the number', () => {
    const label = fc.date({ min: new Date(0), max: new Date('9999-12-31T23:59:59.999Z'), noInvalidDate: true });
    const number = fc.bigInt({ min: 0n, max: 10n ** 40n - 1n });
    fc.assert(
      fc.property(fc.tuple(label, number), fc.tuple(label, number), ([at, n], [otherAt, otherN]) => {
        const [one, other] = [
          versionOf(at.toISOString().slice(0, -1), String(n)),
          versionOf(otherAt.toISOString().slice(0, -1), String(otherN)),
        ];
        const isOlder = at.getTime() === otherAt.getTime() ? n < otherN : at < otherAt;
        expect(one < other).toBe(isOlder);
      }),
    );
  });

  it.each([
    '',
    'latest',
    `x${LABEL}`,
    `${LABEL}Z`,
    '26-11-22T03:01:52.091',
    '2026-1-22T03:01:52.091',
    '2026-11-2T03:01:52.091',
    '2026-11-22T3:01:52.091',
    '2026-11-22T03:1:52.091',
    '2026-11-22T03:01:2.091',
    '2026-11-22T03:01:52.91',
    '2026-11-22T03:01:52',
    '2026-11-22 03:01:52.091',
    '2026-11-22T03:01:52,091',
  ])('refuses the stream label %j', (label) => {
    const error = new MalformedRecordError(`stream label "${label}" is not a timestamp like 2026-11-22T03:01:52.091`);
    expect(() => versionOf(label, '7')).toThrow(error);
    expect(() => versionOf(label, '7')).toThrow(MalformedRecordError);
  });

  it.each(['', 'x', '12x', 'x12', '1.5', '-1', ' 1', '1 ', '1'.repeat(41)])('refuses the sequence number %j', (sequenceNumber) => {
    const error = new MalformedRecordError(`SequenceNumber "${sequenceNumber}" is not a decimal number of 1 to 40 digits`);
    expect(() => versionOf(LABEL, sequenceNumber)).toThrow(error);
    expect(() => versionOf(LABEL, sequenceNumber)).toThrow(MalformedRecordError);
  });
});

describe('FLOOR', () => {
  it('is older than every version of every stream, and as long', () => {
    expect(FLOOR).toBe('0000-00-00T00:00:00.000/0000000000000000000000000000000000000000');
    expect(FLOOR < versionOf('0000-01-01T00:00:00.000', '0')).toBe(true);
    expect(FLOOR).toHaveLength(VERSION_LENGTH);
  });
});

describe('isVersion', () => {
  const version = versionOf(LABEL, '7');

  it.each([version, FLOOR])('accepts %s', (text) => {
    expect(isVersion(text)).toBe(true);
  });

  it.each([
    ['with something before it', `0${version}`],
    ['with something after it', `${version}0`],
    ['with a digit too few', version.slice(0, -1)],
    ['without its label', version.slice(LABEL.length)],
    ['in an array, which has it as its text', [version]],
    ['of nothing', undefined],
  ])('refuses a version %s', (_, text) => {
    expect(isVersion(text)).toBe(false);
  });
});
