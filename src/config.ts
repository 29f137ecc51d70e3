import * as z from 'zod/mini';
import { parseCacheUrl } from './caches/cache-url.ts';
import { ConfigurationError } from './errors.ts';
import type { IdempotencyOptions } from './shop/idempotency.ts';
import type { CartCookie } from './shop/migrate-cart-api.ts';

const milliseconds = (fallback: number) => z._default(z.coerce.number().check(z.int(), z.minimum(1), z.maximum(900_000)), fallback);
const DAY_SECONDS = 86_400;

const environment = z.object({
  CACHE_BACKEND: z._default(z.enum(['memory', 'valkey']), 'memory'),
  CACHE_URL: z.optional(z.string()),
  CACHE_CLUSTER: z._default(z.enum(['true', 'false']), 'false'),
  CACHE_NAMESPACE: z._default(z.string().check(z.regex(/^[\w-]+$/, 'use letters, digits, "-" and "_"')), 'millrace'),
  CACHE_ENTRY_TTL_SECONDS: z._default(z.coerce.number().check(z.int(), z.minimum(0)), 0),
  CACHE_TOMBSTONE_TTL_SECONDS: z._default(z.coerce.number().check(z.int(), z.minimum(DAY_SECONDS)), 90_000),
  CACHE_CONNECT_TIMEOUT_MS: milliseconds(1_000),
  CACHE_COMMAND_TIMEOUT_MS: milliseconds(2_000),
  CACHE_DEADLINE_MS: milliseconds(5_000),
});

export type Config = {
  readonly namespace: string;
  /** ms; 0: entries do not end. */
  readonly entryTtlMs: number;
  /** ms; a day at least, since that is how long a stream can be replayed. */
  readonly tombstoneTtlMs: number;
  /** For one call of the cache, ms. */
  readonly deadlineMs: number;
} & (
  | { readonly backend: 'memory' }
  | {
      readonly backend: 'valkey';
      readonly url: string;
      readonly cluster: boolean;
      readonly connectTimeoutMs: number;
      readonly commandTimeoutMs: number;
    }
);

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
  if (backend === 'valkey') faults.push(...urlFaults(given.CACHE_URL, given.CACHE_CLUSTER === 'true'));
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
  };
  switch (data.CACHE_BACKEND) {
    case 'memory':
      return { backend: 'memory', ...common };
    case 'valkey':
      return {
        backend: 'valkey',
        url: data.CACHE_URL as string,
        cluster: data.CACHE_CLUSTER === 'true',
        connectTimeoutMs: data.CACHE_CONNECT_TIMEOUT_MS,
        commandTimeoutMs: data.CACHE_COMMAND_TIMEOUT_MS,
        ...common,
      };
  }
}

function fault(issue: z.core.$ZodIssue, given: Readonly<Record<string, string | undefined>>): string {
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

function urlFaults(url: string | undefined, cluster: boolean): string[] {
  if (!url) return ['CACHE_URL is absent, and CACHE_BACKEND is "valkey": give valkey://HOST:PORT, or valkeys:// for TLS'];
  try {
    parseCacheUrl(url, cluster);
    return [];
  } catch (error) {
    return [(error as Error).message];
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
