import { describe, expect, it } from 'vitest';
import { type MemoryCache, memoryCache } from '../../src/caches/memory.ts';
import { itemOf } from '../../src/change.ts';
import { attributesOf } from '../../src/dynamodb/record.ts';
import { CacheUnavailableError } from '../../src/errors.ts';
import { type RedriveHandlerOptions, redriveHandler } from '../../src/handlers/redrive-handler.ts';
import { insert, streamEvent } from '../../src/testing/events.ts';
import { documentView, entity } from '../../src/view.ts';
import { lambdaLetter, lambdaName, type MemoryStore, memoryStore } from '../letters/letters.ts';

const thing = entity({ name: 'thing', owns: () => true, schema: { parse: (item) => item as { pk: string; value: string } } });
const plain = documentView({
  name: 'plain',
  revision: 1,
  entity: thing,
  project({ pk, value }) {
    if (value === 'cursed') throw new Error('not this one');
    return [{ key: pk, value }];
  },
});

interface Scene {
  readonly store: MemoryStore;
  readonly cache: MemoryCache;
  readonly lines: { readonly level: string; readonly message: string; readonly fields: Readonly<Record<string, unknown>> }[];
  /** The items that were read from the table, in order. */
  readonly asked: string[];
  readonly handler: ReturnType<typeof redriveHandler>;
}

/** A letter and an item for each value. The items are `i0`, `i1`, … */
function scene(values: readonly string[], options: Partial<RedriveHandlerOptions> = {}): Scene {
  const [store, cache, lines, asked]: [MemoryStore, MemoryCache, Scene['lines'], string[]] = [memoryStore(), memoryCache(), [], []];
  const items = values.map((value, n) => ({ pk: `i${n}`, value }));
  for (const [n, item] of items.entries()) {
    store.texts.set(lambdaName(n), lambdaLetter(streamEvent([insert(item)], { keys: ['pk'] }).Records));
  }
  const log = (level: string) => (message: string, fields: Readonly<Record<string, unknown>>) =>
    void lines.push({ level, message, fields });
  const handler = redriveHandler({
    views: [plain],
    cache,
    letters: store,
    table: {
      async read(_, keys) {
        const names = keys.map((key) => itemOf(attributesOf(key)));
        asked.push(...names);
        return names.map((name) => ({ item: items.find(({ pk }) => itemOf({ pk }) === name) }));
      },
    },
    logger: { info: log('info'), warn: log('warn'), error: log('error') },
    ...options,
  });
  return { store, cache, lines, asked, handler };
}

const letters = ({ store }: Scene) => [...store.texts.keys()].filter((name) => name.startsWith('aws/'));

describe('redriveHandler', () => {
  it('logs in one line what it did, and answers with the same', async () => {
    const figures: unknown[] = [];
    const it = scene(['v', 'cursed', 'v'], { metrics: (facts) => void figures.push(facts) });
    const summary = { removed: 2, kept: 1, causes: { view: 1 }, dryRun: false };
    expect(await it.handler({}, { functionName: 'redrive' })).toEqual(summary);
    expect(it.lines).toEqual([
      {
        level: 'warn',
        message: 'redrive',
        fields: {
          ...summary,
          letter: lambdaName(1),
          cause: {
            stage: 'view',
            view: 'plain@1',
            error: { name: 'ViewError', message: 'view plain cannot project ["i1"] as it is now: it threw Error' },
          },
          milliseconds: expect.any(Number),
        },
      },
    ]);
    expect(figures).toEqual([{ redriven: 2, kept: 1, milliseconds: expect.any(Number), functionName: 'redrive' }]);
    expect(letters(it)).toEqual([lambdaName(1)]);
    expect(await it.cache.get('plain@1:i0')).toMatchObject({ type: 'hit', value: 'v' });
  });

  it.each([
    [
      'an event of a rule',
      { source: 'aws.events', 'detail-type': 'Scheduled Event', detail: {}, time: '2026-11-22T03:00:00Z', resources: [] },
    ],
    ['absent', undefined],
    ['null', null],
    ['an empty object', {}],
  ])('redrives all letters when the request is %s', async (_, request) => {
    const it = scene(['v', 'v']);
    expect(await it.handler(request as object)).toMatchObject({ removed: 2, kept: 0 });
    expect(it.lines.map(({ level }) => level)).toEqual(['info']);
  });

  it('redrives only the letters that it is asked for, and changes nothing in a dry run', async () => {
    const it = scene(['v', 'v', 'v', 'v']);
    expect(await it.handler({ since: '2026-11-22T03:00:02Z', dryRun: true })).toEqual({ removed: 2, kept: 0, causes: {}, dryRun: true });
    expect(it.store.texts.size).toBe(4);
    expect(
      await it.handler({ since: '2026-11-22T03:00:01Z', until: '2026-11-22T03:00:03Z', cause: 'RetryAttemptsExhausted' }),
    ).toMatchObject({
      removed: 2,
    });
    expect(letters(it)).toEqual([lambdaName(0), lambdaName(3)]);
    expect(await it.handler({ table: 'another' })).toMatchObject({ removed: 0, kept: 0 });
  });

  it('leaves letters of other tables alone, but counts a text that is not a letter', async () => {
    const it = scene(['v'], { tableName: 'another' });
    it.store.texts.set(lambdaName(7), 'no letter');
    expect(await it.handler()).toMatchObject({ removed: 0, kept: 1, causes: { letter: 1 } });
    expect(it.store.texts.size).toBe(2);
  });

  it.each([undefined, null, {}, { limit: 5 }, { since: '30d' }, { dryRun: false }])(
    'leaves letters of other tables alone when the request is %j',
    async (request) => {
      const it = scene(['v'], { tableName: 'another' });
      expect(await it.handler(request)).toMatchObject({ removed: 0, kept: 0 });
      expect(it.store.texts.has(lambdaName(0))).toBe(true);
      expect(await it.handler({ table: 'TestTable' })).toMatchObject({ removed: 1 });
    },
  );

  it('keeps a letter that does not tell its table, and counts it', async () => {
    const it = scene([], { tableName: 'another' });
    const [{ eventSourceARN: _, ...record } = {}] = streamEvent([insert({ pk: 'i9', value: 'v' })], { keys: ['pk'] }).Records;
    it.store.texts.set(lambdaName(0), lambdaLetter([record]));
    expect(await it.handler()).toMatchObject({ removed: 0, kept: 1, causes: { decode: 1 } });
  });

  it('goes on after the letters that a killed run has tried', async () => {
    const values = Array(150).fill('v');
    const it = scene(values);
    let reads = 0;
    const dying = redriveHandler({
      views: [plain],
      cache: it.cache,
      letters: it.store,
      table: {
        async read(_, keys) {
          reads += 1;
          // The first two reads are of the first hundred letters, the third is of the second hundred.
          if (reads > 2) await new Promise(() => {});
          return keys.map(() => ({}));
        },
      },
      logger: { info() {}, warn() {}, error() {} },
    });
    void dying();
    await expect.poll(() => it.store.texts.get('redrive/position')).toContain(lambdaName(100));
    expect(letters(it)).toHaveLength(50);
    expect(await it.handler()).toMatchObject({ removed: 50 });
    expect(it.store.texts.size).toBe(0);
  });

  it.each([
    [{ dryrun: true }, /dryrun is unknown: use since, until, cause, table, limit, dryRun/],
    [{ since: 'yesterday' }, /since is "yesterday": give a time like/],
    [{ since: '1h', until: '2h' }, /since is not before until/],
    [{ limit: 0 }, /limit is 0/],
    [{ limit: '5', dryRun: 'false' }, /limit is not a number; dryRun is not a boolean/],
    [[], /not an object/],
  ])('refuses the request %j, which may mean less than all letters', async (request, message) => {
    const it = scene(['v']);
    await expect(it.handler(request as object)).rejects.toThrow(message);
    expect(it.store.texts.size).toBe(1);
  });

  it('lets letters take turns, so that those that always fail do not keep others waiting', async () => {
    const it = scene([...Array(6).fill('cursed'), ...Array(6).fill('v')]);
    const tried: string[][] = [];
    for (let run = 0; run < 6; run += 1) {
      it.asked.length = 0;
      await it.handler({ limit: 4 });
      tried.push([...new Set(it.asked)]);
    }
    expect(tried.map((items) => items.map((name) => JSON.parse(name)[0]).join(' '))).toEqual([
      'i0 i1 i2 i3',
      'i4 i5 i6 i7',
      'i8 i9 i10 i11',
      'i0 i1 i2 i3',
      'i4 i5 i0 i1',
      'i2 i3 i4 i5',
    ]);
    expect(letters(it)).toHaveLength(6);
  });

  it('begins with the oldest letter again after it has tried all', async () => {
    const it = scene(['cursed', 'cursed']);
    const runs: string[] = [];
    for (const limit of [1, undefined, undefined]) {
      it.asked.length = 0;
      await it.handler({ limit });
      runs.push([...new Set(it.asked)].join());
    }
    expect(runs).toEqual(['["i0"]', '["i1"],["i0"]', '["i0"],["i1"]']);
    expect(it.store.texts.has('redrive/position')).toBe(false);
  });

  it('does not save a position in a dry run', async () => {
    const it = scene(['v', 'v']);
    await it.handler({ limit: 1, dryRun: true });
    expect([...it.store.texts.keys()]).toEqual([lambdaName(0), lambdaName(1)]);
  });

  it('ends in time, and goes on where it ended', async () => {
    const it = scene(Array(300).fill('v'));
    let left = 20_000;
    const slow = redriveHandler({
      views: [plain],
      cache: {
        ...it.cache,
        async apply(mutations) {
          left -= 100;
          await new Promise((resolve) => setTimeout(resolve, 2));
          return it.cache.apply(mutations);
        },
      },
      letters: it.store,
      table: { read: async (_, keys) => keys.map(() => ({ item: { pk: 'i0', value: 'v' } })) },
      logger: { info() {}, warn() {}, error() {} },
      marginMs: 19_990,
    });
    const first = await slow({}, { getRemainingTimeInMillis: () => left });
    expect(first.stopped).toBe('aborted');
    expect(JSON.parse(it.store.texts.get('redrive/position') ?? '{}').next).toBeDefined();
    expect(letters(it).length).toBeGreaterThan(0);
    for (let run = 0; run < 5 && letters(it).length > 0; run += 1) await it.handler();
    expect(it.store.texts.size).toBe(0);
  });

  it('passes by a letter that takes longer than the function has, and logs an error', async () => {
    const it = scene(['v', 'v', 'v'], {
      table: { read: () => new Promise((resolve) => setTimeout(() => resolve([{ item: { pk: 'i0', value: 'v' } }]), 60)) },
      marginMs: 0,
    });
    // One letter takes 60 ms.
    const nexts: string[] = [];
    for (let run = 0; run < 2; run += 1) {
      expect(await it.handler({ limit: 1 }, { getRemainingTimeInMillis: () => 20 })).toMatchObject({
        removed: 0,
        kept: 0,
        stopped: 'aborted',
      });
      nexts.push(JSON.parse(it.store.texts.get('redrive/position') ?? '{}').next);
    }
    expect(nexts).toEqual([lambdaName(1), lambdaName(2)]);
    expect(it.lines.find(({ level }) => level === 'error')?.fields).toMatchObject({ letter: lambdaName(0) });
  });

  it('warns when the cache is away, and keeps all letters', async () => {
    const it = scene(Array(50).fill('v'), {
      cache: { ...memoryCache(), apply: () => Promise.reject(new CacheUnavailableError('the cache is away')) },
    });
    expect(await it.handler()).toMatchObject({ removed: 0, stopped: 'unavailable' });
    expect(it.lines).toMatchObject([{ level: 'warn', fields: { cause: { stage: 'cache', error: { message: 'the cache is away' } } } }]);
    expect(letters(it)).toHaveLength(50);
  });

  it('throws when the store cannot list its letters', async () => {
    const it = scene(['v']);
    const away = {
      ...it.store,
      // biome-ignore lint/correctness/useYield: it fails first
      async *names() {
        throw new Error('the bucket is away');
      },
    };
    const handler = redriveHandler({ views: [plain], cache: it.cache, letters: away, table: { read: async () => [] } });
    await expect(handler()).rejects.toThrow('the bucket is away');
  });
});
