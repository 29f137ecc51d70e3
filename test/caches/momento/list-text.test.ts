import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BoundedList, type ListContent } from '../../../src/caches/list/bounded-list.ts';
import { packList, unpackList } from '../../../src/caches/momento/list-text.ts';
import { FLOOR, versionOf } from '../../../src/version.ts';
import { run, STEPS } from '../list/steps.ts';

const version = (n: number) => versionOf('2026-11-22T03:01:52.091', String(n));

/** Markers that became gone at the same time have no order. */
function sorted({ content }: BoundedList) {
  return { ...content, members: content.members.toSorted((a, b) => (a.name < b.name ? -1 : 1)) };
}

describe('a list as text', () => {
  it('reads back an equal list, which then behaves alike', () => {
    const copyOf = (list: BoundedList) => BoundedList.of(unpackList(packList(list.content)).content);
    fc.assert(
      fc.property(STEPS, (steps) => {
        const list = new BoundedList();
        let copy = copyOf(list);
        for (const [now, step] of steps.entries()) {
          for (const it of [list, copy]) run(it, step, now);
          expect(sorted(copy)).toEqual(sorted(list));
          expect(copy.lease()).toEqual(list.lease());
          for (const order of ['asc', 'desc'] as const) expect(copy.page({ limit: 3, order })).toEqual(list.page({ limit: 3, order }));
          copy = copyOf(copy);
        }
      }),
      { numRuns: 500 },
    );
  });

  it('reads back the order and the details of all members', () => {
    const content: ListContent = {
      bottom: -1e308,
      lost: 3,
      settled: 2,
      highest: 4,
      dropped: version(1),
      members: [
        { name: 'é🍕', state: 'live', version: FLOOR, peak: 5, score: 5, json: ' {"n":\n5} ' },
        { name: 'a"\n', state: 'live', version: version(2), peak: 9, score: 6, json: '6' },
        { name: '', state: 'gone', version: version(3), peak: 7, since: 1_700_000_000_001 },
        { name: 'c', state: 'forgotten', version: version(4), peak: 8 },
      ],
    };
    expect(unpackList(packList(content))).toEqual({ content, isUnknown: false });
  });

  it('writes one line of columns, then names and values', () => {
    const members = [
      { name: 'a', state: 'live', version: version(12), peak: 6, score: 6, json: '{"n":1}' },
      { name: 'b', state: 'gone', version: version(13), peak: 7, since: 1 },
    ] as const;
    const [columns, texts] = packList({ bottom: -Infinity, lost: 0, settled: 0, highest: -Infinity, dropped: FLOOR, members }).split(
      '\n',
    ) as [string, string];
    const { prefix, ...others } = JSON.parse(columns);
    expect(prefix).toBe(version(12).slice(0, -1));
    expect(others).toEqual({
      bottom: null,
      lost: 0,
      settled: 0,
      highest: null,
      dropped: null,
      versions: ['2', '3'],
      names: [3, 3],
      states: 'lg',
      peaks: [null, 7],
      scores: [6],
      values: [7],
      since: [1],
    });
    expect(texts).toBe('"a"{"n":1}"b"');
  });

  it.each([
    ['keeps a list that dropped nothing', 0, { settled: 2, highest: 1 }, false],
    ['counts a list that dropped versions as never settled', 4, { settled: 0, highest: 1 }, true],
  ])('%s, if an earlier version wrote it', (_, lost, expected, isUnknown) => {
    const members = [{ name: 'a', state: 'live', version: version(12), peak: 6, score: 6, json: '6' }] as const;
    const text = packList({ bottom: 1, lost, settled: 2, highest: 5, dropped: version(3), members });
    const earlier = text.replace(/"highest":5,"dropped":"[^"]*",/, '');
    expect(earlier.length).toBeLessThan(text.length);
    expect(unpackList(earlier)).toEqual({ content: { bottom: 1, lost, dropped: FLOOR, members, ...expected }, isUnknown });
  });

  it('takes little more text than the values, because versions share their beginning', () => {
    const list = new BoundedList();
    for (let n = 0; n < 100; n += 1) {
      const at = versionOf('2026-11-22T03:01:52.091', String(418_800_000_000_000_000_000_000n + BigInt(n)));
      list.apply({ kind: 'member', type: 'put', list: 'l', member: `m${n}`, score: n, keep: 1_000, version: at, json: '{"n":1}' }, 0, 1);
    }
    expect(packList(list.content).length).toBeLessThan(100 * 40);
  });

  it.each(['', 'text', '{}', '{}\n', '{"bottom":null,"names":[3]}\n"a"'])('throws for a text that packList did not write: %j', (text) => {
    expect(() => unpackList(text)).toThrow();
  });
});
