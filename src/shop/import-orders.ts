import { PutItemCommand } from '@aws-sdk/client-dynamodb';
import { marshall } from '@aws-sdk/util-dynamodb';
import { forEachConcurrently, retried } from './calls.ts';
import type { MapId } from './ids.ts';
import { type LegacyOrder, parseLegacyOrder } from './legacy-order.ts';
import type { ShopTable } from './table.ts';

/** The greatest number of orders in one import. */
export const MAX_ORDERS = 100;
const ORDERS_AT_ONCE = 8;

/**
 * The result for one order:
 * - `imported`: the table has the order under `id`.
 * - `present`: the table already had the order under `id`, and keeps it unchanged.
 * - `invalid`: nothing was written. The order is invalid at the next try too.
 * - `failed`: DynamoDB did not accept the order. The next try may succeed.
 */
export type Imported =
  | { readonly legacyId: string; readonly status: 'imported' | 'present'; readonly id: string }
  | { readonly legacyId?: string; readonly status: 'invalid'; readonly faults: readonly string[] }
  | { readonly legacyId: string; readonly status: 'failed' };

/**
 * Puts legacy orders into the table under their mapped ids, each by a put that succeeds only if the order is absent. So importing an order
 * again never changes it. The second of two orders with the same legacy id is invalid.
 *
 * @returns one result per order, in the order of `orders`, and the first failure.
 */
export async function importOrders(
  { client, tableName }: ShopTable,
  mapId: MapId,
  orders: readonly unknown[],
  signal?: AbortSignal,
): Promise<{ readonly results: readonly Imported[]; readonly failure?: unknown }> {
  const results: Imported[] = [];
  const first = new Map<unknown, number>();
  let failure: unknown;

  const importOne = async (order: LegacyOrder): Promise<Imported> => {
    const id = await retried(() => mapId(order.id), signal);
    const command = new PutItemCommand({
      TableName: tableName,
      Item: marshall(itemOf(order, id), { removeUndefinedValues: true }),
      ConditionExpression: 'attribute_not_exists(pk)',
    });
    try {
      await retried(() => client.send(command), signal);
      return { legacyId: order.id, status: 'imported', id };
    } catch (error) {
      // This may be the order of an earlier try whose answer was lost.
      if ((error as Error).name === 'ConditionalCheckFailedException') return { legacyId: order.id, status: 'present', id };
      if (isTooLarge(error)) return { legacyId: order.id, status: 'invalid', faults: ['order: must have 400 KB or less'] };
      throw error;
    }
  };

  for (const [index, given] of orders.entries()) {
    const id = (given as { id?: unknown } | null)?.id;
    if (id !== undefined && !first.has(id)) first.set(id, index);
  }
  await forEachConcurrently(orders, ORDERS_AT_ONCE, async (given, index) => {
    const order = parseLegacyOrder(given);
    if ('faults' in order) {
      const id = (given as { id?: unknown } | null)?.id;
      results[index] = { ...(typeof id === 'string' && id.isWellFormed() && { legacyId: id }), status: 'invalid', faults: order.faults };
    } else if (first.get(order.id) !== index) {
      results[index] = { legacyId: order.id, status: 'invalid', faults: [`id: order ${first.get(order.id)} has the same id`] };
    } else {
      results[index] = await importOne(order).catch((error: unknown): Imported => {
        failure ??= error;
        return { legacyId: order.id, status: 'failed' };
      });
    }
  });
  return { results, failure };
}

/** DynamoDB's limit for an item (DynamoDB Developer Guide, "Service quotas"). */
function isTooLarge(error: unknown): boolean {
  return error instanceof Error && error.name === 'ValidationException' && /item size/i.test(error.message);
}

function itemOf({ id: _, createdAt, lastUpdated, numItems, ...order }: LegacyOrder, id: string) {
  return {
    pk: `order#${id}`,
    sk: 'order',
    ...order,
    id,
    numItems: numItems ?? order.items.length,
    // The views accept UTC only.
    createdAt: new Date(createdAt).toISOString(),
    lastUpdated: lastUpdated && new Date(lastUpdated).toISOString(),
  };
}
