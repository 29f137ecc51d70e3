import { spawn } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { DeleteItemCommand, DynamoDBClient, PutItemCommand, paginateScan } from '@aws-sdk/client-dynamodb';
import { marshall, unmarshall } from '@aws-sdk/util-dynamodb';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { CacheClient, PageMember } from '../src/cache.ts';
import { valkeyCache } from '../src/caches/valkey.ts';
import { itemOf } from '../src/change.ts';
import { keyOf } from '../src/view.ts';
import { views } from '../src/views/index.ts';
import { type BuiltCli, buildCli } from './helpers/built-cli.ts';
import { createShopTable, type DynamoDbLocal, HOW_TO_GET_JAVA, javaAvailable, startDynamoDbLocal } from './helpers/dynamodb-local.ts';
import { freePort, type OwnedProcess, own, until } from './helpers/processes.ts';
import { missing } from './helpers/requires.ts';
import { HOW_TO_GET_VALKEY, startValkey, type ValkeyServer, valkeyAvailable } from './helpers/valkey-server.ts';
import { project } from './helpers/world/table.ts';

/** How long the cache is away, s; an hour is as good as a minute, and a few seconds do for a first look. */
const OUTAGE_SECONDS = Number(process.env.OUTAGE_SECONDS ?? 5);
const ORDERS = 40;
const all = Object.values(views);

interface Printed {
  readonly type: string;
  readonly item?: string;
  readonly result?: string;
}

/** `millrace dev`, a process of its own. */
class Worker {
  printed = '';
  readonly #process: OwnedProcess;

  private constructor(process: OwnedProcess) {
    this.#process = process;
  }

  static async start(cli: BuiltCli, args: readonly string[], isReady: (printed: string) => boolean = () => true): Promise<Worker> {
    const child = spawn(process.execPath, ['--no-warnings', cli.path, 'dev', ...args], {
      cwd: cli.home,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let printed = '';
    child.stdout.on('data', (text) => {
      printed += text;
      if (worker) worker.printed = printed;
    });
    let worker: Worker | undefined;
    worker = new Worker(await own(child, { name: 'millrace dev', ready: () => isReady(printed) }));
    worker.printed = printed;
    return worker;
  }

  get lines(): readonly Printed[] {
    return this.printed
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line));
  }

  end = (signal: 'SIGTERM' | 'SIGKILL') => this.#process.end(signal);
}

/** Puts, changes and deletes orders without a pause, until it is stopped. */
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

/** What the cache should hold, by address. */
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

/** Empty when the cache holds the whole table and nothing else. */
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
    const list = keyOf(views.list, name);
    const { members } = await cache.list(list, { limit: 1_000 });
    const byName = (rows: Iterable<readonly [string, unknown]>) => [...rows].sort(([a], [b]) => (a < b ? -1 : 1));
    same(list, byName(members.map(({ member, value }: PageMember) => [member, value])), byName(lists.get(list) ?? []));
  }
  return found;
}

describe.skipIf(missing(javaAvailable(), HOW_TO_GET_JAVA) || missing(valkeyAvailable(), HOW_TO_GET_VALKEY))('millrace dev', () => {
  let cli: BuiltCli;
  let local: DynamoDbLocal;
  let valkey: ValkeyServer;
  let cache: CacheClient;
  let tableName: string;
  let args: string[];
  let tables = 0;

  beforeAll(async () => {
    cli = buildCli();
    local = await startDynamoDbLocal();
    // Each write is on disk before it is acknowledged, so what was applied outlives the server.
    valkey = await startValkey({ config: { appendonly: 'yes', appendfsync: 'always' } });
  }, 120_000);
  afterAll(async () => {
    await cache?.close();
    await valkey?.close();
    await local?.close();
    cli?.remove();
  });
  beforeEach(async () => {
    tables += 1;
    ({ tableName } = await createShopTable(local.client, `orders-${tables}`));
    const namespace = `dev-${tables}`;
    await cache?.close();
    cache = valkeyCache({ url: valkey.url, namespace });
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

  it('leaves the cache equal to the table, however often it is killed under load', async () => {
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
    'loses nothing and writes no letter while the cache is away',
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

  it('puts a record that no view can project into the folder of letters, and goes on', async () => {
    const worker = await start();
    const item = { pk: 'order#bad', sk: 'order', id: 1 };
    await local.client.send(new PutItemCommand({ TableName: tableName, Item: marshall(item) }));
    await local.client.send(new DeleteItemCommand({ TableName: tableName, Key: marshall({ pk: 'order#none', sk: 'order' }) }));
    await until('the record to be told', () => worker.lines.length > 0, 60_000);
    await worker.end('SIGTERM');
    expect(worker.lines).toEqual([expect.objectContaining({ type: 'INSERT', item: '["order#bad","order"]', result: '3 set aside' })]);
    const written = readdirSync(letters(), { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.json'));
    expect(written).toEqual([expect.stringContaining(`millrace/${tableName}/`)]);
  }, 120_000);

  it('starts DynamoDB Local with the sample table, follows it, and ends it', async () => {
    const port = await freePort();
    const worker = await Worker.start(cli, ['--port', String(port)], (printed) => printed.includes('Following table pizza-shop'));
    const endpoint = `http://127.0.0.1:${port}`;
    const client = new DynamoDBClient({ endpoint, region: 'us-east-1', credentials: { accessKeyId: 'local', secretAccessKey: 'local' } });
    try {
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
      await client.send(new PutItemCommand({ TableName: 'pizza-shop', Item: marshall(order) }));
      await until('the change to be printed', () => worker.printed.includes('["order#1","order"]  4 applied'), 60_000);
    } finally {
      client.destroy();
      await worker.end('SIGTERM');
    }
    await until('DynamoDB Local to be gone', async () => (await fetch(endpoint).catch(() => undefined)) === undefined, 10_000);
  }, 120_000);

  it.each([
    [['--endpoint', 'ENDPOINT', '--table', 'nowhere'], 'there is no table nowhere at this endpoint'],
    [['--endpoint', 'ENDPOINT', '--port', '8000'], '--port goes with a DynamoDB Local that is started here'],
    [['--batch-size', '0'], 'It is a whole number from 1 to 10000'],
    [['--backend', 'valkey'], '--backend valkey needs --url'],
  ])(
    'says what is wrong with %j',
    async (wrong, message) => {
      const child = spawn(process.execPath, [
        '--no-warnings',
        cli.path,
        'dev',
        ...wrong.map((arg) => arg.replace('ENDPOINT', local.endpoint)),
      ]);
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
