import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { backfill, begin, passCounts } from '../../src/backfill/backfill.ts';
import { type BackfillCheckpoint, checkpointText, parseCheckpoint } from '../../src/backfill/checkpoint.ts';
import { countsOf } from '../../src/backfill/counts.ts';
import { estimateOf } from '../../src/backfill/estimate.ts';
import { checkLives, LifeEndedError } from '../../src/backfill/lives.ts';
import { isAllDone, summaryOf } from '../../src/backfill/summary.ts';
import { memoryCache } from '../../src/caches/memory.ts';
import { CacheUnavailableError } from '../../src/errors.ts';
import { documentView, entity, listView, type View } from '../../src/view.ts';
import { sourceOf } from './source.ts';

interface Thing {
  readonly pk: string;
  readonly n: number;
}

const thing = entity<Thing>({ name: 'thing', owns: ({ sk }) => sk === 'thing', schema: { parse: (item) => item as Thing } });
const byId = documentView<Thing, number>({ name: 'byId', revision: 1, entity: thing, project: ({ pk, n }) => [{ key: pk, value: n }] });
const byRest = listView<Thing, number>({
  name: 'byRest',
  revision: 1,
  keep: 5,
  entity: thing,
  project: ({ n }) => [{ list: `${n % 7}`, score: n, value: n }],
});
const VIEWS: readonly View[] = [byId, byRest] as unknown as View[];
const PLACE = { tableArn: 'arn:aws:dynamodb:us-east-1:1:table/t', tableId: 'id', cache: 'c', views: ['byId@1', 'byRest@1'], segments: 3 };

function start(): BackfillCheckpoint {
  return begin({ ...PLACE, survey: 's1', begun: '2026-11-29T00:00:00.000Z' });
}

function world(items = 50) {
  const source = sourceOf(
    Array.from({ length: items }, (_, n) => ({ pk: `i${n}`, sk: 'thing', n })),
    4,
  );
  return { table: source, cache: memoryCache(), views: VIEWS, from: start(), signal: new AbortController().signal };
}

describe('backfill', () => {
  it('fills documents, and fills and seals lists, in three passes', async () => {
    const given = world();
    const passes: string[] = [];
    const done = await backfill({
      ...given,
      onCheckpoint({ pass }) {
        if (passes.at(-1) !== pass) passes.push(pass);
      },
    });
    expect(passes).toEqual(['mark', 'fill', 'seal', 'done']);
    expect(done.pass).toBe('done');
    expect(countsOf(passCounts(done, 'mark'), 'byId@1').filled).toBe(50);
    expect(countsOf(passCounts(done, 'seal'), 'byRest@1')).toMatchObject({ sealed: 7, unsealed: 0 });
    const { members, complete } = await given.cache.list('byRest@1:0', { limit: 5 });
    expect({ values: members.map(({ value }) => value), complete }).toEqual({ values: [49, 42, 35, 28, 21], complete: true });
    // The names of the lists fit into memory, so the last pass needs no scan.
    expect(passCounts(done, 'seal').items).toBe(0);
  });

  it('scans for the last pass when there are more lists than memory holds', async () => {
    const given = world();
    const done = await backfill({ ...given, listsInMemory: 3 });
    expect(passCounts(done, 'seal').items).toBe(50);
    for (let rest = 0; rest < 7; rest += 1)
      expect(await given.cache.list(`byRest@1:${rest}`, { limit: 5 })).toMatchObject({ complete: true });
  });

  it('scans for the last pass when it did not see all of the pass before', async () => {
    const given = world();
    const saved: BackfillCheckpoint[] = [];
    await backfill({ ...given, onCheckpoint: (checkpoint) => saved.push(checkpoint) });
    const inTheMiddle = saved.findLast(({ pass }) => pass === 'fill') as BackfillCheckpoint;
    const done = await backfill({ ...given, from: inTheMiddle });
    expect(passCounts(done, 'seal').items).toBe(50);
  });

  it('has one pass without list views', async () => {
    const given = world();
    const done = await backfill({ ...given, views: [VIEWS[0] as View] });
    expect(done.pass).toBe('done');
    expect(given.table.scans.every(({ consistent }) => !consistent)).toBe(true);
  });

  it('goes on from each checkpoint to the same end', async () => {
    const first = world(12);
    const saved: string[] = [];
    await backfill({ ...first, onCheckpoint: (checkpoint) => saved.push(checkpointText(checkpoint)) });
    expect(saved.length).toBeGreaterThanOrEqual(10);
    for (const text of saved) {
      const done = await backfill({ ...first, from: parseCheckpoint(text, PLACE) });
      expect(done.pass).toBe('done');
      expect(passCounts(done, 'mark').items).toBe(12);
      expect(passCounts(done, 'fill').items).toBe(12);
    }
    expect(await first.cache.list('byRest@1:1', { limit: 5 })).toMatchObject({ complete: true, members: [{ value: 8 }, { value: 1 }] });
  });

  it('stops at its signal, in the pass it is in', async () => {
    const stop = new AbortController();
    const given = world();
    let pages = 0;
    const at = await backfill({
      ...given,
      signal: stop.signal,
      onCheckpoint() {
        pages += 1;
        if (pages === 4) stop.abort();
      },
    });
    expect(at.pass).toBe('mark');
    expect(passCounts(at, 'mark').items).toBeLessThan(50);
    expect((await backfill({ ...given, from: at })).pass).toBe('done');
  });

  it('ends all segments when one fails, and throws why', async () => {
    const given = world();
    const cache = { ...given.cache, fill: async () => Promise.reject(new CacheUnavailableError('away')) };
    await expect(backfill({ ...given, cache, retryForMs: 1 })).rejects.toThrow('away');
  });

  it('asks for the lives before each page and each seal, and at the end', async () => {
    for (const [lastsFor, pass] of [
      [1, 'mark'],
      [20, 'fill'],
      [Infinity, 'done'],
    ] as const) {
      const given = world();
      let asked = 0;
      let at = given.from;
      const ended = backfill({
        ...given,
        async checkLives() {
          asked += 1;
          if (asked > lastsFor) throw new LifeEndedError(['byId@1']);
        },
        onCheckpoint(checkpoint) {
          at = checkpoint;
        },
      });
      if (pass !== 'done') await expect(ended).rejects.toThrow('the life of byId@1 ended while the backfill ran');
      else expect(await ended).toMatchObject({ pass });
      expect(at.pass).toBe(pass);
      // The table has 14 pages, in two passes; then come the seals, and the end.
      if (pass === 'done') expect(asked).toBe(given.table.scans.length + 2);
    }
  });

  it('waits until the lives are usable', async () => {
    const given = world(8);
    let asked = 0;
    const lives = async () => {
      asked += 1;
      return new Map([['byId@1', { life: 'a', from: asked < 3 ? Date.now() + 60_000 : 0 }]]);
    };
    const done = await backfill({ ...given, checkLives: () => checkLives({ lives }, { 'byId@1': 'a' }) });
    expect(done.pass).toBe('done');
    await expect(checkLives({ lives }, { 'byId@1': 'b' })).rejects.toThrow(LifeEndedError);
    await expect(checkLives({ lives }, { 'byRest@1': 'a' })).rejects.toThrow('the life of byRest@1 ended');
  });

  it('waits for late calls of a killed process before it marks a list', async () => {
    const given = world(8);
    const begunAt = performance.now();
    let markedAt = 0;
    const mark: typeof given.cache.mark = async (lists, survey) => {
      if (markedAt === 0) markedAt = performance.now();
      await given.cache.mark(lists, survey);
    };
    await backfill({ ...given, cache: { ...given.cache, mark }, lateCallsMs: 300, isResumed: true });
    expect(markedAt - begunAt).toBeGreaterThan(290);
  });

  it('calls no list complete that was evicted before the second copy of its mark arrived', async () => {
    const given = world(40);
    const { cache } = given;
    const list = 'byRest@1:0';
    let late: Promise<void> | undefined;
    const mark: typeof cache.mark = async (lists, survey) => {
      await cache.mark(lists, survey);
      // The answer was lost: the client has sent the call again, and the network delivers one of the two later.
      late ??= sleep(150).then(() => cache.mark([{ list, keep: 5 }], survey));
    };
    let fills = 0;
    const fill: typeof cache.fill = async (lists, survey) => {
      fills += 1;
      if (fills === 4) {
        cache.evict({ kind: 'list', list, keep: 5 });
        await late;
      }
      return await cache.fill(lists, survey);
    };
    const done = await backfill({ ...given, cache: { ...cache, mark, fill }, segmentsAtOnce: 1, lateCallsMs: 200 });
    expect(fills).toBeGreaterThan(4);
    expect(await cache.list(list, { limit: 5 })).toMatchObject({ complete: false });
    expect(countsOf(passCounts(done, 'seal'), 'byRest@1')).toMatchObject({ sealed: 6, unsealed: 1 });
  });

  it('does not count a list as sealed that is not complete, because a value is too large for the cache', async () => {
    const table = sourceOf([1, 2].map((n) => ({ pk: `i${n}`, sk: 'thing', n, text: 'x'.repeat(n * 60) })));
    const texts = listView<Thing & { readonly text: string }, string>({
      name: 'texts',
      revision: 1,
      keep: 5,
      entity: thing as never,
      project: ({ n, text }) => [{ list: 'all', score: n, value: text }],
    });
    const cache = memoryCache({ maxValueBytes: 100 });
    const views = [texts] as unknown as View[];
    const done = await backfill({ ...world(), table, cache, views });
    expect((await cache.list('texts@1:all', { limit: 5 })).complete).toBe(false);
    const summary = summaryOf(done, 't', views);
    expect(summary.views).toMatchObject([{ lists: { sealed: 0, incomplete: 1, unsealed: 0 } }]);
    expect(isAllDone(summary)).toBe(false);
  });
});

describe('a checkpoint', () => {
  it('survives its text', () => {
    expect(parseCheckpoint(checkpointText(start()), PLACE)).toEqual(start());
  });

  it.each([
    ['{', {}, 'it is not JSON'],
    ['null', {}, 'it is no checkpoint of this version'],
    ['{"form": "millrace backfill 0"}', {}, 'it is no checkpoint of this version'],
    [undefined, { tableArn: 'arn:other' }, 'it is of the table arn:aws:dynamodb:us-east-1:1:table/t, and this is arn:other'],
    [undefined, { tableId: 'later' }, 'it is of an earlier table of this name, whose id was id'],
    [undefined, { views: ['byId@2'] }, 'it is of the views byId@1, byRest@1, and these are byId@2'],
    [undefined, { segments: 8 }, 'it has 3 segments, and --segments is 8'],
    [undefined, { cache: 'd' }, 'it is of another cache'],
    [undefined, { fresh: true }, 'it is of a backfill without --fresh, which started no new lives'],
    [checkpointText({ ...start(), fresh: true }), {}, 'it is of a backfill with --fresh'],
    [checkpointText({ ...start(), lives: null as never }), {}, 'it is no checkpoint of this version'],
    [checkpointText({ ...start(), views: undefined as never }), {}, 'it is no checkpoint of this version'],
    [checkpointText({ ...start(), mark: [], fill: [], seal: [] }), {}, 'or was changed'],
    [checkpointText({ ...start(), fill: start().fill.slice(1) }), {}, 'or was changed'],
    [checkpointText({ ...start(), fill: start().fill.toReversed() }), {}, 'or was changed'],
    [checkpointText({ ...start(), fill: start().fill.map((state) => ({ ...state, segments: 6 })) }), {}, 'or was changed'],
    [checkpointText({ ...start(), seal: start().fill }), {}, 'or was changed'],
    [checkpointText({ ...start(), mark: start().mark.map(() => null as never) }), {}, 'or was changed'],
  ])('refuses the text %j for the place %j', (text, place, message) => {
    expect(() => parseCheckpoint(text ?? checkpointText(start()), { ...PLACE, ...place })).toThrow(message);
  });
});

describe('estimateOf', () => {
  it('counts read units, price and time of each part', () => {
    // 1,000,000 items of 1,000 bytes.
    expect(estimateOf(1_000_000, 1_000_000_000, VIEWS, 4_000)).toEqual([
      { what: 'mark', units: 122_071, usd: expect.closeTo(0.0153, 4), seconds: expect.closeTo(30.5, 1) },
      { what: 'documents', units: 1_000_000, usd: 0.125, seconds: 250 },
      { what: 'fill', units: 244_141, usd: expect.closeTo(0.0305, 4), seconds: expect.closeTo(61, 0) },
      { what: 'seal', units: 122_071, usd: expect.closeTo(0.0153, 4), seconds: expect.closeTo(30.5, 1) },
    ]);
  });

  it('rounds each item up, and leaves out what no view needs', () => {
    expect(estimateOf(10, 10 * 5_000, [{ kind: 'document' }], 1).map(({ what, units }) => [what, units])).toEqual([
      ['mark', 7],
      ['documents', 20],
    ]);
    expect(estimateOf(0, 0, [{ kind: 'list' }], 1).map(({ units }) => units)).toEqual([0, 0, 0]);
  });
});
