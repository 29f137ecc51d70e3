import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { DeleteItemCommand, PutItemCommand } from '@aws-sdk/client-dynamodb';
import { marshall } from '@aws-sdk/util-dynamodb';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { CacheClient } from '../../src/cache.ts';
import { valkeyCache } from '../../src/caches/valkey.ts';
import { withLives } from '../../src/lives/with-lives.ts';
import type { VerifyReport } from '../../src/verify/report.ts';
import { versionOf } from '../../src/version.ts';
import type { View } from '../../src/view.ts';
import { views as shop } from '../../src/views/index.ts';
import { fillTable, follow, type Orders, order, randomOf, write } from '../backfill/orders.ts';
import { type BuiltCli, buildCli } from '../servers/built-cli.ts';
import { createShopTable, type DynamoDbLocal, HOW_TO_GET_JAVA, javaAvailable, startDynamoDbLocal } from '../servers/dynamodb-local.ts';
import { missing } from '../servers/requires.ts';
import { HOW_TO_GET_VALKEY, startValkey, type ValkeyServer, valkeyAvailable } from '../servers/valkey.ts';

const AWS = { AWS_REGION: 'us-east-1', AWS_ACCESS_KEY_ID: 'local', AWS_SECRET_ACCESS_KEY: 'local', AWS_EC2_METADATA_DISABLED: 'true' };
const SEED = process.env.SEED === undefined ? Math.trunc(Math.random() * 2 ** 31) : Number(process.env.SEED);
const VIEWS: readonly View[] = Object.values(shop);

let cli: BuiltCli;
beforeAll(() => {
  cli = buildCli();
}, 120_000);
afterAll(() => cli?.remove());

const millrace = (args: readonly string[], env?: NodeJS.ProcessEnv) => cli.run(args, { ...AWS, NODE_NO_WARNINGS: '1', ...env });

describe('millrace verify', () => {
  it('documents its options, the exit status and examples', async () => {
    const { status, stdout, stderr } = await millrace(['verify', '--help']);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    for (const option of [
      '--table',
      '--sample',
      '--bound',
      '--probe',
      '--repair',
      '--view',
      '--views',
      '--read-units',
      '--for',
      '--json',
    ]) {
      expect(stdout).toContain(option);
    }
    expect(stdout).toMatch(/Exit status: 0 if[\s\S]*Examples:\n/);
    expect(Math.max(...stdout.split('\n').map((line) => line.length))).toBeLessThanOrEqual(100);
  });

  it.each([
    [[], {}, /required option '--table <name>' not specified/],
    [['--table', 'orders'], {}, /CACHE_BACKEND is absent, so the cache is memory: that cache ends with this process.*or give --url/],
    [['--table', 'orders', '--sample', '2'], {}, /Give a part of 1, such as 0\.01/],
    [['--table', 'orders', '--probe', 'nothing'], {}, /Allowed choices are table, cache, stream/],
    [['--table', 'orders', '--bound', '0'], {}, /whole number from 1 to/],
    [['--table', 'orders', '--view', 'nothing'], {}, /--view nothing: there is no such view: give detail@1, admin@1/],
    [
      ['--table', 'orders', '--url', 'valkey://127.0.0.1:1', '--endpoint', 'http://127.0.0.1:1'],
      {},
      /nothing answers at http:\/\/127\.0\.0\.1:1/,
    ],
  ])('explains the fault of the arguments %j with the environment %j', async (args, env, message) => {
    const { status, stdout, stderr } = await millrace(['verify', ...args], env);
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
    expect(stderr).toMatch(message);
    expect(stderr).not.toMatch(/\n\s+at /);
  });
});

const isMissing = missing(javaAvailable(), HOW_TO_GET_JAVA) || missing(valkeyAvailable(), HOW_TO_GET_VALKEY);

describe.skipIf(isMissing)('millrace verify, of a table of DynamoDB Local and Valkey', { timeout: 120_000 }, () => {
  let local: DynamoDbLocal;
  let valkey: ValkeyServer;
  let cache: CacheClient;
  beforeAll(async () => {
    [local, valkey] = await Promise.all([startDynamoDbLocal(), startValkey()]);
  }, 60_000);
  afterAll(async () => {
    await Promise.all([local?.close(), valkey?.close()]);
  });

  let tableName = '';
  let streamArn = '';
  let tables = 0;
  beforeEach(async () => {
    tables += 1;
    ({ tableName, streamArn } = await createShopTable(local.client, `shop${tables}`));
    cache = valkeyCache({ url: valkey.url, namespace: tableName });
    await fillTable(
      orders(),
      Array.from({ length: 200 }, (_, id) => order(id, id % 20, 'new', id, 100)),
    );
    return async () => {
      await cache.close();
    };
  });

  const orders = (): Orders => ({ local, tableName, streamArn, cache, views: VIEWS });
  const options = () => ['--table', tableName, '--endpoint', local.endpoint, '--url', valkey.url, '--namespace', tableName];
  const backfill = (...args: string[]) =>
    millrace(['backfill', ...options(), '--read-units', '100000', '--checkpoint', `${tableName}.json`, ...args]);
  const fill = () => backfill('--no-lives');
  const verify = (...args: string[]) => millrace(['verify', ...options(), '--read-units', '100000', '--bound', '2', ...args]);
  const reportOf = ({ stdout }: { readonly stdout: string }) => JSON.parse(stdout) as VerifyReport;
  const viewOf = (report: VerifyReport, name: string) => report.views.find(({ view }) => view === name);

  it('says how consistent a cache is that is filled, and that a cold one gives no evidence', async () => {
    const cold = await verify();
    expect(cold.status).toBe(1);
    expect(cold.stdout).toMatch(/detail@1 +0 +200 +0 +0 +no evidence\n/);
    expect(cold.stdout).toMatch(/No evidence: the cache claimed nothing that could be compared\n$/);

    expect((await fill()).status).toBe(0);
    const { status, stdout, stderr } = await verify();
    expect({ status, stderr }).toEqual({ status: 0, stderr: expect.stringContaining('from table to cache: ') });
    expect(stdout).toMatch(/^table shop\d+: all, bound 2 s, \d+ read units\n/);
    // Each document twice: from the table, and from the cache. Of the list "all", the cache holds 150 members.
    expect(stdout).toMatch(/detail@1 +400 +0 +0 +0 +at least 98\.5 %\n/);
    expect(stdout).toMatch(/orders@1 +700 +50 +0 +0 +at least 99\.14 %\n/);
    expect(stdout).toMatch(/cart@1 +0 +0 +0 +0 +no evidence\n/);
    expect(stdout).toMatch(/No violation\n$/);
  });

  it('finds what was written by hand and what no worker deleted, names it without values, repairs it, and says so', async () => {
    await fill();
    // Nobody follows the stream, so the cache keeps what is deleted here, and does not learn what is written.
    await local.client.send(new DeleteItemCommand({ TableName: tableName, Key: marshall({ pk: 'order#5', sk: 'order' }) }));
    await local.client.send(new PutItemCommand({ TableName: tableName, Item: marshall(order(190, 3, 'private', 190, 100)) }));
    await local.client.send(new PutItemCommand({ TableName: tableName, Item: marshall(order(300, 3, 'private', 300, 100)) }));
    const version = versionOf('2026-01-01T00:00:00.000', '1');
    await cache.apply([{ kind: 'document', type: 'delete', key: 'detail@1:9', version }]);

    const json = await verify('--json');
    expect(json.status).toBe(1);
    const report = reportOf(json);
    expect(viewOf(report, 'detail@1')).toMatchObject({ violations: { 'old-value': 2, ghost: 1, 'hidden-item': 2, 'extra-member': 0 } });
    // The order 190 has another creator now.
    expect(viewOf(report, 'orders@1')?.violations).toMatchObject({ 'missing-member': 3, 'extra-member': 2, ghost: 0 });
    expect(json.stdout).not.toContain('private');

    const repaired = await verify('--repair');
    expect(repaired.status).toBe(1);
    expect(repaired.stdout).toMatch(/detail@1: 5 repaired\n/);
    expect(repaired.stdout).toMatch(/└ ghost detail@1:5, item \["order#5","order"\], probe cache, repaired\n/);
    expect(repaired.stdout).toMatch(/\d+ violations\n$/);

    const after = await verify('--json');
    expect(after.status).toBe(0);
    expect(await cache.get('detail@1:5')).toMatchObject({ type: 'gone' });
    expect(await cache.list('orders@1:all', { limit: 1 })).toMatchObject({ complete: true, members: [{ value: { id: '300' } }] });
  });

  it('takes a sample of a table that is written and followed meanwhile, and finds nothing wrong', async () => {
    await fill();
    const random = randomOf(SEED);
    const following = await follow(orders());
    const stopWriting = write(orders(), 200, (n) => Math.floor(random() * n));
    const [{ status, stdout }, stream] = await Promise.all([
      // A busy machine may let the worker lag behind for some seconds.
      verify('--sample', '0.3', '--probe', 'table', '--probe', 'cache', '--bound', '10', '--json'),
      verify('--probe', 'stream', '--for', '5', '--bound', '10', '--json'),
    ]);
    await stopWriting();
    await following.stop();
    const report = reportOf({ stdout });
    expect({ status, stream: stream.status }, `seed ${SEED}: ${stdout} ${stream.stdout}`).toEqual({ status: 0, stream: 0 });
    expect(report.segments).toEqual({ read: 20, of: 67 });
    expect(viewOf(report, 'detail@1')?.observations).toBeGreaterThan(20);
    expect(viewOf(reportOf(stream), 'detail@1')?.probes.stream.observations).toBeGreaterThan(100);
  });

  it('verifies the lives that readers read, and no ended ones', async () => {
    const worker = withLives(cache, { views: VIEWS, waitMs: 0 });
    await worker.apply([]);
    expect((await backfill()).status).toBe(0);
    const json = '{"of":"an ended life"}';
    await cache.apply([
      { kind: 'document', type: 'put', key: 'detail@1.0000ended0:9', json, version: versionOf('2026-01-01T00:00:00.000', '1') },
    ]);
    const [life] = [(await worker.lives()).get('detail@1')?.life];
    const right = await verify('--json', '--probe', 'table', '--probe', 'cache');
    expect({ status: right.status, life }).toEqual({ status: 0, life: expect.stringMatching(/^[a-z\d]{10}$/) });
    expect(viewOf(reportOf(right), 'detail@1')?.probes).toMatchObject({ table: { equal: 200 }, cache: { equal: 200 } });
    await worker.apply([{ kind: 'document', type: 'put', key: 'detail@1:none', json, version: versionOf('2026-01-01T00:00:00.000', '1') }]);
    const wrong = await verify('--json', '--probe', 'cache');
    expect(wrong.status).toBe(1);
    expect(viewOf(reportOf(wrong), 'detail@1')?.examples).toMatchObject([{ fault: 'ghost', key: 'detail@1:none' }]);
  });

  it('stops at a signal, and says so', async () => {
    await fill();
    await cache.apply([{ kind: 'document', type: 'delete', key: 'detail@1:9', version: versionOf('2026-01-01T00:00:00.000', '1') }]);
    const args = ['verify', ...options(), '--bound', '600', '--probe', 'table', '--read-units', '100000'];
    const child = spawn(process.execPath, [cli.path, ...args], { cwd: cli.home, env: { ...process.env, ...AWS, NODE_NO_WARNINGS: '1' } });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (data: Buffer) => (output += data));
    while (!output.includes('looking again at what differed')) await sleep(50);
    child.kill('SIGINT');
    const [status] = (await once(child, 'exit')) as [number];
    expect(status).toBe(1);
    expect(output).toMatch(/detail@1: 1 address undecided\n[\s\S]*Interrupted: run the command again for the rest\n$/);
  });
});
