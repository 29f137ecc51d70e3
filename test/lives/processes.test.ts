import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { CacheClient, Lease } from '../../src/cache.ts';
import { valkeyCache } from '../../src/caches/valkey.ts';
import { type LivingCache, withLives } from '../../src/lives/with-lives.ts';
import { modify, streamEvent } from '../../src/testing/events.ts';
import { type BuiltCli, buildCli } from '../servers/built-cli.ts';
import { type OwnedProcess, own, until } from '../servers/processes.ts';
import { missing } from '../servers/requires.ts';
import { HOW_TO_GET_VALKEY, startValkey, type ValkeyServer, valkeyAvailable } from '../servers/valkey.ts';

const ASK_MS = 300;
const WAIT_MS = 900;
const READ_ASK_MS = 100;

/** A worker: takes an event a line, and answers with what the handler answers. The view is `thing@1`: pk → n. */
const WORKER = `
import { createInterface } from 'node:readline';
import { valkeyCache } from './dist/caches/valkey.js';
import { streamHandler } from './dist/handlers/stream-handler.js';
import { withLives } from './dist/lives/with-lives.js';
import { documentView, entity } from './dist/view.js';
const thing = entity({ name: 'thing', owns: () => true, schema: { parse: (item) => item } });
const views = process.env.HAS_VIEW === 'true'
  ? [documentView({ name: 'thing', revision: 1, entity: thing, project: ({ pk, n }) => [{ key: pk, value: n }] })]
  : [];
const cache = withLives(valkeyCache({ url: process.env.CACHE_URL }), { views, askMs: ${ASK_MS}, waitMs: ${WAIT_MS}, lagMs: 0 });
const logger = { info() {}, warn() {}, error() {} };
const handler = streamHandler({ views, cache, logger, retention: false });
console.log('ready');
for await (const line of createInterface({ input: process.stdin })) console.log('answer ' + JSON.stringify(await handler(JSON.parse(line))));
`;

interface Worker {
  /** Delivers the newest change of an item, and waits until the worker has handled it. */
  deliver(pk: string): Promise<void>;
  signal(name: 'SIGSTOP' | 'SIGCONT'): void;
  end(): Promise<void>;
}

describe.skipIf(missing(valkeyAvailable(), HOW_TO_GET_VALKEY))('lives of views, of workers that are processes', () => {
  let server: ValkeyServer;
  let built: BuiltCli;
  let raw: CacheClient;
  let reader: LivingCache;
  const workers: Worker[] = [];
  const table = new Map<string, number>();

  beforeAll(async () => {
    [server, built] = [await startValkey(), buildCli()];
    raw = valkeyCache({ url: server.url });
    reader = withLives(valkeyCache({ url: server.url }), { askMs: READ_ASK_MS });
  }, 120_000);
  afterAll(async () => {
    await Promise.all(workers.map((worker) => worker.end()));
    await reader?.close();
    await raw?.close();
    await server?.close();
    built?.remove();
  });

  const start = async (hasView: boolean): Promise<Worker> => {
    const child = spawn(process.execPath, ['--input-type=module', '--eval', WORKER], {
      cwd: built.home,
      env: { ...process.env, CACHE_URL: server.url, HAS_VIEW: String(hasView) },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    const answers: string[] = [];
    createInterface({ input: child.stdout }).on('line', (line) => {
      if (line.startsWith('answer ')) answers.push(line.slice('answer '.length));
    });
    const process_: OwnedProcess = await own(child, { name: 'a worker', ready: ({ output }) => output().includes('ready') });
    const worker: Worker = {
      async deliver(pk) {
        const n = table.get(pk) ?? 0;
        const before = answers.length;
        child.stdin.write(`${JSON.stringify(streamEvent([modify({ pk, n: n - 1 }, { pk, n })], { keys: ['pk'] }))}\n`);
        await until('the worker to answer', () => answers.length > before);
        expect(answers.at(-1)).toBe('{"batchItemFailures":[]}');
      },
      signal: (name) => void child.kill(name),
      end: async () => {
        child.kill('SIGCONT');
        await process_.end('SIGKILL');
      },
    };
    workers.push(worker);
    return worker;
  };
  const write = (pk: string): void => {
    table.set(pk, (table.get(pk) ?? 0) + 1);
  };
  /** Reads as an application does: what the cache misses is read from the table, and filled in. */
  const read = async (pk: string): Promise<'hit' | 'miss'> => {
    const [answer] = await reader.getOrLease([`thing@1:${pk}`]);
    if (answer?.type === 'hit') {
      expect(answer.value, `item ${pk}`).toBe(table.get(pk));
      return 'hit';
    }
    const { lease } = answer as { lease: Lease };
    await reader.settle([{ lease, found: { kind: 'document', json: String(table.get(pk)) } }]);
    return 'miss';
  };
  const lifeNow = async (): Promise<string | undefined> => {
    await sleep(READ_ASK_MS + 20);
    return (await reader.lives()).get('thing@1')?.life;
  };

  it('serves nothing old after a rollback, a roll-forward and a canary, and a worker that was stopped through all of it knows of them', async () => {
    // The first deployment. The life is usable after its wait, and not before.
    const first = await start(true);
    write('a');
    const began = Date.now();
    await first.deliver('a');
    expect(await read('a')).toBe('miss');
    expect(await read('a')).toBe('miss');
    await until('the first life to be usable', async () => (await read('a')) === 'hit');
    expect(Date.now() - began).toBeGreaterThanOrEqual(WAIT_MS);
    const firstLife = await lifeNow();
    const stopped = await start(true);
    write('a');
    await stopped.deliver('a');
    expect(await read('a')).toBe('hit');
    stopped.signal('SIGSTOP');

    // A rollback to code without the view. The change passes the view by, and readers learn it.
    await first.end();
    const old = await start(false);
    write('a');
    await old.deliver('a');
    expect(await lifeNow()).toBeUndefined();
    expect(await read('a')).toBe('miss');

    // A roll-forward: a new life, which is cold.
    const second = await start(true);
    write('b');
    await second.deliver('b');
    const secondLife = await lifeNow();
    expect(secondLife).toMatch(/^[a-z\d]{10}$/);
    expect(secondLife).not.toBe(firstLife);
    await until('the second life to be usable', async () => (await read('a')) === 'hit');

    // A canary: both codes run, and each handles some changes. No life becomes usable.
    await old.deliver('b');
    await sleep(READ_ASK_MS + 20);
    for (let i = 0; i < 8; i += 1) {
      write('a');
      await (i % 2 === 0 ? old : second).deliver('a');
      expect(await read('a')).toBe('miss');
      await sleep(ASK_MS / 2);
    }
    await old.end();
    await sleep(ASK_MS);
    await second.deliver('b');
    await until('the last life to be usable', async () => (await read('a')) === 'hit');
    const lastLife = await lifeNow();
    expect([firstLife, secondLife]).not.toContain(lastLife);

    // The process that was stopped goes on. It last knew of the first life.
    stopped.signal('SIGCONT');
    write('a');
    await stopped.deliver('a');
    expect(await read('a')).toBe('hit');
    expect(await raw.get(`thing@1.${lastLife}:a`)).toMatchObject({ type: 'hit', value: table.get('a') });
    expect(await raw.get(`thing@1.${firstLife}:a`)).toMatchObject({ type: 'hit', value: 2 });
    expect(await lifeNow()).toBe(lastLife);
  }, 120_000);
});
