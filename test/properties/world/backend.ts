import { Valkey } from 'iovalkey';
import type { CacheClient, LeaseTarget } from '../../../src/cache.ts';
import { memoryCache } from '../../../src/caches/memory.ts';
import { momentoCache } from '../../../src/caches/momento.ts';
import { valkeyCache } from '../../../src/caches/valkey.ts';

import { late, lostReply, type MomentoServer, startMomentoServer, throttled, unavailable } from '../../servers/momento/server.ts';

/** A kind of cache, and how a world evicts its keys. */
export interface Backend {
  readonly name: string;
  /** An empty cache. */
  open(options?: { readonly maxValueBytes?: number }): Promise<Opened>;
  close(): Promise<void>;
}

export interface Opened {
  readonly cache: CacheClient;
  /** Drops a document or list, or a part of it that can be lost alone: `part` chooses which. */
  evict(target: LeaseTarget, part: number): Promise<void>;
  flush(): Promise<void>;
}

export function memoryBackend(): Backend {
  return {
    name: 'memory',
    async open(options) {
      const cache = memoryCache(options);
      return { cache, evict: async (target) => cache.evict(target), flush: async () => cache.flush() };
    },
    async close() {},
  };
}

/** A backend on a server of its own, because a flush is of the whole server. */
export function valkeyBackend(url: string): Backend {
  const raw = new Valkey(url);
  let opened = 0;
  return {
    name: 'Valkey',
    async open(options) {
      opened += 1;
      const namespace = `world${opened}`;
      return {
        cache: valkeyCache({ url, namespace, ...options }),
        async evict(target, part) {
          const keys = valkeyKeysOf(namespace, target);
          const key = keys[part];
          await raw.del(...(key === undefined ? keys : [key]));
        },
        async flush() {
          await raw.flushall();
        },
      };
    },
    async close() {
      raw.disconnect();
    },
  };
}

/** A backend on a server of its own, which sometimes is late, refuses a call, or loses a reply. */
export async function momentoBackend(): Promise<Backend> {
  const cacheName = 'world';
  const server: MomentoServer = await startMomentoServer({ caches: [cacheName], casMixing: 'reject' });
  let opened = 0;
  let calls = 0;
  server.onCall(() => {
    calls += 1;
    if (calls % 199 === 0) return throttled();
    if (calls % 197 === 0) return unavailable();
    if (calls % 47 === 0) return lostReply();
    return calls % 19 === 0 ? late(1) : undefined;
  });
  return {
    name: 'Momento',
    async open(options) {
      opened += 1;
      const namespace = `world${opened}`;
      const access = { kind: 'local', host: server.host, port: server.port } as const;
      return {
        cache: await momentoCache({ access, cacheName, namespace, deadlineMs: 30_000, ...options }),
        async evict(target) {
          server.evict(cacheName, target.kind === 'document' ? `${namespace}:doc:${target.key}` : `${namespace}:list:${target.list}`);
        },
        async flush() {
          server.flush(cacheName);
        },
      };
    },
    close: () => server.stop(),
  };
}

/** The keys of a document or list, as the documentation of the backend names them. Each may be lost alone. */
export function valkeyKeysOf(namespace: string, target: LeaseTarget): string[] {
  if (target.kind === 'document') return [`${namespace}:doc:${target.key}`];
  return ['members', 'scores', 'peaks'].map((part) => `${namespace}:list:{${target.list}}:${part}`);
}
