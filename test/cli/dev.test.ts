import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, cpSync, existsSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { DeleteItemCommand, DynamoDBClient, PutItemCommand, paginateScan } from '@aws-sdk/client-dynamodb';
import { marshall, unmarshall } from '@aws-sdk/util-dynamodb';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { CacheClient, PageMember } from '../../src/cache.ts';
import { valkeyCache } from '../../src/caches/valkey.ts';
import { itemOf } from '../../src/change.ts';
import { changeLines } from '../../src/cli/dev/change-lines.ts';
import { outageLines } from '../../src/cli/dev/outage-lines.ts';
import { ViewError } from '../../src/errors.ts';
import { withLives } from '../../src/lives/with-lives.ts';
import { FLOOR } from '../../src/version.ts';
import { keyOf } from '../../src/view.ts';
import { views } from '../../src/views/index.ts';
import { project } from '../properties/world/table.ts';
import { type BuiltCli, buildCli } from '../servers/built-cli.ts';
import { createShopTable, type DynamoDbLocal, HOW_TO_GET_JAVA, javaAvailable, startDynamoDbLocal } from '../servers/dynamodb-local.ts';
import { freePort, type OwnedProcess, own, until } from '../servers/processes.ts';
import { missing } from '../servers/requires.ts';
import { HOW_TO_GET_VALKEY, startValkey, type ValkeyServer, valkeyAvailable } from '../servers/valkey.ts';

/** How long the cache is away, s. Default: 5. Set 3600 for a long outage. */
const OUTAGE_SECONDS = Number(process.env.OUTAGE_SECONDS ?? 5);
const ORDERS = 40;
const WITHOUT_AWS = Object.fromEntries([
  ...Object.entries(process.env).filter(([name]) => !name.startsWith('AWS_')),
  ['AWS_EC2_METADATA_DISABLED', 'true'],
  ['AWS_CONFIG_FILE', 'nowhere'],
]);
const all = Object.values(views);

interface Printed {
  readonly type: string;
  readonly item?: string;
  readonly result?: string;
  readonly reason?: string;
}

/** `millrace dev`, a process of its own. */
class Worker {
  printed = '';
  /** On stderr. */
  said = '';
  readonly #process: OwnedProcess;

  private constructor(process: OwnedProcess) {
    this.#process = process;
  }

  static async start(cli: BuiltCli, args: readonly string[], isReady: (printed: string) => boolean = () => true): Promise<Worker> {
    const child = spawn(process.execPath, ['--no-warnings', cli.path, 'dev', ...args], {
      cwd: cli.home,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let [printed, said] = ['', ''];
    child.stdout.on('data', (text) => {
      printed += text;
      if (worker) worker.printed = printed;
    });
    child.stderr.on('data', (text) => {
      said += text;
      if (worker) worker.said = said;
    });
    let worker: Worker | undefined;
    worker = new Worker(await own(child, { name: 'millrace dev', ready: () => isReady(printed) }));
    [worker.printed, worker.said] = [printed, said];
    return worker;
  }

  get pid(): number {
    return this.#process.pid;
  }

  get lines(): readonly Printed[] {
    return this.printed
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line));
  }

  end = (signal: 'SIGTERM' | 'SIGKILL') => this.#process.end(signal);
}

/** Inserts, changes and deletes orders until `stop` is called. */
function startLoad(client: DynamoDBClient, tableName: string): { stop(): Promise<number> } {
  let stopped = false;
  let writes = 0;
  const work = async (first: number): Promise<void> => {
    for (let i = first; !stopped; i += 1) {
      const id = String((i * 7) % ORDERS);
      const key = { pk: `order#${id}`, sk: 'order' };
      if (i % 11 === 0) await client.send(new DeleteItemCommand({ TableName: tableName, Key: marshall(key) }));
      else {
        const createdAt = `2026-11-22T12:00:${id.padStart(2, '0')}.000Z`;
        const order = { ...key, id, createdAt, status: `status ${i}`, numItems: i, items: [], creator: `creator ${i % 3}` };
        await client.send(new PutItemCommand({ TableName: tableName, Item: marshall(order) }));
      }
      writes += 1;
      await sleep(5);
    }
  };
  const workers = [work(0), work(1_000_003)];
  return {
    async stop() {
      stopped = true;
      await Promise.all(workers);
      return writes;
    },
  };
}

/** The expected contents of the cache, by address. */
async function projectedTable(client: DynamoDBClient, tableName: string) {
  const documents = new Map<string, unknown>();
  const lists = new Map<string, Map<string, unknown>>();
  for await (const { Items = [] } of paginateScan({ client }, { TableName: tableName, ConsistentRead: true })) {
    for (const image of Items.map((item) => unmarshall(item))) {
      const item = itemOf({ pk: image.pk, sk: image.sk });
      for (const entry of project(all, item, image)) {
        if (entry.kind === 'document') documents.set(entry.key, JSON.parse(entry.json));
        else lists.set(entry.list, (lists.get(entry.list) ?? new Map()).set(entry.member, JSON.parse(entry.json)));
      }
    }
  }
  return { documents, lists };
}

/** Empty if the cache holds exactly the projected table. */
async function differences(cache: CacheClient, client: DynamoDBClient, tableName: string): Promise<string[]> {
  const { documents, lists } = await projectedTable(client, tableName);
  const found: string[] = [];
  const same = (at: string, held: unknown, wanted: unknown) => {
    if (JSON.stringify(held) !== JSON.stringify(wanted)) found.push(`${at}: ${JSON.stringify(held)} instead of ${JSON.stringify(wanted)}`);
  };
  for (const view of [views.detail, views.admin]) {
    const keys = Array.from({ length: ORDERS }, (_, id) => keyOf(view, String(id)));
    for (const [i, lookup] of (await cache.getMany(keys)).entries()) {
      const key = keys[i] as string;
      same(key, lookup.type === 'hit' ? lookup.value : undefined, documents.get(key));
    }
  }
  for (const name of ['all', 'creator:creator 0', 'creator:creator 1', 'creator:creator 2']) {
    const list = keyOf(views.orders, name);
    const { members } = await cache.list(list, { limit: 1_000 });
    const byName = (rows: Iterable<readonly [string, unknown]>) => [...rows].sort(([a], [b]) => (a < b ? -1 : 1));
    same(list, byName(members.map(({ member, value }: PageMember) => [member, value])), byName(lists.get(list) ?? []));
  }
  return found;
}

const order = {
  pk: 'order#1',
  sk: 'order',
  id: '1',
  createdAt: '2026-11-22T12:00:00Z',
  status: 'new',
  numItems: 0,
  items: [],
  creator: 'a',
};

function clientOf(port: number): DynamoDBClient {
  const credentials = { accessKeyId: 'local', secretAccessKey: 'local' };
  return new DynamoDBClient({ endpoint: `http://127.0.0.1:${port}`, region: 'us-east-1', credentials });
}

async function answers(port: number): Promise<boolean> {
  return (await fetch(`http://127.0.0.1:${port}`).catch(() => undefined)) !== undefined;
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

describe('changeLines', () => {
  const letters = { kind: 's3', bucket: 'dead', prefix: 'letters/' } as const;
  const lines = (options: { readonly json: boolean; readonly lag: boolean; readonly show?: boolean }) => {
    const out = new PassThrough();
    return { lines: changeLines({ show: false, letters, ...options, out }), printed: () => String(out.read() ?? '') };
  };
  const insert = { kind: 'INSERT', table: 'shop', keys: { pk: 'a' }, item: '["a"]', version: FLOOR, at: 1, expired: false } as const;
  const done = { change: insert, status: 'done', applied: 1, stale: 0, rejected: 0, causes: [] } as const;

  it('prints the lag only if the stream contains the second of a write', () => {
    const [aws, local] = [lines({ json: true, lag: true }), lines({ json: true, lag: false })];
    for (const it of [aws, local]) it.lines.report({ records: [done] });
    expect(JSON.parse(aws.printed())).toMatchObject({ item: '["a"]', lagMs: expect.any(Number) });
    expect(JSON.parse(local.printed())).not.toHaveProperty('lagMs');
  });

  it('prints a cause once for several views, with the fields and the full path of the letter', () => {
    const error = (view: string) =>
      new ViewError(`view ${view} cannot project the new image of ["a"]: items has a part that is not a valid string`, {
        cause: { issues: [{ path: ['items', 0, 'size'], expected: 'string' }] },
      });
    const causes = ['detail', 'admin'].map((view) => ({ stage: 'view', view: `${view}@1`, error: error(view) }) as const);
    const record = { ...done, causes, letter: 'millrace/shop/a.json' };
    const [text, json] = [lines({ json: false, lag: false }), lines({ json: true, lag: false })];
    for (const it of [text, json]) it.lines.report({ records: [record] });
    expect(text.printed().split('\n').slice(1)).toEqual([
      expect.stringContaining('└ detail@1, admin@1: cannot project the new image of ["a"]: items[0].size is not a valid string'),
      expect.stringContaining('└ letter s3://dead/letters/millrace/shop/a.json'),
      '',
    ]);
    expect(JSON.parse(json.printed())).toMatchObject({
      keys: { pk: 'a' },
      causes: [
        { view: 'detail@1', fields: ['items[0].size'] },
        { view: 'admin@1', fields: ['items[0].size'] },
      ],
      letter: 'millrace/shop/a.json',
      letterPath: 's3://dead/letters/millrace/shop/a.json',
    });
  });

  it("prints the full path of Lambda's letters", () => {
    const delivered = {
      type: 'delivered',
      shardId: 's',
      sequenceNumbers: ['7'],
      condition: 'RecordAgeExceeded',
      name: 'aws/lambda/a',
    } as const;
    const [text, json] = [lines({ json: false, lag: false }), lines({ json: true, lag: false })];
    for (const it of [text, json]) it.lines.event(delivered);
    expect(text.printed()).toContain('RecordAgeExceeded: 1 records, in s3://dead/letters/aws/lambda/a\n');
    expect(JSON.parse(json.printed())).toMatchObject({ name: 'aws/lambda/a', letterPath: 's3://dead/letters/aws/lambda/a' });
  });

  it('prints the keys and values that a record wrote only if asked', () => {
    const mutations = [
      { kind: 'document', type: 'put', key: 'detail@1:a', json: '{"id":"a"}', version: FLOOR },
      { kind: 'member', type: 'delete', list: 'orders@1:all', member: '["a"]', score: 5, keep: 9, version: FLOOR },
      { kind: 'document', type: 'forget', key: 'admin@1:a', version: FLOOR },
    ] as const;
    const outcomes = [{ type: 'applied' }, { type: 'applied' }, { type: 'stale' }] as const;
    const [text, json, silent] = [
      lines({ json: false, lag: false, show: true }),
      lines({ json: true, lag: false, show: true }),
      lines({ json: true, lag: false }),
    ];
    for (const it of [text, json, silent]) {
      it.lines.wrote(mutations, outcomes);
      it.lines.report({ records: [done] });
    }
    expect(text.printed().split('\n').slice(1)).toEqual([
      expect.stringContaining('└ put detail@1:a {"id":"a"}'),
      expect.stringContaining('└ delete orders@1:all ["a"] at 5'),
      expect.stringContaining('└ forget admin@1:a (stale)'),
      '',
    ]);
    expect(JSON.parse(json.printed()).entries).toEqual([
      { outcome: 'applied', type: 'put', key: 'detail@1:a', value: { id: 'a' } },
      { outcome: 'applied', type: 'delete', key: 'orders@1:all', member: '["a"]', score: 5 },
      { outcome: 'stale', type: 'forget', key: 'admin@1:a' },
    ]);
    expect(silent.printed()).not.toContain('entries');
  });

  it('prints the reason of failed records once', () => {
    const it = lines({ json: false, lag: false });
    const failed = { ...done, status: 'failed', applied: 0, error: new Error('the cache is full') } as const;
    it.lines.report({ records: [done, failed, { ...failed, error: new Error('an earlier record failed') }] });
    const partial = { type: 'failed', requestId: '1', shardId: 's', sequenceNumbers: ['7'], reason: 'partial' } as const;
    it.lines.event({ ...partial, error: new Error('the function reported 7 as failed') });
    const printed = it.printed();
    expect(printed).toMatch(/failed.* \["a"\] and 1 more: the cache is full\n$/);
    expect(printed.split('\n')).toHaveLength(3);
  });

  it('prints once that checkpoints cannot be saved, until one is saved', () => {
    const it = lines({ json: false, lag: false });
    const unsaved = { type: 'checkpoint-failed', shardId: 's', error: new Error('EACCES') } as const;
    for (let i = 0; i < 3; i += 1) it.lines.event(unsaved);
    expect(it.printed().match(/EACCES; changes still reach the cache, and are replayed after a restart/g)).toHaveLength(1);
    it.lines.event({ type: 'checkpoint', shardId: 's', checkpoint: { type: 'start', position: 'LATEST', at: 1 } });
    it.lines.event(unsaved);
    expect(it.printed()).toContain('EACCES');
  });

  it('prints the messages of errors in JSON', () => {
    const it = lines({ json: true, lag: false });
    it.lines.event({ type: 'read-failed', error: new Error('throttled'), delayMs: 1 });
    expect(JSON.parse(it.printed())).toMatchObject({ type: 'read-failed', error: { message: 'throttled' } });
  });

  it('prints each reason of an outage once, and the end of the outage', async () => {
    const it = lines({ json: true, lag: false });
    const call = outageLines(it.lines, 'letters');
    for (const reason of ['EACCES', 'EACCES', 'ENOSPC', 'EACCES']) await call(() => Promise.reject(new Error(reason))).catch(() => {});
    for (let i = 0; i < 2; i += 1) await call(async () => {});
    const printed = it.printed().trim().split('\n');
    expect(printed.map((line) => JSON.parse(line))).toMatchObject([
      { type: 'letters-failed', reason: 'EACCES' },
      { type: 'letters-failed', reason: 'ENOSPC' },
      { type: 'letters-back' },
    ]);
  });
});

describe.skipIf(missing(javaAvailable(), HOW_TO_GET_JAVA) || missing(valkeyAvailable(), HOW_TO_GET_VALKEY))('millrace dev', () => {
  let cli: BuiltCli;
  let local: DynamoDbLocal;
  let valkey: ValkeyServer;
  let cache: CacheClient;
  let tableName: string;
  let args: string[];
  let tables = 0;
  /** A server that is not DynamoDB. */
  let server: Server;
  let website: string;

  beforeAll(async () => {
    cli = buildCli();
    local = await startDynamoDbLocal();
    // Each write is on disk before it is acknowledged, so what was applied outlives the server.
    server = createServer((_, answer) => answer.end('<html>')).listen(0, '127.0.0.1');
    await once(server, 'listening');
    website = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    writeFileSync(join(cli.home, 'file'), '');
    valkey = await startValkey({ config: { appendonly: 'yes', appendfsync: 'always' } });
  }, 120_000);
  afterAll(async () => {
    await cache?.close();
    await valkey?.close();
    await local?.close();
    server?.close();
    cli?.remove();
  });
  beforeEach(async () => {
    tables += 1;
    ({ tableName } = await createShopTable(local.client, `orders-${tables}`));
    const namespace = `dev-${tables}`;
    await cache?.close();
    cache = withLives(valkeyCache({ url: valkey.url, namespace }), { askMs: 100 });
    args = ['--endpoint', local.endpoint, '--table', tableName, '--url', valkey.url, '--namespace', namespace];
    args.push('--state', join(cli.home, namespace), '--json');
  });
  const start = () => Worker.start(cli, args);
  const letters = () => join(cli.home, `dev-${tables}`, 'letters');
  const inStep = (timeoutMs: number) =>
    until(
      'the cache to equal the table',
      async () => {
        const found = await differences(cache, local.client, tableName);
        if (found.length > 0) throw new Error(found.slice(0, 3).join('; '));
        return true;
      },
      timeoutMs,
    );

  it('leaves the cache equal to the table after being killed under load three times', async () => {
    let worker = await start();
    const load = startLoad(local.client, tableName);
    for (const ms of [2_500, 1_200, 2_000]) {
      await sleep(ms);
      await worker.end('SIGKILL');
      worker = await start();
    }
    await until('the worker to have worked', () => worker.lines.some(({ type }) => type === 'MODIFY'), 60_000);
    expect(await load.stop()).toBeGreaterThan(100);
    await inStep(60_000);
    await worker.end('SIGTERM');
  }, 180_000);

  it(
    'loses no change and writes no letter while the cache is away',
    async () => {
      const worker = await start();
      const load = startLoad(local.client, tableName);
      await until('the worker to have worked', () => worker.lines.some(({ type }) => type === 'MODIFY'), 60_000);
      await valkey.stop();
      await sleep(OUTAGE_SECONDS * 1_000);
      await valkey.restart();
      await sleep(1_000);
      await load.stop();
      await inStep(60_000 + OUTAGE_SECONDS * 2_000);
      await worker.end('SIGTERM');
      expect(existsSync(letters()) ? readdirSync(letters(), { recursive: true }) : []).toEqual([]);
      expect(worker.lines.filter(({ type }) => ['gap', 'dropped', 'letter'].includes(type))).toEqual([]);
    },
    200_000 + OUTAGE_SECONDS * 4_000,
  );

  it('writes a letter for a record that no view can project, and continues', async () => {
    const worker = await start();
    const item = { pk: 'order#bad', sk: 'order', id: 1 };
    await local.client.send(new PutItemCommand({ TableName: tableName, Item: marshall(item) }));
    await local.client.send(new DeleteItemCommand({ TableName: tableName, Key: marshall({ pk: 'order#none', sk: 'order' }) }));
    await until('the line of the record', () => worker.lines.some(({ type }) => type === 'INSERT'), 60_000);
    await worker.end('SIGTERM');
    const written = readdirSync(letters(), { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.json'));
    expect(written).toEqual([expect.stringContaining(`millrace/${tableName}/`)]);
    const message = expect.stringMatching(/^view detail cannot project the new image of .*: id/);
    expect(worker.lines.filter(({ type }) => type !== 'following')).toEqual([
      {
        at: expect.any(String),
        type: 'INSERT',
        item: '["order#bad","order"]',
        keys: { pk: 'order#bad', sk: 'order' },
        result: '3 set aside',
        causes: expect.arrayContaining([
          {
            stage: 'view',
            view: expect.stringMatching(/^detail/),
            error: { name: 'ViewError', message },
            fields: expect.arrayContaining(['id']),
          },
        ]),
        letter: written[0],
        letterPath: join(letters(), written[0] as string),
      },
    ]);
  }, 120_000);

  it('prints within 3 s why the cache gives no answer, and ends at once on a second Ctrl-C', async () => {
    const worker = await start();
    await local.client.send(new PutItemCommand({ TableName: tableName, Item: marshall(order) }));
    await until('the line of the record', () => worker.lines.some(({ type }) => type === 'INSERT'), 30_000);
    await valkey.stop();
    const began = Date.now();
    await local.client.send(new PutItemCommand({ TableName: tableName, Item: marshall({ ...order, status: 'baked' }) }));
    await until('the line of the outage', () => worker.lines.some(({ type }) => type === 'cache-failed'), 30_000);
    expect(Date.now() - began).toBeLessThan(3_000);
    await until('the last reason', () => /ECONNREFUSED/.test(worker.lines.at(-1)?.reason ?? ''), 5_000);
    process.kill(worker.pid, 'SIGINT');
    await until('the line on stderr', () => worker.said.includes('stopping: '), 2_000);
    expect(worker.said).toMatch(/^stopping: .*Ctrl-C again to end at once\)\n$/);
    await sleep(400);
    process.kill(worker.pid, 'SIGINT');
    await until('the end of the command', () => !isAlive(worker.pid), 2_000);
    await valkey.restart();
  }, 60_000);

  it('prints why a letter cannot be written', async () => {
    const worker = await Worker.start(cli, [...args, '--dead-letters', join(cli.home, 'file')]);
    await local.client.send(new PutItemCommand({ TableName: tableName, Item: marshall({ ...order, id: 1 }) }));
    await until('the line of the outage', () => worker.lines.some(({ type }) => type === 'letters-failed'), 30_000);
    expect(worker.lines.map(({ type, reason }) => [type, reason])).toContainEqual([
      'letters-failed',
      expect.stringMatching(/ENOTDIR|EEXIST/),
    ]);
    await worker.end('SIGKILL');
  }, 60_000);

  it('prints first, as JSON, what a program needs to write to the table', async () => {
    const worker = await start();
    await until('the first line', () => worker.lines.length > 0, 60_000);
    await worker.end('SIGTERM');
    expect(worker.lines[0]).toMatchObject({
      type: 'following',
      table: tableName,
      streamArn: expect.stringContaining(`table/${tableName}/stream/`),
      endpoint: local.endpoint,
      region: 'us-east-1',
      accessKeyId: 'local',
      secretAccessKey: 'local',
      backend: 'valkey',
      views: all.map(({ name, revision }) => `${name}@${revision}`),
      letters: letters(),
    });
    expect(worker.lines[0]).not.toHaveProperty('checkpoint');
  }, 120_000);

  it('says that it resumes from a checkpoint, and prints what it writes with --show', async () => {
    const first = await Worker.start(cli, [...args, '--show']);
    await local.client.send(new PutItemCommand({ TableName: tableName, Item: marshall(order) }));
    await until('the line of the record', () => first.lines.some(({ type }) => type === 'INSERT'), 60_000);
    await first.end('SIGTERM');
    expect(first.lines.find(({ type }) => type === 'INSERT')).toMatchObject({
      entries: expect.arrayContaining([
        { outcome: 'applied', type: 'put', key: 'detail@1:1', value: expect.objectContaining({ id: '1', status: 'new' }) },
        expect.objectContaining({ type: 'put', key: 'orders@1:all', member: '["order#1","order"]' }),
      ]),
    });
    const second = await start();
    await until('the first line', () => second.lines.length > 0, 60_000);
    await second.end('SIGTERM');
    expect(second.lines[0]).toMatchObject({
      checkpoint: { file: expect.stringMatching(/checkpoints.*\.json$/), at: expect.stringMatching(/^20/) },
    });
    const third = await Worker.start(
      cli,
      args.filter((arg) => arg !== '--json'),
      (printed) => printed.includes('Dead letters go to'),
    );
    await third.end('SIGTERM');
    expect(third.printed).toMatch(
      /Resumes from the checkpoint of 20.* in .*\.json\. Remove the file to begin at the start of the stream\.\n/,
    );
  }, 120_000);

  it('starts DynamoDB Local with the sample table, follows it, and prints why a record is set aside and the path of its letter', async () => {
    const port = await freePort();
    const state = join(cli.home, 'started');
    const worker = await Worker.start(cli, ['--port', String(port), '--state', state], (printed) =>
      printed.includes('Following table pizza-shop'),
    );
    const client = clientOf(port);
    try {
      await client.send(new PutItemCommand({ TableName: 'pizza-shop', Item: marshall(order) }));
      await client.send(new PutItemCommand({ TableName: 'pizza-shop', Item: marshall({ ...order, pk: 'order#2', id: 2 }) }));
      await until(
        'the letter to be printed',
        () => worker.printed.includes(`letter ${join(state, 'letters/millrace/pizza-shop')}`),
        60_000,
      );
    } finally {
      client.destroy();
      await worker.end('SIGTERM');
    }
    expect(worker.printed).toContain(`Dead letters go to ${join(state, 'letters')}.`);
    // DynamoDB Local reports only the minute of a write, so no lag is printed.
    expect(worker.printed).toMatch(/\["order#1","order"\] {2}4 applied\n/);
    expect(worker.printed).toMatch(/3 set aside\n.*└ detail@1, admin@1, orders@1: cannot project the new image of .*: id/);
    expect(worker.printed.match(/cannot project/g)).toHaveLength(1);
    expect(worker.printed).toContain('Begins at the start of the stream.');
    await until('DynamoDB Local to be gone', async () => !(await answers(port)), 10_000);
  }, 120_000);

  it('ends DynamoDB Local when it is killed', async () => {
    const port = await freePort();
    const worker = await Worker.start(cli, ['--port', String(port)], (printed) => printed.includes('Following table'));
    expect(await answers(port)).toBe(true);
    await worker.end('SIGKILL');
    await until('DynamoDB Local to be gone', async () => !(await answers(port)), 10_000);
  }, 60_000);

  it('warns that an installed package has the views of the sample', async () => {
    const installed = join(cli.home, 'app/node_modules/millrace');
    mkdirSync(installed, { recursive: true });
    for (const name of readdirSync(join(cli.home, 'node_modules'))) {
      if (!name.startsWith('.')) symlinkSync(join(cli.home, 'node_modules', name), join(cli.home, 'app/node_modules', name));
    }
    cpSync(join(cli.home, 'dist'), join(installed, 'dist'), { recursive: true });
    copyFileSync(join(cli.home, 'package.json'), join(installed, 'package.json'));
    const worker = await Worker.start({ ...cli, path: join(installed, 'dist/cli/millrace.js') }, args);
    await until('the line on stderr', () => worker.said.includes('Give yours by --views ./views.js'), 30_000);
    expect(worker.said).toContain('this installed package uses the views of its sample, a pizza shop');
    await worker.end('SIGTERM');
  }, 60_000);

  it.each([
    [['--endpoint', 'ENDPOINT', '--table', 'nowhere'], 'there is no table nowhere at this endpoint'],
    [['--endpoint', 'ENDPOINT', '--port', '8000'], '--port is for a DynamoDB Local that this command starts'],
    [['--batch-size', '0'], 'Give a whole number from 1 to 10000'],
    [['--backend', 'valkey'], '--backend valkey needs --url'],
    [['--batch', '1'], 'Run millrace dev --help for usage.'],
    [['--endpoint', 'localhost:8123'], 'Give a URL, such as http://localhost:8123.'],
    [['--endpoint', 'http://localhost:1', '--table', 'x'], 'nothing answers at http://localhost:1 (connect ECONNREFUSED'],
    [['--endpoint', 'WEBSITE', '--table', 'x'], 'is not DynamoDB: correct --endpoint'],
    [['--table', 'x'], 'no AWS Region is known (Region is missing): give --region or set AWS_REGION; for DynamoDB Local give --endpoint'],
    [['--state', 'FILE/state'], '/file/state: the folder cannot be created or written to (ENOTDIR); give another one'],
    [['--dead-letters', 'ftp://x'], '--dead-letters is "ftp://x": give s3://BUCKET'],
    [['--url', 'valkey://127.0.0.1:1'], 'nothing was done, because the cache cannot be read: cache at 127.0.0.1:1: '],
    [['--url', 'foo'], 'the options are wrong:\n  --url is not a URL: give valkey://HOST:PORT'],
  ])(
    'explains the fault of the arguments %j',
    async (wrong, message) => {
      const given = wrong.map((arg) =>
        arg.replace('ENDPOINT', local.endpoint).replace('WEBSITE', website).replace('FILE', join(cli.home, 'file')),
      );
      const child = spawn(process.execPath, ['--no-warnings', cli.path, 'dev', ...given], { cwd: cli.home, env: WITHOUT_AWS });
      let said = '';
      child.stderr.on('data', (text) => {
        said += text;
      });
      const status = await new Promise((resolve) => child.once('close', resolve));
      expect(said).toContain(message);
      expect(status).toBe(1);
    },
    60_000,
  );
});
