import fc from 'fast-check';
import type { BoundedList } from '../../../src/caches/list/bounded-list.ts';
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

/** What can happen to a list: a mutation, a quiet fill, or the share of its members that it sheds. */
type Step = MemberMutation | 'settle' | number;

export const STEPS: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    { weight: 8, arbitrary: mutation },
    { weight: 1, arbitrary: fc.constant('settle' as const) },
    { weight: 1, arbitrary: fc.double({ min: 0.01, max: 1, noNaN: true }) },
  ),
  { maxLength: 40 },
);

export function run(list: BoundedList, step: Step, now: number): void {
  if (typeof step === 'number') list.shed(step, now);
  else if (step === 'settle') {
    const newest = [{ member: 'a', score: 3, json: '"read"' }];
    list.settle(list.lease(), { kind: 'list', newest, next: 1 }, 3, now, () => false);
  } else list.apply(step, now, MARKER_TTL_MS);
}
