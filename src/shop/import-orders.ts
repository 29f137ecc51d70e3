import { PutItemCommand } from '@aws-sdk/client-dynamodb';
import { marshall } from '@aws-sdk/util-dynamodb';
import { type Backoff, retried } from './backoff.ts';
import { each } from './each.ts';
import type { MapId } from './ids.ts';
import { type LegacyOrder, parseLegacyOrder } from './legacy-order.ts';
import type { ShopTable } from './table.ts';

export const MOST_ORDERS = 100;
const ORDERS_AT_ONCE = 8;

/**
 * What became of one order, at its place in the batch.
 * - `imported`: it is in the table under `id`.
 * - `present`: it was there already, under `id`, and is as it was.
 * - `invalid`: nothing was written; the same order will be invalid next time.
 * - `failed`: DynamoDB did not take it; it may work next time.
 */
export type Imported =
  | { readonly legacyId: string; readonly status: 'imported' | 'present'; readonly id: string }
  | { readonly legacyId?: string; readonly status: 'invalid'; readonly faults: readonly string[] }
  | { readonly legacyId: string; readonly status: 'failed' };

/**
 * Puts legacy orders into the table under their mapped ids, each on its own, and only where there is none: to import an order again
 * changes nothing, whatever has become of it. The second of two orders with one legacy id is invalid.
 */
export async function importOrders(
  { client, tableName }: ShopTable,
  mapId: MapId,
  orders: readonly unknown[],
  backoff: Backoff = {},
): Promise<{ readonly results: readonly Imported[]; readonly failure?: unknown }> {
  const results: Imported[] = [];
  const first = new Map<unknown, number>();
  let failure: unknown;

  const importOne = async (order: LegacyOrder): Promise<Imported> => {
    const id = await retried(() => mapId(order.id), backoff);
    const command = new PutItemCommand({
      TableName: tableName,
      Item: marshall(itemOf(order, id), { removeUndefinedValues: true }),
      ConditionExpression: 'attribute_not_exists(pk)',
    });
    try {
      await retried(() => client.send(command), backoff);
      return { legacyId: order.id, status: 'imported', id };
    } catch (error) {
      // Or it was put by a try whose answer was lost.
      if ((error as Error).name === 'ConditionalCheckFailedException') return { legacyId: order.id, status: 'present', id };
      throw error;
    }
  };

  for (const [index, given] of orders.entries()) {
    const id = (given as { id?: unknown } | null)?.id;
    if (id !== undefined && !first.has(id)) first.set(id, index);
  }
  await each(orders, ORDERS_AT_ONCE, async (given, index) => {
    const order = parseLegacyOrder(given);
    if ('faults' in order) {
      const id = (given as { id?: unknown } | null)?.id;
      results[index] = { ...(typeof id === 'string' && { legacyId: id }), status: 'invalid', faults: order.faults };
    } else if (first.get(order.id) !== index) {
      results[index] = { legacyId: order.id, status: 'invalid', faults: [`id: order ${first.get(order.id)} has it too`] };
    } else {
      results[index] = await importOne(order).catch((error: unknown): Imported => {
        failure ??= error;
        return { legacyId: order.id, status: 'failed' };
      });
    }
  });
  return { results, failure };
}

function itemOf({ id: _, createdAt, lastUpdated, numItems, ...order }: LegacyOrder, id: string) {
  return {
    pk: `order#${id}`,
    sk: 'order',
    ...order,
    id,
    numItems: numItems ?? order.items.length,
    // The views know universal time only.
    createdAt: new Date(createdAt).toISOString(),
    lastUpdated: lastUpdated && new Date(lastUpdated).toISOString(),
  };
}
