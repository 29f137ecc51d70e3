import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { build } from 'esbuild';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type OwnedProcess, own, until } from '../servers/processes.ts';
import { missing } from '../servers/requires.ts';
import { HOW_TO_GET_VALKEY, startValkey, type ValkeyServer, valkeyAvailable } from '../servers/valkey.ts';

const PROCESSES = 50;
/** The processes start to read at a time that is so far ahead, ms. */
const AHEAD_MS = 300;
/** The table answers so late that all processes miss, and earlier than a reader stops waiting for another one (500 ms). */
const TABLE_MS = 250;

/** A process with a reader. A line of its input is a key, and the time at which to read it. */
const PROGRAM = `
  import { createInterface } from 'node:readline';
  import { setTimeout as sleep } from 'node:timers/promises';
  import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
  import { valkeyCache } from './src/caches/valkey.ts';
  import { createReader } from './src/fill/reader.ts';
  import { documentView, entity } from './src/view.ts';

  const [url, endpoint] = process.argv.slice(2);
  const book = entity({ name: 'book', owns: () => true, schema: { parse: (item) => item } });
  const titles = documentView({
    name: 'titles',
    revision: 1,
    entity: book,
    project: ({ pk, title }) => [{ key: pk, value: title }],
    from: (pk) => ({ pk }),
  });
  const client = new DynamoDBClient({ endpoint, region: 'us-east-1', credentials: { accessKeyId: 'a', secretAccessKey: 'b' } });
  const cache = valkeyCache({ url });
  // The processes share few cores, so a call of the cache may take long.
  const reader = createReader({ cache, table: { client, name: 'books', keys: ['pk'] }, cacheDeadlineMs: 5_000 });
  const read = async (key) => {
    const { misses, waited } = reader.counts();
    const value = await reader.get(titles, key);
    return { key, value, isMiss: reader.counts().misses + reader.counts().waited > misses + waited };
  };
  await read('warm-' + process.pid);
  console.log('ready');
  for await (const line of createInterface(process.stdin)) {
    const [key, at] = JSON.parse(line);
    await sleep(at - Date.now());
    console.log(JSON.stringify(await read(key)));
  }
`;

interface Answer {
  readonly key: string;
  readonly value: string;
  /** The process read the table, or waited for another one that did. */
  readonly isMiss: boolean;
}

/** A table that counts how often each key is read, in place of DynamoDB. */
async function startTable(): Promise<{ readonly server: Server; readonly reads: Map<string, number> }> {
  const reads = new Map<string, number>();
  const server = createServer(async (request, response) => {
    const body = JSON.parse(Buffer.concat(await request.toArray()).toString());
    const keys: readonly { pk: { S: string } }[] = body.RequestItems.books.Keys;
    for (const { pk } of keys) reads.set(pk.S, (reads.get(pk.S) ?? 0) + 1);
    if (keys.some(({ pk }) => pk.S.startsWith('cold'))) await sleep(TABLE_MS);
    const items = keys.map(({ pk }) => ({ pk, title: { S: `title of ${pk.S}` } }));
    response.setHeader('content-type', 'application/x-amz-json-1.0');
    response.end(JSON.stringify({ Responses: { books: items }, UnprocessedKeys: {} }));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { server, reads };
}

describe.skipIf(missing(valkeyAvailable(), HOW_TO_GET_VALKEY))('readers in 50 processes', { timeout: 60_000 }, () => {
  let folder: string;
  let valkey: ValkeyServer;
  let table: Awaited<ReturnType<typeof startTable>>;
  const children: { readonly child: ChildProcess; readonly owned: OwnedProcess }[] = [];

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'millrace-readers-'));
    const outfile = join(folder, 'reader.mjs');
    await build({
      stdin: { contents: PROGRAM, resolveDir: join(import.meta.dirname, '../..'), loader: 'js' },
      bundle: true,
      platform: 'node',
      format: 'esm',
      banner: { js: "import { createRequire as requireOf } from 'node:module';const require = requireOf(import.meta.url);" },
      outfile,
    });
    valkey = await startValkey();
    table = await startTable();
    const endpoint = `http://127.0.0.1:${(table.server.address() as AddressInfo).port}`;
    const start = async (): Promise<void> => {
      const child = spawn(process.execPath, [outfile, valkey.url, endpoint], { stdio: ['pipe', 'pipe', 'pipe'] });
      const owned = await own(child, { name: 'a reader', ready: ({ output }) => output().includes('ready') });
      children.push({ child, owned });
    };
    const starts = await Promise.allSettled(Array.from({ length: PROCESSES }, start));
    for (const it of starts) if (it.status === 'rejected') throw it.reason;
  });
  afterAll(async () => {
    await Promise.all(children.map(({ owned }) => owned.end()));
    table?.server.closeAllConnections();
    table?.server.close();
    await valkey?.close();
    await rm(folder, { recursive: true, force: true });
  });

  const answerOf = ({ owned }: { readonly owned: OwnedProcess }, key: string): Answer | undefined =>
    owned
      .output()
      .split('\n')
      .slice(0, -1)
      .flatMap((line): Answer[] => (line.startsWith('{') ? [JSON.parse(line)] : []))
      .find((it) => it.key === key);

  it.each(['cold-1', 'cold-2', 'cold-3'])('read the table at most 3 times when they miss the key %s at the same time', async (key) => {
    const line = JSON.stringify([key, Date.now() + AHEAD_MS]);
    for (const { child } of children) child.stdin?.write(`${line}\n`);
    await until('all answers', () => children.every((it) => answerOf(it, key)));
    const answers = children.map((it) => answerOf(it, key));
    expect(answers.map((it) => it?.value)).toEqual(Array.from({ length: PROCESSES }, () => `title of ${key}`));
    // A busy machine may wake some of them after the fill.
    expect(answers.filter((it) => it?.isMiss).length).toBeGreaterThan(0.8 * PROCESSES);
    expect(table.reads.get(key)).toBeGreaterThanOrEqual(1);
    expect(table.reads.get(key)).toBeLessThanOrEqual(3);
    if (process.env.SHOW_TALLY) console.log(`${key}: ${table.reads.get(key)} reads of the table`);
  });
});
