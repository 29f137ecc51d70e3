import { type Command, Option } from 'commander';
import { type Config, parseConfig } from '../../config/worker.ts';
import { inOptionNames } from './names.ts';

/** What a command line may say of the cache. */
export interface CacheChoice {
  readonly backend?: string;
  readonly url?: string;
  readonly namespace?: string;
}

/** From the variables that `variablesOf` gives. */
export const CACHE_OPTIONS = { CACHE_BACKEND: '--backend', CACHE_URL: '--url', CACHE_NAMESPACE: '--namespace' } as const;

/** Adds the options of `CacheChoice`. */
export function addCacheOptions(command: Command): Command {
  return command
    .addOption(new Option('--backend <name>', 'the cache to use').choices(['memory', 'valkey']))
    .option('--url <url>', 'where Valkey or Redis is: valkey://HOST:PORT, or valkeys:// for TLS; implies --backend valkey')
    .option('--namespace <name>', 'begins every key in Valkey (with --url)');
}

/** By the options alone, if one chooses a cache; else by the environment. */
export function configOf(choice: CacheChoice): Config {
  const variables = variablesOf(choice);
  return inOptionNames(variables ? CACHE_OPTIONS : {}, () => parseConfig(variables));
}

/** The options as variables of the environment; `undefined` when none chooses a cache. */
export function variablesOf({ backend, url, namespace }: CacheChoice): Readonly<Record<string, string | undefined>> | undefined {
  if (backend === undefined && url === undefined) {
    if (namespace !== undefined) throw new Error('--namespace goes with --url: without it, set CACHE_NAMESPACE');
    return undefined;
  }
  if (backend === 'memory' && url !== undefined) throw new Error('--url goes with --backend valkey: the memory cache is in this process');
  if (backend === 'valkey' && url === undefined) {
    throw new Error('--backend valkey needs --url valkey://HOST:PORT; or leave both out, and set CACHE_BACKEND=valkey and CACHE_URL');
  }
  return { CACHE_BACKEND: backend ?? 'valkey', CACHE_URL: url, CACHE_NAMESPACE: namespace };
}
