import { beforeEach, describe, expect, it } from 'vitest';
import { backfill, begin } from '../../src/backfill/backfill.ts';
import type { PageMember } from '../../src/cache.ts';
import { type MemoryCache, memoryCache } from '../../src/caches/memory.ts';
import { CacheUnavailableError } from '../../src/errors.ts';
import type { Mutation } from '../../src/mutation.ts';
import { modify, streamEvent, type VirtualClock, virtualClock } from '../../src/testing/index.ts';
import { violationsIn } from '../../src/verify/counts.ts';
import { FAULTS, type Fault } from '../../src/verify/observation.ts';
import { completeMembers } from '../../src/verify/probe-cache.ts';
import type { VerifyReport } from '../../src/verify/report.ts';
import { sampledSegments, type VerifyInput, verification } from '../../src/verify/verify.ts';
import { type Version, versionOf } from '../../src/version.ts';
import { entity, listView, type View } from '../../src/view.ts';
import { views as shop } from '../../src/views/index.ts';
import { order } from '../backfill/orders.ts';
import { type QueriedSource, queriedSource } from './source.ts';

const VIEWS = Object.values(shop);
const KEY_TYPES = { pk: 'S', sk: 'S' } as const;
const BOUND = 60_000;
const HAND: Version = versionOf('2026-01-01T00:00:00.000', '999999999999999999999');

const orders = Array.from({ length: 40 }, (_, id) => order(id, id % 4, 'new', id, 10));
const line = { pk: 'cart#secret', sk: 'product#p1', quantity: 2 };

let clock: VirtualClock;
let cache: MemoryCache;
let table: QueriedSource;
/** What the cache's keys are, as a backend that lists keys would tell. */
let keys: string[];

async function fill(views: readonly View[] = VIEWS): Promise<void> {
  const from = begin({ tableArn: 'arn', tableId: 'id', cache: 'memory', views: [], segments: 2, survey: 'fill', begun: '' });
  await backfill({ from, views, cache, table, signal: new AbortController().signal });
}

beforeEach(async () => {
  clock = virtualClock();
  cache = memoryCache({ now: clock.now });
  table = queriedSource([...orders, line]);
  await fill();
  keys = [
    ...orders.flatMap(({ id }) => [`detail@1:${id}`, `admin@1:${id}`]),
    ...['all', 'creator:creator0', 'creator:creator1', 'creator:creator2', 'creator:creator3'].map((list) => `orders@1:${list}`),
    'cart@1:cart#secret',
  ];
});

/** A list of all items, of which no query of the table answers. */
function latestOf(keep: number): View {
  const schema = { parse: (item: unknown) => item as { readonly at: number } };
  return listView<{ readonly at: number }, number>({
    name: 'latest',
    revision: 1,
    keep,
    entity: entity({ name: 'e', owns: () => true, schema }),
    project: ({ at }) => [{ list: 'all', score: at, value: at }],
  }) as unknown as View;
}

/** What complete pages show of a list. */
async function completeOf(list: string): Promise<readonly PageMember[]> {
  return (await completeMembers(cache, list))?.members ?? [];
}

type Options = Partial<VerifyInput> & { readonly meanwhile?: () => Promise<unknown> };

async function verify({ meanwhile, ...options }: Options = {}): Promise<VerifyReport> {
  const input: VerifyInput = {
    cache,
    table,
    keyTypes: KEY_TYPES,
    views: VIEWS,
    boundMs: BOUND,
    probes: ['table', 'cache', 'stream'],
    segments: [0, 1, 2],
    of: 3,
    sample: 1,
    keys: async function* () {
      yield keys;
    },
    signal: new AbortController().signal,
    clock,
    ...options,
  };
  const running = verification(input).run();
  const [findings] = await Promise.all([clock.run(running), meanwhile?.()]);
  return findings.report({ table: 'orders', segments: { read: 3, of: 3 }, repairs: input.repairs === true });
}

const view = ({ views }: VerifyReport, name: string) => views.find((one) => one.view === name) as VerifyReport['views'][number];
const total = (report: VerifyReport) => report.views.reduce((sum, one) => sum + violationsIn(one), 0);

const item = (id: number) => JSON.stringify([`order#${id}`, 'order']);
const summaryOf = (id: number) => {
  const { creator: _, items: __, pk: ___, sk: ____, ...summary } = orders[id] as (typeof orders)[number];
  return summary;
};
const scoreOf = (id: number) => Date.parse(orders[id]?.createdAt as string);
const put = (list: string, member: string, score: number, value: unknown): Mutation => ({
  kind: 'member',
  type: 'put',
  list: `orders@1:${list}`,
  member,
  score,
  keep: 150,
  json: JSON.stringify(value),
  version: HAND,
});

/** Something wrong, of each kind, in a document or in the list that a query gives no items of. */
const WRONGS: readonly [Fault, string, Mutation][] = [
  ['old-value', 'detail@1', { kind: 'document', type: 'put', key: 'detail@1:7', json: '{"id":"7"}', version: HAND }],
  ['ghost', 'detail@1', { kind: 'document', type: 'put', key: 'detail@1:none', json: '{"id":"none"}', version: HAND }],
  ['hidden-item', 'admin@1', { kind: 'document', type: 'delete', key: 'admin@1:7', version: HAND }],
  [
    'missing-member',
    'orders@1',
    { kind: 'member', type: 'delete', list: 'orders@1:all', member: item(7), score: scoreOf(7), keep: 150, version: HAND },
  ],
  ['extra-member', 'orders@1', put('all', item(77), scoreOf(7) + 1, { id: '77' })],
  ['wrong-order', 'orders@1', put('creator:creator3', item(7), scoreOf(7) + 90_000, summaryOf(7))],
  ['old-value', 'orders@1', put('all', item(7), scoreOf(7), { id: 'other' })],
];

describe('verification', () => {
  it('finds nothing wrong in a cache that is right, and says how many claims it has compared', async () => {
    const report = await verify();
    expect(total(report)).toBe(0);
    expect(view(report, 'detail@1')).toMatchObject({ observations: 80, equal: 80, misses: 0, late: 0, undecided: 0, unfindable: 0 });
    expect(view(report, 'detail@1').consistency).toBeCloseTo(1 - 3 / 40, 10);
    expect(view(report, 'orders@1')).toMatchObject({
      observations: 160,
      equal: 160,
      probes: { table: { equal: 80 }, cache: { equal: 80 } },
    });
    expect(view(report, 'cart@1')).toMatchObject({ observations: 2, consistency: 0, probes: { stream: { consistency: null } } });
    expect(report).toMatchObject({ status: 'done', boundMs: BOUND });
  });

  it.each(WRONGS)('finds and repairs: %s in %s', async (fault, name, mutation) => {
    keys.push('detail@1:none');
    await cache.apply([mutation]);
    const report = await verify({ repairs: true });
    const found = view(report, name);
    expect(found.violations[fault]).toBeGreaterThan(0);
    const others = FAULTS.filter(
      (other) => other !== fault && other !== 'missing-member' && report.views.some((one) => one.violations[other] > 0),
    );
    expect(others).toEqual([]);
    expect(found.repairs).toEqual({ repaired: violationsIn(found), failed: 0 });
    expect(found.examples).toContainEqual(expect.objectContaining({ fault, repaired: true }));
    // A member at another score is also missing at its own.
    expect(found.consistency).toBeLessThan(1 - violationsIn(found) / found.observations);

    const after = await verify();
    expect(total(after)).toBe(0);
    expect(view(after, name).equal).toBeGreaterThan(0);
  });

  it('repairs many members of a list by one fill, and keeps what the list has', async () => {
    await cache.apply([3, 4, 5, 6].map((id) => ({ ...(WRONGS[3]?.[2] as Mutation), member: item(id), score: scoreOf(id) }) as Mutation));
    let settles = 0;
    const report = await verify({
      repairs: true,
      cache: {
        ...cache,
        settle: async (fills) => {
          settles += fills.length;
          return await cache.settle(fills);
        },
      },
    });
    expect(view(report, 'orders@1')).toMatchObject({ violations: { 'missing-member': 4 }, repairs: { repaired: 4, failed: 0 } });
    expect(settles).toBe(1);
    const page = await cache.list('orders@1:all', { limit: 50 });
    expect(page).toMatchObject({ complete: true, members: { length: 40 } });
  });

  it('leaves to the stream what the stream writes between lease and settle', async () => {
    await cache.apply([WRONGS[0]?.[2] as Mutation]);
    const newer = { ...(WRONGS[0]?.[2] as Mutation), version: versionOf('2026-06-01T00:00:00.000', '1') } as Mutation;
    const right = orders[7] as (typeof orders)[number];
    let writes = 0;
    const report = await verify({
      repairs: true,
      cache: {
        ...cache,
        lease: async (targets) => {
          const leases = await cache.lease(targets);
          if (writes === 0) {
            table.put({ ...right, status: 'baked' });
            const { creator: _, ...visible } = { ...right, status: 'baked' };
            const { pk: __, sk: ___, ...value } = visible;
            await cache.apply([{ ...newer, json: JSON.stringify(value) } as Mutation]);
            writes += 1;
          }
          return leases;
        },
      },
    });
    expect(view(report, 'detail@1')).toMatchObject({ repairs: { failed: 0 } });
    expect(await cache.get('detail@1:7')).toMatchObject({ type: 'hit', value: { status: 'baked' }, version: newer.version });
  });

  it.each([
    ['a list of one member', 1, [5, 7]],
    ['a list whose members have one score', 3, [5, 7, 7, 7]],
    ['a list of one member below 0', 1, [-7, -6.5]],
    ['a full list, whose other members nobody knows', 2, [-7, -6.5, 0, 5e-324]],
  ])('repairs %s, and keeps all of its members', async (_, keep, scores) => {
    const views = [latestOf(keep)];
    table = queriedSource(scores.map((at, i) => ({ pk: `p${i}`, sk: 's', at })));
    cache = memoryCache({ now: clock.now });
    await fill(views);
    const [newest] = (await cache.list('latest@1:all', { limit: 1 })).members;
    const { member = '', score = 0, value } = newest ?? {};
    const before = await completeOf('latest@1:all');
    await cache.apply([{ kind: 'member', type: 'put', list: 'latest@1:all', member, score, keep, json: '"old"', version: HAND }]);
    const report = await verify({ repairs: true, views, probes: ['table'] });
    expect(view(report, 'latest@1')).toMatchObject({ violations: { 'old-value': 1 }, repairs: { repaired: 1, failed: 0 } });
    const valuesOf = (members: readonly PageMember[]) => members.map(({ value }) => value);
    const after = await completeOf('latest@1:all');
    expect(valuesOf(after)).toEqual(valuesOf(before));
    expect(after[0]?.value).toBe(value);
    expect(await cache.list('latest@1:all', { limit: keep + 1 })).toMatchObject({ complete: false });
  });

  it('lets a list forget its members when none of them is right, and nothing else is known of the list', async () => {
    const views = [latestOf(1)];
    table = queriedSource([5, 7].map((at, i) => ({ pk: `p${i}`, sk: 's', at })));
    cache = memoryCache({ now: clock.now });
    await fill(views);
    table.items.delete('["p1","s"]');
    keys = ['latest@1:all'];
    const report = await verify({ repairs: true, views, probes: ['table', 'cache'] });
    expect(view(report, 'latest@1')).toMatchObject({
      violations: { 'extra-member': 1 },
      repairs: { repaired: expect.any(Number), failed: 0 },
    });
    expect(await cache.list('latest@1:all', { limit: 1 })).toMatchObject({ complete: false });
  });

  it('repairs although some calls get no answer, and says what it cannot repair', async () => {
    await cache.apply([WRONGS[0]?.[2] as Mutation, WRONGS[3]?.[2] as Mutation]);
    let calls = 0;
    const flaky = async <Answer>(call: () => Promise<Answer>): Promise<Answer> => {
      calls += 1;
      if (calls % 3 === 1) throw new CacheUnavailableError('away');
      return await call();
    };
    const report = await verify({
      repairs: true,
      cache: { ...cache, lease: (targets) => flaky(() => cache.lease(targets)), settle: (fills) => flaky(() => cache.settle(fills)) },
    });
    expect(report.views.map(({ repairs }) => repairs?.failed)).toEqual([0, 0, 0, 0]);
    expect(calls).toBeGreaterThan(4);

    await cache.apply([{ ...(WRONGS[0]?.[2] as Mutation), version: versionOf('2026-02-01T00:00:00.000', '1') } as Mutation]);
    const lost = await verify({ repairs: true, cache: { ...cache, settle: async (fills) => fills.map(() => 'lost') } });
    expect(view(lost, 'detail@1')).toMatchObject({
      repairs: { repaired: 0, failed: 2 },
      examples: [{ repaired: false }, { repaired: false }],
    });
  });

  it('counts as late what heals within the bound, with the time that it took', async () => {
    const right = await cache.get('detail@1:7');
    await cache.apply([WRONGS[0]?.[2] as Mutation]);
    const report = await verify({
      meanwhile: async () => {
        await clock.sleep(10_000);
        const json = JSON.stringify(right.type === 'hit' && right.value);
        await cache.apply([{ kind: 'document', type: 'put', key: 'detail@1:7', json, version: HAND }]);
      },
    });
    expect(total(report)).toBe(0);
    // Both probes met the document.
    expect(view(report, 'detail@1')).toMatchObject({ late: 2, lags: [0, 0, 2, 0, 0], observations: 80 });
  });

  it('counts as late what is evicted within the bound, and misses as no claim', async () => {
    await cache.apply([WRONGS[0]?.[2] as Mutation]);
    for (let id = 10; id < 20; id += 1) cache.evict({ kind: 'document', key: `detail@1:${id}` });
    const report = await verify({
      probes: ['table'],
      meanwhile: async () => {
        await clock.sleep(40_000);
        cache.evict({ kind: 'document', key: 'detail@1:7' });
      },
    });
    expect(view(report, 'detail@1')).toMatchObject({ observations: 30, misses: 10, late: 1, lags: [0, 0, 0, 0, 1] });
  });

  it('says no evidence of what claims nothing', async () => {
    cache.flush();
    const report = await verify();
    for (const one of report.views) expect(one).toMatchObject({ observations: 0, consistency: null });
  });

  it('judges no list beyond its complete pages', async () => {
    cache.evict({ kind: 'list', list: 'orders@1:all', keep: 150 });
    await cache.apply([put('all', item(77), 5, { id: '77' })]);
    const report = await verify();
    expect(view(report, 'orders@1')).toMatchObject({ observations: 80, misses: 41, violations: { 'extra-member': 0 } });
  });

  it('finds what a dropped record left, from the change alone, and reads nothing for a change that has arrived', async () => {
    const before = orders.slice(0, 2) as [(typeof orders)[number], (typeof orders)[number]];
    const { Records } = streamEvent(before.map((one) => modify(one, { ...one, status: 'baked' })));
    for (const one of before) table.put({ ...one, status: 'baked' });
    const arrived = versionOf('2026-01-01T00:00:00.000', Records[0]?.dynamodb?.SequenceNumber as string);
    const member = put('all', item(0), scoreOf(0), { ...summaryOf(0), status: 'baked' });
    await cache.apply(
      [
        ...['detail@1:0', 'admin@1:0'].map((key) => ({ kind: 'document', type: 'put', key, json: '{}' }) as Mutation),
        member,
        { ...member, list: 'orders@1:creator:creator0' } as Mutation,
      ].map((mutation) => ({ ...mutation, version: arrived }) as Mutation),
    );
    table.reads.length = 0;
    const verifying = verification({
      ...{ cache, table, keyTypes: KEY_TYPES, views: VIEWS, boundMs: BOUND, segments: [], of: 1, sample: 1, clock },
      probes: ['stream'],
      followMs: 1_000,
      signal: new AbortController().signal,
    });
    for (const record of Records) verifying.saw(record);
    const report = (await clock.run(verifying.run())).report({ table: 'orders', segments: { read: 0, of: 0 }, repairs: false });
    expect(view(report, 'detail@1')).toMatchObject({ observations: 2, equal: 1, violations: { 'old-value': 1 } });
    expect(view(report, 'orders@1').probes.stream).toMatchObject({ observations: 4, equal: 2, violations: { 'old-value': 2 } });
    expect(table.reads.every((count) => count === 1)).toBe(true);
  });

  it('repeats calls of the cache that get no answer, and gives up after a while', async () => {
    let failures = 3;
    const flaky = {
      ...cache,
      getMany: async (asked: readonly string[]) => {
        if (failures > 0) {
          failures -= 1;
          throw new CacheUnavailableError('away');
        }
        return await cache.getMany(asked);
      },
    } as MemoryCache;
    expect(total(await verify({ cache: flaky }))).toBe(0);
    failures = Infinity;
    await expect(verify({ cache: flaky, retryForMs: 5_000 })).rejects.toThrow(CacheUnavailableError);
  });

  it('ends at the signal, and counts as undecided what it could not look at again', async () => {
    await cache.apply([WRONGS[0]?.[2] as Mutation]);
    const stop = new AbortController();
    const report = await verify({
      probes: ['table'],
      signal: stop.signal,
      meanwhile: async () => {
        await clock.sleep(20_000);
        stop.abort();
      },
    });
    expect(report).toMatchObject({ status: 'interrupted' });
    expect(view(report, 'detail@1')).toMatchObject({ observations: 39, undecided: 1 });
  });

  it('shows the keys of items, and no secret ones and no values', async () => {
    await cache.apply([
      { ...(WRONGS[6]?.[2] as Mutation), list: 'cart@1:cart#secret', member: 'p1', score: 0, json: '{"quantity":"concealed"}' } as Mutation,
      WRONGS[0]?.[2] as Mutation,
    ]);
    const report = await verify();
    expect(view(report, 'detail@1').examples[0]).toMatchObject({ key: 'detail@1:7', item: item(7), version: HAND, ageMs: BOUND });
    const text = JSON.stringify(report);
    expect(view(report, 'cart@1').violations['old-value']).toBeGreaterThan(0);
    expect(text).not.toMatch(/secret|concealed/);
    expect(text).toMatch(/"key":"cart@1:#[\da-f]{8}"/);
  });

  it('counts by segment in a sample, so that violations of one segment widen the interval', async () => {
    await cache.apply(
      [1, 4, 7, 10].map((id) => ({ kind: 'document', type: 'put', key: `detail@1:${id}`, json: '{}', version: HAND }) as Mutation),
    );
    const all = await verify({ probes: ['table'] });
    const sample = await verify({ probes: ['table'], segments: [0, 1], of: 3, sample: 0.6 });
    expect(view(all, 'detail@1')).toMatchObject({ observations: 40, violations: { 'old-value': 4 } });
    expect(view(sample, 'detail@1').observations).toBeLessThan(30);
    expect(view(sample, 'detail@1').consistency).toBeLessThan(view(all, 'detail@1').consistency as number);
  });
});

describe('sampledSegments', () => {
  it('takes all segments of the whole table', () => {
    expect(sampledSegments(1, 1_000, 8)).toEqual({ segments: [0, 1, 2, 3, 4, 5, 6, 7], of: 8 });
  });

  it('takes some of many small segments for a sample, each once', () => {
    const { segments, of } = sampledSegments(0.01, 10_000_000, 8);
    expect(of).toBe(40_000);
    expect(new Set(segments).size).toBe(400);
    expect(segments.every((segment) => segment >= 0 && segment < of)).toBe(true);
    expect(sampledSegments(0.01, 100, 8)).toMatchObject({ of: 2_000, segments: { length: 20 } });
    expect(sampledSegments(1e-6, 1e12, 8)).toMatchObject({ of: 1_000_000, segments: { length: 1 } });
  });
});
