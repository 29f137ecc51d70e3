import * as z from 'zod/mini';
import { type Environment, givenVariables, parseVariables, requireNoFaults } from './environment.ts';
import { parseOrigins } from './origins.ts';
import { type Config, readConfig, readUnits } from './worker.ts';

const read = z.object({
  TABLE_NAME: z.optional(z.string()),
  ADMIN_SCOPE: z._default(z.string().check(z.regex(/^\S+$/, 'give one scope, without spaces')), 'orders/admin'),
  READ_UNITS_PER_SECOND: readUnits(),
});

/** No worker keeps the memory of the function up to date, so what it holds ends soon, ms. */
const MEMORY_TTL_MS = 10_000;

/** The configuration of the function that reads orders and carts. */
export interface ReadConfig {
  /** The worker's configuration, of which the cache is used. The memory backend holds entries and tombstones for 10 s. */
  readonly cache: Config;
  readonly tableName: string;
  /** The scope that a token needs for the routes of `/admin`. */
  readonly adminScope: string;
  /** Read capacity units of the table that one execution environment may use per second. */
  readonly readUnitsPerSecond: number;
  /** Origins of browsers that may call with credentials, such as `https://shop.example`. */
  readonly allowedOrigins: readonly string[];
}

/**
 * Reads the environment of the function that reads orders and carts.
 *
 * @throws ConfigurationError that lists every fault, one a line: the variable, its value, and the values that are allowed.
 */
export function parseReadConfig(env?: Environment): ReadConfig {
  const given = givenVariables(env);
  const faults: string[] = [];
  const data = parseVariables(read, given, faults);
  if (given.TABLE_NAME === undefined) faults.push('TABLE_NAME is absent: give the name of a DynamoDB table');
  const allowedOrigins = parseOrigins(given, faults);
  const cache = readConfig(given, faults);
  const config = data &&
    cache && {
      cache: cache.backend === 'memory' ? { ...cache, entryTtlMs: MEMORY_TTL_MS, tombstoneTtlMs: MEMORY_TTL_MS } : cache,
      tableName: data.TABLE_NAME as string,
      adminScope: data.ADMIN_SCOPE,
      readUnitsPerSecond: data.READ_UNITS_PER_SECOND,
      allowedOrigins,
    };
  return requireNoFaults(config, faults);
}
