import type { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type CacheClient, STANDING_MS } from '../../src/cache.ts';
import { type MemoryCache, memoryCache } from '../../src/caches/memory.ts';
import { itemOf } from '../../src/change.ts';
import { CacheUnavailableError, TableUnavailableError } from '../../src/errors.ts';
import { createReader, type Reader, type ReaderOptions } from '../../src/fill/reader.ts';
import { planOf } from '../../src/plan/plan.ts';
import { versionOf } from '../../src/version.ts';
import { keyOf } from '../../src/view.ts';
import { FakeTable, GOOD_MOOD, type Image } from '../properties/reader-world/fake-table.ts';
import { detail, INDEXES, imageOf, KEYS, LAG_MS, ranked, shelf, TABLE, type Thing, team, VIEWS } from '../properties/reader-world/views.ts';

/** A table, its stream, a cache whose clock is moved by hand, and readers. */
let world: ReturnType<typeof startWorld>;

function startWorld() {
  let ahead = 0;
  let changes = 0;
  const cache = memoryCache({ now: () => Date.now() + ahead });
  // The index lags for nearly as long as it may.
  const table = new FakeTable({ name: TABLE, keys: KEYS, indexes: INDEXES, random: () => 0.99, lagMs: LAG_MS });
  const readers: Reader[] = [];
  const change = (name: string, now: Partial<Omit<Thing, 'slot'>> | undefined): (() => Promise<void>) => {
    const key = { pk: name.split('.')[0] ?? '', sk: name.split('.')[1] ?? '' };
    const before: Image | undefined = table.images().find(({ pk, sk }) => pk === key.pk && sk === key.sk);
    changes += 1;
    const after = now && (imageOf({ ...key, n: changes, rank: 0, listed: true, team: 'a', note: '', ...now }) as unknown as Image);
    table.write(key, after);
    const version = versionOf('2026-11-22T03:01:52.091', String(changes));
    const { mutations } = planOf(VIEWS as never, {
      table: TABLE,
      keys: key,
      item: itemOf(key),
      version,
      expired: false,
      ...(before && { before }),
      ...(after && { after }),
    });
    return async () => void (await cache.apply(mutations));
  };
  return {
    cache: cache as MemoryCache,
    table,
    pass(ms: number) {
      ahead += ms;
    },
    /** Writes an item, and returns what delivers its record. */
    write: (name: string, now: Partial<Omit<Thing, 'slot'>> = {}) => change(name, now),
    remove: (name: string) => change(name, undefined),
    reader(options: Partial<Omit<ReaderOptions, 'table'>> & { readonly client?: Pick<DynamoDBClient, 'send'> } = {}): Reader {
      const { client = table.client, ...others } = options;
      const reader = createReader({ cache, table: { client, name: TABLE, keys: KEYS }, ...others });
      readers.push(reader);
      return reader;
    },
    async close() {
      await Promise.all(readers.map((reader) => reader.close()));
      await cache.close();
    },
  };
}

/** A client that holds back its first answer. */
function heldBack(client: Pick<DynamoDBClient, 'send'>) {
  const held = latch();
  const answered = latch();
  const signals: (AbortSignal | undefined)[] = [];
  const send = async (command: never, options?: { readonly abortSignal?: AbortSignal }) => {
    signals.push(options?.abortSignal);
    const answer = await client.send(command, options as never);
    answered.resolve();
    await held.promise;
    return answer;
  };
  return { client: { send } as never, signals, answered: answered.promise, release: held.resolve };
}

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const isComplete = async (list: { readonly name: string; readonly revision: number }, name: string) =>
  (await world.cache.list(keyOf(list, name), { limit: 1 })).complete;

beforeEach(() => {
  world = startWorld();
});
afterEach(async () => {
  await world.close();
});

describe('a fill', () => {
  it('takes its lease before the read, so a change that is delivered meanwhile stays', async () => {
    world.write('g0.i1');
    const table = heldBack(world.table.client);
    const answer = world.reader({ client: table.client }).get(detail, 'g0.i1');
    await table.answered;
    await world.write('g0.i1')();
    table.release();
    expect(await answer).toEqual({ n: 1 });
    expect(await world.cache.get(keyOf(detail, 'g0.i1'))).toMatchObject({ type: 'hit', value: { n: 2 } });
  });

  it('needs its lease, so a change that is delivered and evicted meanwhile leaves a miss', async () => {
    world.write('g0.i1');
    const table = heldBack(world.table.client);
    const answer = world.reader({ client: table.client }).get(detail, 'g0.i1');
    await table.answered;
    await world.write('g0.i1')();
    world.cache.evict({ kind: 'document', key: keyOf(detail, 'g0.i1') });
    table.release();
    await answer;
    expect(await world.cache.get(keyOf(detail, 'g0.i1'))).toEqual({ type: 'miss' });
  });

  it('of a list takes its lease before the read, too', async () => {
    for (const view of [ranked, shelf]) {
      world.write('g0.i1', { rank: 3 });
      const table = heldBack(world.table.client);
      const answer = world.reader({ client: table.client }).page(view, 'g0', { limit: 1 });
      await table.answered;
      await world.write('g0.i1', { rank: 2 })();
      table.release();
      expect(await answer).toMatchObject({ members: [{ score: 3 }] });
      expect(await world.cache.list(keyOf(view, 'g0'), { limit: 2 })).toMatchObject({ members: [{ score: 2 }], complete: true });
    }
  });

  it('of a list of an index is read lagMs after its lease, and not earlier', async () => {
    await world.write('g0.i1')();
    world.cache.evict({ kind: 'list', list: keyOf(team, 'a'), keep: team.keep });
    const reader = world.reader();
    for (let reads = 0; reads < 3; reads += 1) {
      expect(await reader.page(team, 'a')).toMatchObject({ members: [], complete: false, by: 'index' });
      expect(await isComplete(team, 'a')).toBe(false);
    }
    await sleep(LAG_MS + 5);
    expect(await reader.page(team, 'a')).toMatchObject({ members: [{ value: { n: 1 } }], complete: true, by: 'cache' });
  });

  it('of a list of an index is read lagMs after its lease also where it is left to after(work)', async () => {
    await world.write('g0.i1')();
    world.cache.evict({ kind: 'list', list: keyOf(team, 'a'), keep: team.keep });
    const works: Promise<void>[] = [];
    const reader = world.reader({ after: (work) => void works.push(work()) });
    expect(await reader.page(team, 'a')).toMatchObject({ members: [], complete: false });
    await Promise.all(works);
    expect(works).toHaveLength(1);
    expect(await reader.page(team, 'a')).toMatchObject({ members: [{ value: { n: 1 } }], complete: true, by: 'cache' });
  });

  it('of an absent document ends after absentTtlMs, and a deletion of the stream does not', async () => {
    const reader = world.reader();
    await world.write('g0.i2')();
    await world.remove('g0.i2')();
    expect(await reader.getMany(detail, ['g0.i1', 'g0.i2'])).toEqual([undefined, undefined]);
    world.pass(59_000);
    expect(await world.cache.getMany(['g0.i1', 'g0.i2'].map((key) => keyOf(detail, key)))).toMatchObject([
      { type: 'gone' },
      { type: 'gone' },
    ]);
    world.pass(2_000);
    expect(await world.cache.getMany(['g0.i1', 'g0.i2'].map((key) => keyOf(detail, key)))).toMatchObject([
      { type: 'miss' },
      { type: 'gone' },
    ]);
  });
});

describe('the own write', () => {
  it('is shown with a ticket, though the cache has an older value', async () => {
    await world.write('g0.i1')();
    world.write('g0.i1');
    const [reader, other] = [world.reader(), world.reader()];
    const ticket = reader.wrote(detail, 'g0.i1');
    expect(await reader.get(detail, 'g0.i1')).toEqual({ n: 1 });
    expect(await other.get(detail, 'g0.i1', { ticket })).toEqual({ n: 2 });
    expect(await other.look(detail, 'g0.i1', { ticket: [reader.wrote(detail, 'g0.i2'), ticket] })).toMatchObject({
      value: { n: 2 },
      by: 'table',
    });
  });

  it('is shown with a ticket on pages, though the cache has a complete page', async () => {
    const reader = world.reader();
    for (const [view, list] of [
      [ranked, 'g0'],
      [shelf, 'g0'],
    ] as const) {
      await world.write('g0.i1')();
      await reader.page(view, list);
      world.write('g0.i1', { rank: 1 });
      expect(await reader.page(view, list)).toMatchObject({ members: [{ score: 0 }], by: 'cache' });
      expect(await reader.page(view, list, { ticket: reader.wrote(view, list) })).toMatchObject({
        members: [{ score: 1 }],
        complete: true,
      });
    }
    world.write('g0.i1', { rank: 2 });
    expect(await reader.page(team, 'a', { ticket: reader.wrote(team, 'a') })).toMatchObject({ members: [{ score: 2 }], by: 'index' });
  });

  it('is shown with a ticket, and with fresh, though a read from before the write is under way', async () => {
    world.write('g0.i1');
    const table = heldBack(world.table.client);
    const reader = world.reader({ client: table.client });
    const before = reader.get(detail, 'g0.i1');
    await table.answered;
    world.write('g0.i1');
    const after = [
      reader.get(detail, 'g0.i1', { ticket: reader.wrote(detail, 'g0.i1') }),
      reader.get(detail, 'g0.i1', { fresh: ({ n }) => n >= 2 }),
    ];
    table.release();
    expect(await before).toEqual({ n: 1 });
    expect(await Promise.all(after)).toEqual([{ n: 2 }, { n: 2 }]);
  });
});

describe('pages', () => {
  it('have each member of one score once, in order, in the cache and where the table goes on', async () => {
    for (let i = 0; i < 7; i += 1) await world.write(`g0.i${i}`, { rank: i === 0 ? 1 : 0 })();
    const wanted = ['i0', 'i6', 'i5', 'i4', 'i3', 'i2', 'i1'].map((sk) => itemOf({ pk: 'g0', sk }));
    const reader = world.reader();
    for (const view of [ranked, shelf]) {
      for (const limit of [1, 2, 3, 4, 7]) {
        const shown: string[] = [];
        for (let after: string | undefined, n = 0; n < 10; n += 1) {
          const page = await reader.page(view, 'g0', { limit, after });
          shown.push(...page.members.map(({ member }) => member));
          expect(page.complete, `${view.name} in pages of ${limit}`).toBe(true);
          after = page.cursor;
          if (after === undefined) break;
        }
        expect(shown, `${view.name} in pages of ${limit}`).toEqual(wanted);
      }
    }
  });
});

describe('pages of the table', () => {
  it('are not complete where one query gives less than a page: a member may have moved between the queries', async () => {
    for (let i = 0; i < 3; i += 1) world.write(`g0.i${i}`, { rank: i });
    world.table.mood = { ...GOOD_MOOD, mostItems: 1 };
    const { members, complete } = await world.reader().page(ranked, 'g0', { limit: 2 });
    expect([members.map(({ score }) => score), complete]).toEqual([[2, 1], false]);
  });

  it('show the own write with a ticket, though a page from before the write is being read', async () => {
    world.write('g0.i1');
    const table = heldBack(world.table.client);
    const reader = world.reader({ client: table.client });
    const before = reader.page(ranked, 'g0');
    await table.answered;
    world.write('g0.i1', { rank: 1 });
    const after = reader.page(ranked, 'g0', { ticket: reader.wrote(ranked, 'g0') });
    table.release();
    expect(await before).toMatchObject({ members: [{ score: 0 }] });
    expect(await after).toMatchObject({ members: [{ score: 1 }] });
  });
});

describe('a cache that is down', () => {
  const down: Partial<CacheClient> = {
    getOrLease: () => Promise.reject(new CacheUnavailableError('the cache is down')),
    list: () => Promise.reject(new CacheUnavailableError('the cache is down')),
    lease: () => Promise.reject(new CacheUnavailableError('the cache is down')),
  };

  it('hides no error of the table, also while the breaker is open', async () => {
    world.write('g0.i1');
    const reader = world.reader({ cache: { ...world.cache, ...down } });
    for (let reads = 0; reads < 10; reads += 1) {
      world.table.mood = { ...GOOD_MOOD, throttled: 1 };
      await expect(reader.get(detail, 'g0.i1')).rejects.toThrow(TableUnavailableError);
      await expect(reader.page(ranked, 'g0')).rejects.toThrow(TableUnavailableError);
      world.table.mood = GOOD_MOOD;
      expect(await reader.get(detail, 'g0.i1')).toEqual({ n: 1 });
      expect(await reader.page(ranked, 'g0')).toMatchObject({ members: [{ value: { n: 1 } }], complete: true, by: 'table' });
    }
    expect(reader.counts().unanswered).toBeGreaterThan(20);
  });

  it('does not hide a wrong argument of the cache', async () => {
    const getOrLease = () => Promise.reject(new TypeError('the key of a document is empty'));
    await expect(world.reader({ cache: { ...world.cache, getOrLease } }).get(detail, 'g0.i1')).rejects.toThrow(TypeError);
  });
});

describe('several readers', () => {
  it('do not wait for each other, where each has a lease that the other needs', async () => {
    world.write('g0.i1');
    world.write('g0.i2');
    const meeting = barrier(2);
    /** Leases the first key, and the second one when the other reader has its first. So does a cluster of two nodes. */
    const inTwoSteps: CacheClient['getOrLease'] = async (keys) => {
      const first = await world.cache.getOrLease(keys.slice(0, 1));
      await meeting();
      return [...first, ...(await world.cache.getOrLease(keys.slice(1)))] as never;
    };
    const cache = { ...world.cache, getOrLease: inTwoSteps };
    const [one, two] = [world.reader({ cache }), world.reader({ cache })];
    const began = performance.now();
    const answers = await Promise.all([one.getMany(detail, ['g0.i1', 'g0.i2']), two.getMany(detail, ['g0.i2', 'g0.i1'])]);
    expect(performance.now() - began).toBeLessThan(STANDING_MS * 0.8);
    expect(answers).toEqual([
      [{ n: 1 }, { n: 2 }],
      [{ n: 2 }, { n: 1 }],
    ]);
    expect([one.counts(), two.counts()]).toMatchObject([
      { misses: 1, hits: 1 },
      { misses: 1, hits: 1 },
    ]);
  });

  it('wait for one that was killed no longer than its lease stands', async () => {
    world.write('g0.i1');
    await world.cache.getOrLease([keyOf(detail, 'g0.i1')]);
    await world.cache.lease([{ kind: 'list', list: keyOf(ranked, 'g0'), keep: 2 }]);
    const began = performance.now();
    expect(await Promise.all([world.reader().get(detail, 'g0.i1'), world.reader().page(ranked, 'g0', { limit: 1 })])).toMatchObject([
      { n: 1 },
      { complete: true },
    ]);
    expect(performance.now() - began).toBeLessThan(STANDING_MS + 200);
  });
});

describe('a page that no fill completes', () => {
  it('is read from the table without waiting for fills that have come', async () => {
    for (let i = 0; i < 3; i += 1) world.write(`g0.i${i}`);
    const began = performance.now();
    for (let reads = 0; reads < 6; reads += 1) {
      expect(await world.reader().page(ranked, 'g0', { limit: ranked.keep })).toMatchObject({ complete: true, by: 'table' });
    }
    expect(performance.now() - began).toBeLessThan(STANDING_MS * 0.8);
  });
});

describe('several callers', () => {
  it('do not end each other: one gives up, and the other gets the answer', async () => {
    world.write('g0.i1');
    const table = heldBack(world.table.client);
    const reader = world.reader({ client: table.client });
    const giveUp = new AbortController();
    const reads = [reader.get(detail, 'g0.i1', { signal: giveUp.signal }), reader.get(detail, 'g0.i1')];
    const pages = [reader.page(ranked, 'g0', { signal: giveUp.signal }), reader.page(ranked, 'g0')];
    await table.answered;
    giveUp.abort(new Error('enough'));
    await expect(reads[0]).rejects.toThrow('enough');
    await expect(pages[0]).rejects.toThrow('enough');
    expect(table.signals.some((signal) => signal?.aborted)).toBe(false);
    table.release();
    expect(await reads[1]).toEqual({ n: 1 });
    expect(await pages[1]).toMatchObject({ members: [{ value: { n: 1 } }] });
  });

  it('end the read of the table when all of them give up', async () => {
    const table = heldBack(world.table.client);
    const reader = world.reader({ client: table.client });
    const giveUp = new AbortController();
    const reads = [1, 2].map(() => reader.get(detail, 'g0.i1', { signal: giveUp.signal }));
    await table.answered;
    giveUp.abort(new Error('enough'));
    for (const read of reads) await expect(read).rejects.toThrow('enough');
    expect(table.signals.every((signal) => signal?.aborted)).toBe(true);
    table.release();
  });
});

describe('keys that the table leaves unprocessed', () => {
  it('are asked for again, and are not absent', async () => {
    const names = ['g0.i1', 'g0.i2', 'g0.i3'];
    for (const name of names) world.write(name);
    let calls = 0;
    const send = async (command: { input: { RequestItems: Record<string, { Keys: object[] }> } }) => {
      calls += 1;
      const keys = command.input.RequestItems[TABLE]?.Keys ?? [];
      const answer = (await world.table.client.send(command as never)) as unknown as { Responses: Record<string, { sk: { S: string } }[]> };
      const [first] = keys as { sk: { S: string } }[];
      const some = answer.Responses[TABLE]?.filter(({ sk }) => sk.S === first?.sk.S) ?? [];
      const left = keys.slice(1);
      return {
        Responses: { [TABLE]: some },
        ...(left.length > 0 && { UnprocessedKeys: { [TABLE]: { Keys: left, ConsistentRead: true } } }),
      };
    };
    expect(await world.reader({ client: { send } as never }).getMany(detail, names)).toEqual([{ n: 1 }, { n: 2 }, { n: 3 }]);
    expect(calls).toBe(3);
  });

  it('fail the read when they stay so, and nothing is filled', async () => {
    world.write('g0.i1');
    const send = async ({ input }: { input: { RequestItems: object } }) => ({ Responses: {}, UnprocessedKeys: input.RequestItems });
    await expect(world.reader({ client: { send } as never }).get(detail, 'g0.i1')).rejects.toThrow(TableUnavailableError);
    expect(await world.cache.get(keyOf(detail, 'g0.i1'))).toEqual({ type: 'miss' });
  });
});

function latch(): { readonly promise: Promise<void>; resolve(): void } {
  let resolve = (): void => {};
  const promise = new Promise<void>((open) => {
    resolve = open;
  });
  return { promise, resolve: () => resolve() };
}

/** Holds the first calls until there are `count` of them. Later calls do not wait. */
function barrier(count: number): () => Promise<void> {
  const open = latch();
  let come = 0;
  return () => {
    come += 1;
    if (come >= count) open.resolve();
    return open.promise;
  };
}
