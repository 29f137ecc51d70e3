import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { DeleteItemCommand } from '@aws-sdk/client-dynamodb';
import { marshall } from '@aws-sdk/util-dynamodb';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { CacheClient } from '../../src/cache.ts';
import { valkeyCache } from '../../src/caches/valkey.ts';
import { type LivingCache, withLives } from '../../src/lives/with-lives.ts';
import type { View } from '../../src/view.ts';
import { views as shop } from '../../src/views/index.ts';
import { type BuiltCli, buildCli } from '../servers/built-cli.ts';
import { createShopTable, type DynamoDbLocal, HOW_TO_GET_JAVA, javaAvailable, startDynamoDbLocal } from '../servers/dynamodb-local.ts';
import { until } from '../servers/processes.ts';
import { missing } from '../servers/requires.ts';
import { HOW_TO_GET_VALKEY, startValkey, type ValkeyServer, valkeyAvailable } from '../servers/valkey.ts';
import { beginNow, faultsOf, fillTable, follow, type Orders, order, randomOf, write } from './orders.ts';

const AWS = { AWS_REGION: 'us-east-1', AWS_ACCESS_KEY_ID: 'local', AWS_SECRET_ACCESS_KEY: 'local', AWS_EC2_METADATA_DISABLED: 'true' };
const SEED = process.env.SEED === undefined ? Math.trunc(Math.random() * 2 ** 31) : Number(process.env.SEED);
const VIEWS: readonly View[] = Object.values(shop);
const READ_ASK_MS = 50;
const isMissing = missing(javaAvailable(), HOW_TO_GET_JAVA) || missing(valkeyAvailable(), HOW_TO_GET_VALKEY);

let cli: BuiltCli;
let local: DynamoDbLocal;
let valkey: ValkeyServer;
let raw: CacheClient;
let reader: LivingCache;
let worker: LivingCache;
beforeAll(async () => {
  if (isMissing) return;
  cli = buildCli();
  [local, valkey] = await Promise.all([startDynamoDbLocal(), startValkey()]);
  raw = valkeyCache({ url: valkey.url });
  reader = withLives(valkeyCache({ url: valkey.url }), { askMs: READ_ASK_MS });
  worker = withLives(valkeyCache({ url: valkey.url }), { views: VIEWS, askMs: 200, waitMs: 3_000, lagMs: 0 });
}, 120_000);
afterAll(async () => {
  await Promise.all([raw?.close(), reader?.close(), worker?.close()]);
  await Promise.all([local?.close(), valkey?.close()]);
  cli?.remove();
});

it.skipIf(isMissing)(
  'mends a cache that has missed changes, by one command, while its worker and readers go on',
  { timeout: 120_000 },
  async () => {
    const random = randomOf(SEED);
    const upTo = (n: number) => Math.floor(random() * n);
    const { tableName, streamArn } = await createShopTable(local.client, 'shop');
    const orders: Orders = { local, tableName, streamArn, cache: worker, views: VIEWS };
    const asRead: Orders = { ...orders, cache: reader };
    const args = ['backfill', '--table', tableName, '--endpoint', local.endpoint, '--url', valkey.url, '--read-units', '2000'];
    const millrace = (...more: string[]) => {
      const child = spawn(process.execPath, [cli.path, ...args, ...more], { cwd: cli.home, env: { ...process.env, ...AWS } });
      let output = '';
      for (const stream of [child.stdout, child.stderr]) stream.on('data', (data: Buffer) => (output += data));
      return { output: () => output, ended: once(child, 'exit').then(([status]) => status as number | null) };
    };

    // A table, a worker, and a cache that is filled.
    await fillTable(
      orders,
      Array.from({ length: 300 }, (_, id) => order(id, id % 20, 'first', id)),
    );
    const first = await follow(orders);
    await worker.apply([]);
    const filled = millrace();
    expect([await filled.ended, filled.output()]).toEqual([0, expect.stringMatching(/All is filled/)]);
    expect(await faultsOf(asRead)).toEqual([]);
    await first.stop();

    // Changes that no worker sees: the next one follows what comes after them.
    await fillTable(
      orders,
      Array.from({ length: 20 }, (_, id) => order(id, (id + 1) % 20, 'second', 400 + id)),
    );
    await local.client.send(new DeleteItemCommand({ TableName: tableName, Key: marshall({ pk: 'order#30', sk: 'order' }) }));
    const second = await follow(orders);
    await fillTable(orders, [order(40, 0, 'third', 900)]);
    await second.drained();
    const [moved, deleted, followed] = await reader.getMany(['detail@1:7', 'detail@1:30', 'detail@1:40']);
    expect(moved).toMatchObject({ type: 'hit', value: { status: 'first' } });
    expect(deleted).toMatchObject({ type: 'hit' });
    expect(followed).toMatchObject({ type: 'hit', value: { status: 'third' } });
    expect((await faultsOf(asRead)).length).toBeGreaterThan(20);

    // One command, while the worker follows, and readers read.
    const lifeOf = async (view: string) => (await reader.lives()).get(view)?.life;
    const former = await lifeOf('detail@1');
    const stopWriting = write({ ...orders }, 300, (n) => 50 + upTo(n - 50));
    let isOver = false;
    const answers = { old: 0, miss: 0, new: 0 };
    const wrong: string[] = [];
    const reading = (async () => {
      while (!isOver) {
        // The lives as they are known before the call: a call may know newer ones, and never older ones.
        const isNew = (await lifeOf('detail@1')) !== former;
        for (const id of ['7', '30']) {
          const lookup = await reader.get(`detail@1:${id}`);
          const isOld = lookup.type === 'hit' && (id === '30' || (lookup.value as { status: string }).status === 'first');
          answers[isOld ? 'old' : lookup.type === 'miss' ? 'miss' : 'new'] += 1;
          if (isNew && isOld) wrong.push(`${id}: ${JSON.stringify(lookup)}`);
        }
        const { members, complete } = await reader.list('orders@1:all', { limit: 20 });
        if (isNew && complete && members.some(({ value }) => (value as { id: string }).id === '30')) wrong.push('30 in the list');
        await sleep(5);
      }
    })();
    const resync = millrace('--fresh');
    await until('the command to wait', () => resync.output().includes('waiting until'));
    await sleep(1_000);
    expect(await lifeOf('detail@1')).not.toBe(former);
    await beginNow(raw);
    const status = await resync.ended;
    await stopWriting();
    await second.drained();
    isOver = true;
    await reading;
    await second.stop();

    expect([status, resync.output()], `seed ${SEED}`).toEqual([0, expect.stringMatching(/All is filled/)]);
    expect(wrong).toEqual([]);
    for (const times of Object.values(answers)) expect(times, JSON.stringify(answers)).toBeGreaterThan(0);
    expect(await faultsOf(asRead), `seed ${SEED}`).toEqual([]);
    expect(await reader.get('detail@1:7')).toMatchObject({ type: 'hit', value: { status: 'second' } });
    expect((await reader.get('detail@1:30')).type).not.toBe('hit');
    expect(await raw.get(`detail@1.${former}:30`)).toMatchObject({ type: 'hit' });
  },
);
