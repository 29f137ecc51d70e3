import type { CacheClient } from '../cache.ts';

/** The same cache, but for what is done to apply mutations. */
export function withApply(cache: CacheClient, apply: CacheClient['apply']): CacheClient {
  return {
    apply,
    get: (key) => cache.get(key),
    getMany: (keys) => cache.getMany(keys),
    list: (list, query) => cache.list(list, query),
    lease: (target) => cache.lease(target),
    settle: (lease, found) => cache.settle(lease, found),
    close: () => cache.close(),
  };
}
