import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import type { CacheClient } from '../../src/cache.ts';
import { type MemoryOptions, memoryCache } from '../../src/caches/memory.ts';
import { type Change, itemOf } from '../../src/change.ts';
import { CacheUnavailableError, MalformedRecordError } from '../../src/errors.ts';
import type { Mutation, Outcome } from '../../src/mutation.ts';
import { type PlannedBatch, type Report, type SetAside, type SyncInput, sync } from '../../src/sync/sync.ts';
import { versionOf } from '../../src/version.ts';
import { documentView, entity, listView } from '../../src/view.ts';

/** A record of these tests: what an item is after it. Without a value the item was deleted. */
interface Row {
  readonly item: string;
  readonly n: number;
  readonly value?: string;
  readonly table?: string;
}

const MALFORMED = 'malformed';
const CURSED = 'cursed';

function decode({ item, n, value, table = 'shop' }: Row, index: number): Change {
  if (value === MALFORMED) throw new MalformedRecordError(`record ${index}: malformed`);
  const keys = { pk: item };
  const version = versionOf('2026-11-01T09:00:00.123', String(n));
  return {
    table,
    keys,
    item: itemOf(keys),
    before: { pk: item, value: 'old' },
    ...(value && { after: { pk: item, value } }),
    version,
    expired: false,
  };
}

const thing = entity({ name: 'thing', owns: () => true, schema: { parse: (item) => item as { pk: string; value: string } } });
const plain = documentView({ name: 'plain', revision: 1, entity: thing, project: ({ pk, value }) => [{ key: pk, value }] });
const listed = listView({
  name: 'listed',
  revision: 1,
  keep: 10,
  entity: thing,
  project: ({ value }) => [{ list: 'all', score: 0, value }],
});
const moody = documentView({
  name: 'moody',
  revision: 1,
  entity: thing,
  project({ pk, value }) {
    if (value === CURSED) throw new Error('not this one');
    return [{ key: pk, value }];
  },
});

type Apply = CacheClient['apply'];

/** A sound cache whose `apply` is replaced. `around` may call the sound one. */
function faulty(around: (apply: Apply, mutations: readonly Mutation[]) => ReturnType<Apply>, options?: MemoryOptions): CacheClient {
  const sound = memoryCache(options);
  return { ...sound, apply: (mutations) => around(sound.apply, mutations) };
}

const itemIn = (mutations: readonly Mutation[]) =>
  mutations.map((mutation) => (mutation.kind === 'document' ? mutation.key : mutation.list)).join();

async function run(
  records: readonly Row[],
  cache: CacheClient,
  more: Partial<SyncInput<Row>> = {},
): Promise<{ report: Report; letters: SetAside<Row>[] }> {
  const letters: SetAside<Row>[] = [];
  const setAside = async (record: SetAside<Row>) => {
    letters.push(record);
    return `letter of ${record.index}`;
  };
  const report = await sync({ records, decode, views: [plain], cache, setAside, ...more });
  return { report, letters };
}

const statuses = ({ records }: Report) => records.map(({ status }) => status);
const readBack = async (cache: CacheClient, item: string, view = 'plain') => {
  const found = await cache.get(`${view}@1:${item}`);
  return found.type === 'hit' ? found.value : found.type;
};

describe('sync', () => {
  it('reports one entry a record, in the order of the records, with the outcomes counted', async () => {
    const cache = memoryCache();
    const rows = [
      { item: 'a', n: 2, value: 'new' },
      { item: 'a', n: 1, value: 'older' },
      { item: 'b', n: 3 },
      { item: 'c', n: 4, value: MALFORMED },
    ];
    const { report } = await run(rows, cache, { views: [plain, listed] });
    expect(report.records.map(({ change, status, applied, stale, rejected }) => [change?.item, status, applied, stale, rejected])).toEqual([
      ['["a"]', 'done', 2, 0, 0],
      ['["a"]', 'done', 0, 2, 0],
      ['["b"]', 'done', 2, 0, 0],
      [undefined, 'done', 0, 0, 0],
    ]);
    expect([await readBack(cache, 'a'), await readBack(cache, 'b')]).toEqual(['new', 'gone']);
  });

  it('reports nothing of an empty batch', async () => {
    expect((await run([], memoryCache())).report).toEqual({ records: [] });
  });

  it('calls the cache once a record for all views, and once a batch without a mutation for the records that no view projects', async () => {
    const calls: number[] = [];
    const cache = faulty((apply, mutations) => {
      calls.push(mutations.length);
      return apply(mutations);
    });
    await run(
      [
        { item: 'a', n: 1, value: 'x' },
        { item: 'b', n: 2, value: 'x' },
      ],
      cache,
      { views: [plain, listed, moody] },
    );
    expect(calls).toEqual([3, 3]);
    const nothing = [
      { item: 'a', n: 3, value: 'x' },
      { item: 'b', n: 4, value: 'x' },
    ];
    const { report } = await run(nothing, cache, { views: [] });
    expect(calls).toEqual([3, 3, 0]);
    expect(statuses(report)).toEqual(['done', 'done']);
  });

  it('fails a record that no view projects when the cache gives no answer, because a life may have to end first', async () => {
    const cache = faulty(() => Promise.reject(new CacheUnavailableError('away')));
    const { report } = await run([{ item: 'a', n: 3, value: 'x' }], cache, { views: [] });
    expect(statuses(report)).toEqual(['failed']);
  });

  it('reports what the cache skipped, sets nothing aside for it, and goes on', async () => {
    const cache = faulty(async (_, mutations) => mutations.map(() => ({ type: 'skipped', reason: 'no life' })));
    const { report, letters } = await run([{ item: 'a', n: 1, value: 'x' }], cache, { views: [plain, listed] });
    expect(report.records).toMatchObject([{ status: 'done', applied: 0, skipped: 2, causes: [] }]);
    expect(letters).toEqual([]);
  });
});

describe('sync, in order', () => {
  it('applies the records of one item in order, although the cache takes longer for the earlier ones', async () => {
    const begun: string[] = [];
    let inFlight = 0;
    let wait = 20;
    const cache = faulty(async (apply, mutations) => {
      const [mutation] = mutations;
      begun.push(mutation?.type === 'put' ? mutation.json : 'deleted');
      expect(++inFlight).toBe(1);
      wait -= 5;
      await sleep(wait);
      inFlight -= 1;
      return apply(mutations);
    });
    const { report } = await run(
      [
        { item: 'a', n: 1, value: 'one' },
        { item: 'a', n: 2, value: 'two' },
        { item: 'a', n: 3 },
        { item: 'a', n: 4, value: 'four' },
      ],
      cache,
    );
    expect(begun).toEqual(['"one"', '"two"', 'deleted', '"four"']);
    expect(statuses(report)).toEqual(['done', 'done', 'done', 'done']);
    expect(await readBack(cache, 'a')).toBe('four');
  });

  it('applies different items concurrently', async () => {
    let arrived = 0;
    let open = () => {};
    const allThere = new Promise<void>((resolve) => {
      open = resolve;
    });
    // Applies nothing before all three calls have come.
    const cache = faulty(async (apply, mutations) => {
      arrived += 1;
      if (arrived === 3) open();
      await allThere;
      return apply(mutations);
    });
    const rows = ['a', 'b', 'c'].map((item, n) => ({ item, n, value: item }));
    expect(statuses((await run(rows, cache)).report)).toEqual(['done', 'done', 'done']);
  });

  it('takes items of two tables for different items, although their keys are the same', async () => {
    const cache = faulty((apply, mutations) => {
      const [mutation] = mutations;
      if (mutation?.type === 'put' && mutation.json === '"fails"') throw new CacheUnavailableError('no answer');
      return apply(mutations);
    });
    const { report } = await run(
      [
        { item: 'a', n: 1, value: 'fails', table: 'one' },
        { item: 'a', n: 2, value: 'x', table: 'two' },
      ],
      cache,
    );
    expect(statuses(report)).toEqual(['failed', 'done']);
  });
});

describe('sync, of many records', () => {
  it('lets the event loop run after every 64 records, so that calls are sent while further records are planned', async () => {
    const turns: number[] = [];
    let turn = 0;
    let isOver = false;
    const count = () => {
      turn += 1;
      if (!isOver) setImmediate(count);
    };
    setImmediate(count);
    const records: Row[] = Array.from({ length: 129 }, (_, i) => ({ item: `i${i}`, n: 1, value: 'x' }));
    const counting = (row: Row, index: number) => {
      turns.push(turn);
      return decode(row, index);
    };
    await sync({ records, decode: counting, views: [plain], cache: memoryCache(), setAside: async () => undefined });
    isOver = true;
    expect([turns[0], turns[63]]).toEqual([0, 0]);
    expect(turns[64]).toBeGreaterThan(0);
    expect(turns[127]).toBe(turns[64]);
    expect(turns[128]).toBeGreaterThan(turns[64] as number);
  });
});

describe('sync, when the cache gives no answer', () => {
  const rows = [
    { item: 'a', n: 1, value: 'one' },
    { item: 'b', n: 2, value: 'one' },
    { item: 'a', n: 3, value: 'two' },
    { item: 'b', n: 4, value: 'two' },
    { item: 'a', n: 5, value: 'three' },
  ];
  const failsAt = (json: string, before = false) => {
    const seen: string[] = [];
    let mended = false;
    const cache = faulty(async (apply, mutations) => {
      const [mutation] = mutations;
      const value = mutation?.type === 'put' ? mutation.json : '';
      seen.push(`${itemIn(mutations)} ${value}`);
      if (mended || itemIn(mutations) !== 'plain@1:a' || value !== json) return apply(mutations);
      mended = true;
      if (!before) await apply(mutations);
      throw new CacheUnavailableError('no answer in time');
    });
    return { cache, seen };
  };

  it('fails the record and the later ones of its item, which it does not begin, and applies other items', async () => {
    const { cache, seen } = failsAt('"two"', true);
    const { report, letters } = await run(rows, cache);
    expect(statuses(report)).toEqual(['done', 'done', 'failed', 'done', 'failed']);
    expect(report.records[2]?.error).toBeInstanceOf(CacheUnavailableError);
    expect(report.records[4]).toEqual({
      change: expect.objectContaining({ item: '["a"]' }),
      status: 'failed',
      applied: 0,
      stale: 0,
      rejected: 0,
      causes: [],
      error: new Error('an earlier record of this item failed'),
    });
    expect(seen).not.toContain('plain@1:a "three"');
    expect([await readBack(cache, 'a'), await readBack(cache, 'b')]).toEqual(['one', 'two']);
    expect(letters).toEqual([]);
  });

  it('reaches the same state by a retry although the call without an answer was applied', async () => {
    const { cache } = failsAt('"two"');
    await run(rows, cache);
    expect(await readBack(cache, 'a')).toBe('two');
    const { report } = await run(rows.slice(2), cache);
    expect(report.records.map(({ status, applied }) => [status, applied])).toEqual(Array(3).fill(['done', 1]));
    expect([await readBack(cache, 'a'), await readBack(cache, 'b')]).toEqual(['three', 'two']);
  });

  it.each<[string, () => ReturnType<Apply>]>([
    ['throws', () => Promise.reject(new CacheUnavailableError('gone fishing'))],
    [
      'throws at once',
      () => {
        throw new CacheUnavailableError('gone fishing');
      },
    ],
    ['throws a text', () => Promise.reject('gone fishing')],
    ['gives no outcomes', async () => []],
    ['gives one outcome for two mutations', async () => [{ type: 'applied' } as Outcome]],
  ])('fails the record when the cache %s', async (_, apply) => {
    const { report } = await run([{ item: 'a', n: 1, value: 'x' }], faulty(apply), { views: [plain, moody] });
    expect(statuses(report)).toEqual(['failed']);
    expect(report.records[0]?.error?.message).toMatch(/gone fishing|the cache gave \d outcomes for 2 mutations/);
  });
});

describe('sync, of poison', () => {
  const rows = [
    { item: 'a', n: 1, value: 'one' },
    { item: 'b', n: 2, value: MALFORMED },
    { item: 'a', n: 3, value: CURSED },
    { item: 'a', n: 4, value: 'four' },
  ];

  it('sets poison aside with its record and its causes, and applies the rest', async () => {
    const cache = memoryCache();
    const { report, letters } = await run(rows, cache, { views: [plain, moody] });
    expect(statuses(report)).toEqual(['done', 'done', 'done', 'done']);
    expect(letters).toHaveLength(2);
    const [first, second] = [...letters].sort((a, b) => a.index - b.index);
    expect(first).toMatchObject({
      record: rows[1],
      index: 1,
      change: undefined,
      causes: [{ stage: 'decode', error: expect.any(MalformedRecordError) }],
    });
    expect(second).toMatchObject({ record: rows[2], index: 2, change: { item: '["a"]' }, causes: [{ stage: 'view', view: 'moody@1' }] });
    expect(report.records[2]?.causes).toEqual(second?.causes);
    expect([await readBack(cache, 'a'), await readBack(cache, 'a', 'moody')]).toEqual(['four', 'four']);
  });

  it('forgets the entry of the view that throws, and applies the other views', async () => {
    const cache = memoryCache();
    await run(rows.slice(0, 3), cache, { views: [moody, plain] });
    expect([await readBack(cache, 'a'), await readBack(cache, 'a', 'moody')]).toEqual([CURSED, 'miss']);
  });

  it('reports a poison record as done only after the record is in its safe place', async () => {
    let safe = false;
    const done = run([{ item: 'b', n: 1, value: MALFORMED }], memoryCache(), {
      async setAside() {
        await sleep(20);
        safe = true;
        return undefined;
      },
    });
    expect(statuses((await done).report)).toEqual(['done']);
    expect(safe).toBe(true);
  });

  it('reports the letter of each record that was set aside', async () => {
    const { report } = await run(rows, memoryCache(), { views: [plain, moody] });
    expect(report.records.map(({ letter }) => letter)).toEqual(
      rows.map(({ value }, i) => (value === MALFORMED || value === CURSED ? `letter of ${i}` : undefined)),
    );
  });

  it('sets a record aside after its other views were applied, so that a retry does both again', async () => {
    const steps: string[] = [];
    const cache = faulty(async (apply, mutations) => {
      steps.push('applied');
      return apply(mutations);
    });
    await run([{ item: 'a', n: 1, value: CURSED }], cache, {
      views: [plain, moody],
      async setAside() {
        steps.push('set aside');
        return undefined;
      },
    });
    expect(steps).toEqual(['applied', 'set aside']);
  });

  it('sets nothing aside while the cache gives no answer, so that the record is retried whole', async () => {
    const cache = faulty(() => Promise.reject(new CacheUnavailableError('no answer')));
    const { report, letters } = await run([{ item: 'a', n: 1, value: CURSED }], cache, { views: [plain, moody] });
    expect(statuses(report)).toEqual(['failed']);
    expect(letters).toEqual([]);
  });

  it('sets a record aside once, with the causes of all its views and of what the cache rejected', async () => {
    const cache = memoryCache({ maxValueBytes: 16 });
    const grim = documentView({ ...moody, name: 'grim' });
    const wide = documentView({ ...plain, name: 'wide', project: ({ pk }) => [{ key: pk, value: 'far too large a value' }] });
    const { letters } = await run([{ item: 'a', n: 1, value: CURSED }], cache, { views: [moody, plain, grim, wide] });
    expect(letters).toMatchObject([
      {
        causes: [
          { stage: 'view', view: 'moody@1' },
          { stage: 'view', view: 'grim@1' },
          { stage: 'rejected', address: 'wide@1:a' },
        ],
      },
    ]);
  });

  it.each<[string, SyncInput<Row>['setAside']]>([
    ['throws', () => Promise.reject(new Error('the queue is full'))],
    [
      'throws at once',
      () => {
        throw new Error('the queue is full');
      },
    ],
    ['throws a text', () => Promise.reject('the queue is full')],
  ])('fails poison that has no safe place, and the later records of its item, when setAside %s', async (_, setAside) => {
    const cache = memoryCache();
    const { report } = await run([...rows, { item: 'c', n: 5, value: 'five' }], cache, { views: [plain, moody], setAside });
    expect(statuses(report)).toEqual(['done', 'failed', 'failed', 'failed', 'done']);
    expect(report.records[1]?.error?.message).toBe('the queue is full');
    expect([await readBack(cache, 'a'), await readBack(cache, 'c')]).toEqual([CURSED, 'five']);
  });
});

describe('sync, with an admission of poison', () => {
  const bad = { item: 'b', n: 1, value: MALFORMED };
  const cursed = { item: 'a', n: 2, value: CURSED };
  const good = { item: 'c', n: 3, value: 'three' };
  const admitting = (most: number, planned: PlannedBatch<Row>[] = []) => ({
    views: [plain, moody],
    admit: (batch: PlannedBatch<Row>) => {
      planned.push(batch);
      return most;
    },
  });

  it('asks once for a whole batch, before anything is set aside', async () => {
    const planned: PlannedBatch<Row>[] = [];
    const steps: string[] = [];
    const many = Array.from({ length: 200 }, (_, i) => ({ item: `i${i}`, n: i, value: 'x' }));
    await run([bad, cursed, ...many, good], memoryCache(), {
      views: [plain, moody],
      admit(batch) {
        planned.push(batch);
        steps.push('asked');
        return 2;
      },
      async setAside({ index }) {
        steps.push(`set aside ${index}`);
        return undefined;
      },
    });
    expect(planned).toMatchObject([
      {
        sound: 201,
        poison: [
          { record: bad, index: 0, causes: [{ stage: 'decode' }] },
          { record: cursed, index: 1, causes: [{ stage: 'view', view: 'moody@1' }] },
        ],
      },
    ]);
    expect([steps[0], ...steps.slice(1).sort()]).toEqual(['asked', 'set aside 0', 'set aside 1']);
  });

  it('fails the poison that is not admitted and the later records of its item, and applies sound records', async () => {
    const cache = memoryCache();
    const later = { item: 'a', n: 4, value: 'four' };
    const { report, letters } = await run([bad, cursed, good, later], cache, admitting(0));
    expect(statuses(report)).toEqual(['failed', 'failed', 'done', 'failed']);
    expect(report.records[0]?.error?.message).toBe('there is nothing but poison, and more of it in a row than may be set aside');
    expect(letters).toEqual([]);
    expect(await readBack(cache, 'c')).toBe('three');
  });

  it.each([
    [0, ['failed', 'failed', 'failed']],
    [1, ['done', 'failed', 'failed']],
    [2, ['done', 'done', 'failed']],
    [3, ['done', 'done', 'done']],
    [Infinity, ['done', 'done', 'done']],
  ])('sets aside the first %d records of poison', async (most, expected) => {
    const other = { item: 'd', n: 4, value: MALFORMED };
    const { report, letters } = await run([bad, cursed, other], memoryCache(), admitting(most));
    expect(statuses(report)).toEqual(expected);
    expect(letters.map(({ index }) => index).sort()).toEqual([0, 1, 2].slice(0, most));
  });

  it('does not withhold a record whose value the cache rejects', async () => {
    const planned: PlannedBatch<Row>[] = [];
    const large = { item: 'a', n: 1, value: 'far too large a value' };
    const { report, letters } = await run([large], memoryCache({ maxValueBytes: 16 }), admitting(0, planned));
    expect(planned).toEqual([{ sound: 1, poison: [] }]);
    expect([statuses(report), letters.length]).toEqual([['done'], 1]);
  });

  it('counts a record as sound although the cache gave no answer, and does not count a record that no view projects', async () => {
    const planned: PlannedBatch<Row>[] = [];
    await run(
      [cursed, good],
      faulty(() => Promise.reject(new CacheUnavailableError('no answer'))),
      admitting(9, planned),
    );
    await run([cursed, good], memoryCache(), { ...admitting(9, planned), views: [] });
    await run([bad], memoryCache(), { ...admitting(9, planned), views: [] });
    expect(planned.map(({ sound, poison }) => [sound, poison.length])).toEqual([
      [1, 1],
      [0, 1],
    ]);
  });

  it('fails all poison when the hook throws', async () => {
    const { report, letters } = await run([bad], memoryCache(), {
      admit() {
        throw new Error('no judgement');
      },
    });
    expect([statuses(report), report.records[0]?.error?.message, letters.length]).toEqual([['failed'], 'no judgement', 0]);
  });
});

describe('sync, when the cache rejects a value', () => {
  it('sets the record aside with the address, and no longer serves the old value', async () => {
    const cache = memoryCache({ maxValueBytes: 16 });
    const large = 'far too large a value';
    const rows = [
      { item: 'a', n: 1, value: 'small' },
      { item: 'a', n: 2, value: large },
    ];
    const { report, letters } = await run(rows, cache, { views: [plain, listed] });
    expect(report.records[1]).toMatchObject({ status: 'done', applied: 0, rejected: 2 });
    expect(letters).toMatchObject([
      {
        index: 1,
        causes: [
          {
            stage: 'rejected',
            view: 'plain@1',
            address: 'plain@1:a',
            error: { message: expect.stringContaining('23 bytes is over the limit of 16') },
          },
          { stage: 'rejected', view: 'listed@1', address: 'listed@1:all' },
        ],
      },
    ]);
    expect(await readBack(cache, 'a')).toBe('miss');
    expect((await cache.list('listed@1:all', { limit: 10 })).members).toEqual([]);
  });

  it('applies the later records of the item', async () => {
    const cache = memoryCache({ maxValueBytes: 16 });
    await run(
      [
        { item: 'a', n: 1, value: 'far too large a value' },
        { item: 'a', n: 2, value: 'small' },
      ],
      cache,
    );
    expect(await readBack(cache, 'a')).toBe('small');
  });
});

describe('sync, when it is out of time', () => {
  it('begins no record, and fails all of them', async () => {
    const cache = memoryCache();
    const rows = [
      { item: 'a', n: 1, value: 'one' },
      { item: 'b', n: 2, value: MALFORMED },
    ];
    const { report, letters } = await run(rows, cache, { signal: AbortSignal.abort() });
    expect(statuses(report)).toEqual(['failed', 'failed']);
    expect(report.records[0]).toEqual({
      change: expect.objectContaining({ item: '["a"]' }),
      status: 'failed',
      applied: 0,
      stale: 0,
      rejected: 0,
      causes: [],
      error: new Error('out of time before this record was begun'),
    });
    expect(letters).toEqual([]);
    expect(await readBack(cache, 'a')).toBe('miss');
  });

  it('decodes records that it cannot begin, and does not project them', async () => {
    const projected: string[] = [];
    const planned: unknown[] = [];
    const counting = documentView({
      ...plain,
      project({ pk }) {
        projected.push(pk);
        return [{ key: pk, value: 1 }];
      },
    });
    const { report } = await run([{ item: 'a', n: 1, value: 'one' }], memoryCache(), {
      views: [counting],
      signal: AbortSignal.abort(),
      admit: (batch) => planned.push(batch),
    });
    expect(report.records[0]?.change).toMatchObject({ kind: 'MODIFY', item: '["a"]', version: expect.stringMatching(/1$/) });
    // Nothing is known of the record, so there is nothing to admit.
    expect([projected, planned]).toEqual([[], []]);
  });

  it('ends the record that was begun, and fails the later ones of its item', async () => {
    const clock = new AbortController();
    const cache = faulty((apply, mutations) => {
      clock.abort();
      return apply(mutations);
    });
    const rows = [
      { item: 'a', n: 1, value: 'one' },
      { item: 'a', n: 2, value: 'two' },
      { item: 'a', n: 3, value: 'three' },
    ];
    const { report } = await run(rows, cache, { signal: clock.signal });
    expect(statuses(report)).toEqual(['done', 'failed', 'failed']);
    expect(await readBack(cache, 'a')).toBe('one');
  });
});

it('does not throw when the cache throws an object without a text at each of many records', async () => {
  const cache = { ...memoryCache(), apply: () => Promise.reject(Object.create(null)) };
  const records: Row[] = Array.from({ length: 200 }, (_, i) => ({ item: `i${i}`, n: 1, value: 'x' }));
  const report = await sync({ records, decode, views: [plain], cache, setAside: async () => undefined });
  expect(report.records.map(({ status }) => status)).toEqual(records.map(() => 'failed'));
});
