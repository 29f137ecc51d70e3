import * as z from 'zod/mini';
import { type MomentoAccess, parseAccess } from '../caches/momento/access.ts';
import { parseCacheUrl } from '../caches/valkey/url.ts';
import { ConfigurationError } from '../errors.ts';
import { type LettersPlace, parseLettersPlace } from '../letters/place.ts';
import type { IdempotencyOptions } from '../shop/idempotency.ts';
import type { CartCookie } from '../shop/migrate-cart-api.ts';

const milliseconds = (fallback: number) => z._default(z.coerce.number().check(z.int(), z.minimum(1), z.maximum(900_000)), fallback);
const DAY_SECONDS = 86_400;

const environment = z.object({
  CACHE_BACKEND: z._default(z.enum(['memory', 'valkey', 'momento']), 'memory'),
  CACHE_URL: z.optional(z.string()),
  CACHE_CLUSTER: z._default(z.enum(['true', 'false']), 'false'),
  CACHE_IAM_USER: z.optional(z.string()),
  CACHE_IAM_CACHE_NAME: z.optional(z.string()),
  CACHE_IAM_SERVERLESS: z._default(z.enum(['true', 'false']), 'true'),
  AWS_REGION: z.optional(z.string()),
  MOMENTO_CACHE_NAME: z.optional(z.string()),
  MOMENTO_MAX_TTL_SECONDS: z._default(z.coerce.number().check(z.int(), z.minimum(DAY_SECONDS)), DAY_SECONDS),
  CACHE_NAMESPACE: z._default(z.string().check(z.regex(/^[\w-]+$/, 'use letters, digits, "-" and "_"')), 'millrace'),
  CACHE_ENTRY_TTL_SECONDS: z._default(z.coerce.number().check(z.int(), z.minimum(0)), 0),
  CACHE_TOMBSTONE_TTL_SECONDS: z._default(z.coerce.number().check(z.int(), z.minimum(DAY_SECONDS)), 90_000),
  CACHE_CONNECT_TIMEOUT_MS: milliseconds(1_000),
  CACHE_COMMAND_TIMEOUT_MS: milliseconds(2_000),
  CACHE_DEADLINE_MS: milliseconds(5_000),
  DEAD_LETTERS: z.optional(z.string()),
  DEAD_LETTERS_BUCKET_OWNER: z.optional(z.string().check(z.regex(/^\d{12}$/, 'give the 12 digits of an AWS account'))),
  POISON_RUN_LIMIT: z._default(z.coerce.number().check(z.int(), z.minimum(0)), 10),
  RETENTION_WARNING_SECONDS: z._default(z.coerce.number().check(z.int(), z.minimum(1), z.maximum(DAY_SECONDS)), 21_600),
  METRICS: z._default(z.enum(['true', 'false']), 'false'),
});

export type Config = {
  readonly namespace: string;
  /** ms; 0: entries do not end. */
  readonly entryTtlMs: number;
  /** ms; a day at least, since that is how long a stream can be replayed. */
  readonly tombstoneTtlMs: number;
  /** For one call of the cache, ms. */
  readonly deadlineMs: number;
  /** Where dead letters go. Absent: they are only logged. `owner`: the account that must own the bucket. */
  readonly letters?: LettersPlace & { readonly owner?: string };
  /** 0: none. */
  readonly poisonRunLimit: number;
  /** Age of records that is worth a warning, ms. */
  readonly retentionWarningMs: number;
  readonly metrics: boolean;
} & (
  | { readonly backend: 'memory' }
  | {
      readonly backend: 'valkey';
      readonly url: string;
      readonly cluster: boolean;
      /** Log in to ElastiCache by an IAM identity. */
      readonly iam?: { readonly user: string; readonly cacheName: string; readonly serverless: boolean; readonly region: string };
      readonly connectTimeoutMs: number;
      readonly commandTimeoutMs: number;
    }
  | {
      readonly backend: 'momento';
      readonly cacheName: string;
      readonly access: MomentoAccess;
      /** ms */
      readonly maxTtlMs: number;
      readonly commandTimeoutMs: number;
    }
);

type Given = Readonly<Record<string, string | undefined>>;

/**
 * Reads the environment.
 *
 * @throws ConfigurationError with every fault, one a line: the variable, what is wrong and what is allowed. Values of `CACHE_URL` are not
 * shown, for they may hold a password.
 */
export function parseConfig(env: Readonly<Record<string, string | undefined>> = process.env): Config {
  // An empty variable is an absent one: templates cannot leave a variable out.
  const given = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== undefined && value.trim() !== ''));
  const parsed = environment.safeParse(given);
  const faults = parsed.success ? [] : parsed.error.issues.map((issue) => fault(issue, given));
  const backend = given.CACHE_BACKEND;
  if (backend === 'valkey') faults.push(...urlFaults(given), ...iamFaults(given));
  const access = backend === 'momento' ? parseAccess(given, faults) : undefined;
  if (backend === 'momento') faults.push(...momentoFaults(given, parsed.data?.MOMENTO_MAX_TTL_SECONDS ?? Infinity));
  const place = placeOf(given.DEAD_LETTERS, faults);
  if (parsed.success && parsed.data.CACHE_COMMAND_TIMEOUT_MS > parsed.data.CACHE_DEADLINE_MS) {
    faults.push(
      `CACHE_COMMAND_TIMEOUT_MS is ${parsed.data.CACHE_COMMAND_TIMEOUT_MS}: it must not exceed CACHE_DEADLINE_MS, which is ${parsed.data.CACHE_DEADLINE_MS}`,
    );
  }
  if (!parsed.success || faults.length > 0) throw new ConfigurationError(['the environment is wrong:', ...faults].join('\n  '));
  const { data } = parsed;
  const common = {
    namespace: data.CACHE_NAMESPACE,
    entryTtlMs: data.CACHE_ENTRY_TTL_SECONDS * 1_000,
    tombstoneTtlMs: data.CACHE_TOMBSTONE_TTL_SECONDS * 1_000,
    deadlineMs: data.CACHE_DEADLINE_MS,
    ...(place && { letters: { ...place, owner: data.DEAD_LETTERS_BUCKET_OWNER } }),
    poisonRunLimit: data.POISON_RUN_LIMIT,
    retentionWarningMs: data.RETENTION_WARNING_SECONDS * 1_000,
    metrics: data.METRICS === 'true',
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
        commandTimeoutMs: data.CACHE_COMMAND_TIMEOUT_MS,
        ...common,
      };
    case 'momento': {
      const maxTtlMs = data.MOMENTO_MAX_TTL_SECONDS * 1_000;
      return {
        backend: 'momento',
        cacheName: data.MOMENTO_CACHE_NAME as string,
        access: access as MomentoAccess,
        maxTtlMs,
        commandTimeoutMs: data.CACHE_COMMAND_TIMEOUT_MS,
        ...common,
        // What is not given is as long as it may be.
        tombstoneTtlMs: Math.min(common.tombstoneTtlMs, maxTtlMs),
      };
    }
  }
}

function fault(issue: z.core.$ZodIssue, given: Given): string {
  const name = String(issue.path[0]);
  const found = `${name} is "${given[name]}"`;
  switch (issue.code) {
    case 'invalid_value':
      return `${found}: use ${issue.values.map(String).join(' or ')}`;
    case 'invalid_type':
      return `${found}: give a whole number`;
    case 'too_small':
      return `${found}: give ${issue.minimum} or more`;
    case 'too_big':
      return `${found}: give ${issue.maximum} or less`;
    default:
      return `${found}: ${issue.message}`;
  }
}

function urlFaults({ CACHE_URL: url, CACHE_CLUSTER, CACHE_IAM_USER }: Given): string[] {
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

function iamFaults(given: Given): string[] {
  if (!given.CACHE_IAM_USER && !given.CACHE_IAM_CACHE_NAME) return [];
  const together = ['CACHE_IAM_USER', 'CACHE_IAM_CACHE_NAME', 'AWS_REGION'];
  return together.flatMap((name) => (given[name] ? [] : `${name} is absent: to log in by IAM takes ${together.join(', ')}`));
}

function momentoFaults(given: Given, maxTtlSeconds: number): string[] {
  const absent = 'MOMENTO_CACHE_NAME is absent, and CACHE_BACKEND is "momento": give the name of a cache that exists';
  const tooLong = ['CACHE_ENTRY_TTL_SECONDS', 'CACHE_TOMBSTONE_TTL_SECONDS'].filter((name) => Number(given[name]) > maxTtlSeconds);
  const limit = `the cache holds nothing longer: give ${maxTtlSeconds} or less`;
  return [
    ...(given.MOMENTO_CACHE_NAME === undefined ? [absent] : []),
    ...tooLong.map(
      (name) => `${name} is "${given[name]}": ${limit}, or raise MOMENTO_MAX_TTL_SECONDS, if your cache is provisioned for it`,
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

/** The write side's configuration, for the functions in `shop/`. */
export interface ShopConfig {
  readonly tableName: string;
  readonly idempotency: IdempotencyOptions;
  /** Of browsers that may call with credentials. */
  readonly allowedOrigins: readonly string[];
  readonly cookie: CartCookie;
  readonly linesAtOnce: number;
}

/**
 * Reads the environment of the write side.
 *
 * @throws ConfigurationError with every fault, one a line: the variable, what is wrong and what is allowed.
 */
export function parseShopConfig(env: Readonly<Record<string, string | undefined>> = process.env): ShopConfig {
  // Made here and not above, so that a bundle without this function is without the schema.
  const name = (fallback: string) => z._default(z.string(), fallback);
  const whole = (fallback: number, minimum: number, maximum: number) =>
    z._default(z.coerce.number().check(z.int(), z.minimum(minimum), z.maximum(maximum)), fallback);
  const shop = z.object({
    TABLE_NAME: z.optional(z.string()),
    IDEMPOTENCY_TABLE_NAME: z.optional(z.string()),
    IDEMPOTENCY_KEY_ATTRIBUTE: name('id'),
    IDEMPOTENCY_SORT_KEY_ATTRIBUTE: z.optional(z.string()),
    IDEMPOTENCY_EXPIRY_ATTRIBUTE: name('expiration'),
    IDEMPOTENCY_IN_PROGRESS_EXPIRY_ATTRIBUTE: name('in_progress_expiration'),
    IDEMPOTENCY_STATUS_ATTRIBUTE: name('status'),
    IDEMPOTENCY_DATA_ATTRIBUTE: name('data'),
    IDEMPOTENCY_VALIDATION_ATTRIBUTE: name('validation'),
    IDEMPOTENCY_EXPIRES_AFTER_SECONDS: whole(3_600, 1, 31_536_000),
    CORS_ALLOWED_ORIGINS: name(''),
    CART_COOKIE_MAX_AGE_SECONDS: whole(2_592_000, 0, 34_560_000),
    CART_COOKIE_SAME_SITE: z._default(z.enum(['Strict', 'Lax', 'None']), 'None'),
    CART_LINES_AT_ONCE: whole(8, 1, 100),
  });
  const given = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== undefined && value.trim() !== ''));
  const parsed = shop.safeParse(given);
  const faults = parsed.success ? [] : parsed.error.issues.map((issue) => fault(issue, given));
  for (const required of ['TABLE_NAME', 'IDEMPOTENCY_TABLE_NAME']) {
    if (given[required] === undefined) faults.push(`${required} is absent: give the name of a DynamoDB table`);
  }
  const allowedOrigins = (given.CORS_ALLOWED_ORIGINS ?? '').split(',').flatMap((origin) => origin.trim() || []);
  for (const origin of allowedOrigins) {
    if (!URL.canParse(origin) || new URL(origin).origin !== origin) {
      faults.push(`CORS_ALLOWED_ORIGINS has "${origin}": give origins as browsers do, https://shop.example, separated by commas`);
    }
  }
  const attributes = Object.entries(parsed.data ?? {}).filter(([key]) => key.endsWith('_ATTRIBUTE'));
  for (const [i, [key, attribute]] of attributes.entries()) {
    const other = attributes.slice(0, i).find(([, before]) => before === attribute);
    if (attribute !== undefined && other) faults.push(`${key} is "${attribute}", as is ${other[0]}: give each a name of its own`);
  }
  if (!parsed.success || faults.length > 0) throw new ConfigurationError(['the environment is wrong:', ...faults].join('\n  '));
  const { data } = parsed;
  return {
    tableName: data.TABLE_NAME as string,
    idempotency: {
      tableName: data.IDEMPOTENCY_TABLE_NAME as string,
      keyAttribute: data.IDEMPOTENCY_KEY_ATTRIBUTE,
      sortKeyAttribute: data.IDEMPOTENCY_SORT_KEY_ATTRIBUTE,
      expiryAttribute: data.IDEMPOTENCY_EXPIRY_ATTRIBUTE,
      inProgressExpiryAttribute: data.IDEMPOTENCY_IN_PROGRESS_EXPIRY_ATTRIBUTE,
      statusAttribute: data.IDEMPOTENCY_STATUS_ATTRIBUTE,
      dataAttribute: data.IDEMPOTENCY_DATA_ATTRIBUTE,
      validationAttribute: data.IDEMPOTENCY_VALIDATION_ATTRIBUTE,
      expiresAfterSeconds: data.IDEMPOTENCY_EXPIRES_AFTER_SECONDS,
    },
    allowedOrigins,
    cookie: { maxAgeSeconds: data.CART_COOKIE_MAX_AGE_SECONDS, sameSite: data.CART_COOKIE_SAME_SITE },
    linesAtOnce: data.CART_LINES_AT_ONCE,
  };
}

/** A redrive's configuration: what the stream's worker has, and more. */
export interface RedriveConfig {
  /** `letters` are not absent, and but for a dry run the backend is not `memory`. */
  readonly cache: Config;
  /** Letters of other tables are left alone. */
  readonly tableName?: string;
  readonly readUnitsPerSecond: number;
}

/**
 * Reads the environment of a redrive.
 *
 * @param given variables that go before those of the environment. A `CACHE_BACKEND` among them chooses the cache alone: the environment's
 * variables of caches do not count then.
 * @throws ConfigurationError with every fault, one a line: the variable, what is wrong and what is allowed.
 */
export function parseRedriveConfig(given: Given = {}, env: Given = process.env, dryRun = false): RedriveConfig {
  const ownCache = given.CACHE_BACKEND !== undefined;
  const inherited = Object.entries(env).filter(([name]) => !(ownCache && /^(CACHE|MOMENTO)_/.test(name)));
  const all: Given = { ...Object.fromEntries(inherited), ...given };
  const { TABLE_NAME: tableName, READ_UNITS_PER_SECOND: units } = all;
  const faults: string[] = [];
  const readUnitsPerSecond = units?.trim() ? Number(units) : 500;
  if (!(readUnitsPerSecond >= 1 && readUnitsPerSecond <= 1e6))
    faults.push(`READ_UNITS_PER_SECOND is "${units}": give a number of 1 or more`);
  if (!all.DEAD_LETTERS?.trim()) faults.push('DEAD_LETTERS is absent: give s3://BUCKET or a folder, where the letters lie');
  let cache: Config | undefined;
  try {
    cache = parseConfig(all);
    if (cache.backend === 'memory' && !dryRun) {
      faults.push(
        'CACHE_BACKEND is "memory", and that cache ends with this process: letters would be removed for nothing; give the backend that the readers use',
      );
    }
  } catch (error) {
    faults.push(...(error as Error).message.split('\n  ').slice(1));
  }
  if (!cache || faults.length > 0) throw new ConfigurationError(['the environment is wrong:', ...faults].join('\n  '));
  return { cache, readUnitsPerSecond, ...(tableName?.trim() && { tableName }) };
}
