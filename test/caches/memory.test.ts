import { expect, it } from 'vitest';
import { LEASE_TTL_MS } from '../../src/cache.ts';
import { memoryCache } from '../../src/caches/memory.ts';
import type { Mutation } from '../../src/mutation.ts';
import { leaseOn, settleOn } from '../../src/testing/contract/case.ts';
import { versionOf } from '../../src/version.ts';

const version = (n: number) => versionOf('2026-11-22T03:01:52.091', String(n));
const put = (key: string): Mutation => ({ kind: 'document', type: 'put', key, version: version(1), json: '1' });
const member = (type: 'put' | 'delete', name: string, n: number): Mutation => {
  const at = { kind: 'member', list: 'l', member: name, score: n, keep: 1_000, version: version(n) } as const;
  return type === 'put' ? { ...at, type, json: '1' } : { ...at, type };
};

it('evicts the least recently used entry when the cache is full', async () => {
  const cache = memoryCache({ maxEntries: 3 });
  await cache.apply(['a', 'b', 'c'].map(put));
  await cache.get('a');
  await cache.apply([put('d')]);
  expect((await cache.getMany(['a', 'b', 'c', 'd'])).map(({ type }) => type)).toEqual(['hit', 'miss', 'hit', 'hit']);
});

it('counts each list member as an entry', async () => {
  const cache = memoryCache({ maxEntries: 4 });
  await cache.apply([put('a'), member('put', 'x', 1), member('put', 'y', 2)]);
  expect((await cache.get('a')).type).toBe('hit');
  await cache.apply([member('put', 'z', 3)]);
  expect((await cache.get('a')).type).toBe('miss');
});

it('expires tombstones, so that past changes do not fill the cache', async () => {
  let now = 0;
  const cache = memoryCache({ maxEntries: 8, tombstoneTtlMs: 1_000, now: () => now });
  const document: Mutation = { kind: 'document', type: 'delete', key: 'a', version: version(5) };
  await cache.apply([document, member('put', 'stays', 1)]);
  expect((await cache.get('a')).type).toBe('gone');
  for (let i = 0; i < 50; i += 1) {
    now += 600;
    await cache.apply([member('delete', `gone${i}`, 2 + i)]);
  }
  // With all 50 markers, the list would have been evicted.
  expect((await cache.list('l', { limit: 9 })).members.map(({ member: name }) => name)).toEqual(['stays']);
  expect((await cache.get('a')).type).toBe('miss');
});

it('expires entries after the entry TTL', async () => {
  let now = 0;
  const cache = memoryCache({ entryTtlMs: 1_000, now: () => now });
  await cache.apply([put('a')]);
  now = 999;
  expect((await cache.get('a')).type).toBe('hit');
  now = 1_000;
  expect((await cache.get('a')).type).toBe('miss');
});

it('loses a lease on a document that it does not hold after a minute', async () => {
  let now = 0;
  const cache = memoryCache({ now: () => now });
  const target = { kind: 'document', key: 'a' } as const;
  const first = await leaseOn(cache, target);
  now = LEASE_TTL_MS - 1;
  expect(await settleOn(cache, await leaseOn(cache, target), { kind: 'document', json: '1' })).toBe('settled');
  const other = { kind: 'document', key: 'b' } as const;
  const late = await leaseOn(cache, other);
  now += LEASE_TTL_MS - 1;
  await leaseOn(cache, other);
  now += 1;
  expect(await settleOn(cache, late, { kind: 'document', json: '1' })).toBe('lost');
  expect(await settleOn(cache, first, { kind: 'document', json: '1' })).toBe('lost');
});
