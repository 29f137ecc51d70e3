import { unmarshall } from '@aws-sdk/util-dynamodb';
import type { StreamEvent } from '../../src/dynamodb/record.ts';

/** As the workshop's SDK answers: an error is a response like any other. */
type Response = { readonly type: 'hit'; readonly value: string } | { readonly type: 'miss' | 'done' | 'error' };

/** A cache of strings, far away: every call takes a while. */
export class SimpleCache {
  readonly #entries = new Map<string, string>();
  readonly #maxValueBytes: number;
  /** So many writes throw, from now on. */
  outage = 0;

  constructor(maxValueBytes: number) {
    this.#maxValueBytes = maxValueBytes;
  }

  async get(key: string): Promise<Response> {
    await undefined;
    const value = this.#entries.get(key);
    return value === undefined ? { type: 'miss' } : { type: 'hit', value };
  }

  async set(key: string, value: string): Promise<Response> {
    await undefined;
    if (this.outage > 0) {
      this.outage -= 1;
      throw new Error('connection reset');
    }
    if (Buffer.byteLength(value) > this.#maxValueBytes) return { type: 'error' };
    this.#entries.set(key, value);
    return { type: 'done' };
  }

  async delete(key: string): Promise<Response> {
    await undefined;
    this.#entries.delete(key);
    return { type: 'done' };
  }
}

interface Order {
  readonly id: string;
  readonly creator: string;
  readonly [attribute: string]: unknown;
}

/**
 * A small imitation of the well-known workshop's worker, with all of its eight faults (numbered). It exists to prove that the tests
 * of those faults would see them.
 */
export function workshopHandler(cache: Pick<SimpleCache, 'get' | 'set' | 'delete'>): (event: StreamEvent) => Promise<void> {
  const edit = async (key: string, change: (orders: Order[]) => Order[]): Promise<void> => {
    // 5: get, edit, set: another shard may set in between. 6: a miss becomes a list of this one order.
    const found = await cache.get(key);
    const orders: Order[] = found.type === 'hit' ? JSON.parse(found.value) : [];
    await cache.set(key, JSON.stringify(change(orders)));
  };
  const upsert = (order: Order) => (orders: Order[]) => {
    const index = orders.findIndex(({ id }) => id === order.id);
    // 3: an index is never below -1, so every update is an addition.
    if (index < -1) return orders.with(index, order);
    return [order, ...orders];
  };
  const without = (order: Order) => (orders: Order[]) => orders.filter(({ id }) => id !== order.id);
  const put = async (order: Order): Promise<void> => {
    // 2: what `set` responds is not looked at. 8: nor is what it replaces. 7: the old image, and its creator, are never read.
    await cache.set(order.id, JSON.stringify(order));
    await edit('all-orders', upsert(order));
    await edit(order.creator, upsert(order));
  };
  const remove = async (order: Order): Promise<void> => {
    await cache.delete(order.id);
    // 4: not the key that `put` writes.
    await edit('allOrders', without(order));
    await edit(order.creator, without(order));
  };
  return async (event) => {
    for (const { eventName, dynamodb } of event.Records) {
      try {
        if (eventName === 'REMOVE') await remove(orderOf(dynamodb?.OldImage));
        else await put(orderOf(dynamodb?.NewImage));
      } catch {
        // 1: it would be logged here, and the stream goes on.
      }
    }
  };
}

function orderOf(image: unknown): Order {
  return unmarshall(image as Parameters<typeof unmarshall>[0]) as Order;
}
