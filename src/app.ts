import type { CacheClient } from './cache.ts';
import type { Config } from './config/worker.ts';
import type { LetterStore } from './letters/store.ts';
import type { View } from './view.ts';
import { views } from './views/index.ts';

export const appViews: readonly View[] = Object.values(views);

/** Opens the chosen cache. Loads the code of that backend only. */
export async function openCache(config: Config): Promise<CacheClient> {
  switch (config.backend) {
    case 'memory':
      return (await import('./caches/memory.ts')).memoryCache(config);
    case 'valkey': {
      const login = config.iam && (await import('./caches/valkey/iam.ts')).elastiCacheLogin(config.iam);
      return (await import('./caches/valkey.ts')).valkeyCache({ ...config, ...(login && { login }) });
    }
    case 'momento':
      return (await import('./caches/momento.ts')).momentoCache(config);
  }
}

/** Opens the chosen letter store. Loads the code of that store only. `undefined`: no store is chosen. */
export async function openLetters({ letters }: Config): Promise<LetterStore | undefined> {
  return letters && (await openStore(letters));
}

/** Opens the store of a place. Loads the code of that store only. */
export async function openStore(place: NonNullable<Config['letters']>): Promise<LetterStore> {
  switch (place.kind) {
    case 's3':
      return (await import('./letters/s3.ts')).s3Store(place);
    case 'folder':
      return (await import('./letters/folder.ts')).folderStore(place.path);
  }
}
