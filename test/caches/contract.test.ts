import { setTimeout as sleep } from 'node:timers/promises';
import { CacheClient, Configurations } from '@gomomento/sdk';
import { Cluster, Redis } from 'iovalkey';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { LeaseTarget } from '../../src/cache.ts';
import { type MemoryCache, memoryCache } from '../../src/caches/memory.ts';
import { momentoCache } from '../../src/caches/momento.ts';
import { valkeyCache } from '../../src/caches/valkey.ts';
import type { Config } from '../../src/config/worker.ts';
import { type CacheSubject, cacheContract } from '../../src/testing/index.ts';
import { type MomentoServer, startMomentoServer } from '../servers/momento/server.ts';
import { missing } from '../servers/requires.ts';
import { HOW_TO_GET_VALKEY, startCluster, startValkey, valkeyAvailable } from '../servers/valkey.ts';

const maxValueBytes = 4_096;

/** One line per backend that can be configured. */
const backends = {
  memory: () => cacheContract(memory, { describe, it }, { histories: 1_000 }),
  valkey: () => {
    valkey('Valkey, a single node', startValkey, (url) => new Redis(url));
    valkey('Valkey, a cluster of three nodes', startCluster, (url) => new Cluster([url]), true);
  },
  momento: () => momento(),
} satisfies Record<Config['backend'], () => void>;

/** How much later it is for the memory cache than for this machine, ms. */
let elapsed = 0;

const memory: CacheSubject<MemoryCache> = {
  name: 'memory',
  open: ({ namespace: _, ...options }) => memoryCache({ ...options, now: () => Date.now() + elapsed }),
  maxValueBytes,
  shared: { cannot: 'it lives in one process' },
  evict: (target, client) => client.evict(target),
  evictPart: { cannot: 'it holds a list as one object' },
  plantBytes: { cannot: 'no other program can write to its memory' },
  plantType: { cannot: 'no other program can write to its memory' },
  elapse: (ms) => {
    elapsed += ms;
  },
};

interface Server {
  readonly url: string;
  close(): Promise<void>;
}

function valkey(name: string, start: () => Promise<Server>, connect: (url: string) => Redis | Cluster, cluster = false): void {
  describe.skipIf(missing(valkeyAvailable(), HOW_TO_GET_VALKEY))(name, () => {
    let server: Server;
    let raw: Redis | Cluster;
    beforeAll(async () => {
      server = await start();
      raw = connect(server.url);
    });
    afterAll(async () => {
      raw?.disconnect();
      await server?.close();
    });
    const subject: CacheSubject = {
      name,
      open: (options) => valkeyCache({ ...options, url: server.url, cluster, commandTimeoutMs: 20_000, deadlineMs: 30_000 }),
      maxValueBytes,
      shared: true,
      async evict(target, _, namespace) {
        // One command per key, because keys of a cluster are in different slots; in one turn of the event loop, so that they stay together.
        await Promise.all(keysOf(target, namespace).map((key) => raw.del(key)));
      },
      async evictPart(list, part, _, namespace) {
        const keys = keysOf({ kind: 'list', list, keep: 1 }, namespace);
        return (await raw.del(keys[part % keys.length] as string)) > 0;
      },
      async plantBytes(target, bytes, _, namespace) {
        const [key] = keysOf(target, namespace) as [string];
        if (target.kind === 'document') await raw.set(key, bytes);
        else await raw.hset(key, '', bytes);
      },
      async plantType(target, part, _, namespace) {
        const keys = keysOf(target, namespace);
        const key = keys[part % keys.length] as string;
        await raw.del(key);
        if (target.kind === 'document') await raw.rpush(key, 'foreign');
        else await raw.set(key, 'foreign');
      },
      elapse: (ms) => sleep(ms),
    };
    cacheContract(subject, { describe, it }, { histories: 200 });
  });
}

function momento(): void {
  describe('Momento, its test server', () => {
    const cacheName = 'contract';
    let server: MomentoServer;
    let raw: CacheClient;
    beforeAll(async () => {
      // Rejects a plain write of a key that is written with conditions.
      server = await startMomentoServer({ caches: [cacheName], casMixing: 'reject' });
      const configuration = Configurations.Lambda.latest();
      raw = await CacheClient.create({ configuration, credentialProvider: server.provider(), defaultTtlSeconds: 60 });
    });
    afterAll(async () => {
      raw?.close();
      await server?.stop();
    });
    const listKey = (list: string, namespace: string) => `${namespace}:list:${list}`;
    const documentKey = (key: string, namespace: string) => `${namespace}:doc:${key}`;
    const subject: CacheSubject = {
      name: 'Momento',
      open(options) {
        const access = { kind: 'local', host: server.host, port: server.port } as const;
        return momentoCache({ ...options, access, cacheName, commandTimeoutMs: 20_000, deadlineMs: 30_000 });
      },
      maxValueBytes,
      shared: true,
      evict(target, _, namespace) {
        server.evict(cacheName, target.kind === 'list' ? listKey(target.list, namespace) : documentKey(target.key, namespace));
      },
      // A list has one key, so a part of it is the whole list.
      evictPart: (list, _part, _client, namespace) => server.evict(cacheName, listKey(list, namespace)),
      async plantBytes(target, bytes, _, namespace) {
        const key = target.kind === 'list' ? listKey(target.list, namespace) : documentKey(target.key, namespace);
        const { type } = await raw.setIfAbsent(cacheName, key, bytes);
        expect(type).toBe('Stored');
      },
      plantType: { cannot: 'a conditional write cannot replace a key of another type, and another write is not allowed' },
      elapse: (ms) => sleep(ms),
    };
    cacheContract(subject, { describe, it }, { histories: 200 });
  });
}

/** The keys as the README documents them. */
function keysOf(target: LeaseTarget, namespace: string): string[] {
  if (target.kind === 'document') return [`${namespace}:doc:${target.key}`];
  const tag = target.list.replaceAll('%', '%25').replaceAll('}', '%7D');
  return ['members', 'scores', 'peaks'].map((part) => `${namespace}:list:{${tag}}:${part}`);
}

for (const declare of Object.values(backends)) declare();
