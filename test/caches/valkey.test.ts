import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'iovalkey';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { CacheClient } from '../../src/cache.ts';
import { type ValkeyOptions, valkeyCache } from '../../src/caches/valkey.ts';
import { CacheUnavailableError } from '../../src/errors.ts';
import { APPLIED, type Mutation, STALE } from '../../src/mutation.ts';
import { leaseOn, settleOn } from '../../src/testing/contract/case.ts';
import { FLOOR, versionOf } from '../../src/version.ts';
import { freePort } from '../servers/processes.ts';
import { missing } from '../servers/requires.ts';
import {
  HOW_TO_GET_VALKEY,
  missingTls,
  startCluster,
  startValkey,
  type ValkeyCluster,
  type ValkeyServer,
  valkeyAvailable,
} from '../servers/valkey.ts';

const version = (n: number) => versionOf('2026-11-22T03:01:52.091', String(n));
const put = (key: string, n: number, value: unknown = n): Mutation => ({
  kind: 'document',
  type: 'put',
  key,
  version: version(n),
  json: JSON.stringify(value),
});
const remove = (key: string, n: number): Mutation => ({ kind: 'document', type: 'delete', key, version: version(n) });
const enter = (list: string, member: string, n: number, score = n, keep = 1_000): Mutation => ({
  kind: 'member',
  type: 'put',
  list,
  member,
  score,
  keep,
  version: version(n),
  json: JSON.stringify(n),
});
const leave = (list: string, member: string, n: number, score: number): Mutation => ({
  kind: 'member',
  type: 'delete',
  list,
  member,
  score,
  keep: 1_000,
  version: version(n),
});
const settleEmpty = async (cache: CacheClient, list: string, keep = 1_000) =>
  settleOn(cache, await leaseOn(cache, { kind: 'list', list, keep }), { kind: 'list', newest: [] });

describe.skipIf(missing(valkeyAvailable(), HOW_TO_GET_VALKEY))('the Valkey backend', () => {
  describe('on a single server', () => {
    let server: ValkeyServer;
    let raw: Redis;
    const opened: CacheClient[] = [];
    const open = (options: Partial<ValkeyOptions> = {}) => {
      const cache = valkeyCache({ url: server.url, namespace: `t${opened.length}`, ...options });
      opened.push(cache);
      return { cache, namespace: options.namespace ?? `t${opened.length - 1}` };
    };
    beforeAll(async () => {
      server = await startValkey();
      raw = new Redis(server.url);
    });
    afterAll(async () => {
      for (const cache of opened) await cache.close();
      raw?.disconnect();
      await server?.close();
    });

    it('sends one command for a record, however many addresses it has', async () => {
      const { cache } = open();
      await cache.apply([put('warm', 1)]);
      await raw.config('RESETSTAT');
      await cache.apply([put('a', 1), put('b', 1), enter('all', 'm', 1), enter('mine', 'm', 1)]);
      const stats = await raw.info('commandstats');
      const calls = Object.fromEntries([...stats.matchAll(/cmdstat_(\w+):calls=(\d+)/g)].map(([, name, n]) => [name, Number(n)]));
      expect(calls.evalsha).toBe(1);
      expect(calls.eval).toBeUndefined();
    });

    it('sends few commands for many records at once, and answers each call with its own outcomes', async () => {
      const { cache } = open();
      await cache.apply([put('warm', 1)]);
      await raw.config('RESETSTAT');
      const odd = (i: number) => i % 2 === 1;
      const numbers = Array.from({ length: 1_000 }, (_, i) => i);
      await Promise.all(numbers.filter(odd).map((i) => cache.apply([put(`d${i}`, 9)])));
      const outcomes = await Promise.all(numbers.map((i) => cache.apply([put(`d${i}`, 5), enter('l', `m${i}`, 5)])));
      expect(outcomes).toEqual(numbers.map((i) => [odd(i) ? STALE : APPLIED, APPLIED]));
      const calls = Number(/cmdstat_evalsha:calls=(\d+)/.exec(await raw.info('commandstats'))?.[1]);
      // Of 64 mutations each they were 40.
      expect(calls).toBeLessThan(30);
    });

    it('splits many mutations into commands of at most 256, so that none blocks the server for long', async () => {
      const { cache } = open();
      await cache.apply([put('warm', 1)]);
      await raw.config('RESETSTAT');
      await cache.apply(Array.from({ length: 8_000 }, (_, i) => put(`many${i}`, 1)));
      expect(Number(/cmdstat_evalsha:calls=(\d+)/.exec(await raw.info('commandstats'))?.[1])).toBeGreaterThanOrEqual(8_000 / 256);
    });

    it('splits large values into several commands, so that none blocks the server for long', async () => {
      const { cache } = open();
      await cache.apply([put('warm', 1)]);
      await raw.config('RESETSTAT');
      await cache.apply(['a', 'b', 'c', 'd'].map((key) => put(key, 1, 'x'.repeat(300_000))));
      expect(await raw.info('commandstats')).toMatch(/cmdstat_evalsha:calls=4,/);
    });

    it('sends a command again when its connection was lost', async () => {
      const { cache } = open();
      await cache.apply([put('a', 1)]);
      for (let n = 2; n < 7; n += 1) {
        const [outcomes] = await Promise.all([cache.apply([put('a', n)]), raw.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')]);
        expect(outcomes).toEqual([APPLIED]);
      }
    });

    it('sends a script again when the server has lost it', async () => {
      const { cache } = open();
      await cache.apply([put('a', 1)]);
      await raw.script('FLUSH');
      expect(await cache.apply([put('a', 2)])).toEqual([APPLIED]);
      await raw.script('FLUSH');
      expect((await cache.list('none', { limit: 1 })).complete).toBe(false);
    });

    it('stores a document so that the plain command GETRANGE reads its value', async () => {
      const { cache, namespace } = open();
      await cache.apply([put('detail@1:42', 1, { pizza: 'margherita' })]);
      expect(await raw.getrange(`${namespace}:doc:detail@1:42`, 80, -1)).toBe('{"pizza":"margherita"}');
      await cache.apply([remove('detail@1:42', 2)]);
      expect(await raw.getrange(`${namespace}:doc:detail@1:42`, 80, -1)).toBe('');
    });

    it('reads and continues what an earlier version stored', async () => {
      const { cache, namespace } = open();
      const blank = ' '.repeat(15);
      await raw.set(`${namespace}:doc:live`, `${version(1)}p${blank}{"a":1}`);
      await raw.set(`${namespace}:doc:dead`, `${version(1)}d${blank}`);
      await raw.set(`${namespace}:doc:leased`, `${version(1)}f0123456789abcde`);
      const [members, scores, peaks] = ['members', 'scores', 'peaks'].map((part) => `${namespace}:list:{l}:${part}`) as [
        string,
        string,
        string,
      ];
      // Birth, bottom, lost count, settled count, forgotten members, rows of scores, rows of peaks.
      await raw.hset(members, '', '1700000000.000001 1 4 2 1 2 3', 'a', `${version(6)}p6`, 'b', `${version(5)}p5`);
      await raw.hset(members, 'c', `${version(7)}d1700000000`, 'd', `${version(8)}f`);
      await raw.zadd(scores, 6, 'a', 5, 'b');
      await raw.zadd(peaks, 9, 'a', 7, 'c', 8, 'd');
      expect(await cache.getMany(['live', 'dead', 'leased'])).toEqual([
        { type: 'hit', value: { a: 1 }, version: version(1) },
        { type: 'gone', version: version(1) },
        { type: 'miss' },
      ]);
      expect(await leaseOn(cache, { kind: 'document', key: 'leased' })).toMatchObject({ token: '0123456' });
      const page = { members: [{ member: 'a', score: 6, value: 6 }, { member: 'b' }] };
      expect(await cache.list('l', { limit: 2 })).toMatchObject({ ...page, complete: false });
      expect(await cache.apply([enter('l', 'c', 6), leave('l', 'd', 9, 8), enter('l', 'e', 9, 1)])).toEqual([STALE, APPLIED, APPLIED]);
      // The list counts as never settled, because it does not say which versions it dropped.
      expect(await cache.list('l', { limit: 2 })).toMatchObject({ ...page, complete: false });
      const header = await raw.hget(members, '');
      expect(header?.split(' ').slice(1)).toEqual(['1', '6', '0', '0', '2', '3', '1', version(9)]);
      await settleEmpty(cache, 'l');
      expect(await cache.list('l', { limit: 2 })).toMatchObject({ members: [], complete: true });
    });

    it('continues a list of an earlier version that dropped nothing as it is', async () => {
      const { cache, namespace } = open();
      const [members, scores] = ['members', 'scores'].map((part) => `${namespace}:list:{l}:${part}`) as [string, string];
      await raw.hset(members, '', '1700000000.000001 1 0 2 0 1 0', 'a', `${version(6)}p6`);
      await raw.zadd(scores, 6, 'a');
      expect(await cache.list('l', { limit: 1 })).toMatchObject({ members: [{ member: 'a' }], complete: true });
      expect(await cache.apply([enter('l', 'b', 7)])).toEqual([APPLIED]);
      expect(await raw.hget(members, '')).toBe(`1700000000.000001 1 0 2 0 2 0 1 ${FLOOR}`);
    });

    it('gives a list of an earlier version that dropped versions a new birth, and stores it with a lease', async () => {
      const { cache, namespace } = open();
      const [members, scores] = ['members', 'scores'].map((part) => `${namespace}:list:{l}:${part}`) as [string, string];
      const earlier = '1700000000.000001 1 4 2 0 1 0';
      await raw.hset(members, '', earlier, 'a', `${version(6)}p6`);
      await raw.zadd(scores, 6, 'a');
      const lease = await leaseOn(cache, { kind: 'list', list: 'l', keep: 5 });
      const found = { kind: 'list', newest: [{ member: 'a', score: 6, json: '7' }] } as const;
      expect(await settleOn(cache, lease, found)).toBe('settled');
      expect(await cache.list('l', { limit: 5 })).toMatchObject({
        members: [{ member: 'a', value: 7, version: version(6) }],
        complete: true,
      });
      // A lease that an earlier version took.
      for (const settled of ['2', '0']) {
        await raw.hset(members, '', `1700000000.000001 1 4 ${settled} 0 1 0`);
        const taken = { target: lease.target, seen: ['1700000000.000001', '1', '4', settled, 'a', version(6)] };
        expect(await settleOn(cache, taken, found)).toBe('lost');
      }
    });

    it.each(['members', 'scores', 'peaks'])('loses the whole list when its key of %s is evicted alone', async (part) => {
      const { cache, namespace } = open();
      await settleEmpty(cache, 'l');
      await cache.apply([enter('l', 'a', 1), enter('l', 'b', 2), enter('l', 'c', 3), leave('l', 'c', 4, 3)]);
      expect(await cache.list('l', { limit: 9 })).toMatchObject({ complete: true, members: [{ member: 'b' }, { member: 'a' }] });
      await raw.del(`${namespace}:list:{l}:${part}`);
      expect(await cache.list('l', { limit: 9 })).toEqual({ members: [], complete: false });
      await cache.apply([enter('l', 'd', 5)]);
      expect(await cache.list('l', { limit: 9 })).toMatchObject({ complete: false, members: [{ member: 'd' }] });
    });

    it('settles a list of a hundred thousand members', async () => {
      const { cache } = open({ commandTimeoutMs: 50_000, deadlineMs: 55_000 });
      const keep = 100_000;
      const newest = Array.from({ length: keep }, (_, i) => ({ member: `m${i}`, score: keep - i, json: '1' }));
      for (const times of [1, 2]) {
        const lease = await leaseOn(cache, { kind: 'list', list: 'long', keep });
        expect([times, await settleOn(cache, lease, { kind: 'list', newest })]).toEqual([times, 'settled']);
      }
      expect(await cache.list('long', { limit: 1 })).toMatchObject({ complete: true, members: [{ member: 'm0' }] });
    });

    it('refuses to settle a list of which one key was evicted since the lease', async () => {
      const { cache, namespace } = open();
      await cache.apply([enter('l', 'a', 1)]);
      const lease = await leaseOn(cache, { kind: 'list', list: 'l', keep: 9 });
      await raw.del(`${namespace}:list:{l}:scores`);
      await cache.apply([enter('l', 'b', 2)]);
      expect(await settleOn(cache, lease, { kind: 'list', newest: [] })).toBe('lost');
    });

    it('expires tombstones and forgotten documents, and entries only if they have a TTL', async () => {
      const { cache, namespace } = open({ tombstoneTtlMs: 60_000 });
      await cache.apply([put('live', 1), remove('dead', 1), { kind: 'document', type: 'forget', key: 'lost', version: version(1) }]);
      const ttl = (key: string) => raw.pttl(`${namespace}:doc:${key}`);
      expect(await ttl('live')).toBe(-1);
      for (const key of ['dead', 'lost']) expect(await ttl(key)).toBeGreaterThan(50_000);
      const mortal = open({ entryTtlMs: 5_000, tombstoneTtlMs: 60_000 });
      await mortal.cache.apply([put('live', 1), enter('l', 'a', 1), leave('l', 'b', 1, 1)]);
      const living = await raw.pttl(`${mortal.namespace}:doc:live`);
      expect(living).toBeGreaterThan(0);
      expect(living).toBeLessThanOrEqual(5_000);
      for (const part of ['members', 'scores', 'peaks']) {
        expect(await raw.pttl(`${mortal.namespace}:list:{l}:${part}`)).toBeGreaterThan(50_000);
      }
    });

    it('expires a list without live members by the tombstone TTL, and keeps one that has live members again', async () => {
      const { cache, namespace } = open({ tombstoneTtlMs: 60_000 });
      const ttls = () => Promise.all(['members', 'scores', 'peaks'].map((part) => raw.pttl(`${namespace}:list:{l}:${part}`)));
      await cache.apply([enter('l', 'a', 1)]);
      expect(await ttls()).toEqual([-1, -1, -2]);
      await cache.apply([leave('l', 'a', 2, 1)]);
      const [members, scores, peaks] = await ttls();
      expect(members).toBeGreaterThan(50_000);
      expect(scores).toBe(-2);
      expect(peaks).toBeGreaterThan(50_000);
      await cache.apply([enter('l', 'b', 3)]);
      expect(await ttls()).toEqual([-1, -1, -1]);
    });

    it('fills large values in several script calls, so that none holds the server up', async () => {
      const { cache } = open();
      const leases = await cache.lease(Array.from({ length: 8 }, (_, i) => ({ kind: 'document' as const, key: `large ${i}` })));
      const scriptCalls = async () => {
        const counts = [...(await raw.info('commandstats')).matchAll(/cmdstat_eval(?:sha)?:calls=(\d+)/g)];
        return counts.reduce((sum, [, calls]) => sum + Number(calls), 0);
      };
      const before = await scriptCalls();
      const json = JSON.stringify('x'.repeat(100_000));
      expect(await cache.settle(leases.map((lease) => ({ lease, found: { kind: 'document', json } })))).toEqual(
        leases.map(() => 'settled'),
      );
      expect((await scriptCalls()) - before).toBe(3);
    });

    it('sweeps gone markers older than the tombstone TTL, so that past changes do not fill the list', async () => {
      const { cache, namespace } = open({ tombstoneTtlMs: 1_000 });
      await cache.apply([enter('l', 'stays', 1)]);
      // In one call, so that no marker is too old at once on a slow machine.
      const churn = (name: string) => cache.apply(Array.from({ length: 300 }, (_, i) => leave('l', `${name}${i}`, i + 2, i + 2)));
      await churn('old');
      expect(await raw.zcard(`${namespace}:list:{l}:peaks`)).toBe(300);
      await sleep(2_100);
      await churn('new');
      expect(await raw.zcard(`${namespace}:list:{l}:peaks`)).toBeLessThan(400);
      expect((await cache.list('l', { limit: 9 })).members).toHaveLength(1);
    });

    it('keeps the bottom when a stale mutation added a peak and a sweep dropped a marker since the lease', async () => {
      const { cache } = open({ tombstoneTtlMs: 1_000 });
      const list = 'l';
      await cache.apply([enter(list, 'a', 3, 3, 1), enter(list, 'b', 4, 4, 1), leave(list, 'x', 9, 9)]);
      await sleep(2_100);
      const lease = await leaseOn(cache, { kind: 'list', list, keep: 1 });
      expect(await cache.apply([enter(list, 'b', 2, 8, 1)])).toEqual([STALE]);
      expect(await settleOn(cache, lease, { kind: 'list', newest: [{ member: 'b', score: 4, json: '4' }] })).toBe('settled');
      expect(await cache.list(list, { limit: 1 })).toMatchObject({ complete: true, members: [{ member: 'b' }] });
      expect(await cache.list(list, { limit: 2 })).toMatchObject({ complete: false, members: [{ member: 'b' }] });
    });

    it('drops forgotten markers once the bottom has reached their peaks', async () => {
      const { cache, namespace } = open();
      const rows = () => Promise.all([raw.hlen(`${namespace}:list:{l}:members`), raw.zcard(`${namespace}:list:{l}:peaks`)]);
      await settleEmpty(cache, 'l', 2);
      const forget = (n: number): Mutation => ({ ...leave('l', `m${n}`, n, n), type: 'forget', keep: 2 }) as Mutation;
      const numbers = Array.from({ length: 500 }, (_, i) => i + 1);
      await cache.apply(numbers.map((n) => (n % 10 === 0 ? forget(n) : enter('l', `m${n}`, n, n, 2))));
      // Two live members, one forgotten, and the header.
      expect(await rows()).toEqual([4, 1]);
      await cache.apply([501, 502, 503].map((n) => enter('l', `m${n}`, n, n, 2)));
      await cache.apply(numbers.map((n) => forget(n)));
      expect(await rows()).toEqual([3, 0]);
      await cache.apply([forget(503), enter('l', 'm503', 503, 503, 2)]);
      expect(await rows()).toEqual([3, 0]);
      expect(await cache.list('l', { limit: 2 })).toMatchObject({ complete: true, members: [{ member: 'm503' }, { member: 'm502' }] });
    });

    it('sweeps no forgotten marker, whatever its age, because without it pages would be complete', async () => {
      const { cache, namespace } = open({ tombstoneTtlMs: 1_000 });
      await settleEmpty(cache, 'l');
      await cache.apply([enter('l', 'stays', 1), { ...leave('l', 'x', 2, 2), type: 'forget' } as Mutation]);
      await sleep(2_100);
      for (let n = 3; n < 30; n += 1) await cache.apply([leave('l', `m${n}`, n, n)]);
      expect(await raw.hexists(`${namespace}:list:{l}:members`, 'x')).toBe(1);
      expect((await cache.list('l', { limit: 1 })).complete).toBe(false);
    });

    it('throws CacheUnavailableError within the deadline when the server hangs, and works again later', async () => {
      const { cache } = open({ deadlineMs: 400, commandTimeoutMs: 200 });
      await cache.apply([put('a', 1)]);
      process.kill(server.pid as number, 'SIGSTOP');
      try {
        const started = Date.now();
        const secret = 'a value that nobody should read in a log';
        const error = await cache.apply([put('a', 2, secret)]).catch((thrown: unknown) => thrown as Error);
        expect(error).toBeInstanceOf(CacheUnavailableError);
        expect(Date.now() - started).toBeLessThan(1_000);
        expect(`${(error as Error).stack} ${JSON.stringify(error)} ${(error as Error).cause}`).not.toContain(secret);
      } finally {
        process.kill(server.pid as number, 'SIGCONT');
      }
      await expect.poll(() => cache.apply([put('a', 3)]).catch(() => undefined)).toEqual([APPLIED]);
    });

    it('reconnects after the server was restarted', async () => {
      const { cache } = open();
      await cache.apply([put('a', 1)]);
      await server.restart();
      await expect.poll(() => cache.apply([put('a', 2)]).catch(() => undefined), { timeout: 10_000 }).toEqual([APPLIED]);
    });

    it('sends the mutations of earlier calls when it is closed', async () => {
      const { cache } = open();
      await cache.apply([put('a', 1)]);
      const last = cache.apply([put('a', 2)]);
      await cache.close();
      expect(await last).toEqual([APPLIED]);
    });

    it('applies mutations of one list in order when their `keep` differs', async () => {
      const { cache } = open();
      const three = [1, 2, 3].map((n) => enter('l', `m${n}`, n, n, 3));
      await cache.apply([...three, enter('l', 'm4', 4, 4, 1), enter('l', 'm5', 5, 5, 3)]);
      expect((await cache.list('l', { limit: 9 })).members.map(({ member }) => member)).toEqual(['m5', 'm4']);
    });

    it.each([{ tombstoneTtlMs: 1.5 }, { tombstoneTtlMs: 0 }, { entryTtlMs: -1 }, { maxValueBytes: Number.NaN }])(
      'throws a TypeError for %j',
      (options) => {
        expect(() => valkeyCache({ url: server.url, ...options })).toThrow(/whole number/);
      },
    );

    it('throws CacheUnavailableError after it was closed', async () => {
      const { cache } = open();
      await cache.close();
      await expect(cache.get('a')).rejects.toThrow(CacheUnavailableError);
    });
  });

  it('replaces a connection that no longer answers', async () => {
    const server = await startValkey();
    let swallow = false;
    const sockets = new Set<Socket>();
    const proxy = createServer((near) => {
      const far = connect(server.port, '127.0.0.1');
      const deaf = () => swallow && sockets.has(near);
      for (const socket of [near, far]) socket.on('error', () => {});
      near.on('data', (data) => deaf() || far.write(data)).on('close', () => far.destroy());
      far.on('data', (data) => deaf() || near.write(data)).on('close', () => near.destroy());
      if (!swallow) sockets.add(near);
    });
    await new Promise<void>((done) => proxy.listen(0, '127.0.0.1', done));
    const { port } = proxy.address() as AddressInfo;
    const cache = valkeyCache({ url: `valkey://127.0.0.1:${port}`, commandTimeoutMs: 300, deadlineMs: 1_000 });
    try {
      expect(await cache.apply([put('a', 1)])).toEqual([APPLIED]);
      swallow = true;
      await expect(cache.apply([put('a', 2)])).rejects.toThrow(CacheUnavailableError);
      await expect.poll(() => cache.apply([put('a', 3)]).catch(() => undefined), { timeout: 3_000 }).toEqual([APPLIED]);
    } finally {
      await cache.close();
      proxy.close();
      await server.close();
    }
  });

  it('throws CacheUnavailableError when no server listens', async () => {
    const cache = valkeyCache({ url: 'valkey://127.0.0.1:1', deadlineMs: 500 });
    await expect(cache.get('a')).rejects.toThrow(/^cache at 127\.0\.0\.1:1: .*ECONNREFUSED/);
    await cache.close();
  });

  it('logs in with the password of the URL, and never shows it', async () => {
    const server = await startValkey({ config: { requirepass: 'p@ss/word' } });
    const right = valkeyCache({ url: server.url });
    const wrong = valkeyCache({ url: server.url.replace('p%40ss', 'hunter2'), deadlineMs: 500 });
    try {
      expect(await right.apply([put('a', 1)])).toEqual([APPLIED]);
      const error = await wrong.get('a').catch((thrown: unknown) => thrown as Error);
      expect(error).toBeInstanceOf(CacheUnavailableError);
      expect((error as Error).message).toMatch(/WRONGPASS|NOAUTH/);
      expect(`${(error as Error).stack}`).not.toMatch(/hunter2|p@ss|p%40ss/);
    } finally {
      await Promise.all([right.close(), wrong.close()]);
      await server.close();
    }
  });

  it.skipIf(missingTls())('speaks TLS when the URL says so, and refuses a certificate that it cannot check', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'millrace-tls-'));
    const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
    const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1'];
    spawnSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', key, '-out', cert, '-days', '2', ...subject]);
    const port = String(await freePort());
    const config = { 'tls-port': port, 'tls-cert-file': cert, 'tls-key-file': key, 'tls-ca-cert-file': cert, 'tls-auth-clients': 'no' };
    const server = await startValkey({ config });
    const url = `valkeys://127.0.0.1:${port}`;
    const trusting = valkeyCache({ url, tls: { ca: readFileSync(cert) } });
    const strict = valkeyCache({ url, deadlineMs: 500 });
    try {
      expect(await trusting.apply([put('a', 1)])).toEqual([APPLIED]);
      await expect(strict.get('a')).rejects.toThrow(/self.signed certificate/);
    } finally {
      await Promise.all([trusting.close(), strict.close()]);
      await server.close();
      await rm(folder, { recursive: true });
    }
  });

  it('still reads when the server has no memory left for writes', async () => {
    const server = await startValkey({ config: { maxmemory: '3mb', 'maxmemory-policy': 'noeviction' } });
    const cache = valkeyCache({ url: server.url });
    try {
      await cache.apply([put('a', 1), enter('l', 'a', 1)]);
      const fill = async () => {
        for (let i = 0; i < 200; i += 1) await cache.apply([put(`big${i}`, 1, 'x'.repeat(50_000))]);
      };
      await expect(fill()).rejects.toThrow(/OOM/);
      expect(await cache.get('a')).toMatchObject({ type: 'hit' });
      expect((await cache.list('l', { limit: 1 })).members).toHaveLength(1);
    } finally {
      await cache.close();
      await server.close();
    }
  });

  it('gives no wrong answer while a small server evicts keys at random', async () => {
    const server = await startValkey({ config: { maxmemory: '4mb', 'maxmemory-policy': 'allkeys-random' } });
    const cache = valkeyCache({ url: server.url });
    try {
      let [misses, incomplete] = [0, 0];
      for (let round = 1; round <= 300; round += 1) {
        const list = `l${round % 5}`;
        const fresh = [enter(list, `a${round}`, round), enter(list, `b${round}`, round), leave(list, `a${round - 5}`, round, round - 5)];
        await cache.apply([...fresh, put(`d${round}`, round, 'x'.repeat(10_000))]);
        if (round % 7 === 0) await settleNewest(cache, list, round);
        const page = await cache.list(list, { limit: 2 });
        const names = page.members.map(({ member }) => member);
        if (page.complete) expect(names).toEqual([`b${round}`, `a${round}`]);
        else incomplete += 1;
        const lookup = await cache.get(`d${1 + (round % 50)}`);
        if (lookup.type === 'miss') misses += 1;
      }
      expect(misses).toBeGreaterThan(0);
      expect(incomplete).toBeGreaterThan(0);
    } finally {
      await cache.close();
      await server.close();
    }
  });

  describe('on a cluster', () => {
    let cluster: ValkeyCluster;
    let cache: CacheClient;
    beforeAll(async () => {
      cluster = await startCluster({ masters: 3, replicas: 1 });
      cache = valkeyCache({ url: cluster.url, cluster: true, namespace: 'c' });
    });
    afterAll(async () => {
      await cache?.close();
      await cluster?.close();
    });
    const slotOf = async (key: string) => {
      const client = new Redis((cluster.nodes[0] as ValkeyServer).url);
      const slot = await client.cluster('KEYSLOT', key);
      client.disconnect();
      return slot;
    };
    const elsewhere = async (slot: number) => {
      const owner = await cluster.ownerOf(slot);
      const masters = await Promise.all([0, 6_000, 12_000].map((it) => cluster.ownerOf(it)));
      return masters.find((port) => port !== owner) as number;
    };
    /** Repeats the call until it succeeds, as the stream does. */
    const insist = async (mutations: readonly Mutation[]) => {
      for (let attempt = 0; attempt < 20; attempt += 1) {
        try {
          return await cache.apply(mutations);
        } catch (error) {
          if (!(error instanceof CacheUnavailableError)) throw error;
          await sleep(100);
        }
      }
      throw new Error('the cluster did not come back');
    };

    it('follows a document to the node that its slot has moved to', async () => {
      await cache.apply([put('moved', 1)]);
      const slot = await slotOf('c:doc:moved');
      await cluster.moveSlot(slot, await elsewhere(slot));
      expect(await cache.apply([put('moved', 2)])).toEqual([APPLIED]);
      expect(await cache.get('moved')).toMatchObject({ type: 'hit', value: 2 });
    });

    it('follows documents and lists while their slots are moved', async () => {
      const list = 'on the move';
      await settleEmpty(cache, list);
      await cache.apply([enter(list, 'a', 1), enter(list, 'b', 2), leave(list, 'c', 3, 3)]);
      const slot = await slotOf(`c:list:{${list}}:members`);
      const writes: Promise<unknown>[] = [];
      await cluster.moveSlot(slot, await elsewhere(slot), {
        async pauseMidway() {
          // Each node has some of the list's keys, so the cluster answers TRYAGAIN until the move is over.
          writes.push(insist([enter(list, 'd', 4), leave(list, 'a', 5, 1)]));
          await sleep(300);
        },
      });
      await Promise.all(writes);
      expect(await cache.list(list, { limit: 9 })).toMatchObject({ complete: true, members: [{ member: 'd' }, { member: 'b' }] });

      const documentSlot = await slotOf('c:doc:on the move');
      await cache.apply([put('on the move', 1)]);
      await cluster.moveSlot(documentSlot, await elsewhere(documentSlot), {
        async pauseMidway() {
          expect(await cache.apply([put('on the move', 2)])).toEqual([APPLIED]);
          expect(await cache.get('on the move')).toMatchObject({ value: 2 });
        },
      });
      expect(await cache.get('on the move')).toMatchObject({ value: 2 });
    });

    it('continues with the replica when a master dies under load', async () => {
      const keys = Array.from({ length: 60 }, (_, i) => `failover ${i}`);
      const dying = await cluster.ownerOf(0);
      let n = 0;
      let over = false;
      const load = async () => {
        while (!over) {
          n += 1;
          await Promise.all(keys.map((key) => insist([put(key, n), enter('failover', key, n)])));
        }
      };
      const running = load();
      await sleep(200);
      await cluster.failover(dying, { crash: true });
      await sleep(300);
      over = true;
      await running;
      const found = await cache.getMany(keys);
      expect(found.map((lookup) => (lookup.type === 'hit' ? lookup.value : lookup.type))).toEqual(keys.map(() => n));
      expect((await cache.list('failover', { limit: 100 })).members.map(({ value }) => value)).toEqual(keys.map(() => n));
    });
  });
});

/** Settles with what the table of the eviction test has: the two newest members, and older ones. */
async function settleNewest(cache: CacheClient, list: string, round: number): Promise<void> {
  const lease = await leaseOn(cache, { kind: 'list', list, keep: 2 });
  const newest = [`b${round}`, `a${round}`].map((member) => ({ member, score: round, json: String(round) }));
  await settleOn(cache, lease, { kind: 'list', newest, next: round - 1 });
}
