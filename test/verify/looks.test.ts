import { describe, expect, it } from 'vitest';
import { decide, lagClasses, needsTable, nextLookAt, nextMessageAt, type Suspect } from '../../src/verify/looks.ts';
import { ABSENT, type Claim, compared, markOf, NO_CLAIM, type Subject, type Truth, UNKNOWN } from '../../src/verify/observation.ts';
import { FLOOR, versionOf } from '../../src/version.ts';

const BOUND = 60_000;
const V1 = versionOf('2026-01-01T00:00:00.000', '1');
const V2 = versionOf('2026-01-01T00:00:00.000', '2');
const document: Subject = { kind: 'document', view: 'detail@1', key: 'detail@1:1', item: { pk: { S: '1' } } };
const member: Subject = { kind: 'member', view: 'orders@1', list: 'orders@1:all', member: 'm', score: 5, item: { pk: { S: '1' } } };
const value = (of: unknown, version = V1): Claim => ({ type: 'value', value: of, version });
const truth = (of: unknown, score?: number): Truth => ({ type: 'value', json: JSON.stringify(of), ...(score !== undefined && { score }) });

describe('compared', () => {
  it.each([
    ['equal', document, value({ a: 1, b: 2 }), truth({ b: 2, a: 1 })],
    ['old-value', document, value({ a: 1 }), truth({ a: 2 })],
    ['ghost', document, value(1), ABSENT],
    ['hidden-item', document, { type: 'gone', version: V1 }, truth(1)],
    ['equal', document, { type: 'gone', version: V1 }, ABSENT],
    ['equal', member, value(1), truth(1, 5)],
    ['old-value', member, value(1), truth(2, 5)],
    ['wrong-order', member, value(1), truth(1, 6)],
    ['extra-member', member, value(1), ABSENT],
    ['missing-member', member, { type: 'gone' }, truth(1, 5)],
    ['moved', member, { type: 'gone' }, truth(1, 6)],
    ['equal', member, { type: 'gone' }, ABSENT],
  ] as const)('says %s', (result, subject, claim, of) => {
    expect(compared(subject, claim as never, of as never)).toBe(result);
  });
});

describe('decide', () => {
  const first = decide(undefined, document, { at: 0, claim: value('old'), truth: truth('new') }, BOUND);
  const suspect = (first as { suspect: Suspect }).suspect;
  const again = (at: number, claim: Claim, of?: Truth, before = suspect) =>
    decide(before, document, { at, claim, ...(of && { truth: of }) }, BOUND);

  it('suspects at the first look, whatever differs', () => {
    expect(first).toEqual({ type: 'suspect', suspect: { mark: markOf(value('old')), fault: 'old-value', since: 0, from: 0 } });
  });

  it('finds a violation if the same claim differs again after the bound', () => {
    expect(again(BOUND, value('old'), truth('newer'))).toEqual({ type: 'violation', fault: 'old-value', ageMs: BOUND });
  });

  it('finds no violation before the bound', () => {
    expect(again(BOUND - 1, value('old'), truth('new'))).toMatchObject({ type: 'suspect', suspect: { since: 0 } });
  });

  it('says late if the cache came right, or claims nothing any more', () => {
    expect(again(5_000, value('new', V2), truth('new'))).toEqual({ type: 'late', lagMs: 5_000 });
    expect(again(BOUND, NO_CLAIM)).toEqual({ type: 'late', lagMs: BOUND });
    expect(again(BOUND, value('old'), truth('old'))).toEqual({ type: 'late', lagMs: BOUND });
  });

  it('begins again if the claim has changed, be it the version or the value', () => {
    for (const claim of [value('old', V2), value('other'), value('old', FLOOR)]) {
      expect(again(BOUND, claim, truth('new'))).toEqual({
        type: 'suspect',
        suspect: { mark: markOf(claim), fault: 'old-value', since: BOUND, from: 0 },
      });
    }
  });

  it('gives up what changes at each look, and what nobody can know', () => {
    expect(again(6 * BOUND, value('other'), truth('new'))).toEqual({ type: 'undecided' });
    expect(again(BOUND, value('old'), UNKNOWN)).toEqual({ type: 'undecided' });
  });

  it('looks for a member where the table has it', () => {
    expect(decide(undefined, member, { at: 0, claim: { type: 'gone' }, truth: truth(1, 9) }, BOUND)).toEqual({ type: 'moved', score: 9 });
  });

  it('counts a miss as no claim', () => {
    expect(decide(undefined, document, { at: 0, claim: NO_CLAIM }, BOUND)).toEqual({ type: 'miss' });
  });

  it('looks again at growing times, the last of them the bound, and asks the table only when the claim has changed or the bound is over', () => {
    const times: number[] = [];
    for (let now = 0; now < BOUND; now = times.at(-1) as number) times.push(nextLookAt(suspect, now, BOUND));
    expect(times).toEqual([1_000, 5_000, 15_000, 30_000, 60_000]);
    expect(lagClasses(BOUND)).toEqual(times);
    expect(times.map((at) => needsTable(suspect, { at, claim: value('old') }, BOUND))).toEqual([false, false, false, false, true]);
    expect(needsTable(suspect, { at: 1_000, claim: value('new', V2) }, BOUND)).toBe(true);
    expect(needsTable(undefined, { at: 0, claim: value('old') }, BOUND)).toBe(true);
  });

  it('asks the table at each look at a member that is absent, because its absence has no version', () => {
    const gone = { type: 'gone' } as const;
    const first = decide(undefined, member, { at: 0, claim: gone, truth: truth(1, member.score) }, BOUND);
    expect(first).toMatchObject({ type: 'suspect', suspect: { fault: 'missing-member' } });
    const before = (first as Extract<typeof first, { type: 'suspect' }>).suspect;
    expect(needsTable(before, { at: 1_000, claim: gone }, BOUND)).toBe(true);
    expect(decide(before, member, { at: 1_000, claim: gone, truth: ABSENT }, BOUND)).toEqual({ type: 'late', lagMs: 1_000 });
    expect([0, 1_000, 5_000, 15_000, 30_000].map((now) => nextMessageAt(before, now, BOUND))).toEqual([
      1_000,
      5_000,
      15_000,
      30_000,
      BOUND,
    ]);
    expect(nextMessageAt(suspect, 0, BOUND)).toBe(BOUND);
    // What a reader filled after an eviction has the same version as what a reader filled before.
    const filled = value('old', FLOOR);
    expect(needsTable({ ...suspect, mark: markOf(filled) }, { at: 1_000, claim: filled }, BOUND)).toBe(true);
  });
});
