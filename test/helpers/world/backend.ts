import { Valkey } from 'iovalkey';
import type { CacheClient, LeaseTarget } from '../../../src/cache.ts';
import { memoryCache } from '../../../src/caches/memory.ts';
import { valkeyCache } from '../../../src/caches/valkey.ts';

/** A kind of cache, and how a world takes things from it. */
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

/** On a server that has nothing else to do: a flush is of the whole server. */
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
          const keys = keysOf(namespace, target);
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

/** As the backend's documentation names them. */
function keysOf(namespace: string, target: LeaseTarget): string[] {
  if (target.kind === 'document') return [`${namespace}:doc:${target.key}`];
  return ['members', 'scores', 'peaks'].map((part) => `${namespace}:list:{${target.list}}:${part}`);
}
