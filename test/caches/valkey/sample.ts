import type { CacheClient } from '../../../src/cache.ts';
import { APPLIED, type Mutation } from '../../../src/mutation.ts';
import { leaseOn, settleOn } from '../../../src/testing/contract/case.ts';
import { versionOf } from '../../../src/version.ts';

export const version = (n: number) => versionOf('2026-11-22T03:01:52.091', String(n));
export const put = (key: string, n: number, value: unknown = n): Mutation => ({
  kind: 'document',
  type: 'put',
  key,
  version: version(n),
  json: JSON.stringify(value),
});
export const end = (type: 'delete' | 'forget', key: string, n: number): Mutation => ({ kind: 'document', type, key, version: version(n) });
export const enter = (list: string, member: string, n: number, value: unknown = n): Mutation => ({
  kind: 'member',
  type: 'put',
  list,
  member,
  score: n,
  keep: 100,
  version: version(n),
  json: JSON.stringify(value),
});
export const leave = (type: 'delete' | 'forget', list: string, member: string, n: number, score: number): Mutation => ({
  kind: 'member',
  type,
  list,
  member,
  score,
  keep: 100,
  version: version(n),
});

/** Fills the list from a table that has nothing in it, so that its pages are complete. */
export async function settleEmpty(cache: CacheClient, list: string): Promise<void> {
  await settleOn(cache, await leaseOn(cache, { kind: 'list', list, keep: 100 }), { kind: 'list', newest: [] });
}

export interface Call {
  readonly name: string;
  /** Runs before the fault. What it returns, `run` gets. */
  readonly prepare: (cache: CacheClient) => Promise<unknown>;
  readonly run: (cache: CacheClient, prepared: unknown) => Promise<unknown>;
  readonly expected: unknown;
}

type AnyLease = Awaited<ReturnType<CacheClient['lease']>>[number];
const nothing = async () => undefined;

/** Every call that writes, each with its own keys. */
export const WRITES: readonly Call[] = [
  { name: 'apply on a document', prepare: nothing, run: (cache) => cache.apply([put('written', 5)]), expected: [APPLIED] },
  { name: 'apply on a list', prepare: nothing, run: (cache) => cache.apply([enter('written', 'a', 5)]), expected: [APPLIED] },
  {
    name: 'lease on a document',
    prepare: nothing,
    run: async (cache) => (await leaseOn(cache, { kind: 'document', key: 'leased' })).target,
    expected: { kind: 'document', key: 'leased' },
  },
  {
    name: 'lease on a list',
    prepare: nothing,
    run: async (cache) => (await leaseOn(cache, { kind: 'list', list: 'leased', keep: 9 })).target,
    expected: { kind: 'list', list: 'leased', keep: 9 },
  },
  {
    name: 'settle on a document',
    prepare: (cache) => leaseOn(cache, { kind: 'document', key: 'settled' }),
    run: (cache, lease) => settleOn(cache, lease as AnyLease, { kind: 'document', json: '7' }),
    expected: 'settled',
  },
  {
    name: 'settle on a list',
    prepare: (cache) => leaseOn(cache, { kind: 'list', list: 'settled', keep: 9 }),
    run: (cache, lease) => settleOn(cache, lease as AnyLease, { kind: 'list', newest: [{ member: 'a', score: 1, json: '7' }] }),
    expected: 'settled',
  },
];

/** Every call that reads. */
export const READS: readonly Call[] = [
  {
    name: 'get',
    prepare: (cache) => cache.apply([put('read', 3)]),
    run: async (cache) => (await cache.get('read')).type,
    expected: 'hit',
  },
  {
    name: 'getMany',
    prepare: (cache) => cache.apply([put('read 1', 3), put('read 2', 3)]),
    run: async (cache) => (await cache.getMany(['read 1', 'read 2', 'read 3'])).map(({ type }) => type),
    expected: ['hit', 'hit', 'miss'],
  },
  {
    name: 'list',
    prepare: (cache) => cache.apply([enter('read', 'a', 3)]),
    run: async (cache) => (await cache.list('read', { limit: 9 })).members.map(({ member }) => member),
    expected: ['a'],
  },
];
