import * as z from 'zod/mini';
import { type Environment, givenVariables, parseVariables, requireNoFaults } from './environment.ts';
import { type Config, memoryFault, readConfig, readUnits } from './worker.ts';

const verify = z.object({
  TABLE_NAME: z.optional(z.string()),
  // readConfig checks its form.
  VERIFY_QUEUE_URL: z.optional(z.string()),
  VERIFY_BOUND_SECONDS: z._default(z.coerce.number().check(z.int(), z.minimum(1), z.maximum(180)), 60),
  READ_UNITS_PER_SECOND: readUnits(),
  PROBE_READ_UNITS: z._default(z.coerce.number().check(z.int(), z.minimum(1), z.maximum(1_000_000)), 1_000),
});

/** The configuration of the function that verifies. */
export interface VerifyFunctionConfig {
  /** The worker's configuration. Its backend is not `memory`. */
  readonly cache: Config;
  readonly tableName: string;
  /** The queue whose messages the function gets. */
  readonly queueUrl: string;
  /** How long the cache may lag behind the table, ms. */
  readonly boundMs: number;
  /** Read units of the table to use per second. */
  readonly readUnitsPerSecond: number;
  /** Read units that the probes of one run use, about. */
  readonly probeReadUnits: number;
}

/**
 * Reads the environment of the function that verifies.
 *
 * @throws ConfigurationError that lists every fault, one a line: the variable, its value, and the values that are allowed.
 */
export function parseVerifyFunctionConfig(env?: Environment): VerifyFunctionConfig {
  const given = givenVariables(env);
  const faults: string[] = [];
  const data = parseVariables(verify, given, faults);
  const cache = readConfig(given, faults);
  if (given.TABLE_NAME === undefined) faults.push('TABLE_NAME is absent: give the name of a DynamoDB table');
  if (given.VERIFY_QUEUE_URL === undefined)
    faults.push('VERIFY_QUEUE_URL is absent: give the URL of the queue whose messages this function gets');
  if (cache?.backend === 'memory') faults.push(memoryFault(given));
  const config = data &&
    cache && {
      cache,
      tableName: data.TABLE_NAME as string,
      queueUrl: data.VERIFY_QUEUE_URL as string,
      boundMs: data.VERIFY_BOUND_SECONDS * 1_000,
      readUnitsPerSecond: data.READ_UNITS_PER_SECOND,
      probeReadUnits: data.PROBE_READ_UNITS,
    };
  return requireNoFaults(config, faults);
}
