import { Redis } from 'iovalkey';
import { afterEach, describe, expect, it } from 'vitest';
import type { CacheClient } from '../../../src/cache.ts';
import { valkeyCache } from '../../../src/caches/valkey.ts';
import { CacheUnavailableError } from '../../../src/errors.ts';
import { APPLIED, type Mutation, STALE } from '../../../src/mutation.ts';
import { leaseOn, settleOn } from '../../../src/testing/contract/case.ts';
import { missing } from '../../servers/requires.ts';
import { HOW_TO_GET_VALKEY, startCluster, startValkey, valkeyAvailable } from '../../servers/valkey.ts';
import { end, enter, leave, put, settleEmpty, version } from './sample.ts';

describe.skipIf(missing(valkeyAvailable(), HOW_TO_GET_VALKEY))('the Valkey backend on a full server', () => {
  const closing: (() => unknown)[] = [];
  afterEach(async () => {
    for (const close of closing.splice(0).reverse()) await close();
  });

  /** A server that runs full on demand. With `volatile-lru` it can evict nothing here, because nothing has a TTL. */
  async function start(policy = 'noeviction') {
    const server = await startValkey({ config: { 'maxmemory-policy': policy } });
    closing.push(() => server.close());
    const raw = new Redis(server.url);
    closing.push(() => raw.disconnect());
    const cache = valkeyCache({ url: server.url });
    closing.push(() => cache.close());
    await cache.apply([put('warm', 1), enter('warm', 'a', 1)]);
    return {
      raw,
      cache,
      async fill() {
        await raw.config('SET', 'maxmemory', '1');
        await expect(raw.set('more', 'x')).rejects.toThrow('OOM');
      },
      empty: () => raw.config('SET', 'maxmemory', '0'),
    };
  }
  const rejected = async (cache: CacheClient, mutations: readonly Mutation[]) => {
    const error = await cache.apply(mutations).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(CacheUnavailableError);
    expect((error as Error).message).toMatch(/OOM .*: the server is full: raise its maxmemory, or set maxmemory-policy/);
  };

  const old = 'x'.repeat(200);
  const documents: readonly [name: string, next: Mutation, then: unknown][] = [
    ['put', put('d', 5, 'new'), { type: 'hit', value: 'new', version: version(5) }],
    ['delete', end('delete', 'd', 5), { type: 'gone', version: version(5) }],
    ['forget', end('forget', 'd', 5), { type: 'miss' }],
  ];

  it.each(documents)('serves no old document after a rejected %s, and applies it when there is memory again', async (_, next, then) => {
    const { cache, fill, empty } = await start();
    await cache.apply([put('d', 4, old)]);
    await fill();
    await rejected(cache, [next]);
    expect(await cache.get('d')).toEqual({ type: 'miss' });
    expect(await cache.getMany(['d'])).toEqual([{ type: 'miss' }]);
    await rejected(cache, [next]);
    await empty();
    expect(await cache.apply([next])).toEqual([APPLIED]);
    expect(await cache.get('d')).toEqual(then);
  });

  const members: readonly [name: string, next: Mutation, then: readonly unknown[]][] = [
    ['put of a new member', enter('l', 'c', 5, 'new'), ['new']],
    ['put of a member that it has', enter('l', 'a', 5, 'new'), ['new']],
    ['delete of a member', leave('delete', 'l', 'a', 5, 3), []],
    ['delete of a member that it does not have', leave('delete', 'l', 'z', 5, 3), []],
    ['forget of a member', leave('forget', 'l', 'a', 5, 3), []],
  ];

  it.each(members)('shows no old member on a complete page after a %s', async (_, next, then) => {
    const { cache, raw, fill, empty } = await start();
    await settleEmpty(cache, 'l');
    await cache.apply([enter('l', 'a', 3, old), enter('l', 'b', 2, 'b')]);
    expect(await cache.list('l', { limit: 9 })).toMatchObject({ complete: true });
    await fill();
    // A server without memory still removes a member, and stores the smaller marker in its place.
    const outcome = await cache.apply([next]).catch((error: unknown) => error);
    const page = await cache.list('l', { limit: 9 });
    if (outcome instanceof Error) {
      expect(outcome).toBeInstanceOf(CacheUnavailableError);
      expect(page).toEqual({ members: [], complete: false });
      expect(await raw.exists('millrace:list:{l}:members', 'millrace:list:{l}:scores', 'millrace:list:{l}:peaks')).toBe(0);
    } else {
      expect(page.members.map(({ member }) => member)).toEqual(['b']);
      expect(page.complete).toBe(next.type === 'delete');
    }
    await empty();
    expect(await cache.apply([next])).toEqual([APPLIED]);
    const after = (await cache.list('l', { limit: 9 })).members.filter(({ member }) => member !== 'b');
    expect(after.map(({ value }) => value)).toEqual(then);
  });

  it('drops what a rejected call changes, and nothing newer', async () => {
    const { cache, fill, empty } = await start();
    for (const list of ['changed', 'same', 'newer']) await settleEmpty(cache, list);
    await cache.apply([
      ...['changed', 'same', 'newer'].map((key) => put(key, key === 'newer' ? 9 : key === 'same' ? 5 : 4, key)),
      ...['changed', 'same', 'newer'].map((list) => enter(list, 'a', list === 'newer' ? 9 : list === 'same' ? 5 : 4, list)),
    ]);
    const call = [
      ...['newer', 'same', 'changed', 'absent'].map((key) => put(key, 5, 'next')),
      ...['newer', 'same', 'changed', 'absent'].map((list) => enter(list, 'a', 5, 'next')),
    ];
    await fill();
    await rejected(cache, call);
    expect((await cache.getMany(['newer', 'same', 'changed'])).map(({ type }) => type)).toEqual(['hit', 'hit', 'miss']);
    const pages = await Promise.all(['newer', 'same', 'changed'].map((list) => cache.list(list, { limit: 9 })));
    expect(pages.map(({ complete }) => complete)).toEqual([true, true, false]);
    await empty();
    expect(await cache.apply(call)).toEqual([STALE, APPLIED, APPLIED, APPLIED, STALE, APPLIED, APPLIED, APPLIED]);
  });

  it('creates no list beyond the memory of the server', async () => {
    const { cache, raw, fill } = await start();
    await fill();
    for (let n = 0; n < 20; n += 1) await rejected(cache, [enter(`new ${n}`, 'a', 1)]);
    expect(await raw.keys('*new*')).toEqual([]);
  });

  it('fails leases and settles, and leaves what it has', async () => {
    const { cache, raw, fill } = await start();
    await settleEmpty(cache, 'l');
    await cache.apply([put('d', 4), enter('l', 'a', 4)]);
    const document = await leaseOn(cache, { kind: 'document', key: 'd' });
    const list = await leaseOn(cache, { kind: 'list', list: 'l', keep: 100 });
    await fill();
    const before = await raw.dbsize();
    const newest = [{ member: 'b', score: 9, json: '9' }];
    for (const call of [
      leaseOn(cache, { kind: 'document', key: 'other' }),
      leaseOn(cache, { kind: 'list', list: 'other', keep: 100 }),
      settleOn(cache, document, { kind: 'document', json: '5' }),
      settleOn(cache, list, { kind: 'list', newest: [...newest, { member: 'a', score: 4, json: '4' }] }),
    ]) {
      await expect(call).rejects.toThrow(/OOM/);
    }
    expect(await raw.dbsize()).toBe(before);
    expect(await cache.get('d')).toMatchObject({ type: 'hit', value: 4 });
    expect(await cache.list('l', { limit: 9 })).toMatchObject({ complete: true, members: [{ member: 'a' }] });
  });

  it.each(['noeviction', 'volatile-lru'])(
    'loses no change of a stream that is repeated until the server has memory (%s)',
    async (policy) => {
      const { cache, raw, fill, empty } = await start(policy);
      for (let list = 0; list < 5; list += 1) await settleEmpty(cache, `l${list}`);
      const addresses = Array.from({ length: 40 }, (_, i) => i);
      const table = new Map<number, number>();
      for (let n = 2; n < 12; n += 1) {
        if (n === 4 || n === 8) await fill();
        if (n === 6) await empty();
        for (const i of addresses) {
          const gone = (i + n) % 4 === 0;
          if (gone) table.delete(i);
          else table.set(i, n);
          const change = gone
            ? [end('delete', `d${i}`, n), leave('delete', `l${i % 5}`, `m${i}`, n, n - 1)]
            : [put(`d${i}`, n), enter(`l${i % 5}`, `m${i}`, n)];
          for (let tries = 0; ; tries += 1) {
            const outcome = await cache.apply(change).catch((error: unknown) => error);
            // Nothing that a reader finds may be older than the change.
            const [found, page] = await Promise.all([cache.get(`d${i}`), cache.list(`l${i % 5}`, { limit: 100 })]);
            if (found.type !== 'miss') expect(found.version).toBe(version(n));
            const member = page.members.find((it) => it.member === `m${i}`);
            if (member) expect(member.version).toBe(version(n));
            if (page.complete) expect(member !== undefined).toBe(table.has(i));
            if (!(outcome instanceof Error)) break;
            if (tries > 2) {
              await empty();
            }
          }
        }
      }
      expect(await raw.config('GET', 'maxmemory')).toEqual(['maxmemory', '0']);
      for (const i of addresses) {
        const found = await cache.get(`d${i}`);
        expect(found.type === 'hit' ? found.value : undefined).toBe(table.get(i));
      }
    },
  );

  it('serves no old value from a server that was filled up to its maxmemory', async () => {
    const { cache, raw, empty } = await start();
    const used = Number(/used_memory:(\d+)/.exec(await raw.info('memory'))?.[1]);
    await raw.config('SET', 'maxmemory', String(used + 1_500_000));
    await settleEmpty(cache, 'l');
    const keys = Array.from({ length: 30 }, (_, i) => `d${i}`);
    await cache.apply(keys.flatMap((key) => [put(key, 4, old), enter('l', key, 4, old)]));
    const fill = async () => {
      for (let i = 0; ; i += 1) await cache.apply([put(`more ${i} ${Math.random()}`, 1, 'x'.repeat(10_000))]);
    };
    let rejections = 0;
    for (const [i, key] of keys.entries()) {
      await expect(fill()).rejects.toThrow(/OOM/);
      const next =
        i % 2 === 0 ? [end('delete', key, 5), leave('delete', 'l', key, 5, 4)] : [put(key, 5, 'y'.repeat(900)), enter('l', key, 5)];
      const outcome = await cache.apply(next).catch((error: unknown) => error);
      if (outcome instanceof Error) rejections += 1;
      const found = await cache.get(key);
      if (found.type !== 'miss') expect(found.version).toBe(version(5));
      const page = await cache.list('l', { limit: 100 });
      expect(page.members.filter(({ member }) => member === key).every((it) => it.version === version(5))).toBe(true);
      if (outcome instanceof Error) expect(page.complete).toBe(false);
    }
    expect(rejections).toBeGreaterThan(0);
    await empty();
    expect(await cache.apply([put('d0', 6)])).toEqual([APPLIED]);
  });

  it('serves no old value from the full node of a cluster', async () => {
    const cluster = await startCluster({ masters: 3 });
    closing.push(() => cluster.close());
    const cache = valkeyCache({ url: cluster.url, cluster: true });
    closing.push(() => cache.close());
    const keys = Array.from({ length: 20 }, (_, i) => `d${i}`);
    for (const list of keys) await settleEmpty(cache, list);
    await cache.apply(keys.flatMap((key) => [put(key, 4, old), enter(key, 'a', 4, old)]));
    for (const { url } of cluster.nodes) {
      const raw = new Redis(url);
      closing.push(() => raw.disconnect());
      await raw.config('SET', 'maxmemory', '1');
    }
    const next = keys.flatMap((key) => [end('delete', key, 5), enter(key, 'b', 5)]);
    await expect(cache.apply(next)).rejects.toThrow(/OOM/);
    expect(new Set((await cache.getMany(keys)).map(({ type }) => type))).toEqual(new Set(['miss']));
    for (const list of keys) expect(await cache.list(list, { limit: 9 })).toEqual({ members: [], complete: false });
  });
});
