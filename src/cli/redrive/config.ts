import { parseRedriveConfig, type RedriveConfig } from '../../config/redrive.ts';
import { CACHE_OPTIONS, type CacheChoice, variablesOf } from '../options/cache.ts';
import { inOptionNames } from '../options/names.ts';

export interface RedriveChoice extends CacheChoice {
  readonly readUnits?: number;
  readonly dryRun?: boolean;
}

/** The configuration by the command line and, for what is absent there, by the environment. */
export function redriveConfigOf(store: string | undefined, { readUnits, dryRun, ...choice }: RedriveChoice): RedriveConfig {
  const cache = variablesOf(choice);
  const overrides = {
    ...cache,
    ...(store !== undefined && { DEAD_LETTERS: store }),
    ...(readUnits !== undefined && { READ_UNITS_PER_SECOND: String(readUnits) }),
  };
  const optionOf = {
    ...(cache && CACHE_OPTIONS),
    ...(store !== undefined && { DEAD_LETTERS: 'the store' }),
    ...(readUnits !== undefined && { READ_UNITS_PER_SECOND: '--read-units' }),
  };
  return inOptionNames(optionOf, () => parseRedriveConfig(undefined, { overrides, dryRun }));
}
