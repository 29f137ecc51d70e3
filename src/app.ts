import type { CacheClient } from './cache.ts';
import type { Config } from './config.ts';
import type { View } from './view.ts';
import { views as shopViews } from './views/index.ts';

export const views: readonly View[] = Object.values(shopViews);

/** Loads the code of the chosen backend only. */
export async function openCache(config: Config): Promise<CacheClient> {
  switch (config.backend) {
    case 'memory':
      return (await import('./caches/memory.ts')).memoryCache(config);
    case 'valkey':
      return (await import('./caches/valkey.ts')).valkeyCache(config);
  }
}
