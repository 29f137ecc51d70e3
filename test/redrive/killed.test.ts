import { describe, expect, it } from 'vitest';
import { memoryCache } from '../../src/caches/memory.ts';
import { itemOf } from '../../src/change.ts';
import { attributesOf } from '../../src/dynamodb/record.ts';
import { redriveHandler } from '../../src/handlers/redrive-handler.ts';
import type { RedriveRequest } from '../../src/redrive/request.ts';
import { insert, streamEvent } from '../../src/testing/events.ts';
import { documentView, entity } from '../../src/view.ts';
import { lambdaLetter, lambdaName, memoryStore } from '../letters/letters.ts';

const thing = entity({ name: 'thing', owns: () => true, schema: { parse: (item) => item as { pk: string } } });
const plain = documentView({ name: 'plain', revision: 1, entity: thing, project: ({ pk }) => [{ key: pk, value: pk }] });
const POSITION = 'redrive/position';

/** A run that is killed never comes to its end. */
const KILLED = 'killed';

/** `count` letters, one item each: `i0`, `i1`, …. A run that tries a deadly item is killed, by its time or its memory. */
function scene(count: number, deadly: readonly number[]) {
  const store = memoryStore();
  const lines: { readonly level: string; readonly fields: Readonly<Record<string, unknown>> }[] = [];
  const log = (level: string) => (_: string, fields: Readonly<Record<string, unknown>>) => void lines.push({ level, fields });
  for (let n = 0; n < count; n += 1) {
    store.texts.set(lambdaName(n), lambdaLetter(streamEvent([insert({ pk: `i${n}` })], { keys: ['pk'] }).Records));
  }
  let died: () => void = () => {};
  const deaths = new Set(deadly.map((n) => itemOf({ pk: `i${n}` })));
  let steps: string[] = [];
  const handler = redriveHandler({
    views: [plain],
    cache: memoryCache(),
    letters: {
      ...store,
      async put(name, text) {
        if (name === POSITION) steps.push(text);
        await store.put(name, text);
      },
    },
    table: {
      async read(_, keys) {
        if (keys.some((key) => deaths.has(itemOf(attributesOf(key))))) {
          died();
          await new Promise(() => {});
        }
        return keys.map(() => ({}));
      },
    },
    logger: { info: log('info'), warn: log('warn'), error: log('error') },
  });
  return {
    store,
    lines,
    deaths,
    /** The letters that are left, by their numbers. */
    get left(): readonly number[] {
      return [...Array(count).keys()].filter((n) => store.texts.has(lambdaName(n)));
    },
    /** The saved positions of the last run. */
    get steps(): readonly string[] {
      return steps;
    },
    async run(request?: RedriveRequest) {
      steps = [];
      const death = new Promise<typeof KILLED>((resolve) => {
        died = () => resolve(KILLED);
      });
      return await Promise.race([handler(request), death]);
    },
  };
}

describe('a letter that kills the run', () => {
  it('does not stop the redrive: the next run settles all others, and tries the letter last and by itself', async () => {
    const it = scene(250, [120]);
    expect(await it.run()).toBe(KILLED);
    expect(it.left).toHaveLength(150);
    expect(await it.run()).toBe(KILLED);
    // Those after it are settled before it, because the run begins there; those before it are settled each by itself.
    expect(it.left).toEqual(Array.from({ length: 80 }, (_, n) => 120 + n));
    expect(JSON.parse(it.store.texts.get(POSITION) as string)).toMatchObject({ trying: [lambdaName(120)] });
    expect(await it.run()).toBe(KILLED);
    expect(it.left).toEqual([120]);
  });

  it('is named in the log of the next run, at last by itself', async () => {
    const it = scene(250, [120]);
    for (let runs = 0; runs < 3; runs += 1) await it.run();
    const named = it.lines.filter(({ level }) => level === 'error').map(({ fields }) => [fields.count, fields.letters]);
    expect(named).toEqual([
      [100, [100, 101, 102, 103, 104].map((n) => lambdaName(n))],
      [1, [lambdaName(120)]],
    ]);
    expect(it.lines[0]?.fields.answer).toMatch(/give the function more memory or time, or remove the letter/);
  });

  it('is settled when it no longer kills, and then nothing remains', async () => {
    const it = scene(3, [1]);
    for (let runs = 0; runs < 3; runs += 1) expect(await it.run()).toBe(KILLED);
    expect(it.left).toEqual([1]);
    it.deaths.clear();
    expect(await it.run()).toMatchObject({ removed: 1, kept: 0 });
    expect(it.store.texts.size).toBe(0);
    it.lines.length = 0;
    await it.run();
    expect(it.lines.map(({ level }) => level)).toEqual(['info']);
  });

  it('keeps no new letter waiting', async () => {
    const it = scene(1, [0]);
    for (let n = 1; n < 8; n += 1) {
      await it.run();
      it.store.texts.set(lambdaName(n), lambdaLetter(streamEvent([insert({ pk: `new${n}` })], { keys: ['pk'] }).Records));
      await it.run();
      expect(it.store.texts.has(lambdaName(n))).toBe(false);
    }
    expect([...it.store.texts.keys()].filter((name) => name !== POSITION)).toEqual([lambdaName(0)]);
  });

  it.each([[[0, 249]], [[10, 11, 12]], [[99, 100]], [[0, 1, 120, 248, 249]], [[0]], [[249]]])(
    'is one of several, %j: all others are settled, by turns',
    async (deadly) => {
      const it = scene(250, deadly);
      for (let runs = 0; runs <= 2 * deadly.length && it.left.length > deadly.length; runs += 1) await it.run();
      expect(it.left).toEqual(deadly);
    },
  );

  it('stays a suspect through a dry run, and through a run that looks at other letters', async () => {
    const it = scene(250, [120]);
    await it.run();
    const position = it.store.texts.get(POSITION);
    it.deaths.clear();
    expect(await it.run({ dryRun: true })).toMatchObject({ removed: 150, kept: 0, dryRun: true });
    expect(it.store.texts.get(POSITION)).toBe(position);
    await it.run({ since: '2026-11-22T03:03:40Z' });
    expect(JSON.parse(it.store.texts.get(POSITION) as string)).toMatchObject({
      trying: [],
      suspects: expect.arrayContaining([lambdaName(120)]),
    });
  });
});

describe('the position', () => {
  it('is saved before each step, and removed when nothing is left to go on with', async () => {
    const it = scene(250, []);
    expect(await it.run()).toMatchObject({ removed: 250 });
    const positions = it.steps.map((text) => JSON.parse(text));
    expect(positions.map(({ trying }) => [trying[0], trying.length])).toEqual([
      [lambdaName(0), 100],
      [lambdaName(100), 100],
      [lambdaName(200), 50],
    ]);
    expect(it.store.texts.size).toBe(0);
  });

  it.each([
    '',
    'no JSON',
    'null',
    '7',
    '[]',
    '{"next":7,"trying":"all","suspects":{"a":1}}',
    '{"trying":[1,null,["a"]]}',
    `{"suspects":${JSON.stringify(Array.from({ length: 200_000 }, () => 'a name'))}}`,
    '{"__proto__":{"next":"x"},"constructor":{"prototype":{"trying":["y"]}}}',
    '['.repeat(500_000),
  ])('that somebody else wrote stops nothing: %#', async (text) => {
    const it = scene(3, []);
    it.store.texts.set(POSITION, text);
    expect(await it.run()).toMatchObject({ removed: 3, kept: 0 });
    expect(it.store.texts.size).toBe(0);
  });

  it('of an earlier version, with `next` alone, is read', async () => {
    const it = scene(4, []);
    it.store.texts.set(POSITION, JSON.stringify({ next: lambdaName(2) }));
    await it.run({ limit: 1 });
    expect(it.left).toEqual([0, 1, 3]);
  });
});
