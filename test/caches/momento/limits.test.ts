import { describe, expect, it } from 'vitest';
import { limitsOf } from '../../../src/caches/momento/limits.ts';

const text = (bytes: number) => 'x'.repeat(bytes);
const DAY_MS = 86_400_000;

describe('the limits of Momento', () => {
  it('lets entries and tombstones live for 24 hours by default', () => {
    expect(limitsOf({}).ttls).toEqual({ entryTtlMs: DAY_MS, tombstoneTtlMs: DAY_MS, absentTtlMs: 60_000 });
    expect(limitsOf({ maxTtlMs: 7 * DAY_MS }).ttls).toEqual({ entryTtlMs: 7 * DAY_MS, tombstoneTtlMs: DAY_MS, absentTtlMs: 60_000 });
    expect(limitsOf({ entryTtlMs: 5, tombstoneTtlMs: 6, absentTtlMs: 7 }).ttls).toEqual({
      entryTtlMs: 5,
      tombstoneTtlMs: 6,
      absentTtlMs: 7,
    });
  });

  it('leaves room for header and key in a document’s item', () => {
    const { document } = limitsOf({ maxItemBytes: 10_000 });
    const largest = 10_000 - 112 - 'é'.length * 2;
    expect(document('é', text(largest))).toBeUndefined();
    expect(document('é', text(largest + 1))).toBe(`value of ${largest + 1} bytes is over the limit of ${largest}`);
  });

  it('limits a member to 128 KiB', () => {
    const { member } = limitsOf({});
    expect(member(text(131_072))).toBeUndefined();
    expect(member(text(131_073))).toBe('value of 131073 bytes is over the limit of 131072');
  });

  it('limits documents and members to maxValueBytes', () => {
    const { document, member } = limitsOf({ maxValueBytes: 9 });
    for (const reason of [document('k', text(10)), member(text(10))]) expect(reason).toBe('value of 10 bytes is over the limit of 9');
    for (const reason of [document('k', text(9)), member(text(9))]) expect(reason).toBeUndefined();
  });

  it('reserves 4 KiB for the key of a list', () => {
    expect(limitsOf({ maxItemBytes: 10_000 }).listBytes).toBe(10_000 - 4_096);
  });

  it.each([
    [{ maxTtlMs: 999 }, /^cache option maxTtlMs is 999: give a whole number of 1000 or more$/],
    [{ entryTtlMs: -1 }, /^cache option entryTtlMs is -1: give a whole number of 0 or more$/],
    [{ tombstoneTtlMs: 0 }, /^cache option tombstoneTtlMs is 0: give a whole number of 1 or more$/],
    [{ maxItemBytes: 8_191 }, /^cache option maxItemBytes is 8191: give a whole number of 8192 or more$/],
    [{ maxValueBytes: 0.5 }, /^cache option maxValueBytes is 0.5: give a whole number of 1 or more$/],
    [{ entryTtlMs: DAY_MS + 1 }, /^cache option entryTtlMs is 86400001: give 86400000 or less, as maxTtlMs requires$/],
    [{ tombstoneTtlMs: 1_001, maxTtlMs: 1_000 }, /^cache option tombstoneTtlMs is 1001: give 1000 or less, as maxTtlMs requires$/],
  ])('throws a TypeError for %j', (options, message) => {
    expect(() => limitsOf(options)).toThrow(message);
    expect(() => limitsOf(options)).toThrow(TypeError);
  });
});
