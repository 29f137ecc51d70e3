import * as z from 'zod/mini';
import { chosenVariables, type Environment, parseVariables, requireNoFaults } from './environment.ts';
import { type Config, memoryFault, readConfig, readUnits } from './worker.ts';

const redrive = z.object({
  TABLE_NAME: z.optional(z.string()),
  READ_UNITS_PER_SECOND: readUnits(),
});

/** The configuration of a redrive, by the function or by the command. */
export interface RedriveConfig {
  /** The worker's configuration. Its `letters` are present. Its backend is `memory` in a dry run only. */
  readonly cache: Config;
  /** Letters of other tables stay untouched. Absent: letters of all tables are redriven. */
  readonly tableName?: string;
  /** Read capacity units of the table to use per second. */
  readonly readUnitsPerSecond: number;
}

export interface RedriveConfigOptions {
  /**
   * Variables that win over the environment's. A `CACHE_BACKEND` among them chooses the cache alone: then the environment's `CACHE_…` and
   * `MOMENTO_…` variables are ignored.
   */
  readonly overrides?: Environment;
  /** No letter is removed, so the memory cache is allowed. */
  readonly dryRun?: boolean;
}

/**
 * Reads the environment of a redrive.
 *
 * @throws ConfigurationError that lists every fault, one a line: the variable, its value, and the values that are allowed.
 */
export function parseRedriveConfig(env?: Environment, { overrides = {}, dryRun = false }: RedriveConfigOptions = {}): RedriveConfig {
  const given = chosenVariables(env, overrides);
  const faults: string[] = [];
  const data = parseVariables(redrive, given, faults);
  if (given.DEAD_LETTERS === undefined) faults.push('DEAD_LETTERS is absent: give s3://BUCKET or a folder, where the letters lie');
  const cache = readConfig(given, faults);
  if (cache?.backend === 'memory' && !dryRun) faults.push(memoryFault(given, ', and letters would be removed for nothing'));
  const config = data && cache && { cache, tableName: data.TABLE_NAME, readUnitsPerSecond: data.READ_UNITS_PER_SECOND };
  return requireNoFaults(config, faults);
}
