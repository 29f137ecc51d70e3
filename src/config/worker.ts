import * as z from 'zod/mini';
import { type MomentoAccess, nameFaults, parseAccess } from '../caches/momento/access.ts';
import { parseCacheUrl } from '../caches/valkey/url.ts';
import { shownValue } from '../errors.ts';
import { type LettersPlace, parseLettersPlace } from '../letters/place.ts';
import { type Environment, givenVariables, parseVariables, requireNoFaults } from './environment.ts';

const milliseconds = (fallback: number) => z._default(z.coerce.number().check(z.int(), z.minimum(1), z.maximum(900_000)), fallback);
const DAY_SECONDS = 86_400;
const DEFAULT_TOMBSTONE_TTL_SECONDS = 90_000;

const worker = z.object({
  CACHE_BACKEND: z._default(z.enum(['memory', 'valkey', 'momento']), 'memory'),
  CACHE_URL: z.optional(z.string()),
  CACHE_CLUSTER: z._default(z.enum(['true', 'false']), 'false'),
  CACHE_IAM_USER: z.optional(z.string()),
  CACHE_IAM_CACHE_NAME: z.optional(z.string()),
  CACHE_IAM_SERVERLESS: z._default(z.enum(['true', 'false']), 'true'),
  AWS_REGION: z.optional(z.string()),
  AWS_SAM_LOCAL: z.optional(z.string()),
  MOMENTO_CACHE_NAME: z.optional(z.string()),
  MOMENTO_MAX_TTL_SECONDS: z._default(z.coerce.number().check(z.int(), z.minimum(DAY_SECONDS)), DAY_SECONDS),
  CACHE_NAMESPACE: z._default(z.string().check(z.regex(/^[\w-]+$/, 'use letters, digits, "-" and "_"')), 'millrace'),
  CACHE_ENTRY_TTL_SECONDS: z._default(z.coerce.number().check(z.int(), z.minimum(0)), 0),
  CACHE_TOMBSTONE_TTL_SECONDS: z.optional(z.coerce.number().check(z.int(), z.minimum(DAY_SECONDS))),
  CACHE_CONNECT_TIMEOUT_MS: milliseconds(1_000),
  CACHE_COMMAND_TIMEOUT_MS: milliseconds(2_000),
  CACHE_DEADLINE_MS: milliseconds(5_000),
  DEAD_LETTERS: z.optional(z.string()),
  DEAD_LETTERS_BUCKET_OWNER: z.optional(z.string().check(z.regex(/^\d{12}$/, 'give the 12 digits of an AWS account'))),
  POISON_RUN_LIMIT: z._default(z.coerce.number().check(z.int(), z.minimum(0)), 10),
  RETENTION_WARNING_SECONDS: z._default(z.coerce.number().check(z.int(), z.minimum(1), z.maximum(DAY_SECONDS)), 21_600),
  METRICS: z._default(z.enum(['true', 'false']), 'false'),
  VERIFY_QUEUE_URL: z.optional(z.string().check(z.regex(/^https?:\/\/[^\s]+$/, 'give the URL of an SQS queue, https://…'))),
  VERIFY_SAMPLE_RATE: z._default(z.coerce.number().check(z.int(), z.minimum(0), z.maximum(1_000_000_000)), 1_000),
});

/** The configuration of the stream worker. */
export type Config = {
  /** First part of every key. */
  readonly namespace: string;
  /** Life of an entry after its last change, ms. 0: entries do not expire. */
  readonly entryTtlMs: number;
  /** Life of a deleted entry's tombstone, ms. At least a day, because DynamoDB keeps stream records for 24 hours. */
  readonly tombstoneTtlMs: number;
  /** See `LivesOptions`. 0 for `sam local`, whose function is the only one. Absent: the default. */
  readonly lifeWaitMs?: number;
  /** Longest duration of one call of the cache with all its retries, ms. */
  readonly deadlineMs: number;
  /**
   * Where dead letters are written. Absent: records that are set aside are only logged. `owner`: the AWS account that must own the bucket.
   */
  readonly letters?: LettersPlace & { readonly owner?: string };
  /** How many consecutive poison records are set aside. 0: no limit. */
  readonly poisonRunLimit: number;
  /** Older records cause a warning, ms. */
  readonly retentionWarningMs: number;
  /** Whether the function writes metrics. */
  readonly metrics: boolean;
  /** Where a sample of the applied changes is sent to be checked: one in `oneIn`. Absent: nowhere. */
  readonly sample?: { readonly queueUrl: string; readonly oneIn: number };
} & (
  | { readonly backend: 'memory' }
  | {
      readonly backend: 'valkey';
      readonly url: string;
      readonly cluster: boolean;
      /** The IAM identity that logs in to ElastiCache. */
      readonly iam?: { readonly user: string; readonly cacheName: string; readonly serverless: boolean; readonly region: string };
      readonly connectTimeoutMs: number;
      readonly commandTimeoutMs: number;
    }
  | {
      readonly backend: 'momento';
      readonly cacheName: string;
      readonly access: MomentoAccess;
      /** The longest life of an entry that the cache allows, ms. */
      readonly maxTtlMs: number;
      readonly commandTimeoutMs: number;
    }
);

/**
 * Reads the environment of the stream worker.
 *
 * @throws ConfigurationError that lists every fault, one a line: the variable, its value, and the values that are allowed. It does not show
 * `CACHE_URL` and `MOMENTO_API_KEY`, because they may contain a secret.
 */
export function parseConfig(env?: Environment): Config {
  const faults: string[] = [];
  return requireNoFaults(readConfig(givenVariables(env), faults), faults);
}

/** The read units of the table that a command or a function may use a second. */
export const readUnits = () => z._default(z.coerce.number().check(z.minimum(1), z.maximum(1_000_000)), 500);

/** The fault of the memory cache where it would end with the process. @param loss what else would be lost */
export function memoryFault({ CACHE_BACKEND: backend }: Environment, loss = ''): string {
  const found = backend === undefined ? 'CACHE_BACKEND is absent, so the cache is memory' : 'CACHE_BACKEND is "memory"';
  const wayOut = 'choose the cache that the readers use: set CACHE_BACKEND and its variables, or give --url on the command line';
  return `${found}: that cache ends with this process${loss}; ${wayOut}`;
}

/** Like `parseConfig`, but adds the faults to `faults`. The result is of use only if none was added. */
export function readConfig(given: Environment, faults: string[]): Config | undefined {
  const data = parseVariables(worker, given, faults);
  const backend = given.CACHE_BACKEND;
  if (backend === 'valkey') faults.push(...urlFaults(given), ...iamFaults(given));
  const access = backend === 'momento' ? parseAccess(given, faults) : undefined;
  if (backend === 'momento') faults.push(...momentoFaults(given, data?.MOMENTO_MAX_TTL_SECONDS ?? Infinity));
  const place = placeOf(given.DEAD_LETTERS, faults);
  if (!data) return undefined;
  const { CACHE_COMMAND_TIMEOUT_MS: commandTimeoutMs, CACHE_DEADLINE_MS: deadlineMs } = data;
  if (commandTimeoutMs > deadlineMs) {
    faults.push(`CACHE_COMMAND_TIMEOUT_MS is ${commandTimeoutMs}: it must not exceed CACHE_DEADLINE_MS, which is ${deadlineMs}`);
  }
  // Cap the default (25 h) at what this Momento cache allows.
  const longestTtlSeconds = data.CACHE_BACKEND === 'momento' ? data.MOMENTO_MAX_TTL_SECONDS : Infinity;
  const tombstoneTtlSeconds = data.CACHE_TOMBSTONE_TTL_SECONDS ?? Math.min(DEFAULT_TOMBSTONE_TTL_SECONDS, longestTtlSeconds);
  const common = {
    namespace: data.CACHE_NAMESPACE,
    entryTtlMs: data.CACHE_ENTRY_TTL_SECONDS * 1_000,
    tombstoneTtlMs: tombstoneTtlSeconds * 1_000,
    deadlineMs,
    ...(data.AWS_SAM_LOCAL === 'true' && { lifeWaitMs: 0 }),
    ...(place && { letters: { ...place, owner: data.DEAD_LETTERS_BUCKET_OWNER } }),
    poisonRunLimit: data.POISON_RUN_LIMIT,
    retentionWarningMs: data.RETENTION_WARNING_SECONDS * 1_000,
    metrics: data.METRICS === 'true',
    ...(data.VERIFY_QUEUE_URL !== undefined &&
      data.VERIFY_SAMPLE_RATE > 0 && { sample: { queueUrl: data.VERIFY_QUEUE_URL, oneIn: data.VERIFY_SAMPLE_RATE } }),
  };
  switch (data.CACHE_BACKEND) {
    case 'memory':
      return { backend: 'memory', ...common };
    case 'valkey':
      return {
        backend: 'valkey',
        url: data.CACHE_URL as string,
        cluster: data.CACHE_CLUSTER === 'true',
        ...(data.CACHE_IAM_USER && {
          iam: {
            user: data.CACHE_IAM_USER,
            cacheName: data.CACHE_IAM_CACHE_NAME as string,
            serverless: data.CACHE_IAM_SERVERLESS === 'true',
            region: data.AWS_REGION as string,
          },
        }),
        connectTimeoutMs: data.CACHE_CONNECT_TIMEOUT_MS,
        commandTimeoutMs,
        ...common,
      };
    case 'momento':
      return {
        backend: 'momento',
        cacheName: data.MOMENTO_CACHE_NAME as string,
        access: access as MomentoAccess,
        maxTtlMs: data.MOMENTO_MAX_TTL_SECONDS * 1_000,
        commandTimeoutMs,
        ...common,
      };
  }
}

function urlFaults({ CACHE_URL: url, CACHE_CLUSTER, CACHE_IAM_USER }: Environment): string[] {
  if (!url) return ['CACHE_URL is absent, and CACHE_BACKEND is "valkey": give valkey://HOST:PORT, or valkeys:// for TLS'];
  try {
    const { tls, username, password } = parseCacheUrl(url, CACHE_CLUSTER === 'true');
    if (!CACHE_IAM_USER) return [];
    return [
      ...(tls ? [] : ['CACHE_URL is without TLS, which CACHE_IAM_USER needs: give valkeys://HOST:PORT']),
      ...(username || password ? ['CACHE_URL has a user or a password beside CACHE_IAM_USER: leave them out'] : []),
    ];
  } catch (error) {
    return [(error as Error).message];
  }
}

function iamFaults(given: Environment): string[] {
  if (!given.CACHE_IAM_USER && !given.CACHE_IAM_CACHE_NAME) return [];
  const together = ['CACHE_IAM_USER', 'CACHE_IAM_CACHE_NAME', 'AWS_REGION'];
  return together.flatMap((name) => (given[name] ? [] : `${name} is absent: a login by IAM needs ${together.join(', ')}`));
}

function momentoFaults(given: Environment, maxTtlSeconds: number): string[] {
  const absent = 'MOMENTO_CACHE_NAME is absent, and CACHE_BACKEND is "momento": give the name of a cache that exists';
  const tooLong = ['CACHE_ENTRY_TTL_SECONDS', 'CACHE_TOMBSTONE_TTL_SECONDS'].filter((name) => Number(given[name]) > maxTtlSeconds);
  return [
    ...(given.MOMENTO_CACHE_NAME === undefined ? [absent] : nameFaults(given.MOMENTO_CACHE_NAME, 'MOMENTO_CACHE_NAME')),
    ...tooLong.map(
      (name) =>
        `${name} is ${shownValue(given[name] ?? '')}, longer than the cache keeps an entry: give ${maxTtlSeconds} or less, or raise MOMENTO_MAX_TTL_SECONDS if your cache is provisioned for it`,
    ),
  ];
}

function placeOf(text: string | undefined, faults: string[]): LettersPlace | undefined {
  if (text === undefined) return undefined;
  try {
    return parseLettersPlace(text);
  } catch (error) {
    faults.push((error as Error).message);
    return undefined;
  }
}
