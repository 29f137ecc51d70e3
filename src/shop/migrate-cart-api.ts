import { Logger } from '@aws-lambda-powertools/logger';
import { Metrics, MetricUnit } from '@aws-lambda-powertools/metrics';
import { type ApiOptions, type ApiRequest, api, bodyOf, callerOf, cookieOf, headerOf, idempotencyKeyOf, RefusedError } from './api.ts';
import { hasLines, productsOf } from './cart-lines.ts';
import { type IdempotencyOptions, idempotent } from './idempotency.ts';
import { migrateCart } from './migrate-cart.ts';
import type { ShopTable } from './table.ts';

export interface MigrateCartApiOptions extends ShopTable, Partial<ApiOptions> {
  readonly idempotency: IdempotencyOptions;
  readonly linesAtOnce?: number;
  /** Of the cookie that keeps the anonymous cart's id. */
  readonly cookie: CartCookie;
  /** Told of `CartMigrated` and `CartLinesMoved`. */
  readonly metrics?: Pick<Metrics, 'addMetric' | 'publishStoredMetrics'>;
}

export interface CartCookie {
  readonly maxAgeSeconds: number;
  readonly sameSite: 'Strict' | 'Lax' | 'None';
}

/**
 * `POST /cart/migrate`: moves every line of the anonymous cart (header or cookie `cartId`) to the signed-in user (claim `sub`), and answers
 * with the user's products.
 *
 * - 200 `{ products: [{ productId, quantity, productDetail }] }`, read consistently after the last line was moved. A request that is
 *   repeated is given the answer of the first one, with `Idempotency-Replayed: true`, as long as the anonymous cart is empty: lines that
 *   have come since are moved, whatever key the request carries.
 * - 400 `Invalid user`, `Invalid cart id`, `Invalid idempotency key`; 409 while the same migration runs; 422 when an Idempotency-Key
 *   comes again with another body; 503 when DynamoDB or the time ran out: what was moved is moved, and a retry moves the rest.
 */
export function migrateCartApi(options: MigrateCartApiOptions) {
  const { client, tableName, linesAtOnce, cookie, allowedOrigins = [], logger = new Logger(), metrics = new Metrics() } = options;
  const table = { client, tableName };
  const once = idempotent(client, 'migrate-cart', options.idempotency);

  return api({ ...options, allowedOrigins, logger }, async (request, invocation, signal) => {
    const caller = callerOf(request);
    const cartId = cartIdOf(request);
    const from = `cart#${cartId}`;
    const key = { caller, cartId, idempotencyKey: idempotencyKeyOf(request) ?? '' };
    const work = async (): Promise<string> => {
      const lines = await migrateCart(table, from, `user#${caller}`, { linesAtOnce, signal });
      const products = await productsOf(table, `user#${caller}`, { signal });
      logger.info('cart migrated', { lines, products: products.length });
      if (lines.left > 0) logger.warn('cart lines left behind: their quantities are no numbers', { lines: lines.left });
      metrics.addMetric('CartMigrated', MetricUnit.Count, 1);
      metrics.addMetric('CartLinesMoved', MetricUnit.Count, lines.moved);
      metrics.publishStoredMetrics();
      return JSON.stringify({ products }, plain);
    };
    const outcome = await once({ key, payload: bodyOf(request) }, invocation, work, async () => !(await hasLines(table, from, { signal })));
    return { ...outcome, cookies: [setCookie(cartId, cookie)] };
  });
}

/** It is a secret of the browser, for whoever knows it can take the cart. */
function cartIdOf(request: ApiRequest): string {
  const cartId = headerOf(request, 'cartid') ?? cookieOf(request, 'cartId');
  if (cartId === undefined || !/^[\w.:~+/=-]{1,128}$/.test(cartId)) throw new RefusedError(400, 'Invalid cart id');
  return cartId;
}

/** The browser keeps its cart, which is empty now, for as long again. */
function setCookie(cartId: string, { maxAgeSeconds, sameSite }: CartCookie): string {
  return `cartId=${cartId}; Max-Age=${maxAgeSeconds}; Path=/; Secure; HttpOnly; SameSite=${sameSite}`;
}

/** JSON has neither sets nor binary. */
function plain(_: string, value: unknown): unknown {
  if (value instanceof Set) return [...value];
  return value instanceof Uint8Array ? Buffer.from(value).toString('base64') : value;
}
