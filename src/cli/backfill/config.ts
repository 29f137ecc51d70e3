import { type BackfillConfig, parseBackfillConfig } from '../../config/backfill.ts';
import { CACHE_OPTIONS, type CacheChoice, variablesOf } from '../options/cache.ts';
import { inOptionNames } from '../options/names.ts';

export interface BackfillChoice extends CacheChoice {
  readonly readUnits?: number;
  readonly deadLetters?: string;
  readonly dryRun?: boolean;
}

/** The configuration by the command line and, for what is absent there, by the environment. */
export function backfillConfigOf({ readUnits, deadLetters, dryRun, ...choice }: BackfillChoice): BackfillConfig {
  const cache = variablesOf(choice);
  const overrides = {
    ...cache,
    ...(deadLetters !== undefined && { DEAD_LETTERS: deadLetters }),
    ...(readUnits !== undefined && { READ_UNITS_PER_SECOND: String(readUnits) }),
  };
  const optionOf = {
    ...(cache && CACHE_OPTIONS),
    ...(deadLetters !== undefined && { DEAD_LETTERS: '--dead-letters' }),
    ...(readUnits !== undefined && { READ_UNITS_PER_SECOND: '--read-units' }),
  };
  return inOptionNames(optionOf, () => parseBackfillConfig(undefined, { overrides, dryRun }));
}
