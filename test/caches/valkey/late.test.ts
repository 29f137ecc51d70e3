import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'iovalkey';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { type ValkeyOptions, valkeyCache } from '../../../src/caches/valkey.ts';
import { CacheUnavailableError } from '../../../src/errors.ts';
import { APPLIED } from '../../../src/mutation.ts';
import { oneNode, startFront } from '../../servers/front.ts';
import { startProxy } from '../../servers/proxy.ts';
import { missing } from '../../servers/requires.ts';
import { HOW_TO_GET_VALKEY, startValkey, type ValkeyServer, valkeyAvailable } from '../../servers/valkey.ts';
import { enter, put, READS, WRITES } from './sample.ts';

describe.skipIf(missing(valkeyAvailable(), HOW_TO_GET_VALKEY))('the Valkey backend, with calls that arrive late', () => {
  let server: ValkeyServer;
  let raw: Redis;
  const closing: (() => unknown)[] = [];
  beforeAll(async () => {
    server = await startValkey();
    raw = new Redis(server.url);
  });
  afterAll(async () => {
    raw?.disconnect();
    await server?.close();
  });
  afterEach(async () => {
    for (const close of closing.splice(0).reverse()) await close();
    await raw.flushall();
  });
  const open = (options: ValkeyOptions) => {
    const cache = valkeyCache(options);
    closing.push(() => cache.close());
    return cache;
  };
  /** Everything that the server stores. */
  const contents = async () => {
    // A standing lease on a list expires within the pause.
    const keys = (await raw.keys('*')).filter((key) => !key.endsWith(':lease')).sort();
    return Promise.all(keys.map(async (key) => [key, (await raw.dumpBuffer(key)).toString('hex')]));
  };
  /** A server behind an address, in a network that can stall. On a cluster, the server is its only node. */
  const place = async (cluster: boolean) => {
    let port = server.port;
    let address = 0;
    if (cluster) {
      const answer = (name: string, [subcommand = '']: readonly string[]) => {
        if (name !== 'cluster') return undefined;
        return subcommand.toLowerCase() === 'info' ? '$16\r\ncluster_state:ok' : oneNode('127.0.0.1', address);
      };
      const front = await startFront({ backend: server.url, answer });
      closing.push(() => front.close());
      port = front.port;
    }
    const proxy = await startProxy(port);
    closing.push(() => proxy.close());
    address = proxy.port;
    return { proxy, url: `valkey://127.0.0.1:${address}` };
  };

  describe.each([
    ['a single server', false],
    ['a cluster', true],
  ])('to %s', (_, cluster) => {
    it.each(WRITES)('changes nothing with a late $name', async ({ prepare, run }) => {
      const { proxy, url } = await place(cluster);
      const cache = open({ url, cluster, commandTimeoutMs: 800, deadlineMs: 2_000 });
      const prepared = await prepare(cache);
      await cache.apply([put('warm', 1), enter('warm', 'a', 1)]);
      const before = await contents();
      proxy.stall();
      await expect(run(cache, prepared)).rejects.toThrow(CacheUnavailableError);
      proxy.release();
      // By then the server has answered all that it was sent.
      await sleep(300);
      expect(await contents()).toEqual(before);
    });

    it('changes nothing with calls that arrive after 9 s, when the client has gone on', { timeout: 20_000 }, async () => {
      const { proxy, url } = await place(cluster);
      const cache = open({ url, cluster });
      const direct = open({ url: server.url });
      const prepared = await Promise.all(WRITES.map(({ prepare }) => prepare(cache)));
      await cache.apply([put('warm', 1)]);
      proxy.stall();
      const failed = await Promise.allSettled(WRITES.map(({ run }, i) => run(cache, prepared[i])));
      expect(failed.map(({ status }) => status)).toEqual(WRITES.map(() => 'rejected'));
      await direct.apply([put('written', 6)]);
      // An eviction takes the newer version with it.
      await raw.del('millrace:doc:written');
      const before = await contents();
      await sleep(7_000);
      proxy.release();
      await sleep(300);
      expect(await contents()).toEqual(before);
      expect(await direct.get('written')).toEqual({ type: 'miss' });
      // The first call after the stall may still find the connection that has died.
      await expect.poll(() => cache.apply([put('warm', 2)]).catch(() => undefined), { timeout: 5_000 }).toEqual([APPLIED]);
    });
  });

  it('executes a call that arrives while the client still waits', async () => {
    const { proxy, url } = await place(false);
    const cache = open({ url });
    await cache.apply([put('warm', 1)]);
    for (const { prepare, run, expected } of [...WRITES, ...READS]) {
      const prepared = await prepare(cache);
      proxy.stall();
      const called = run(cache, prepared);
      await sleep(300);
      proxy.release();
      expect(await called).toEqual(expected);
    }
  });

  it('changes nothing with a call that a stopped server receives when it continues', async () => {
    const own = await startValkey();
    closing.push(() => own.close());
    const cache = open({ url: own.url, commandTimeoutMs: 500, deadlineMs: 1_000 });
    await cache.apply([put('a', 1)]);
    process.kill(own.pid as number, 'SIGSTOP');
    try {
      await expect(cache.apply([put('a', 2)])).rejects.toThrow(CacheUnavailableError);
    } finally {
      process.kill(own.pid as number, 'SIGCONT');
    }
    await sleep(300);
    expect(await open({ url: own.url }).get('a')).toMatchObject({ type: 'hit', value: 1 });
  });

  it('changes nothing with a call that the client sends again over a new connection', async () => {
    const own = await startValkey();
    closing.push(() => own.close());
    const cache = open({ url: own.url, commandTimeoutMs: 100, deadlineMs: 200 });
    await cache.apply([put('a', 1)]);
    await own.stop();
    await expect(cache.apply([put('a', 2)])).rejects.toThrow(CacheUnavailableError);
    await own.restart();
    await expect.poll(() => cache.apply([put('b', 1)]).catch(() => undefined)).toEqual([APPLIED]);
    expect(await cache.get('a')).toEqual({ type: 'miss' });
  });

  describe('by the clock of the server', () => {
    const HOUR = 3_600_000;
    const fronted = async (answer: Parameters<typeof startFront>[0]['answer'] = () => undefined) => {
      const front = await startFront({ backend: server.url, answer });
      closing.push(() => front.close());
      return { front, url: `valkey://127.0.0.1:${front.port}` };
    };
    const time = (ahead: number) => {
      const ms = Date.now() + ahead;
      const [seconds, rest] = [String(Math.floor(ms / 1_000)), String((ms % 1_000) * 1_000)];
      return `*2\r\n$${seconds.length}\r\n${seconds}\r\n$${rest.length}\r\n${rest}`;
    };

    it('reads the clock once for each connection', async () => {
      const { front, url } = await fronted();
      const cache = open({ url });
      for (let n = 1; n <= 5; n += 1) await cache.apply([put('a', n)]);
      expect(front.received).toEqual(['time', 'eval', ...Array.from({ length: 4 }, () => 'evalsha')]);
    });

    it('reads no clock for calls that only read', async () => {
      const { front, url } = await fronted();
      const cache = open({ url });
      await cache.get('a');
      await cache.getMany(['a', 'b']);
      await cache.list('a', { limit: 1 });
      expect(front.received).toHaveLength(3);
      expect(front.received).not.toContain('time');
    });

    it.each([-HOUR, -10_000, 10_000, HOUR])(
      'executes calls of a connection whose servers have different clocks, one %i ms ahead',
      async (ahead) => {
        const { front, url } = await fronted((name) => (name === 'time' ? time(ahead) : undefined));
        const cache = open({ url });
        expect(await cache.apply([put('a', 1)])).toEqual([APPLIED]);
        expect(front.received).toEqual(['time', 'eval', 'evalsha']);
        expect(await cache.apply([put('a', 2)])).toEqual([APPLIED]);
        expect(front.received).toHaveLength(4);
      },
    );

    it.each([
      ['stood still while the function was frozen', -HOUR],
      ['ran on while the function was frozen', HOUR],
    ])("executes calls after the client's clock %s", async (_, jump) => {
      const { front, url } = await fronted();
      const cache = open({ url });
      await cache.apply([put('a', 1)]);
      const now = performance.now.bind(performance);
      const spy = vi.spyOn(performance, 'now').mockImplementation(() => now() + jump);
      closing.push(() => spy.mockRestore());
      front.received.length = 0;
      expect(await cache.apply([put('a', 2)])).toEqual([APPLIED]);
      expect(front.received).toEqual(['evalsha', 'evalsha']);
      expect(await cache.apply([put('a', 3)])).toEqual([APPLIED]);
      expect(front.received).toHaveLength(3);
    });
  });
});
