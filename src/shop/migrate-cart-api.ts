import { Logger } from '@aws-lambda-powertools/logger';
import { Metrics, MetricUnit } from '@aws-lambda-powertools/metrics';
import { type ApiOptions, api, bodyOf, callerOf, cartIdOf, idempotencyKeyOf } from './api.ts';
import { hasLines, productsOf } from './cart-lines.ts';
import { TICKET_COOKIE, TICKET_SECONDS, ticketFor } from './cart-ticket.ts';
import { type IdempotencyOptions, idempotent } from './idempotency.ts';
import { migrateCart } from './migrate-cart.ts';
import type { ShopTable } from './table.ts';

export interface MigrateCartApiOptions extends ShopTable, Partial<ApiOptions> {
  readonly idempotency: IdempotencyOptions;
  /** The greatest number of lines that are moved at the same time. */
  readonly linesAtOnce: number;
  /** The cookie that contains the anonymous cart's id. `sameSite` holds for the ticket's cookie, too. */
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
 *   added since are moved, even with the same Idempotency-Key. A cookie with a ticket lets `GET /cart` show both carts as they are now.
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
    const [from, to] = [`cart#${cartId}`, `user#${caller}`];
    const key = { caller, cartId, idempotencyKey: idempotencyKeyOf(request) ?? '' };
    const work = async (): Promise<string> => {
      const lines = await migrateCart(table, from, to, { linesAtOnce, signal });
      const products = await productsOf(table, to, signal);
      logger.info('cart migrated', { lines, products: products.length });
      if (lines.left > 0) logger.warn('cart lines left behind: their quantities are no numbers', { lines: lines.left });
      metrics.addMetric('CartMigrated', MetricUnit.Count, 1);
      metrics.addMetric('CartLinesMoved', MetricUnit.Count, lines.moved);
      metrics.publishStoredMetrics();
      return JSON.stringify({ products });
    };
    const isCurrent = async () => !(await hasLines(table, from, signal));
    const answer = await once({ key, payload: bodyOf(request) }, context, work, isCurrent);
    // The browser keeps using the anonymous cart, which is empty now, so its cookie is renewed.
    const cookies = [
      setCookie('cartId', cartId, cookie.maxAgeSeconds, cookie),
      setCookie(TICKET_COOKIE, ticketFor([from, to]), TICKET_SECONDS, cookie),
    ];
    return { ...answer, cookies };
  });
}

function setCookie(name: string, value: string, maxAgeSeconds: number, { sameSite }: CartCookie): string {
  return `${name}=${value}; Max-Age=${maxAgeSeconds}; Path=/; Secure; HttpOnly; SameSite=${sameSite}`;
}
