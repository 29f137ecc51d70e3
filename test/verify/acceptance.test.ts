import { setTimeout as sleep } from 'node:timers/promises';
import { BatchWriteItemCommand } from '@aws-sdk/client-dynamodb';
import { marshall } from '@aws-sdk/util-dynamodb';
import { Valkey } from 'iovalkey';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { backfill, begin } from '../../src/backfill/backfill.ts';
import type { CacheClient, Fill } from '../../src/cache.ts';
import { cacheNames } from '../../src/caches/valkey/sweep.ts';
import { valkeyCache } from '../../src/caches/valkey.ts';
import { readBudget } from '../../src/dynamodb/read-budget.ts';
import type { StreamRecord } from '../../src/dynamodb/record.ts';
import { streamHandler } from '../../src/handlers/stream-handler.ts';
import { type EventSourceMapping, eventSourceMapping, type LambdaHandler, sdkStreamReader } from '../../src/testing/index.ts';
import { FAULTS, type Fault } from '../../src/verify/observation.ts';
import type { VerifyReport } from '../../src/verify/report.ts';
import { verifiedTable } from '../../src/verify/table.ts';
import { sampledSegments, type VerifyInput, verification } from '../../src/verify/verify.ts';
import { versionOf } from '../../src/version.ts';
import type { View } from '../../src/view.ts';
import { views as shop } from '../../src/views/index.ts';
import { fillTable, type Orders, order, randomOf, spiedOn, untilFollowed, write } from '../backfill/orders.ts';
import { valkeyKeysOf } from '../properties/world/backend.ts';
import { createShopTable, type DynamoDbLocal, HOW_TO_GET_JAVA, javaAvailable, startDynamoDbLocal } from '../servers/dynamodb-local.ts';
import { missing } from '../servers/requires.ts';
import { HOW_TO_GET_VALKEY, startValkey, type ValkeyServer, valkeyAvailable } from '../servers/valkey.ts';

const SEED = process.env.SEED === undefined ? Math.trunc(Math.random() * 2 ** 31) : Number(process.env.SEED);
/** 100,000 for the whole acceptance. */
const ITEMS = Number(process.env.VERIFY_ITEMS ?? 2_000);
const VIEWS: readonly View[] = Object.values(shop);
const BOUND_MS = 5_000;
const LOAD_MS = 4_000;

/** What a worker makes of its records and of its cache. */
interface Worker {
  readonly spoil?: (record: StreamRecord, n: number) => readonly StreamRecord[];
  readonly cache?: (cache: CacheClient) => CacheClient;
  /** What is done to the cache at one moment, while the worker follows the table. */
  readonly strike?: (orders: Orders, mapping: EventSourceMapping, evictList: (list: string) => Promise<void>) => Promise<void>;
}

const newestVersion = (() => {
  let n = 0;
  return () => {
    n += 1;
    return versionOf('2099-01-01T00:00:00.000', String(n));
  };
})();

/** Some ids of orders that the table has. */
const IDS = Array.from({ length: 40 }, (_, id) => id + 1);

const BROKEN: readonly (readonly [name: string, worker: Worker, shows: readonly Fault[]])[] = [
  ['drops one record in ten', { spoil: (record, n) => (n % 10 === 0 ? [] : [record]) }, ['old-value']],
  [
    'ignores the old image',
    {
      spoil: (record) => [
        record.eventName === 'MODIFY' ? { ...record, dynamodb: { ...record.dynamodb, OldImage: record.dynamodb?.NewImage } } : record,
      ],
    },
    ['extra-member'],
  ],
  [
    'ignores versions, and gets records once more and late',
    {
      // Each record comes twice; of the second time, the newer one comes first.
      spoil: (() => {
        const past: StreamRecord[] = [];
        return (record, n) => {
          past.push(record);
          const late = n % 5 === 0 ? past.splice(0, 1) : [];
          return [record, ...late];
        };
      })(),
      cache: (cache) => ({ ...cache, apply: (mutations) => cache.apply(mutations.map((one) => ({ ...one, version: newestVersion() }))) }),
    },
    ['old-value'],
  ],
  [
    'is that of the workshop: no versions, no old image, errors taken for answers, deletes from another list',
    {
      cache: (cache) => ({
        ...cache,
        async apply(mutations) {
          const kept = mutations.filter(({ kind, type }) => type !== 'delete' || kind === 'document');
          await cache.apply(kept.map((one) => ({ ...one, version: newestVersion() }))).catch(() => {});
          return mutations.map(() => ({ type: 'applied' }) as const);
        },
      }),
    },
    ['extra-member'],
  ],
  [
    'shares its cache with a survey that seals lists without their mark',
    {
      async strike({ cache }, _, evictList) {
        // No order moves to these creators while the test writes.
        for (const list of Array.from({ length: 400 }, (_, i) => `orders@1:creator:creator${100 + i}`)) {
          const { members } = await cache.list(list, { limit: 150 });
          if (members.length < 2) continue;
          // Half of its members were read by the scan before the eviction.
          const half = members
            .filter((_, i) => i % 2 === 0)
            .map(({ member, score, value }) => ({ member, score, json: JSON.stringify(value) }));
          await evictList(list);
          await cache.mark([{ list, keep: 150 }], 'again');
          await cache.fill([{ list, keep: 150, members: half }], 'again');
          await cache.seal([list], 'again');
        }
      },
    },
    ['missing-member'],
  ],
  [
    'shares its cache with a reader that takes the lease after it has read',
    {
      async strike(orders, mapping) {
        const { cache } = orders;
        await fillTable(
          orders,
          IDS.map((id) => order(id, 19, 'read', id)),
        );
        await mapping.drained();
        const keys = IDS.map((id) => `detail@1:${id}`);
        const read = await cache.getMany(keys);
        await fillTable(
          orders,
          IDS.map((id) => order(id, 19, 'changed since', id)),
        );
        await mapping.drained();
        const leases = await cache.lease(keys.map((key) => ({ kind: 'document', key })));
        const found = read.map(
          (lookup) => ({ kind: 'document', json: lookup.type === 'hit' ? JSON.stringify(lookup.value) : undefined }) as const,
        );
        await cache.settle(leases.map((lease, i) => ({ lease, found: found[i] as Fill['found'] })));
      },
    },
    ['old-value'],
  ],
  [
    'shares its cache with somebody who writes keys by hand',
    {
      async strike(orders, mapping) {
        const { cache } = orders;
        await fillTable(
          orders,
          IDS.map((id) => order(id, 19, 'right', id)),
        );
        await mapping.drained();
        const lookups = await cache.getMany(IDS.map((id) => `detail@1:${id}`));
        const json = JSON.stringify({ by: 'hand' });
        const ghost = versionOf('2026-01-01T00:00:00.000', '1');
        await cache.apply(
          IDS.flatMap((id, i) => {
            const lookup = lookups[i];
            const version = lookup?.type === 'hit' ? lookup.version : ghost;
            const [key, none] = [`detail@1:${id}`, `detail@1:no-order-${id}`];
            return [
              id % 2 === 0 ? { kind: 'document', type: 'delete', key, version } : { kind: 'document', type: 'put', key, version, json },
              { kind: 'document', type: 'put', key: none, version: ghost, json },
            ] as const;
          }),
        );
      },
    },
    ['old-value', 'hidden-item', 'ghost'],
  ],
];

const isMissing = missing(javaAvailable(), HOW_TO_GET_JAVA) || missing(valkeyAvailable(), HOW_TO_GET_VALKEY);

describe.skipIf(isMissing)(`the verifier, of ${ITEMS} items of DynamoDB Local and Valkey under writes`, { timeout: 1_800_000 }, () => {
  let local: DynamoDbLocal;
  let valkey: ValkeyServer;
  let orders: Orders;
  const random = randomOf(SEED);
  const upTo = (n: number) => Math.floor(random() * n);

  beforeAll(async () => {
    [local, valkey] = await Promise.all([startDynamoDbLocal(), startValkey()]);
    const { tableName, streamArn } = await createShopTable(local.client, 'shop');
    orders = { local, tableName, streamArn, cache: valkeyCache({ url: valkey.url }), views: VIEWS };
    await fillFast(Array.from({ length: ITEMS }, (_, id) => order(id, id % 500, 'new', upTo(100_000), 50)));
  }, 900_000);
  // Versions that a broken worker made up would outlive it.
  beforeEach(async () => {
    const admin = new Valkey(valkey.url);
    await admin.flushall();
    admin.disconnect();
    const from = begin({ tableArn: 'arn', tableId: 'id', cache: 'c', views: [], segments: 4, survey: 'first', begun: '' });
    await backfill({ from, views: VIEWS, cache: orders.cache, table: tableOf(), signal: new AbortController().signal });
  }, 300_000);
  afterAll(async () => {
    await orders?.cache.close();
    await Promise.all([local?.close(), valkey?.close()]);
  });

  const tableOf = () => verifiedTable({ client: local.client, arn: orders.tableName, keys: ['pk', 'sk'], budget: readBudget(1_000_000) });

  async function fillFast(items: readonly Readonly<Record<string, unknown>>[]): Promise<void> {
    const batches = Array.from({ length: Math.ceil(items.length / 25) }, (_, i) => items.slice(i * 25, (i + 1) * 25)).values();
    const lane = async (): Promise<void> => {
      for (const batch of batches) {
        const requests = batch.map((item) => ({ PutRequest: { Item: marshall(item) } }));
        await local.client.send(new BatchWriteItemCommand({ RequestItems: { [orders.tableName]: requests } }));
      }
    };
    await Promise.all(Array.from({ length: 4 }, lane));
  }

  async function verify(options: Partial<VerifyInput> = {}, url = valkey.url): Promise<VerifyReport> {
    const cache = options.cache ?? orders.cache;
    const verifying = verification({
      cache,
      table: tableOf(),
      keyTypes: { pk: 'S', sk: 'S' },
      views: VIEWS,
      boundMs: BOUND_MS,
      probes: ['table', 'cache'],
      ...sampledSegments(1, ITEMS, 8),
      sample: 1,
      keys: () => cacheNames({ url, namespace: 'millrace' }),
      signal: new AbortController().signal,
      ...options,
    });
    const findings = await verifying.run();
    return findings.report({ table: orders.tableName, segments: { read: 8, of: 8 }, repairs: options.repairs === true });
  }

  /** Follows what is written from here on. */
  async function start({ spoil, cache: broken }: Worker, cache: CacheClient = orders.cache): Promise<EventSourceMapping> {
    const handler = streamHandler({ views: VIEWS, cache: broken?.(cache) ?? cache, logger: { info() {}, warn() {}, error() {} } });
    let n = 0;
    const spy = spiedOn((async ({ Records }) => {
      const records = Records.flatMap((record) => {
        n += 1;
        return spoil?.(record, n) ?? [record];
      });
      return await handler({ Records: records });
    }) as LambdaHandler);
    const mapping = eventSourceMapping({
      reader: sdkStreamReader({ client: local.streams, streamArn: orders.streamArn }),
      handler: spy.handler,
      startingPosition: 'LATEST',
      batchSize: 1_000,
      functionResponseTypes: ['ReportBatchItemFailures'],
      functionTimeoutMs: 30_000,
    });
    await mapping.start();
    await untilFollowed(orders, spy);
    return mapping;
  }

  async function evictList(list: string): Promise<void> {
    const admin = new Valkey(valkey.url);
    await admin.del(valkeyKeysOf('millrace', { kind: 'list', list, keep: 150 }));
    admin.disconnect();
  }

  const kindsIn = (report: VerifyReport) => FAULTS.filter((fault) => report.views.some(({ violations }) => violations[fault] > 0));
  const summary = (report: VerifyReport) =>
    report.views.map(({ view, observations, misses, late, lags, undecided, violations, consistency, repairs }) => ({
      ...{ view, observations, misses, late, lags, undecided, consistency },
      violations: Object.fromEntries(Object.entries(violations).filter(([, times]) => times > 0)),
      ...(repairs && { repairs }),
    }));
  const tell = (what: string, report: VerifyReport, began: number) =>
    console.log(`${what}, seed ${SEED}, ${((performance.now() - began) / 1_000).toFixed(1)} s: ${JSON.stringify(summary(report))}`);

  it('finds no violation of a correct worker, while everything is written', async () => {
    const mapping = await start({});
    const stopWriting = write(orders, ITEMS, upTo);
    const began = performance.now();
    // A busy machine may let the worker lag behind for some seconds.
    const report = await verify({ boundMs: 3 * BOUND_MS });
    await stopWriting();
    await mapping.drained();
    await mapping.stop();
    tell('correct', report, began);
    expect(kindsIn(report), JSON.stringify(report.views.flatMap(({ examples }) => examples))).toEqual([]);
    for (const name of ['detail@1', 'admin@1', 'orders@1']) {
      expect(report.views.find(({ view }) => view === name)?.observations).toBeGreaterThan(ITEMS / 2);
    }
  });

  it.each(BROKEN)('recognises by its kind a worker that %s, and repairs what the worker did', async (name, worker, shows) => {
    const mapping = await start(worker);
    const stopWriting = write(orders, Math.min(ITEMS, 1_000), upTo);
    await sleep(LOAD_MS);
    await stopWriting();
    await mapping.drained();
    await worker.strike?.(orders, mapping, evictList);
    await mapping.stop();
    const began = performance.now();
    const report = await verify({ repairs: true });
    tell(name, report, began);
    for (const fault of shows) expect(kindsIn(report), `seed ${SEED}`).toContain(fault);
    for (const { repairs } of report.views) expect(repairs?.failed, `seed ${SEED}`).toBe(0);
    expect(kindsIn(await verify()), `seed ${SEED}`).toEqual([]);
  });

  it('finds and repairs what a primary took with it that died before it had replicated', async () => {
    const replica = await startValkey();
    const admin = new Valkey(replica.url);
    const promoted = valkeyCache({ url: replica.url });
    try {
      await admin.replicaof('127.0.0.1', valkey.port);
      while (!/master_link_status:up[\s\S]*master_sync_in_progress:0/.test(await admin.info('replication'))) await sleep(50);
      await sleep(500);
      const mapping = await start({});
      // From here on, nothing is replicated.
      await admin.replicaof('NO', 'ONE');
      const stopWriting = write(orders, Math.min(ITEMS, 1_000), upTo);
      await sleep(LOAD_MS);
      await stopWriting();
      await mapping.drained();
      await mapping.stop();
      const began = performance.now();
      const report = await verify({ cache: promoted, repairs: true }, replica.url);
      tell('failover', report, began);
      expect(kindsIn(report)).toEqual(expect.arrayContaining(['old-value']));
      for (const { repairs } of report.views) expect(repairs?.failed, `seed ${SEED}`).toBe(0);
      expect(kindsIn(await verify({ cache: promoted }, replica.url)), `seed ${SEED}`).toEqual([]);
    } finally {
      admin.disconnect();
      await promoted.close();
      await replica.close();
    }
  });
});
