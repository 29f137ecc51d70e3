import { createHash } from 'node:crypto';
import * as z from 'zod/mini';
import { type LettersPlace, parseLettersPlace } from '../letters/place.ts';
import { chosenVariables, type Environment, givenVariables, parseVariables, requireNoFaults } from './environment.ts';
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

const backfillFunction = z.object({
  TABLE_NAME: z.optional(z.string()),
  BACKFILL_CHECKPOINTS: z.optional(z.string()),
  BACKFILL_CHECKPOINTS_BUCKET_OWNER: z.optional(z.string().check(z.regex(/^\d{12}$/, 'give the 12 digits of an AWS account'))),
  SEGMENTS_AT_ONCE: z._default(z.coerce.number().check(z.int(), z.minimum(1), z.maximum(1_000)), 10),
});

/** The configuration of the function that backfills. */
export interface BackfillFunctionConfig extends BackfillConfig {
  readonly tableName: string;
  /** Where checkpoints and results lie. `owner`: the AWS account that must own the bucket. */
  readonly checkpoints: LettersPlace & { readonly owner?: string };
  /** The most segments that are read at the same time. */
  readonly segmentsAtOnce: number;
}

/**
 * Reads the environment of the function that backfills.
 *
 * @throws ConfigurationError that lists every fault, one a line: the variable, its value, and the values that are allowed.
 */
export function parseBackfillFunctionConfig(env?: Environment): BackfillFunctionConfig {
  const given = givenVariables(env);
  const faults: string[] = [];
  const own = parseVariables(backfillFunction, given, faults);
  const data = parseVariables(backfill, given, faults);
  const cache = readConfig(given, faults);
  if (given.TABLE_NAME === undefined) faults.push('TABLE_NAME is absent: give the name of a DynamoDB table');
  const place = placeOf(given.BACKFILL_CHECKPOINTS, faults);
  if (cache?.backend === 'memory') faults.push(memoryFault(given));
  const config = own &&
    data &&
    cache && {
      cache,
      tableName: own.TABLE_NAME as string,
      checkpoints: { ...(place as LettersPlace), owner: own.BACKFILL_CHECKPOINTS_BUCKET_OWNER },
      readUnitsPerSecond: data.READ_UNITS_PER_SECOND,
      segmentsAtOnce: own.SEGMENTS_AT_ONCE,
    };
  return requireNoFaults(config, faults);
}

function placeOf(text: string | undefined, faults: string[]): LettersPlace | undefined {
  if (text === undefined) {
    faults.push('BACKFILL_CHECKPOINTS is absent: give s3://BUCKET or a folder, where the function stores how far it is');
    return undefined;
  }
  try {
    return parseLettersPlace(text, 'BACKFILL_CHECKPOINTS');
  } catch (error) {
    faults.push((error as Error).message);
    return undefined;
  }
}

/** Tells a cache from others. A hash, because a URL may contain a password. */
export function cacheId(config: Config): string {
  const cache = config.backend === 'valkey' ? config.url : config.backend === 'momento' ? config.cacheName : '';
  return createHash('sha256')
    .update(JSON.stringify([config.backend, cache, config.namespace]))
    .digest('hex')
    .slice(0, 16);
}
