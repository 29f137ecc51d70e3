import { parseRedriveConfig, type RedriveConfig } from '../../config/worker.ts';
import { CACHE_OPTIONS, type CacheChoice, variablesOf } from '../options/cache.ts';
import { inOptionNames } from '../options/names.ts';

export interface RedriveChoice extends CacheChoice {
  readonly readUnits?: number;
  readonly dryRun?: boolean;
}

/** By the command line, then by the environment. */
export function redriveConfigOf(store: string | undefined, { readUnits, dryRun, ...choice }: RedriveChoice): RedriveConfig {
  const cache = variablesOf(choice);
  const given = {
    ...cache,
    ...(store !== undefined && { DEAD_LETTERS: store }),
    ...(readUnits !== undefined && { READ_UNITS_PER_SECOND: String(readUnits) }),
  };
  const optionOf = {
    ...(cache && CACHE_OPTIONS),
    ...(store !== undefined && { DEAD_LETTERS: 'the store' }),
    ...(readUnits !== undefined && { READ_UNITS_PER_SECOND: '--read-units' }),
  };
  // As for a dry run: what else there is to say of the memory cache is said below.
  const config = inOptionNames(optionOf, () => parseRedriveConfig(given, undefined, true));
  if (config.cache.backend === 'memory' && !dryRun) {
    throw new Error(
      'no cache is chosen that outlives this process, so letters would be removed for nothing: give --url valkey://HOST:PORT, or set CACHE_BACKEND and its variables, for the cache that the readers use',
    );
  }
  return config;
}
