import * as z from 'zod/mini';
import { shownValue } from '../errors.ts';
import type { IdempotencyOptions } from '../shop/idempotency.ts';
import type { CartCookie } from '../shop/migrate-cart-api.ts';
import { type Environment, givenVariables, parseVariables, requireNoFaults } from './environment.ts';
import { parseOrigins } from './origins.ts';

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

/** The configuration of the write side: the functions in `shop/`. */
export interface ShopConfig {
  readonly tableName: string;
  readonly idempotency: IdempotencyOptions;
  /** Origins of browsers that may call with credentials, such as `https://shop.example`. */
  readonly allowedOrigins: readonly string[];
  readonly cookie: CartCookie;
  /** How many lines of a cart are moved concurrently. */
  readonly linesAtOnce: number;
}

/**
 * Reads the environment of the write side.
 *
 * @throws ConfigurationError that lists every fault, one a line: the variable, its value, and the values that are allowed.
 */
export function parseShopConfig(env?: Environment): ShopConfig {
  const given = givenVariables(env);
  const faults: string[] = [];
  const data = parseVariables(shop, given, faults);
  for (const required of ['TABLE_NAME', 'IDEMPOTENCY_TABLE_NAME']) {
    if (given[required] === undefined) faults.push(`${required} is absent: give the name of a DynamoDB table`);
  }
  const allowedOrigins = parseOrigins(given, faults);
  const attributes = Object.entries(data ?? {}).filter(([key]) => key.endsWith('_ATTRIBUTE'));
  for (const [i, [key, attribute]] of attributes.entries()) {
    const other = attributes.slice(0, i).find(([, earlier]) => earlier === attribute);
    if (attribute !== undefined && other)
      faults.push(`${key} is ${shownValue(String(attribute))}, like ${other[0]}: give each attribute its own name`);
  }
  const config = data && {
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
  return requireNoFaults(config, faults);
}
