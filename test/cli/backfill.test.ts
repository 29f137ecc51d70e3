import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { CacheClient } from '../../src/cache.ts';
import { valkeyCache } from '../../src/caches/valkey.ts';
import { type LivingCache, withLives } from '../../src/lives/with-lives.ts';
import type { View } from '../../src/view.ts';
import { views as shop } from '../../src/views/index.ts';
import { beginNow, faultsOf, fillTable, follow, type Orders, order, randomOf, write } from '../backfill/orders.ts';
import { type BuiltCli, buildCli } from '../servers/built-cli.ts';
import { createShopTable, type DynamoDbLocal, HOW_TO_GET_JAVA, javaAvailable, startDynamoDbLocal } from '../servers/dynamodb-local.ts';
import { until } from '../servers/processes.ts';
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

const ENV = { ...AWS, NODE_NO_WARNINGS: '1' };
const millrace = (args: readonly string[], env?: NodeJS.ProcessEnv) => cli.run(args, { ...ENV, ...env });

describe('millrace backfill', () => {
  it('documents its options, the exit status and examples', async () => {
    const { status, stdout, stderr } = await millrace(['backfill', '--help']);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    for (const option of [
      '--table',
      '--dry-run',
      '--view',
      '--views',
      '--segments',
      '--read-units',
      '--checkpoint',
      '--dead-letters',
      '--fresh',
      '--no-lives',
      '--url',
    ]) {
      expect(stdout).toContain(option);
    }
    expect(stdout).toMatch(/Exit status: 0 if[\s\S]*Examples:\n/);
    expect(Math.max(...stdout.split('\n').map((line) => line.length))).toBeLessThanOrEqual(100);
  });

  it.each([
    [[], {}, /required option '--table <name>' not specified/],
    [['--table', 'orders'], {}, /CACHE_BACKEND is absent, so the cache is memory: that cache ends with this process.*or give --url/],
    [['--table', 'orders', '--backend', 'memory'], {}, /the options are wrong:\n {2}--backend is "memory": that cache ends/],
    [['--table', 'orders', '--dry-run', '--view', 'nothing'], {}, /--view nothing: there is no such view: give detail@1, admin@1/],
    [['--table', 'orders', '--dry-run', '--read-units', '0'], {}, /positive whole number/],
    [['--table', 'orders', '--dry-run', '--endpoint', 'http://127.0.0.1:1'], {}, /nothing answers at http:\/\/127\.0\.0\.1:1/],
    [['--table', 'orders', '--dry-run'], { AWS_REGION: undefined }, /no AWS Region is known/],
    [['--table', 'orders', '--dry-run', '--dead-letters', 'ftp://x'], {}, /--dead-letters is "ftp:\/\/x"/],
  ])('explains the fault of the arguments %j with the environment %j', async (args, env, message) => {
    const { status, stdout, stderr } = await millrace(['backfill', ...args], env);
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
    expect(stderr).toMatch(message);
    expect(stderr).not.toMatch(/\n\s+at /);
  });
});

const isMissing = missing(javaAvailable(), HOW_TO_GET_JAVA) || missing(valkeyAvailable(), HOW_TO_GET_VALKEY);

describe.skipIf(isMissing)('millrace backfill, of a table of DynamoDB Local into Valkey', { timeout: 120_000 }, () => {
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
  let random = randomOf(SEED);
  beforeEach(async () => {
    tables += 1;
    random = randomOf(SEED + tables);
    ({ tableName, streamArn } = await createShopTable(local.client, `shop${tables}`));
    cache = valkeyCache({ url: valkey.url, namespace: tableName });
    return async () => {
      await cache.close();
    };
  });

  const options = () => ['--endpoint', local.endpoint, '--url', valkey.url, '--namespace', tableName];
  const living = (...args: string[]) => millrace(['backfill', '--table', tableName, ...options(), '--read-units', '100000', ...args]);
  const backfill = (...args: string[]) => living('--no-lives', ...args);

  const orders = (): Orders => ({ local, tableName, streamArn, cache, views: VIEWS });
  const upTo = (n: number) => Math.floor(random() * n);

  it('estimates without a cache, and changes nothing', async () => {
    await fillTable(
      orders(),
      Array.from({ length: 100 }, (_, id) => order(id, id % 20, 'new', id)),
    );
    const { status, stdout } = await millrace(['backfill', '--table', tableName, '--endpoint', local.endpoint, '--dry-run']);
    expect(status).toBe(0);
    expect(stdout).toMatch(/^table shop\d+: about 100 items, 0\.\d MB\. A dry run: nothing was read, and nothing was filled\n/);
    expect(stdout).toMatch(/documents +100 +0\.00 +1 s/);
    expect(stdout).toContain('the price is 0.125 USD for a million read request units, on demand, us-east-1');
    const { stdout: json } = await millrace(['backfill', '--table', tableName, '--endpoint', local.endpoint, '--dry-run', '--json']);
    expect(JSON.parse(json)).toMatchObject({
      items: 100,
      readUnitsPerSecond: 500,
      reads: [{ what: 'mark' }, { what: 'documents', units: 100 }, {}, {}],
    });
  });

  it('fills the cache, seals the lists, and says so', async () => {
    await fillTable(
      orders(),
      Array.from({ length: 300 }, (_, id) => order(id, id % 20, 'new', id)),
    );
    await fillTable(orders(), [
      { pk: 'legacy#1', sk: 'id' },
      { pk: 'cart#1', sk: 'product#p1', quantity: 1 },
    ]);
    const { status, stdout, stderr } = await backfill();
    expect({ status, stderr }).toEqual({
      status: 0,
      stderr: expect.stringContaining('filling documents, marking lists, from item 0 of about 302'),
    });
    expect(stdout).toMatch(/302 items of table shop/);
    expect(stdout).toMatch(/detail@1 +300 +300 documents filled\n/);
    expect(stdout).toMatch(/orders@1 +600 +21 lists sealed\n/);
    expect(stdout).toMatch(/cart@1 +1 +1 list sealed\n/);
    expect(stdout).toMatch(/1 item that no view projects\n/);
    expect(stdout).toMatch(/All is filled\n$/);
    expect(await faultsOf(orders())).toEqual([]);
    expect(existsSync(join(cli.home, '.millrace/backfill', `${tableName}.json`))).toBe(false);

    const again = await backfill('--json', '--view', 'detail', '--view', 'admin@1');
    expect(JSON.parse(again.stdout)).toMatchObject({
      status: 'done',
      views: [{ view: 'detail@1', entries: 300, documents: { filled: 0, held: 300, lost: 0, skipped: 0 }, threw: 0 }, { view: 'admin@1' }],
    });
  });

  it('ends equal to a table that is written and followed meanwhile, and is killed at random moments', async () => {
    const ORDERS = 1_500;
    await fillTable(
      orders(),
      Array.from({ length: ORDERS }, (_, id) => order(id, id % 20, 'new', upTo(1_000), 4_000)),
    );
    // It follows what is written from here on: no record tells of the orders before.
    const following = await follow(orders());
    const stopWriting = write(orders(), ORDERS, upTo);
    const args = [
      ...['backfill', '--table', tableName, ...options(), '--no-lives'],
      '--read-units',
      '1500',
      '--segments',
      '5',
      '--checkpoint',
      `${tableName}.json`,
    ];
    let kills = 0;
    let last: { readonly status: number | null; readonly output: string } | undefined;
    for (let tries = 0; tries < 12; tries += 1) {
      const child = spawn(process.execPath, [cli.path, ...args], { cwd: cli.home, env: { ...process.env, ...ENV } });
      const output = outputOf(child);
      const ended = once(child, 'exit');
      const isOver = tries < 8 ? await Promise.race([ended.then(() => true), sleep(400 + upTo(2_000), false)]) : true;
      if (!isOver) child.kill('SIGKILL');
      const [status, signal] = (await ended) as [number | null, string | null];
      last = { status, output: output() };
      if (signal === null) break;
      kills += 1;
    }
    await stopWriting();
    await following.drained();
    await following.stop();
    expect(kills, `seed ${SEED}`).toBeGreaterThan(0);
    expect(last, `seed ${SEED}`).toMatchObject({ status: 0 });
    expect(last?.output).toMatch(/All is filled/);
    expect(last?.output).not.toMatch(/Warning/);
    expect(await faultsOf(orders()), `seed ${SEED}`).toEqual([]);
  });

  it('stops at Ctrl-C, says how to go on, and goes on', async () => {
    await fillTable(
      orders(),
      Array.from({ length: 800 }, (_, id) => order(id, id % 20, 'new', id)),
    );
    const args = ['backfill', '--table', tableName, ...options(), '--no-lives', '--read-units', '300', '--checkpoint', 'stopped.json'];
    const child = spawn(process.execPath, [cli.path, ...args], { cwd: cli.home, env: { ...process.env, ...ENV } });
    const output = outputOf(child);
    await sleep(2_000);
    const other = await backfill('--checkpoint', 'stopped.json');
    expect(other).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(/--checkpoint stopped\.json: process \d+ on .* uses it: wait for its end/),
    });
    child.kill('SIGINT');
    const [status] = (await once(child, 'exit')) as [number];
    expect(status).toBe(1);
    expect(output()).toMatch(/Interrupted\. To go on: run the same command again; stopped\.json has the position/);

    for (const [more, message] of [
      [['--segments', '3'], /it has 8 segments, and --segments is 3\. Give the same options as then to go on, or delete the file/],
      [['--view', 'detail'], /it is of the views admin@1, cart@1, detail@1, orders@1, and these are detail@1/],
      [['--namespace', 'other'], /it is of another cache/],
    ] as const) {
      const { status, stderr } = await backfill('--checkpoint', 'stopped.json', ...more);
      expect({ status, stderr }).toEqual({ status: 1, stderr: expect.stringMatching(message) });
    }
    const resumed = await backfill('--checkpoint', 'stopped.json');
    expect(resumed).toMatchObject({ status: 0, stderr: expect.stringContaining('going on from stopped.json') });
    expect(await faultsOf(orders())).toEqual([]);
    expect(readdirSync(cli.home).filter((name) => name.startsWith('stopped'))).toEqual([]);
  });

  it('runs twice at the same time', async () => {
    await fillTable(
      orders(),
      Array.from({ length: 400 }, (_, id) => order(id, id % 20, 'new', id)),
    );
    const results = await Promise.all(['one', 'two'].map((name) => backfill('--checkpoint', `${name}.json`, '--json')));
    for (const { stdout } of results) expect(JSON.parse(stdout)).toMatchObject({ status: 'done', items: 400 });
    // A list has the mark of one of them, so that one may have sealed it.
    const third = await backfill();
    expect(third.status).toBe(0);
    expect(await faultsOf(orders())).toEqual([]);
  });

  it('sets aside items on which a view throws, seals none of its lists, and a redrive takes them up', async () => {
    await fillTable(
      orders(),
      Array.from({ length: 40 }, (_, id) => order(id, id % 4, id === 7 ? 'bad' : 'new', id)),
    );
    const module = (isMended: boolean) => `
      const parse = (item) => item;
      const entity = { name: 'order', owns: ({ sk }) => sk === 'order', schema: { parse }, secretKeys: ['pk'] };
      const check = ({ status }) => { if (!${isMended} && status === 'bad') throw new Error('stumbles'); };
      export const doc = { kind: 'document', name: 'doc', revision: 1, entity, project: (item) => { check(item); return [{ key: item.id, value: item.status }]; } };
      export const lines = { kind: 'list', name: 'lines', revision: 1, keep: 5, entity, project: (item) => { check(item); return [{ list: item.creator, score: item.numItems, value: item.id }]; } };
      export const sound = { kind: 'list', name: 'sound', revision: 1, keep: 5, entity, project: (item) => [{ list: item.creator, score: item.numItems, value: item.id }] };`;
    writeFileSync(join(cli.home, 'bad.mjs'), module(false));
    writeFileSync(join(cli.home, 'mended.mjs'), module(true));
    const { status, stdout } = await backfill('--views', 'bad.mjs', '--dead-letters', 'letters');
    expect(status).toBe(1);
    expect(stdout).toMatch(/doc@1 +39 +39 documents filled\n/);
    expect(stdout).toMatch(/lines@1 +39 +0 lists sealed\n/);
    expect(stdout).toMatch(/\nlines@1: it threw on 1 item, so none of its lists is sealed\n└ view lines cannot project/);
    expect(stdout).toMatch(/sound@1 +40 +4 lists sealed\n/);
    expect(stdout).toMatch(/└ view doc cannot project \["#[\da-f]{8}","order"\]: it threw Error\n/);
    expect(stdout).not.toContain('order#7');
    expect(stdout).toMatch(/run the command again with --view doc@1 --view lines@1, and millrace redrive letters\n/);
    expect(await cache.get('doc@1:7')).toMatchObject({ type: 'miss' });
    expect(await cache.list('lines@1:creator3', { limit: 3 })).toMatchObject({ complete: false });

    const letters = readdirSync(join(cli.home, 'letters'), { recursive: true, withFileTypes: true }).filter((file) => file.isFile());
    expect(letters).toHaveLength(1);
    const text = readFileSync(join(letters[0]?.parentPath ?? '', letters[0]?.name ?? ''), 'utf8');
    expect(JSON.parse(text).millrace.causes.map(({ view }: { view: string }) => view)).toEqual(['doc@1', 'lines@1']);

    const redriven = await millrace(['redrive', 'letters', '--views', 'mended.mjs', ...options()]);
    expect(redriven).toMatchObject({ status: 0, stdout: expect.stringContaining('All letters are settled') });
    expect(await cache.get('doc@1:7')).toMatchObject({ type: 'hit', value: 'bad' });
    const mended = await backfill('--views', 'mended.mjs', '--view', 'lines');
    expect(mended.status).toBe(0);
    expect(await cache.list('lines@1:creator3', { limit: 3 })).toMatchObject({
      complete: true,
      members: [{ value: '39' }, { value: '35' }, { value: '31' }],
    });
  });

  describe('of views with lives', () => {
    let reader: LivingCache;
    beforeEach(() => {
      reader = withLives(valkeyCache({ url: valkey.url, namespace: tableName }), { askMs: 50 });
      return async () => {
        await reader.close();
      };
    });
    const run = (...args: string[]) => {
      const child = spawn(process.execPath, [cli.path, 'backfill', '--table', tableName, ...options(), ...args], {
        cwd: cli.home,
        env: { ...process.env, ...ENV },
      });
      return { child, output: outputOf(child), ended: once(child, 'exit') as Promise<[number | null]> };
    };
    const livesNow = async () => {
      await sleep(60);
      return await reader.lives();
    };

    it('asks whether the views have lives, where the cache does not tell', async () => {
      for (const [args, message] of [
        [[], /the cache has no register of lives.* Give --lives if the worker uses withLives, as the functions of the templates/],
        [['--fresh'], /Give --lives if the worker uses withLives/],
        [['--no-lives', '--fresh'], /--fresh starts new lives, and --no-lives says that there are none/],
      ] as const) {
        expect(await living(...args)).toEqual({ status: 1, stdout: '', stderr: expect.stringMatching(message) });
      }
      await reader.start([{ name: 'other', revision: 1 }]);
      const refused = await living('--no-lives');
      expect(refused).toMatchObject({ status: 1, stderr: expect.stringMatching(/the views of this cache have lives.*omit it/) });
      expect([...(await livesNow()).keys()]).toEqual(['other@1']);
    });

    it('starts lives, waits for them, stops at Ctrl-C, and goes on with the same lives', async () => {
      await fillTable(
        orders(),
        Array.from({ length: 60 }, (_, id) => order(id, id % 20, 'new', id)),
      );
      const other = (await reader.start([{ name: 'other', revision: 1 }])).get('other@1');
      const first = run('--view', 'detail', '--view', 'orders');
      await until('the command to wait', () =>
        /waiting until [\d:]+, when detail@1, orders@1 can be filled: \d+ s left/.test(first.output()),
      );
      first.child.kill('SIGINT');
      expect(await first.ended).toEqual([1, null]);
      expect(first.output()).toMatch(/Interrupted\. To go on: run the same command again/);
      const lives = await livesNow();
      expect([...lives.keys()]).toEqual(['other@1', 'detail@1', 'orders@1']);
      expect(lives.get('other@1')).toEqual(other);

      // The time is over.
      await beginNow(cache);
      const second = await living('--view', 'detail', '--view', 'orders');
      expect(second).toMatchObject({ status: 0, stderr: expect.stringContaining('going on from') });
      expect((await livesNow()).get('detail@1')?.life).toBe(lives.get('detail@1')?.life);
      expect(
        await faultsOf({ ...orders(), cache: reader, views: VIEWS.filter(({ name }) => ['detail', 'orders'].includes(name)) }),
      ).toEqual([]);
      expect(await cache.get('detail@1:7')).toMatchObject({ type: 'miss' });
      // Without new lives there is nothing to wait for, and nothing to fill.
      const third = await living('--view', 'detail', '--json');
      expect(JSON.parse(third.stdout)).toMatchObject({ views: [{ documents: { held: 60, filled: 0 } }] });
    });

    it('ends when a life ends, says so, and begins again', async () => {
      await fillTable(
        orders(),
        Array.from({ length: 600 }, (_, id) => order(id, id % 20, 'new', id)),
      );
      await reader.start(VIEWS);
      await beginNow(cache);
      const first = run('--read-units', '60');
      await until(
        'the first page',
        async () => (await livesNow()) && existsSync(join(cli.home, '.millrace/backfill', `${tableName}.json`)),
      );
      await sleep(1_000);
      const [fresh] = await reader.start([shop.orders], { fresh: true }).then((lives) => [...lives.values()]);
      expect(await first.ended).toEqual([1, null]);
      expect(first.output()).toMatch(
        /Not all is filled: the life of orders@1 ended meanwhile\. To begin again, run the same command again/,
      );
      await beginNow(cache);
      const second = await living();
      expect(second).toMatchObject({ status: 0, stderr: expect.stringContaining('beginning again: lives that') });
      expect((await livesNow()).get('orders@1')?.life).toBe(fresh?.life);
      expect(await faultsOf({ ...orders(), cache: reader })).toEqual([]);
    });

    it('fills a new revision beside the earlier one, as the runbook says, and prunes what the earlier one left', async () => {
      await fillTable(
        orders(),
        Array.from({ length: 40 }, (_, id) => order(id, id % 4, 'new', id)),
      );
      const list = (revision: number) => `{ kind: 'list', name: 'lines', revision: ${revision}, keep: 50, entity,
        project: (item) => [{ list: item.creator, score: item.numItems, value: 'r${revision} ' + item.id }] }`;
      const entity = `{ name: 'order', owns: ({ sk }) => sk === 'order', schema: { parse: (item) => item } }`;
      writeFileSync(join(cli.home, 'lines.mjs'), `const entity = ${entity};\nexport const views = [${list(1)}, ${list(2)}];`);
      const deploy = async (...revisions: number[]) => {
        const views = revisions.map((revision) => ({ name: 'lines', revision }));
        await withLives({ ...cache, close: async () => {} }, { views, waitMs: 0 }).apply([]);
      };
      await deploy(1);
      expect(await living('--views', 'lines.mjs', '--view', 'lines@1')).toMatchObject({ status: 0 });

      await deploy(1, 2);
      expect(await living('--views', 'lines.mjs', '--view', 'lines@2')).toMatchObject({ status: 0 });
      for (const revision of [1, 2]) {
        const { members, complete } = await reader.list(`lines@${revision}:creator3`, { limit: 50 });
        expect([members.length, members[0]?.value, complete]).toEqual([10, `r${revision} 39`, true]);
      }
      const earlier = (await livesNow()).get('lines@1')?.life;

      await deploy(2);
      const { status, stdout, stderr } = await millrace(['prune', '--url', valkey.url, '--namespace', tableName, '--json']);
      expect([status, stderr]).toEqual([0, '']);
      expect(JSON.parse(stdout).owners).toEqual([
        { name: `lines@1.${earlier}`, live: false, keys: expect.any(Number) },
        { name: expect.stringMatching(/^lines@2\./), live: true, keys: expect.any(Number) },
      ]);
      expect((await cache.list(`lines@1.${earlier}:creator3`, { limit: 1 })).members).toEqual([]);
      await livesNow();
      expect(await reader.list('lines@1:creator3', { limit: 1 })).toEqual({ members: [], complete: false });
      expect(await reader.list('lines@2:creator3', { limit: 50 })).toMatchObject({ complete: true });
    });

    it('goes on with a checkpoint of --fresh by --fresh only', async () => {
      await reader.start(VIEWS);
      await beginNow(cache);
      const before = await livesNow();
      const first = run('--fresh', '--checkpoint', 'fresh.json');
      await until('the command to wait', () => first.output().includes('waiting until'));
      first.child.kill('SIGINT');
      await first.ended;
      const after = await livesNow();
      for (const [view, { life }] of before) expect(after.get(view)?.life).not.toBe(life);
      await beginNow(cache);
      expect(await living('--checkpoint', 'fresh.json')).toMatchObject({
        status: 1,
        stderr: expect.stringContaining('it is of a backfill with --fresh'),
      });
      const second = await living('--fresh', '--checkpoint', 'fresh.json');
      expect(second).toMatchObject({
        status: 0,
        stderr: expect.stringMatching(/going on from fresh\.json, which began .*, with the lives that it started then/),
      });
      expect([...(await livesNow()).values()].map(({ life }) => life)).toEqual([...after.values()].map(({ life }) => life));
    });
  });
});

function outputOf({ stdout, stderr }: ChildProcess): () => string {
  let text = '';
  for (const stream of [stdout, stderr]) stream?.on('data', (data: Buffer) => (text += data));
  return () => text;
}
