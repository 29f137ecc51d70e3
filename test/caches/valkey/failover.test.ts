import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'iovalkey';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type ValkeyOptions, valkeyCache } from '../../../src/caches/valkey.ts';
import { CacheUnavailableError } from '../../../src/errors.ts';
import { APPLIED } from '../../../src/mutation.ts';
import { leaseOn, settleOn } from '../../../src/testing/contract/case.ts';
import { oneNode, startFront } from '../../servers/front.ts';
import { until } from '../../servers/processes.ts';
import { startProxy, type TcpProxy } from '../../servers/proxy.ts';
import { missing } from '../../servers/requires.ts';
import {
  HOW_TO_GET_VALKEY,
  startCluster,
  startValkey,
  type ValkeyCluster,
  type ValkeyServer,
  valkeyAvailable,
} from '../../servers/valkey.ts';
import { enter, put, READS, WRITES } from './sample.ts';

describe.skipIf(missing(valkeyAvailable(), HOW_TO_GET_VALKEY))('the Valkey backend after a failover', () => {
  const closing: (() => unknown)[] = [];
  afterEach(async () => {
    for (const close of closing.splice(0).reverse()) await close();
  });
  const open = (options: ValkeyOptions) => {
    const cache = valkeyCache(options);
    closing.push(() => cache.close());
    return cache;
  };

  describe('behind an address that stays', () => {
    let servers: [ValkeyServer, ValkeyServer];
    let admins: [Redis, Redis];
    let proxy: TcpProxy;
    /** Which of the two is the primary. */
    let primary: 0 | 1 = 0;
    const other = () => (1 - primary) as 0 | 1;
    const isFollowing = (replica: Redis) =>
      until('the replica to follow', async () => /master_link_status:up/.test(await replica.info('replication')));
    const isCurrent = () =>
      until('the replica to have everything', async () => {
        const offsets = await Promise.all(
          admins.map(async (admin) => /master_repl_offset:(\d+)/.exec(await admin.info('replication'))?.[1]),
        );
        return offsets[0] === offsets[1];
      });
    /** Promotes the replica, and makes the former primary its replica. Connections to the former primary stay open. */
    const failOver = async () => {
      await isCurrent();
      const [former, heir] = [admins[primary], admins[other()]];
      await heir.replicaof('NO', 'ONE');
      await former.replicaof('127.0.0.1', servers[other()].port);
      await isFollowing(former);
      primary = other();
    };
    const isStillConnected = async () => /name=|addr=/.test(String(await admins[other()].client('LIST')));

    beforeAll(async () => {
      servers = await Promise.all([startValkey(), startValkey()]);
      admins = [new Redis(servers[0].url), new Redis(servers[1].url)];
      await admins[1].replicaof('127.0.0.1', servers[0].port);
      await isFollowing(admins[1]);
      proxy = await startProxy(servers[0].port);
    });
    afterAll(async () => {
      for (const admin of admins ?? []) admin.disconnect();
      await proxy?.close();
      for (const server of servers ?? []) await server.close();
    });
    const openHere = (options: Partial<ValkeyOptions> = {}) => {
      proxy.target(servers[primary].port);
      return open({ url: `valkey://127.0.0.1:${proxy.port}`, namespace: `f${Math.random()}`.replace('.', ''), ...options });
    };

    it.each([...WRITES, ...READS])('succeeds with the first $name', async ({ prepare, run, expected }) => {
      const cache = openHere();
      await cache.apply([put('warm', 1)]);
      const prepared = await prepare(cache);
      await failOver();
      expect(await isStillConnected()).toBe(true);
      proxy.target(servers[primary].port);
      expect(await run(cache, prepared)).toEqual(expected);
    });

    it('succeeds with calls made at the same time, over one new connection', async () => {
      const cache = openHere();
      await cache.apply([put('warm', 1)]);
      await failOver();
      proxy.target(servers[primary].port);
      const before = proxy.accepted;
      const numbers = Array.from({ length: 2_000 }, (_, i) => i);
      const warned: unknown[] = [];
      const listen = (warning: unknown) => void warned.push(warning);
      process.on('warning', listen);
      const applied = cache.apply(numbers.map((n) => put(`d${n}`, 1)));
      const leases = Promise.all(numbers.slice(0, 50).map((n) => leaseOn(cache, { kind: 'document', key: `l${n}` })));
      expect(await applied).toEqual(numbers.map(() => APPLIED));
      expect(await leases).toHaveLength(50);
      process.off('warning', listen);
      expect(warned).toEqual([]);
      expect(proxy.accepted - before).toBe(1);
    });

    it('succeeds once the address leads to the new primary', async () => {
      const cache = openHere();
      await cache.apply([put('warm', 1)]);
      await failOver();
      const called = cache.apply([put('late', 1)]);
      await sleep(800);
      proxy.target(servers[primary].port);
      expect(await called).toEqual([APPLIED]);
    });

    it('fails with the reason at the deadline if the address still leads to the former primary, and opens few connections', async () => {
      const cache = openHere({ deadlineMs: 1_500, commandTimeoutMs: 1_000 });
      await cache.apply([put('warm', 1)]);
      await failOver();
      const before = proxy.accepted;
      const error = await cache.apply([put('never', 1)]).catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(CacheUnavailableError);
      expect((error as Error).message).toMatch(/READONLY/);
      expect(proxy.accepted - before).toBeLessThan(20);
      await sleep(300);
      const after = proxy.accepted;
      await sleep(500);
      expect(proxy.accepted - after).toBeLessThan(2);
      proxy.target(servers[primary].port);
      expect(await cache.apply([put('after all', 1)])).toEqual([APPLIED]);
    });

    it.each(READS)(
      'succeeds with the first $name where the former primary has lost its link to the new one',
      async ({ prepare, run, expected }) => {
        const cache = openHere();
        await cache.apply([put('warm', 1)]);
        await prepare(cache);
        await failOver();
        const former = admins[other()];
        await former.config('SET', 'replica-serve-stale-data', 'no');
        await former.replicaof('127.0.0.1', 1);
        try {
          await expect(former.get('any')).rejects.toThrow('MASTERDOWN');
          proxy.target(servers[primary].port);
          expect(await run(cache, undefined)).toEqual(expected);
        } finally {
          await former.config('SET', 'replica-serve-stale-data', 'yes');
          await former.replicaof('127.0.0.1', servers[primary].port);
          await isFollowing(former);
        }
      },
    );
  });

  const lastWords = [
    "READONLY You can't write against a read only replica.",
    'LOADING Redis is loading the dataset in memory',
    "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
    'NOREPLICAS Not enough good replicas to write.',
  ];

  it.each(lastWords)('connects again when a server answers: %s', async (words) => {
    const server = await startValkey();
    closing.push(() => server.close());
    let isFormer = false;
    // The first connection leads to the former primary.
    const front = await startFront({
      backend: server.url,
      answer: (name, _, connection) => (isFormer && connection === 0 && name !== 'time' ? `-${words}` : undefined),
    });
    closing.push(() => front.close());
    const cache = open({ url: `valkey://127.0.0.1:${front.port}` });
    await cache.apply([put('a', 1)]);
    isFormer = true;
    expect(await cache.apply([put('a', 2), enter('l', 'a', 2)])).toEqual([APPLIED, APPLIED]);
    expect(await cache.get('a')).toMatchObject({ type: 'hit', value: 2 });
  });

  it.each(['BUSY Redis is busy running a script.', 'UNKILLABLE Sorry the script already executed write commands.'])(
    'repeats a call on the same connection when a server answers: %s',
    async (words) => {
      const server = await startValkey();
      closing.push(() => server.close());
      let busy = 0;
      const front = await startFront({
        backend: server.url,
        answer: (name, _, connection) =>
          connection > 0 ? '-ERR one connection is enough' : name !== 'time' && busy-- > 0 ? `-${words}` : undefined,
      });
      closing.push(() => front.close());
      const cache = open({ url: `valkey://127.0.0.1:${front.port}` });
      await cache.apply([put('a', 1)]);
      busy = 4;
      expect(await cache.apply([put('a', 2)])).toEqual([APPLIED]);
      busy = 4;
      expect(await cache.get('a')).toMatchObject({ type: 'hit', value: 2 });
    },
  );

  describe('of a cluster', () => {
    let cluster: ValkeyCluster;
    beforeAll(async () => {
      cluster = await startCluster({ masters: 3, replicas: 1 });
    });
    afterAll(() => cluster?.close());
    const keys = Array.from({ length: 40 }, (_, i) => `k${i}`);

    it('succeeds with the first calls after the roles were swapped', async () => {
      const cache = open({ url: cluster.url, cluster: true, namespace: 'swapped' });
      await cache.apply(keys.map((key) => put(key, 1)));
      const leases = await Promise.all(keys.map((key) => leaseOn(cache, { kind: 'document', key })));
      for (const slot of [0, 6_000, 12_000]) await cluster.failover(await cluster.ownerOf(slot));
      expect(new Set(await Promise.all(leases.map((lease) => settleOn(cache, lease, { kind: 'document', json: '3' }))))).toEqual(
        new Set(['settled']),
      );
      expect(await cache.apply(keys.map((key) => put(key, 2)))).toEqual(keys.map(() => APPLIED));
      expect((await cache.getMany(keys)).every(({ type }) => type === 'hit')).toBe(true);
      for (const { prepare, run, expected } of [...WRITES, ...READS]) expect(await run(cache, await prepare(cache))).toEqual(expected);
    });

    it('succeeds with the first calls after a node has died, while others still name it', { timeout: 30_000 }, async () => {
      const cache = open({ url: cluster.url, cluster: true, namespace: 'died', deadlineMs: 15_000, commandTimeoutMs: 10_000 });
      await cache.apply(keys.map((key) => put(key, 1)));
      const dying = await cluster.ownerOf(0);
      // The calls begin while the other nodes still send clients to the dead one.
      await cluster.nodes.find(({ port }) => port === dying)?.crash();
      expect(await cache.apply(keys.map((key) => put(key, 2)))).toEqual(keys.map(() => APPLIED));
      expect((await cache.getMany(keys)).map((found) => (found.type === 'hit' ? found.value : found.type))).toEqual(keys.map(() => 2));
    });
  });

  it.each([
    '-READONLY You cannot write.',
    '-LOADING Redis is loading',
    '-ERR MOVED 7572 HOST',
    '-MOVED 7572 HOST',
    '-CLUSTERDOWN The cluster is down',
  ])('repeats the call of a cluster whose node answers %s', async (words) => {
    const server = await startValkey();
    closing.push(() => server.close());
    let refusals = 0;
    let refreshes = 0;
    let address = '';
    const front = await startFront({
      backend: server.url,
      answer(name, [subcommand]) {
        if (name === 'cluster' && subcommand?.toLowerCase() === 'info') return '$16\r\ncluster_state:ok';
        if (name === 'cluster') {
          refreshes += 1;
          return oneNode('127.0.0.1', front.port);
        }
        return /^(eval|evalsha|get)$/.test(name) && refusals-- > 0 ? words.replace('HOST', address) : undefined;
      },
    });
    closing.push(() => front.close());
    address = `127.0.0.1:${front.port}`;
    const cache = open({ url: `valkey://${address}`, cluster: true });
    await cache.apply([put('a', 1)]);
    const before = refreshes;
    refusals = 2;
    expect(await cache.apply([put('a', 2)])).toEqual([APPLIED]);
    refusals = 1;
    expect(await cache.get('a')).toMatchObject({ type: 'hit', value: 2 });
    if (/MOVED|CLUSTERDOWN/.test(words)) expect(refreshes).toBeGreaterThan(before);
  });
});
