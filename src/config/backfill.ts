import * as z from 'zod/mini';
import { chosenVariables, type Environment, parseVariables, requireNoFaults } from './environment.ts';
import { type Config, readConfig } from './worker.ts';

const backfill = z.object({
  READ_UNITS_PER_SECOND: z._default(z.coerce.number().check(z.minimum(1), z.maximum(1_000_000)), 500),
});

/** The configuration of a backfill. */
export interface BackfillConfig {
  /** The worker's configuration. Its backend is `memory` in a dry run only. */
  readonly cache: Config;
  /** Read units of the table to use per second. */
  readonly readUnitsPerSecond: number;
}

export interface BackfillConfigOptions {
  /** Variables that win over the environment's; see `chosenVariables`. */
  readonly overrides?: Environment;
  /** Nothing is filled, so the memory cache is allowed. */
  readonly dryRun?: boolean;
}

/**
 * Reads the environment of a backfill.
 *
 * @throws ConfigurationError that lists every fault, one a line: the variable, its value, and the values that are allowed.
 */
export function parseBackfillConfig(env?: Environment, { overrides = {}, dryRun = false }: BackfillConfigOptions = {}): BackfillConfig {
  const given = chosenVariables(env, overrides);
  const faults: string[] = [];
  const data = parseVariables(backfill, given, faults);
  const cache = readConfig(given, faults);
  if (cache?.backend === 'memory' && !dryRun) {
    const found = given.CACHE_BACKEND === undefined ? 'CACHE_BACKEND is absent, so the cache is memory' : 'CACHE_BACKEND is "memory"';
    faults.push(`${found}: that cache ends with this process; set CACHE_BACKEND and its variables, or give --url on the command line`);
  }
  return requireNoFaults(data && cache && { cache, readUnitsPerSecond: data.READ_UNITS_PER_SECOND }, faults);
}
