import { createHash } from 'node:crypto';
import { Logger } from '@aws-lambda-powertools/logger';
import { type ApiOptions, api, bodyOf, callerOf, idempotencyKeyOf, RefusedError } from './api.ts';
import { isTransient } from './calls.ts';
import { type IdempotencyOptions, idempotent } from './idempotency.ts';
import { idMap } from './ids.ts';
import { importOrders, MAX_ORDERS } from './import-orders.ts';
import type { ShopTable } from './table.ts';

export interface ImportOrdersApiOptions extends ShopTable, Partial<ApiOptions> {
  readonly idempotency: IdempotencyOptions;
}

/**
 * `POST /orders/import`: puts up to 100 legacy orders, `{ orders: [...] }`, into the table by `importOrders`. The answers:
 *
 * - 200 `{ results: [...] }`, one result per order, in their order: `imported` or `present` with the new id, or `invalid` with the faults.
 *   A repeated request gets the first answer again, with `Idempotency-Replayed: true`. Requests are the same if their Idempotency-Key is,
 *   or without one their body.
 * - 400 `Invalid user`, `Invalid orders`, `Invalid idempotency key`, `Invalid body` (malformed Unicode).
 * - 409 while the same import runs.
 * - 422 if an Idempotency-Key is repeated with another body.
 * - 500 or 503 with `results` if DynamoDB did not accept some orders. These are `failed`, and a retry imports them.
 */
export function importOrdersApi(options: ImportOrdersApiOptions) {
  const { client, tableName, allowedOrigins = [], logger = new Logger() } = options;
  const once = idempotent(client, 'import-orders', options.idempotency);

  return api({ ...options, allowedOrigins, logger }, async (request, invocation, signal) => {
    const caller = callerOf(request);
    const body = bodyOf(request);
    const orders = ordersIn(body);
    const idempotencyKey = idempotencyKeyOf(request);
    const same = idempotencyKey === undefined ? `body ${hash(body)}` : `key ${idempotencyKey}`;
    return once({ key: { caller, same }, payload: body }, invocation, async () => {
      const mapId = idMap({ client, tableName }, { signal });
      const { results, failure } = await importOrders({ client, tableName }, mapId, orders, signal);
      const count = (status: string) => results.filter((result) => result.status === status).length;
      const counts = { imported: count('imported'), present: count('present'), invalid: count('invalid'), failed: count('failed') };
      logger.info('orders imported', counts);
      // Throws, because a stored answer would be replayed and the failed orders would never be imported.
      if (failure !== undefined) throw new RefusedError(isTransient(failure) ? 503 : 500, 'Try again', { results }, { cause: failure });
      return JSON.stringify({ results });
    });
  });
}

function ordersIn(body: string): readonly unknown[] {
  const { orders } = parsed(body) as { orders?: unknown };
  if (Array.isArray(orders) && orders.length >= 1 && orders.length <= MAX_ORDERS) return orders;
  throw new RefusedError(400, 'Invalid orders', { faults: [`give { "orders": [...] } with 1 to ${MAX_ORDERS} orders`] });
}

function parsed(body: string): object {
  try {
    return JSON.parse(body) ?? {};
  } catch {
    return {};
  }
}

function hash(text: string): string {
  return createHash('sha256').update(text).digest('base64url');
}
