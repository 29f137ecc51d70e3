import type { CacheClient } from './cache.ts';
import type { MemoryCache } from './caches/memory.ts';
import type { SweepOptions, Swept } from './caches/valkey/sweep.ts';
import type { Config } from './config/worker.ts';
import type { LetterStore } from './letters/store.ts';
import { type LivesOptions, type LivingCache, withLives } from './lives/with-lives.ts';
import type { View } from './view.ts';
import { views } from './views/index.ts';

export type { Swept };

export const appViews: readonly View[] = Object.values(views);

/**
 * Opens the chosen cache. Its views have lives, except in the memory of this process: there, the only worker is this one.
 *
 * @param lives with the views of a worker; absent for a process that is none
 */
export async function openCache(config: Config, lives?: LivesOptions): Promise<CacheClient & Partial<Pick<LivingCache, 'lives'>>> {
  const cache = await openBackend(config);
  return config.backend === 'memory' ? cache : withLives(cache, lives);
}

/** Opens the chosen cache, without lives. Loads the code of that backend only. */
export async function openBackend(config: Config & { readonly maxValueBytes?: number }): Promise<CacheClient> {
  switch (config.backend) {
    case 'memory':
      return (await import('./caches/memory.ts')).memoryCache(config);
    case 'valkey':
      return (await import('./caches/valkey.ts')).valkeyCache(await connectionOf(config));
    case 'momento':
      return (await import('./caches/momento.ts')).momentoCache(config);
  }
}

async function connectionOf(config: Extract<Config, { readonly backend: 'valkey' }>) {
  const login = config.iam && (await import('./caches/valkey/iam.ts')).elastiCacheLogin(config.iam);
  return { ...config, ...(login && { login }) };
}

/** Goes through the keys of a Valkey cache. Loads the code of that backend only. */
export async function openSweep(
  config: Extract<Config, { readonly backend: 'valkey' }>,
  { keeps, dryRun }: Pick<SweepOptions, 'keeps' | 'dryRun'>,
): Promise<AsyncGenerator<Swept>> {
  return (await import('./caches/valkey/sweep.ts')).sweep({ ...(await connectionOf(config)), namespace: config.namespace, keeps, dryRun });
}

/**
 * The keys of a cache, as `keyOf` makes them: those that readers read now, and not those of ended lives. `undefined` for a cache that lists no keys. Loads the
 * code of that backend only.
 *
 * @param order `all`: each key once. `random`: at random, without end
 */
export function openKeys(
  config: Config,
  cache: Partial<Pick<LivingCache, 'lives'>>,
  order: 'all' | 'random',
): (() => AsyncIterable<readonly string[]>) | undefined {
  if (config.backend !== 'valkey') return undefined;
  return async function* () {
    const { cacheNames, randomNames } = await import('./caches/valkey/sweep.ts');
    const options = { ...(await connectionOf(config)), namespace: config.namespace };
    for await (const names of order === 'all' ? cacheNames(options) : randomNames(options)) {
      const lives = await cache.lives?.();
      yield names.flatMap((name) => {
        const [, view = '', life, key = ''] = /^([\w-]+@[1-9]\d*)(?:\.([a-z\d]+))?:(.+)$/s.exec(name) ?? [];
        const isRead = view !== '' && life === lives?.get(view)?.life;
        return isRead ? `${view}:${key}` : [];
      });
    }
  };
}

/**
 * What drops one document or list of a cache, as a full cache does; without a name, all of them. For people who try what happens.
 *
 * @param cache what `openBackend` or `openCache` returned for this configuration
 * @throws Error if the backend lists no keys
 */
export function evictionOf(config: Config, cache: CacheClient): (name?: string) => Promise<void> {
  if (config.backend === 'momento') throw new Error('Momento lists no keys, so the playground cannot evict them: use memory or Valkey');
  if (config.backend === 'valkey') {
    return async (name) => {
      // Names of a cache with lives have the life after the view.
      const bare = (stored: string) => stored.replace(/^([\w-]+@\d+)\.[a-z\d]+:/, '$1:');
      const keeps = (stored: string): boolean => (name === undefined ? !/^[\w-]+@\d+/.test(stored) : bare(stored) !== name);
      for await (const _ of await openSweep(config, { keeps, dryRun: false })) {
      }
    };
  }
  const memory = cache as MemoryCache;
  return async (name) => {
    if (name === undefined) return memory.flush();
    memory.evict({ kind: 'document', key: name });
    memory.evict({ kind: 'list', list: name, keep: 1 });
  };
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
