import * as z from 'zod/mini';
import { chosenVariables, type Environment, parseVariables, requireNoFaults } from './environment.ts';
import { type Config, memoryFault, readConfig, readUnits } from './worker.ts';

const backfill = z.object({ READ_UNITS_PER_SECOND: readUnits() });

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
  if (cache?.backend === 'memory' && !dryRun) faults.push(memoryFault(given));
  return requireNoFaults(data && cache && { cache, readUnitsPerSecond: data.READ_UNITS_PER_SECOND }, faults);
}
