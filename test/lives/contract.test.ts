import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'iovalkey';
import { afterAll, beforeAll, describe, it } from 'vitest';
import type { CacheClient, Lease, LeaseTarget } from '../../src/cache.ts';
import { type MemoryCache, memoryCache } from '../../src/caches/memory.ts';
import { momentoCache } from '../../src/caches/momento.ts';
import { valkeyCache } from '../../src/caches/valkey.ts';
import { type LivingCache, withLives } from '../../src/lives/with-lives.ts';
import { type Mutation, nameFault } from '../../src/mutation.ts';
import { type CacheSubject, cacheContract } from '../../src/testing/index.ts';
import { type MomentoServer, startMomentoServer } from '../servers/momento/server.ts';
import { missing } from '../servers/requires.ts';
import { HOW_TO_GET_VALKEY, startValkey, type ValkeyServer, valkeyAvailable } from '../servers/valkey.ts';

const maxValueBytes = 4_096;
const view = { name: 'contract', revision: 1 };

/** The key of the view for a name of the contract. A wrong name stays as it is. The longest names are longer than a key of a view may be. */
function keyOf(name: string): string {
  if (nameFault(name) !== undefined) return name;
  return `contract@1:${name.length > 20_000 ? createHash('sha256').update(name).digest('hex') : name}`;
}

function targetOf(target: LeaseTarget): LeaseTarget {
  if (target?.kind === 'document') return { ...target, key: keyOf(target.key) };
  return target?.kind === 'list' ? { ...target, list: keyOf(target.list) } : target;
}

function mutationOf(mutation: Mutation): Mutation {
  if (mutation?.kind === 'document') return { ...mutation, key: keyOf(mutation.key) };
  return mutation?.kind === 'member' ? { ...mutation, list: keyOf(mutation.list) } : mutation;
}

/** Keeps what is no array as it is. */
function each<T>(values: readonly T[], change: (value: T) => T): readonly T[] {
  return Array.isArray(values) ? values.map(change) : values;
}

interface Adapted extends CacheClient {
  readonly living: LivingCache;
}

type AdaptedLease = Lease & { readonly inner?: Lease };

/** Gives the names of the contract to a cache with lives as keys of a view. */
function adapted(living: LivingCache): Adapted {
  const outer = (target: LeaseTarget, { target: _, ...lease }: Lease): AdaptedLease => ({
    ...lease,
    target,
    ...{ inner: { target: targetOf(target), ...lease } },
  });
  return {
    living,
    apply: (mutations) => living.apply(each(mutations, mutationOf)),
    get: (key) => living.get(keyOf(key)) as never,
    getMany: (keys) => living.getMany(each(keys, keyOf as never)) as never,
    list: (list, query) => living.list(keyOf(list), query) as never,
    async getOrLease(keys) {
      const answers = await living.getOrLease(each<string>(keys, keyOf));
      return answers.map((answer, i) =>
        answer.type === 'miss' ? { type: 'miss', lease: outer({ kind: 'document', key: keys[i] as string }, answer.lease) } : answer,
      ) as never;
    },
    async lease(targets) {
      const leases = await living.lease(each(targets, targetOf));
      return leases.map((lease, i) => outer(targets[i] as LeaseTarget, lease));
    },
    settle: (fills) => living.settle(each(fills, (fill) => ({ ...fill, lease: (fill?.lease as AdaptedLease)?.inner ?? fill?.lease }))),
    mark: (lists, survey) => living.mark(each(lists, listOf), survey),
    fill: (lists, survey) => living.fill(each(lists, listOf), survey),
    seal: (lists, survey) => living.seal(each(lists, keyOf), survey),
    close: () => living.close(),
  };
}

/** The list as one of the view. What is no list stays as it is. */
const listOf = <List extends { readonly list: string }>(one: List): List =>
  one?.list === undefined ? one : { ...one, list: keyOf(one.list) };

const open = async (cache: CacheClient): Promise<Adapted> => {
  const living = withLives(cache, { views: [view], waitMs: 0, askMs: 600_000 });
  await living.apply([]);
  return adapted(living);
};

/** The target in the inner cache. */
async function inner(target: LeaseTarget, { living }: Adapted): Promise<LeaseTarget> {
  const life = (await living.lives()).get('contract@1');
  const named = (name: string) => keyOf(name).replace('contract@1', `contract@1.${life?.life}`);
  return target.kind === 'document' ? { ...target, key: named(target.key) } : { ...target, list: named(target.list) };
}

let elapsed = 0;
const memories = new WeakMap<Adapted, MemoryCache>();

const memory: CacheSubject<Adapted> = {
  name: 'withLives(memory)',
  async open({ namespace: _, ...options }) {
    const cache = memoryCache({ ...options, now: () => Date.now() + elapsed });
    const client = await open(cache);
    memories.set(client, cache);
    return client;
  },
  maxValueBytes,
  shared: { cannot: 'it lives in one process' },
  evict: async (target, client) => memories.get(client)?.evict(await inner(target, client)),
  evictPart: { cannot: 'it holds a list as one object' },
  plantBytes: { cannot: 'no other program can write to its memory' },
  plantType: { cannot: 'no other program can write to its memory' },
  elapse: (ms) => {
    elapsed += ms;
  },
};

cacheContract(memory, { describe, it }, { histories: 200 });

describe.skipIf(missing(valkeyAvailable(), HOW_TO_GET_VALKEY))('with Valkey', () => {
  let server: ValkeyServer;
  let raw: Redis;
  beforeAll(async () => {
    server = await startValkey();
    raw = new Redis(server.url);
  });
  afterAll(async () => {
    raw?.disconnect();
    await server?.close();
  });
  const keysOf = async (target: LeaseTarget, client: Adapted, namespace: string): Promise<string[]> => {
    const at = await inner(target, client);
    if (at.kind === 'document') return [`${namespace}:doc:${at.key}`];
    const tag = at.list.replaceAll('%', '%25').replaceAll('}', '%7D');
    return ['members', 'scores', 'peaks'].map((part) => `${namespace}:list:{${tag}}:${part}`);
  };
  const subject: CacheSubject<Adapted> = {
    name: 'withLives(Valkey)',
    open: (options) => open(valkeyCache({ ...options, url: server.url, commandTimeoutMs: 20_000, deadlineMs: 30_000 })),
    maxValueBytes,
    shared: true,
    async evict(target, client, namespace) {
      await raw.del(await keysOf(target, client, namespace));
    },
    async evictPart(list, part, client, namespace) {
      const keys = await keysOf({ kind: 'list', list, keep: 1 }, client, namespace);
      return (await raw.del(keys[part % keys.length] as string)) > 0;
    },
    async plantBytes(target, bytes, client, namespace) {
      const [key] = (await keysOf(target, client, namespace)) as [string];
      if (target.kind === 'document') await raw.set(key, bytes);
      else await raw.hset(key, '', bytes);
    },
    async plantType(target, part, client, namespace) {
      const keys = await keysOf(target, client, namespace);
      const key = keys[part % keys.length] as string;
      await raw.del(key);
      if (target.kind === 'document') await raw.rpush(key, 'foreign');
      else await raw.set(key, 'foreign');
    },
    elapse: (ms) => sleep(ms),
  };
  cacheContract(subject, { describe, it }, { histories: 60 });
});

describe('with Momento, its test server', () => {
  const cacheName = 'contract';
  let server: MomentoServer;
  beforeAll(async () => {
    server = await startMomentoServer({ caches: [cacheName], casMixing: 'reject' });
  });
  afterAll(() => server?.stop());
  const evict = async (target: LeaseTarget, client: Adapted, namespace: string): Promise<boolean> => {
    const at = await inner(target, client);
    return server.evict(cacheName, at.kind === 'list' ? `${namespace}:list:${at.list}` : `${namespace}:doc:${at.key}`);
  };
  const subject: CacheSubject<Adapted> = {
    name: 'withLives(Momento)',
    async open(options) {
      const access = { kind: 'local', host: server.host, port: server.port } as const;
      return await open(await momentoCache({ ...options, access, cacheName, commandTimeoutMs: 20_000, deadlineMs: 30_000 }));
    },
    maxValueBytes,
    shared: true,
    async evict(target, client, namespace) {
      await evict(target, client, namespace);
    },
    evictPart: (list, _part, client, namespace) => evict({ kind: 'list', list, keep: 1 }, client, namespace),
    plantBytes: { cannot: 'the contract of Momento itself has it' },
    plantType: { cannot: 'a conditional write cannot replace a key of another type, and another write is not allowed' },
    elapse: (ms) => sleep(ms),
  };
  cacheContract(subject, { describe, it }, { histories: 30 });
});
