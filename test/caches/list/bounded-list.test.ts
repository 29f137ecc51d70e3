import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BoundedList } from '../../../src/caches/list/bounded-list.ts';
import { packList, unpackList } from '../../../src/caches/momento/list-text.ts';
import type { MemberMutation } from '../../../src/mutation.ts';
import { FLOOR, type Version, versionOf } from '../../../src/version.ts';

const VERSIONS: readonly Version[] = [
  FLOOR,
  ...['7', '8', '418800000000000000000001', '418800000000000000000002'].map((n) => versionOf('2026-11-22T03:01:52.091', n)),
  versionOf('2026-11-23T03:01:52.091', '1'),
];
const NAMES = ['a', 'é🍕', 'line\nbreak', '__proto__', '\ud800', ''];
const TEXTS = ['1', '"x"', ' { "a" : [\n1 ] } ', '"🍕\\u0000"', '12345678901234567890'];
const MARKER_TTL_MS = 5;

const mutation: fc.Arbitrary<MemberMutation> = fc
  .record({
    type: fc.constantFrom('put', 'put', 'delete', 'forget'),
    member: fc.constantFrom(...NAMES),
    version: fc.constantFrom(...VERSIONS),
    score: fc.constantFrom(-1e308, -1.5, 0, 5e-324, 0.1, 3, 2 ** 53, 1e308),
    from: fc.option(fc.constantFrom(-1, 4, 1e308), { nil: undefined }),
    json: fc.constantFrom(...TEXTS),
    keep: fc.constantFrom(2, 3, 5),
  })
  .map((parts) => ({ kind: 'member', list: 'l', ...parts }) as MemberMutation);

const step = fc.oneof(
  { weight: 8, arbitrary: mutation },
  { weight: 1, arbitrary: fc.constant('settle' as const) },
  { weight: 1, arbitrary: fc.double({ min: 0.01, max: 1, noNaN: true }) },
);

/** Markers of one moment have no order. */
function sorted({ content }: BoundedList) {
  return { ...content, members: content.members.toSorted((a, b) => (a.name < b.name ? -1 : 1)) };
}

const copyOf = (list: BoundedList) => BoundedList.of(unpackList(packList(list.content)));

describe('a list as text', () => {
  it('is the same list again, and goes on as it would have', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const list = new BoundedList();
        let copy = copyOf(list);
        for (const [now, step] of steps.entries()) {
          for (const it of [list, copy]) {
            if (typeof step === 'number') it.shed(step, now);
            else if (step === 'settle') {
              const newest = [{ member: 'a', score: 3, json: '"read"' }];
              it.settle(it.lease(), { kind: 'list', newest, more: true }, 3, now, () => false);
            } else it.apply(step, now, MARKER_TTL_MS);
          }
          expect(sorted(copy)).toEqual(sorted(list));
          expect(copy.lease()).toEqual(list.lease());
          for (const order of ['asc', 'desc'] as const) expect(copy.page({ limit: 3, order })).toEqual(list.page({ limit: 3, order }));
          copy = copyOf(copy);
        }
      }),
      { numRuns: 500 },
    );
  });

  it('takes little more than the values: versions and names share their beginnings, and compress', () => {
    const list = new BoundedList();
    for (let n = 0; n < 100; n += 1) {
      const version = versionOf('2026-11-22T03:01:52.091', String(418_800_000_000_000_000_000_000n + BigInt(n)));
      list.apply({ kind: 'member', type: 'put', list: 'l', member: `m${n}`, score: n, keep: 1_000, version, json: '{"n":1}' }, 0, 1);
    }
    expect(packList(list.content).length).toBeLessThan(100 * 40);
  });
});

describe('a list whose members are forgotten', () => {
  it('does not grow with those that the bottom has passed, counts each as lost, and is complete above it', () => {
    const list = new BoundedList();
    list.settle(list.lease(), { kind: 'list', newest: [], more: false }, 2, 0, () => false);
    const at = { kind: 'member', list: 'l', keep: 2, version: FLOOR } as const;
    for (let n = 1; n <= 1_000; n += 1) {
      list.apply({ ...at, type: n % 10 === 0 ? 'forget' : 'put', member: `m${n}`, score: n, json: '1' } as MemberMutation, 0, 100);
      expect(list.size).toBeLessThanOrEqual(3);
    }
    const members = [{ name: 'm998' }, { name: 'm999' }, { name: 'm1000', state: 'forgotten' }];
    expect(list.content).toMatchObject({ bottom: 997, lost: 997, members });
    for (const n of [1001, 1002, 1003]) list.apply({ ...at, type: 'put', member: `m${n}`, score: n, json: '1' }, 0, 100);
    for (let n = 1; n <= 100; n += 1) list.apply({ ...at, type: 'forget', member: `f${n}`, score: n }, 0, 100);
    expect(list.content).toMatchObject({ bottom: 1_001, lost: 1_101, members: [{ name: 'm1002' }, { name: 'm1003' }] });
    expect(list.page({ limit: 2 }).complete).toBe(true);
  });

  it('keeps them whatever their age, for without them it would call itself complete', () => {
    const list = new BoundedList();
    list.settle(list.lease(), { kind: 'list', newest: [], more: false }, 2, 0, () => false);
    const at = { kind: 'member', list: 'l', keep: 2, version: FLOOR } as const;
    list.apply({ ...at, type: 'forget', member: 'f', score: 1 }, 0, 100);
    list.apply({ ...at, type: 'delete', member: 'd', score: 1 }, 0, 100);
    list.apply({ ...at, type: 'put', member: 'm', score: 2, json: '1' }, 1_000, 100);
    expect(list.content.members).toMatchObject([{ name: 'm' }, { name: 'f', state: 'forgotten' }]);
    expect(list.page({ limit: 1 }).complete).toBe(false);
  });
});

describe('a list that lets go', () => {
  it('of a share of its members raises its bottom over them, and is complete above it', () => {
    const list = new BoundedList();
    const at = { kind: 'member', type: 'put', list: 'l', keep: 100, version: FLOOR, json: '1' } as const;
    list.settle(list.lease(), { kind: 'list', newest: [], more: false }, 100, 0, () => false);
    for (let n = 1; n <= 10; n += 1) list.apply({ ...at, member: `m${n}`, score: n }, 0, 100);
    expect(list.shed(0.35, 0)).toBe(true);
    expect(list.content).toMatchObject({ bottom: 4, lost: 4 });
    expect(list.page({ limit: 100 })).toMatchObject({ members: { length: 6 }, complete: false });
    expect(list.page({ limit: 6 }).complete).toBe(true);
    // The marker of one that could come back from above the bottom stays.
    list.apply({ ...at, member: 'm5', score: 4.5, from: 20, version: VERSIONS[1] as Version }, 0, 100);
    expect(list.shed(0.1, 0)).toBe(true);
    expect(list.content.members.filter(({ state }) => state === 'gone')).toMatchObject([{ name: 'm5', peak: 20 }]);
    expect(list.shed(1, 0)).toBe(true);
    expect(list.content).toMatchObject({ bottom: 20, members: [] });
    expect(list.shed(1, 0)).toBe(false);
    // Forgotten ones go, too.
    list.apply({ ...at, type: 'forget', member: 'm6', score: 30 }, 0, 100);
    expect(list.shed(1, 0)).toBe(true);
    expect(list.content).toMatchObject({ bottom: 30, members: [] });
  });
});
