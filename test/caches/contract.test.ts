import { Cluster, Redis } from 'iovalkey';
import { afterAll, beforeAll, describe, it } from 'vitest';
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

const memory: CacheSubject<MemoryCache> = {
  name: 'memory',
  open: ({ maxValueBytes }) => memoryCache({ maxValueBytes }),
  maxValueBytes,
  shared: { cannot: 'it lives in one process' },
  evict: (target, client) => client.evict(target),
  evictPart: { cannot: 'it holds a list as one object' },
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
    };
    cacheContract(subject, { describe, it }, { histories: 200 });
  });
}

function momento(): void {
  describe('Momento, its test server', () => {
    const cacheName = 'contract';
    let server: MomentoServer;
    beforeAll(async () => {
      // Rejects a plain write of a key that is written with conditions.
      server = await startMomentoServer({ caches: [cacheName], casMixing: 'reject' });
    });
    afterAll(async () => {
      await server?.stop();
    });
    const listKey = (list: string, namespace: string) => `${namespace}:list:${list}`;
    const subject: CacheSubject = {
      name: 'Momento',
      open({ namespace, maxValueBytes }) {
        const access = { kind: 'local', host: server.host, port: server.port } as const;
        return momentoCache({ access, cacheName, namespace, maxValueBytes, commandTimeoutMs: 20_000, deadlineMs: 30_000 });
      },
      maxValueBytes,
      shared: true,
      evict(target, _, namespace) {
        server.evict(cacheName, target.kind === 'list' ? listKey(target.list, namespace) : `${namespace}:doc:${target.key}`);
      },
      // A list has one key, so a part of it is the whole list.
      evictPart: (list, _part, _client, namespace) => server.evict(cacheName, listKey(list, namespace)),
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
