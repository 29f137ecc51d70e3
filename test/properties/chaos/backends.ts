import { Valkey } from 'iovalkey';
import type { CacheClient, LeaseTarget } from '../../../src/cache.ts';
import { memoryCache } from '../../../src/caches/memory.ts';
import { momentoCache } from '../../../src/caches/momento.ts';
import { valkeyCache } from '../../../src/caches/valkey.ts';
import { startMomentoServer } from '../../servers/momento/server.ts';
import { startValkey } from '../../servers/valkey.ts';
import { valkeyKeysOf } from '../world/backend.ts';

/** An empty cache, for one history. */
export interface OpenCache {
  /** Each client stands for a process of its own. */
  readonly clients: readonly CacheClient[];
  /** Drops a document or list, or a part of it that can be lost alone: `part` chooses which. */
  evict(target: LeaseTarget, part: number): Promise<void>;
  flush(): Promise<void>;
}

/** A kind of cache, which serves one history at a time. */
export interface Backend {
  open(options: OpenOptions): Promise<OpenCache>;
  close(): Promise<void>;
}

interface OpenOptions {
  /** Must be the same for all histories. */
  readonly maxValueBytes: number;
  /** The time of the history, for a cache in memory. */
  readonly now: () => number;
}

export type BackendName = 'memory' | 'valkey' | 'momento';

/** Starts a backend, with a server of its own where it needs one. */
export const startBackend: Record<BackendName, () => Promise<Backend>> = { memory, valkey, momento };

const NAMESPACE = 'chaos';
const CLIENTS = 2;

async function memory(): Promise<Backend> {
  return {
    async open(options) {
      const cache = memoryCache(options);
      return { clients: [cache], evict: async (target) => cache.evict(target), flush: async () => cache.flush() };
    },
    async close() {},
  };
}

async function valkey(): Promise<Backend> {
  const { url, close } = await startValkey();
  const raw = new Valkey(url);
  return sharing({
    connect: async ({ maxValueBytes }) => valkeyCache({ url, namespace: NAMESPACE, maxValueBytes }),
    async evict(target, part) {
      const keys = valkeyKeysOf(NAMESPACE, target);
      await raw.del(...(keys[part] === undefined ? keys : [keys[part]]));
    },
    async flush() {
      await raw.flushall();
    },
    async close() {
      raw.disconnect();
      await close();
    },
  });
}

async function momento(): Promise<Backend> {
  const cacheName = 'chaos';
  // A plain write to a key that is written with conditions fails.
  const server = await startMomentoServer({ caches: [cacheName], casMixing: 'reject' });
  const access = { kind: 'local', host: server.host, port: server.port } as const;
  return sharing({
    connect: ({ maxValueBytes }) => momentoCache({ access, cacheName, namespace: NAMESPACE, maxValueBytes }),
    async evict(target) {
      server.evict(cacheName, `${NAMESPACE}:${target.kind === 'document' ? `doc:${target.key}` : `list:${target.list}`}`);
    },
    flush: async () => server.flush(cacheName),
    close: () => server.stop(),
  });
}

interface Server extends Omit<OpenCache, 'clients'> {
  connect(options: OpenOptions): Promise<CacheClient>;
  close(): Promise<void>;
}

/** Shares the clients between histories, because connecting takes as long as a history. */
function sharing({ connect, close, ...server }: Server): Backend {
  let clients: readonly CacheClient[] = [];
  return {
    async open(options) {
      if (clients.length === 0) clients = await Promise.all(Array.from({ length: CLIENTS }, () => connect(options)));
      await server.flush();
      return { clients, ...server };
    },
    async close() {
      await Promise.all(clients.map((client) => client.close()));
      await close();
    },
  };
}
