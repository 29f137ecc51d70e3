import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BoundedList, type ListLease } from '../../../src/caches/list/bounded-list.ts';
import type { MemberMutation } from '../../../src/mutation.ts';
import { ListModel, type ModelListLease, newestFirst } from '../../../src/testing/contract/list-model.ts';
import { FLOOR, type Version, versionOf } from '../../../src/version.ts';

const version = (rank: number): Version => (rank === 0 ? FLOOR : versionOf('2026-11-22T03:01:52.091', String(rank)));
const TTL_MS = 100;

const put = (member: string, n: number, score: number, more: { from?: number; keep?: number } = {}): MemberMutation => {
  const { from, keep = 100 } = more;
  return {
    kind: 'member',
    type: 'put',
    list: 'l',
    member,
    version: version(n),
    score,
    keep,
    json: String(n),
    ...(from !== undefined && { from }),
  };
};
const end = (type: 'delete' | 'forget', member: string, n: number, score: number, keep = 100): MemberMutation => ({
  kind: 'member',
  type,
  list: 'l',
  member,
  version: version(n),
  score,
  keep,
});

/** A list that was filled from a table without members. */
function settled(): BoundedList {
  const list = new BoundedList();
  list.settle(list.lease(), { kind: 'list', newest: [] }, 100, 0, () => false);
  return list;
}

function names(list: BoundedList): string[] {
  return list.page({ limit: 99 }).members.map(({ member }) => member);
}

describe('BoundedList', () => {
  const MEMBERS = ['a', 'é', '\uffff', '\u{10000}'];
  const name = fc.constantFrom(...MEMBERS);
  const score = fc.integer({ min: 0, max: 7 });
  const mutation = fc.record(
    {
      do: fc.constant('apply' as const),
      type: fc.constantFrom('put', 'put', 'delete', 'forget'),
      name,
      rank: fc.nat(5),
      score,
      from: score,
    },
    { requiredKeys: ['do', 'type', 'name', 'rank', 'score'] },
  );
  const lease = fc.record({ do: fc.constant('lease' as const) });
  const newest = fc.uniqueArray(fc.record({ member: name, score, fits: fc.integer({ min: 0, max: 9 }).map((n) => n > 0) }), {
    selector: ({ member }) => member,
  });
  const settle = fc.record({ do: fc.constant('settle' as const), back: fc.nat(2), newest });
  const survey = fc.constantFrom('one', 'two');
  const surveyed = fc.oneof(
    fc.record({ do: fc.constant('mark' as const), survey }),
    fc.record({ do: fc.constant('seal' as const), survey }),
    fc.record({ do: fc.constant('fill' as const), survey, newest }),
  );
  const steps = fc.array(
    fc.oneof(
      { weight: 6, arbitrary: mutation },
      { weight: 2, arbitrary: lease },
      { weight: 3, arbitrary: settle },
      { weight: 3, arbitrary: surveyed },
    ),
    { maxLength: 40, size: 'max' },
  );

  it('equals the model in all that it knows, after each step', () => {
    fc.assert(
      fc.property(steps, fc.integer({ min: 1, max: 3 }), (history, keep) => {
        let [list, model] = [new BoundedList(), new ListModel()];
        const leases: [BoundedList, ListLease, ModelListLease][] = [];
        let values = 0;
        for (const step of history) {
          values += 1;
          const json = String(values);
          if (step.do === 'apply') {
            const { type, name: member, rank, score: at, from } = step;
            const wanted =
              type === 'put' ? { ...put(member, rank, at, { from, keep }), json } : end(type as 'delete', member, rank, at, keep);
            const modelled = { type: type as 'put', member, version: rank, score: at, json, from: type === 'put' ? from : undefined, keep };
            const peak = model.members.get(member)?.peak;
            const expected = model.apply(modelled);
            const raised = expected === 'stale' && peak !== model.members.get(member)?.peak;
            expect(list.apply(wanted as MemberMutation, 0, Infinity)).toBe(raised ? 'peak-raised' : expected);
          } else if (step.do === 'lease') leases.push([list, list.lease(), model.lease()]);
          else if (step.do === 'mark') {
            if (list.needsFresh(step.survey, keep)) list = new BoundedList();
            list.mark(step.survey);
            model = model.mark(step.survey, keep);
          } else if (step.do === 'seal') expect(list.seal(step.survey) ? 'settled' : 'lost').toBe(model.seal(step.survey));
          else if (step.do === 'fill') {
            const scanned = step.newest.map((it, i) => ({ ...it, json: it.fits ? `${json}${i}` : 'large' }));
            const fitting = scanned.map(({ fits, json: text, ...rest }) => (fits ? { ...rest, json: text } : rest));
            const filled = list.fill(step.survey, scanned, keep, 0, (text) => text === 'large');
            expect(filled).toBe(model.fill(step.survey, fitting, keep));
          } else {
            const taken = leases.at(-1 - step.back);
            if (!taken) continue;
            const [leased, lease, modelLease] = taken;
            const all = step.newest.map((it, i) => ({ ...it, json: it.fits ? `${json}${i}` : 'large' })).sort(newestFirst);
            const found = all.slice(0, keep);
            const next = all[keep]?.score;
            // The backend checks the birth.
            const kept = leased === list && list.settle(lease, { kind: 'list', newest: found, next }, keep, 0, (text) => text === 'large');
            const fitting = found.map(({ fits, json: text, ...rest }) => (fits ? { ...rest, json: text } : rest));
            expect(kept ? 'settled' : 'lost').toBe(model.settle(modelLease, fitting, next ?? -Infinity, keep));
          }
          const { members, ...counts } = list.content;
          expect(counts).toEqual({
            bottom: model.bottom,
            lost: model.lost,
            settled: model.settled,
            highest: model.highest,
            dropped: version(model.dropped),
            survey: model.survey,
          });
          expect(new Map(members.map(({ name: member, state, version: at, peak }) => [member, { state, version: at, peak }]))).toEqual(
            new Map(
              [...model.members].map(([member, { state, version: rank, peak }]) => [member, { state, version: version(rank), peak }]),
            ),
          );
          for (const limit of [1, 2, 9]) {
            for (const descending of [true, false]) {
              const page = list.page({ limit, order: descending ? 'desc' : 'asc' });
              const expected = model.page({ limit, descending });
              expect(page.complete).toBe(expected.complete);
              expect(page.members.map((it) => [it.member, it.score, it.version, String(it.value)])).toEqual(
                expected.members.map((it) => [it.member, it.score, version(it.version), it.json]),
              );
            }
          }
        }
      }),
      { numRuns: 300 },
    );
  });

  it('drops gone markers older than the TTL and counts them as lost', () => {
    const list = settled();
    list.apply(end('delete', 'old', 1, 1), 1_000, TTL_MS);
    list.apply(end('delete', 'young', 1, 1), 1_001, TTL_MS);
    list.apply(end('delete', 'again', 1, 1), 1_000, TTL_MS);
    list.apply(end('delete', 'again', 2, 1), 1_050, TTL_MS);
    list.apply(put('a', 1, 1), 1_000 + TTL_MS, TTL_MS);
    expect(list.content.members.map(({ name: member }) => member)).toEqual(['a', 'old', 'young', 'again']);
    list.apply(put('a', 2, 1), 1_001 + TTL_MS, TTL_MS);
    expect(list.content).toMatchObject({
      lost: 1,
      members: [{ name: 'a' }, { name: 'young', since: 1_001 }, { name: 'again', since: 1_050 }],
    });
  });

  it('keeps forgotten markers whatever their age, because without them pages would be complete', () => {
    const list = settled();
    list.apply(end('forget', 'f', 1, 1), 0, TTL_MS);
    list.apply(put('m', 1, 2), 1_000_000, TTL_MS);
    expect(list.content.members).toMatchObject([{ name: 'm' }, { name: 'f', state: 'forgotten' }]);
    expect(list.page({ limit: 1 }).complete).toBe(false);
  });

  it('does not grow with forgotten markers once the bottom has reached their peaks', () => {
    const list = settled();
    for (let n = 1; n <= 1_000; n += 1) {
      list.apply(n % 10 === 0 ? end('forget', `m${n}`, 1, n, 2) : put(`m${n}`, 1, n, { keep: 2 }), 0, TTL_MS);
      expect(list.size).toBeLessThanOrEqual(3);
    }
    const members = [{ name: 'm998' }, { name: 'm999' }, { name: 'm1000', state: 'forgotten' }];
    expect(list.content).toMatchObject({ bottom: 997, lost: 997, members });
    for (const n of [1001, 1002, 1003]) list.apply(put(`m${n}`, 1, n, { keep: 2 }), 0, TTL_MS);
    for (let n = 1; n <= 100; n += 1) list.apply(end('forget', `f${n}`, 1, n, 2), 0, TTL_MS);
    expect(list.content).toMatchObject({ bottom: 1_001, lost: 1_101, members: [{ name: 'm1002' }, { name: 'm1003' }] });
    expect(list.page({ limit: 2 }).complete).toBe(true);
  });

  it('is empty without live members, and counts members in any state', () => {
    const list = settled();
    expect([list.isEmpty, list.size]).toEqual([true, 0]);
    list.apply(end('delete', 'a', 1, 1), 0, TTL_MS);
    expect([list.isEmpty, list.size]).toEqual([true, 1]);
    list.apply(put('b', 1, 1), 0, TTL_MS);
    expect([list.isEmpty, list.size]).toEqual([false, 2]);
  });

  it('is unknown until it has a member in any state, dropped one, or was marked', () => {
    expect(new BoundedList().isUnknown).toBe(true);
    const list = settled();
    expect(list.isUnknown).toBe(true);
    list.mark('survey');
    expect(list.isUnknown).toBe(false);
    list.settle(list.lease(), { kind: 'list', newest: [] }, 100, 0, () => false);
    expect(list.isUnknown).toBe(true);
    list.apply(end('delete', 'a', 1, 1), 0, TTL_MS);
    expect(list.isUnknown).toBe(false);
    list.apply(put('b', 1, 1), TTL_MS + 1, TTL_MS);
    list.apply(end('delete', 'b', 2, 1), TTL_MS + 1, TTL_MS);
    list.apply(put('c', 1, 1), 3 * TTL_MS, TTL_MS);
    expect(list.content).toMatchObject({ lost: 2, members: [{ name: 'c' }] });
  });

  it('gives the cursor of the next page exactly while a full page was read', () => {
    const list = settled();
    for (const n of [1, 2, 3]) list.apply(put(`m${n}`, 1, n), 0, TTL_MS);
    const first = list.page({ limit: 2 });
    expect(first.members.map(({ member }) => member)).toEqual(['m3', 'm2']);
    const second = list.page({ limit: 2, after: first.cursor });
    expect([second.members.map(({ member }) => member), second.cursor]).toEqual([['m1'], undefined]);
    expect(list.page({ limit: 3 }).cursor).toBeDefined();
  });

  it('sheds the given share of its members by raising its bottom over them', () => {
    const list = settled();
    for (let n = 1; n <= 10; n += 1) list.apply(put(`m${n}`, 0, n), 0, TTL_MS);
    expect(list.shed(0.35, 0)).toBe(true);
    expect(list.content).toMatchObject({ bottom: 4, lost: 4 });
    expect(list.page({ limit: 100 })).toMatchObject({ members: { length: 6 }, complete: false });
    expect(list.page({ limit: 6 }).complete).toBe(true);
  });

  it('sheds no marker whose peak is above the new bottom', () => {
    const list = settled();
    for (let n = 1; n <= 6; n += 1) list.apply(put(`m${n}`, 0, n), 0, TTL_MS);
    list.apply(put('m1', 1, 1, { from: 20 }), 0, TTL_MS);
    expect(list.shed(0.1, 5)).toBe(true);
    expect(list.content).toMatchObject({ bottom: 1 });
    expect(list.content.members.filter(({ state }) => state === 'gone')).toEqual([
      { name: 'm1', state: 'gone', version: version(1), peak: 20, since: 5 },
    ]);
  });

  it('sheds forgotten markers too, and reports when nothing is left', () => {
    const list = settled();
    list.apply(put('a', 1, 10), 0, TTL_MS);
    list.apply(end('forget', 'b', 1, 30), 0, TTL_MS);
    expect(list.shed(1, 0)).toBe(true);
    expect(list.content).toMatchObject({ bottom: 30, members: [] });
    expect(list.shed(1, 0)).toBe(false);
    expect(names(list)).toEqual([]);
  });
});
