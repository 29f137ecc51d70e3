import { Logger } from '@aws-lambda-powertools/logger';
import { Metrics, MetricUnit } from '@aws-lambda-powertools/metrics';
import { type ApiOptions, type ApiRequest, api, bodyOf, callerOf, cookieOf, headerOf, idempotencyKeyOf, RefusedError } from './api.ts';
import { hasLines, productsOf } from './cart-lines.ts';
import { type IdempotencyOptions, idempotent } from './idempotency.ts';
import { migrateCart } from './migrate-cart.ts';
import type { ShopTable } from './table.ts';

export interface MigrateCartApiOptions extends ShopTable, Partial<ApiOptions> {
  readonly idempotency: IdempotencyOptions;
  /** The greatest number of lines that are moved at the same time. */
  readonly linesAtOnce: number;
  /** The cookie that contains the anonymous cart's id. */
  readonly cookie: CartCookie;
  /** Gets `CartMigrated` and `CartLinesMoved`. Default: the metrics of Powertools. */
  readonly metrics?: Pick<Metrics, 'addMetric' | 'publishStoredMetrics'>;
}

export interface CartCookie {
  readonly maxAgeSeconds: number;
  readonly sameSite: 'Strict' | 'Lax' | 'None';
}

/**
 * `POST /cart/migrate`: moves every line of the anonymous cart (header or cookie `cartId`) to the signed-in user (claim `sub`). The
 * answers:
 *
 * - 200 `{ products: [{ productId, quantity, productDetail }] }`, the user's products, read consistently after the last line was moved. A
 *   repeated request gets the first answer again, with `Idempotency-Replayed: true`, while the anonymous cart is empty. Lines that were
 *   added since are moved, even with the same Idempotency-Key.
 * - 400 `Invalid user`, `Invalid cart id` (8 to 128 characters), `Invalid idempotency key`, `Invalid body` (malformed Unicode).
 * - 409 while the same migration runs.
 * - 422 if an Idempotency-Key is repeated with another body.
 * - 503 if DynamoDB does not answer or the time runs out. A retry moves the remaining lines.
 */
export function migrateCartApi(options: MigrateCartApiOptions) {
  const { client, tableName, linesAtOnce, cookie, allowedOrigins = [], logger = new Logger(), metrics = new Metrics() } = options;
  const table = { client, tableName };
  const once = idempotent(client, 'migrate-cart', options.idempotency);

  return api({ ...options, allowedOrigins, logger }, async (request, context, signal) => {
    const caller = callerOf(request);
    const cartId = cartIdOf(request);
    const from = `cart#${cartId}`;
    const key = { caller, cartId, idempotencyKey: idempotencyKeyOf(request) ?? '' };
    const work = async (): Promise<string> => {
      const lines = await migrateCart(table, from, `user#${caller}`, { linesAtOnce, signal });
      const products = await productsOf(table, `user#${caller}`, signal);
      logger.info('cart migrated', { lines, products: products.length });
      if (lines.left > 0) logger.warn('cart lines left behind: their quantities are no numbers', { lines: lines.left });
      metrics.addMetric('CartMigrated', MetricUnit.Count, 1);
      metrics.addMetric('CartLinesMoved', MetricUnit.Count, lines.moved);
      metrics.publishStoredMetrics();
      return JSON.stringify({ products });
    };
    const isCurrent = async () => !(await hasLines(table, from, signal));
    const answer = await once({ key, payload: bodyOf(request) }, context, work, isCurrent);
    return { ...answer, cookies: [setCookie(cartId, cookie)] };
  });
}

/** The cart id is a secret of the browser: anyone who knows it can take the cart. A short one can be guessed. */
function cartIdOf(request: ApiRequest): string {
  const cartId = headerOf(request, 'cartid') ?? cookieOf(request, 'cartId');
  if (cartId === undefined || !/^[\w.:~+/=-]{8,128}$/.test(cartId)) throw new RefusedError(400, 'Invalid cart id');
  return cartId;
}

/** Renews the cookie, because the browser keeps using the cart, which is empty now. */
function setCookie(cartId: string, { maxAgeSeconds, sameSite }: CartCookie): string {
  return `cartId=${cartId}; Max-Age=${maxAgeSeconds}; Path=/; Secure; HttpOnly; SameSite=${sameSite}`;
}
