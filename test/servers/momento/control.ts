import { control_client } from '@gomomento/generated-types/dist/controlclient.js';
import type { Caches } from './caches.ts';

/** The control plane: its requests carry the cache's name in the body. */
export const control = {
  CreateCache(caches: Caches, { cache_name }: control_client._CreateCacheRequest) {
    caches.create(cache_name);
    return new control_client._CreateCacheResponse();
  },

  DeleteCache(caches: Caches, { cache_name }: control_client._DeleteCacheRequest) {
    caches.delete(cache_name);
    return new control_client._DeleteCacheResponse();
  },

  FlushCache(caches: Caches, { cache_name }: control_client._FlushCacheRequest) {
    caches.existing(cache_name).clear();
    return new control_client._FlushCacheResponse();
  },

  ListCaches(caches: Caches, _request: control_client._ListCachesRequest) {
    const { itemBytes, ttlMs } = caches.limits;
    const listed = caches.names().map(
      (cache_name) =>
        new control_client._Cache({
          cache_name,
          cache_limits: new control_client._CacheLimits({
            max_traffic_rate: 500,
            max_throughput_kbps: 10_240,
            max_item_size_kb: Math.floor(itemBytes / 1024),
            max_ttl_seconds: Math.floor(ttlMs / 1_000),
          }),
          topic_limits: new control_client._TopicLimits({
            max_publish_rate: 100,
            max_subscription_count: 100,
            max_publish_message_size_kb: 100,
          }),
        }),
    );
    return new control_client._ListCachesResponse({ cache: listed });
  },
};
