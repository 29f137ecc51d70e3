import { spawn } from 'node:child_process';
import { promises as dns } from 'node:dns';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { build } from 'esbuild';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { CacheClient } from '../../../src/cache.ts';
import { type MomentoOptions, momentoCache } from '../../../src/caches/momento.ts';
import { CacheUnavailableError } from '../../../src/errors.ts';
import { APPLIED, type Mutation } from '../../../src/mutation.ts';
import { leaseOn } from '../../../src/testing/contract/case.ts';
import { versionOf } from '../../../src/version.ts';
import { startProxy, type TcpProxy } from '../../servers/momento/proxy.ts';
import { hanging, type MomentoServer, startMomentoServer } from '../../servers/momento/server.ts';

const CACHE = 'millrace';
const TIMEOUT_MS = 500;
const put = (key: string, n: number): Mutation => {
  return { kind: 'document', type: 'put', key, version: versionOf('2026-11-22T03:01:52.091', String(n)), json: String(n) };
};

let server: MomentoServer;
let proxy: TcpProxy;
const open: CacheClient[] = [];

beforeEach(async () => {
  server = await startMomentoServer({ caches: [CACHE] });
  proxy = await startProxy(server);
});
afterEach(async () => {
  vi.restoreAllMocks();
  server.onCall(undefined);
  await Promise.all(open.splice(0).map((cache) => cache.close()));
  await proxy.close();
  await server.stop();
});

async function client(options: Partial<MomentoOptions> = {}): Promise<CacheClient> {
  const access = { kind: 'local', host: proxy.host, port: proxy.port } as const;
  const cache = await momentoCache({ access, cacheName: CACHE, commandTimeoutMs: TIMEOUT_MS, deadlineMs: 4_000, ...options });
  open.push(cache);
  return cache;
}

const faults = ['swallow', 'stopReading', 'stall', 'resetOnData'] as const;

describe('a connection that is dead', () => {
  it.each(faults)('is replaced within one call when the network does: %s', async (fault) => {
    const cache = await client();
    await cache.apply([put('a', 1)]);
    proxy[fault]();
    const started = performance.now();
    expect(await cache.apply([put('a', 2)])).toEqual([APPLIED]);
    expect(performance.now() - started).toBeLessThan(TIMEOUT_MS + 1_000);
    expect(await cache.get('a')).toMatchObject({ value: 2 });
    expect(proxy.accepted()).toBe(2);
  });

  it.each(faults)(
    'fails a call once that has no time for a second attempt, and no later call, when the network does: %s',
    async (fault) => {
      const cache = await client({ deadlineMs: TIMEOUT_MS });
      await cache.apply([put('a', 1)]);
      proxy[fault]();
      const calls = {
        get: () => cache.get('a'),
        many: () => cache.getMany(['a', 'b']),
        lease: () => leaseOn(cache, { kind: 'document', key: 'b' }),
      };
      const [first] = await Promise.allSettled([cache.apply([put('a', 2)])]);
      if (fault !== 'resetOnData') expect(first.status === 'rejected' && first.reason).toBeInstanceOf(CacheUnavailableError);
      for (const [name, call] of Object.entries(calls)) await expect(call(), name).resolves.toBeDefined();
      expect(await cache.apply([put('a', 2)])).toEqual([APPLIED]);
      expect(proxy.accepted()).toBe(2);
    },
  );

  it('is replaced when only reads of many keys are under way, which have no deadline in the SDK', async () => {
    const cache = await client();
    await cache.apply([put('a', 1)]);
    proxy.swallow();
    expect(await cache.getMany(['a', 'b'])).toMatchObject([{ value: 1 }, { type: 'miss' }]);
  });

  it('is replaced once by all calls that run at the same time', async () => {
    const cache = await client({ commandTimeoutMs: 2_000, deadlineMs: 10_000 });
    const keys = Array.from({ length: 40 }, (_, n) => `k${n}`);
    await cache.apply(keys.map((key) => put(key, 1)));
    proxy.swallow();
    const calls = keys.map(async (key, n) => {
      await sleep(n * 5);
      return cache.apply([put(key, 2)]);
    });
    expect(await Promise.all(calls)).toEqual(keys.map(() => [APPLIED]));
    expect(proxy.accepted()).toBe(2);
  });

  it('is closed after it was replaced, and the process keeps no further connection', async () => {
    const cache = await client();
    await cache.apply([put('a', 1)]);
    proxy.swallow();
    await cache.apply([put('a', 2)]);
    await vi.waitFor(() => expect(proxy.open()).toBe(1), 2_000);
    await cache.close();
    await vi.waitFor(() => expect(proxy.open()).toBe(0), 2_000);
    expect(proxy.accepted()).toBe(2);
  });

  it('is replaced each time it dies', async () => {
    const cache = await client();
    for (let n = 1; n <= 3; n += 1) {
      expect(await cache.apply([put('a', n)])).toEqual([APPLIED]);
      proxy.swallow();
    }
    expect(await cache.apply([put('a', 9)])).toEqual([APPLIED]);
    expect(proxy.accepted()).toBe(4);
  });

  it('is replaced when it dies during the start', async () => {
    proxy.later('swallow');
    const cache = await client();
    proxy.later('pass');
    expect(await cache.apply([put('a', 1)])).toEqual([APPLIED]);
    expect(await cache.get('a')).toMatchObject({ value: 1 });
  });

  it('leads to the present address of the host', async () => {
    const lookup = vi.spyOn(dns, 'lookup');
    const resolvesTo = (address: string) => lookup.mockResolvedValue([{ address, family: 4 }] as never);
    const moved = await startProxy(server, { host: '127.0.0.2', port: proxy.port });
    try {
      resolvesTo(proxy.host);
      const cache = await client({ access: { kind: 'local', host: 'momento.test', port: proxy.port } });
      await cache.apply([put('a', 1)]);
      expect([proxy.accepted(), moved.accepted()]).toEqual([1, 0]);
      resolvesTo(moved.host);
      proxy.swallow();
      proxy.later('swallow');
      expect(await cache.apply([put('a', 2)])).toEqual([APPLIED]);
      expect([proxy.accepted(), moved.accepted()]).toEqual([1, 1]);
    } finally {
      await moved.close();
    }
  });
});

describe('a connection that dies while its environment is frozen', () => {
  /** A process that applies a mutation for each line that it is sent, and answers with the outcome. */
  const PROGRAM = `
    import { createInterface } from 'node:readline';
    import { momentoCache } from './src/caches/momento.ts';
    const access = JSON.parse(process.argv[2]);
    const cache = await momentoCache({ access, cacheName: '${CACHE}', commandTimeoutMs: ${TIMEOUT_MS}, deadlineMs: 4_000 });
    for await (const line of createInterface(process.stdin)) {
      console.log(await cache.apply([JSON.parse(line)]).then(([outcome]) => outcome.type, (error) => error.message));
    }
    await cache.close();`;

  it.each(['between calls', 'during a call'])('is replaced after the thaw when the environment was frozen %s', async (when) => {
    const folder = await mkdtemp(join(tmpdir(), 'millrace-frozen-'));
    const outfile = join(folder, 'frozen.mjs');
    await build({
      stdin: { contents: PROGRAM, resolveDir: join(import.meta.dirname, '../../..'), loader: 'ts' },
      bundle: true,
      platform: 'node',
      format: 'esm',
      banner: { js: "import { createRequire as requireOf } from 'node:module';const require = requireOf(import.meta.url);" },
      outfile,
    });
    const access = JSON.stringify({ kind: 'local', host: proxy.host, port: proxy.port });
    const child = spawn(process.execPath, [outfile, access], { stdio: ['pipe', 'pipe', 'inherit'] });
    try {
      const outcomes = createInterface(child.stdout)[Symbol.asyncIterator]();
      const send = (mutation: Mutation) => child.stdin.write(`${JSON.stringify(mutation)}\n`);
      send(put('a', 1));
      expect(await outcomes.next()).toMatchObject({ value: 'applied' });
      if (when === 'during a call') {
        server.onCall(() => hanging());
        send(put('a', 2));
        await vi.waitFor(() => expect(server.calls('SetIfHash')).toBeGreaterThan(2), 5_000);
      }
      child.kill('SIGSTOP');
      await sleep(TIMEOUT_MS * 2);
      proxy.swallow();
      server.onCall(undefined);
      child.kill('SIGCONT');
      if (when === 'between calls') send(put('a', 2));
      expect(await outcomes.next()).toMatchObject({ value: 'applied' });
      send(put('a', 3));
      expect(await outcomes.next()).toMatchObject({ value: 'applied' });
      expect(proxy.accepted()).toBe(2);
      child.stdin.end();
      await new Promise((done) => child.once('exit', done));
    } finally {
      child.kill('SIGKILL');
      await rm(folder, { recursive: true });
    }
  });
});

describe('a connection that works', () => {
  it('stays when one of several calls gets no answer', async () => {
    const cache = await client();
    await cache.apply([put('slow', 1), put('a', 1)]);
    server.resetCounters();
    server.onCall(({ key, attempt }) => (key?.endsWith(':slow') && attempt === 1 ? hanging() : undefined));
    const slow = cache.apply([put('slow', 2)]);
    for (let n = 2; n < 20; n += 1) {
      await sleep(20);
      await cache.apply([put('a', n)]);
    }
    expect(await slow).toEqual([APPLIED]);
    expect(proxy.accepted()).toBe(1);
  });

  it('stays when a call is cut short by its own deadline', async () => {
    const cache = await client();
    await cache.apply([put('a', 1)]);
    const hasty = await client({ commandTimeoutMs: 5_000, deadlineMs: 200 });
    const before = proxy.accepted();
    server.onCall(() => hanging());
    await expect(hasty.get('a')).rejects.toThrow(CacheUnavailableError);
    server.onCall(undefined);
    expect(await hasty.get('a')).toMatchObject({ value: 1 });
    expect(proxy.accepted()).toBe(before);
  });

  it('gives way to a new one without a failed call when the server drains it', async () => {
    const cache = await client();
    await cache.apply([put('a', 1)]);
    server.resetCounters();
    for (let n = 2; n < 5; n += 1) {
      server.drain();
      expect(await Promise.all([cache.apply([put('a', n)]), cache.get('b')])).toEqual([[APPLIED], { type: 'miss' }]);
    }
    expect(await cache.get('a')).toMatchObject({ value: 4 });
  });
});

describe('a service that is down', () => {
  /** Reads in 50 loops; resolves to the time that it took, ms. */
  async function storm(cache: CacheClient): Promise<number> {
    const started = performance.now();
    const loop = async () => {
      while (performance.now() - started < 3_000) await cache.get('a').catch(() => undefined);
    };
    await Promise.all(Array.from({ length: 50 }, loop));
    return performance.now() - started;
  }

  it('gets at most one new connection in two timeouts when it does not answer, and is used again once it does', async () => {
    const cache = await client({ deadlineMs: 10_000 });
    await cache.apply([put('a', 1)]);
    proxy.swallow();
    proxy.later('swallow');
    const ms = await storm(cache);
    expect(proxy.accepted()).toBeGreaterThan(2);
    expect(proxy.accepted()).toBeLessThanOrEqual(2 + ms / (2 * 0.8 * TIMEOUT_MS));
    proxy.later('pass');
    expect(await cache.get('a')).toMatchObject({ value: 1 });
  });

  it('gets few new connections when it resets them, and is used again once it does not', async () => {
    const cache = await client();
    await cache.apply([put('a', 1)]);
    proxy.resetOnData();
    proxy.later('reset');
    const ms = await storm(cache);
    expect(proxy.accepted()).toBeLessThan(ms / 30);
    proxy.later('pass');
    expect(await cache.get('a')).toMatchObject({ value: 1 });
  });
});
