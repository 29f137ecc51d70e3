import { type Command, Option } from 'commander';
import { openBackend } from '../../app.ts';
import type { CacheClient } from '../../cache.ts';
import { type Config, parseConfig } from '../../config/worker.ts';
import { type LivesOptions, type LivingCache, withLives } from '../../lives/with-lives.ts';
import { inOptionNames } from './names.ts';

/** The options that choose the cache. */
export interface CacheChoice {
  readonly backend?: string;
  readonly url?: string;
  readonly namespace?: string;
}

/** The option for each variable that `variablesOf` returns. */
export const CACHE_OPTIONS = { CACHE_BACKEND: '--backend', CACHE_URL: '--url', CACHE_NAMESPACE: '--namespace' } as const;

/** Adds the options of `CacheChoice`. */
export function addCacheOptions(command: Command): Command {
  return command
    .addOption(
      new Option('--backend <name>', 'cache to use. Default: the cache that the environment chooses, else memory').choices([
        'memory',
        'valkey',
      ]),
    )
    .option('--url <url>', 'Valkey or Redis server, valkey://HOST:PORT, or valkeys:// for TLS. Implies --backend valkey')
    .option('--namespace <name>', 'first part of every key in Valkey (with --url). Default: millrace');
}

/** The configuration by the options alone if they choose a cache, else by the environment. */
export function configOf(choice: CacheChoice): Config {
  const variables = variablesOf(choice);
  return inOptionNames(variables ? CACHE_OPTIONS : {}, () => parseConfig(variables));
}

/**
 * The configuration of a cache that outlives its process, so that there is something to read.
 *
 * @throws Error if the memory cache is chosen.
 */
export function lastingConfigOf(choice: CacheChoice): Config {
  const config = configOf(choice);
  if (config.backend === 'memory') {
    throw new Error('the memory cache ends with its process: give --url valkey://HOST:PORT, or set CACHE_BACKEND and its variables');
  }
  return config;
}

/** @throws Error if the key does not begin with the name and the revision of a view. */
export function checkKey(key: string, namespace: string): void {
  if (/^[\w-]+@[1-9]\d*:./s.test(key)) return;
  const example = 'detail@1:42, as keyOf makes it: VIEW@REVISION:KEY';
  const stored = key.startsWith(`${namespace}:`) ? `, without ${namespace}:doc: or ${namespace}:list:` : '';
  throw new Error(`${JSON.stringify(key)} is not a key of a view: give one like ${example}${stored}`);
}

/** A key that no view has. */
const PROBE = 'millrace:probe';

/** A cache, and what is known of the lives of its views. */
export type CommandCache = CacheClient & Partial<Pick<LivingCache, 'lives'>>;

/**
 * Opens the cache without lives and reads once, so that a command can refuse before it does anything.
 *
 * @throws Error with the cause and the way out, if the cache cannot be read.
 */
export function openReachableBackend(config: Config, choice: CacheChoice): Promise<CacheClient> {
  return openReachable(config, choice, async (cache) => cache);
}

/**
 * Opens the cache and reads once, so that a command can refuse before it does anything.
 *
 * @param lives of a worker. Default: the cache is used as its worker uses it, with lives if there are any.
 * @throws Error with the cause and the way out, if the cache cannot be read.
 */
export function openReachableCache(config: Config, choice: CacheChoice, lives?: LivesOptions): Promise<CommandCache> {
  return openReachable(config, choice, async (cache) => {
    if (config.backend === 'memory') return cache;
    const living = withLives(cache, lives);
    return lives || (await living.lives()).size > 0 ? living : cache;
  });
}

async function openReachable<Cache>(config: Config, choice: CacheChoice, use: (cache: CacheClient) => Promise<Cache>): Promise<Cache> {
  const cache = await openBackend(config);
  try {
    await cache.get(PROBE);
    return await use(cache);
  } catch (cause) {
    await cache.close();
    const name = config.backend === 'momento' ? 'the MOMENTO_ variables' : choice.url === undefined ? 'CACHE_URL' : '--url';
    throw new Error(`nothing was done, because the cache cannot be read: ${(cause as Error).message}. Start it, or correct ${name}`, {
      cause,
    });
  }
}

/** The options as environment variables. `undefined` if they choose no cache. */
export function variablesOf({ backend, url, namespace }: CacheChoice): Readonly<Record<string, string | undefined>> | undefined {
  if (backend === undefined && url === undefined) {
    if (namespace !== undefined) throw new Error('--namespace needs --url: give it too, or set CACHE_NAMESPACE instead');
    return undefined;
  }
  if (backend === 'memory' && url !== undefined) throw new Error('--url needs --backend valkey: the memory cache is in this process');
  if (backend === 'valkey' && url === undefined) {
    throw new Error('--backend valkey needs --url valkey://HOST:PORT; or omit both, and set CACHE_BACKEND=valkey and CACHE_URL');
  }
  return { CACHE_BACKEND: backend ?? 'valkey', CACHE_URL: url, CACHE_NAMESPACE: namespace };
}
