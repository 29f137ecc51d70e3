import { unmarshall } from '@aws-sdk/util-dynamodb';
import type { StreamEvent } from '../dynamodb/record.ts';

/** The key of the workshop's list of all orders. */
export const WORKSHOP_ALL = 'all-orders';

/** As the workshop's SDK answers: an error is a response like any other. */
type Response = { readonly type: 'hit'; readonly value: string } | { readonly type: 'miss' | 'done' | 'error' };

/** A cache of strings, far away: every call takes a while. */
export class SimpleCache {
  readonly #entries = new Map<string, string>();
  readonly #maxValueBytes: number;
  /** This number of writes throws from now on. */
  outage = 0;
  /** Called before each read and write. A throw fails the call. */
  onCall = (): void => {};

  constructor(maxValueBytes: number) {
    this.#maxValueBytes = maxValueBytes;
  }

  async get(key: string): Promise<Response> {
    this.onCall();
    await undefined;
    const value = this.#entries.get(key);
    return value === undefined ? { type: 'miss' } : { type: 'hit', value };
  }

  async set(key: string, value: string): Promise<Response> {
    this.onCall();
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
    this.onCall();
    await undefined;
    this.#entries.delete(key);
    return { type: 'done' };
  }

  /** The values as they are, without a call. */
  get entries(): ReadonlyMap<string, string> {
    return this.#entries;
  }

  /** Drops a value, as a full cache would. */
  evict(key: string): void {
    this.#entries.delete(key);
  }

  flush(): void {
    this.#entries.clear();
  }
}

interface WorkshopOrder {
  readonly id: string;
  readonly creator: string;
  readonly [attribute: string]: unknown;
}

/**
 * A small imitation of the well-known workshop's worker, with all of its eight faults (numbered). The playground
 * shows it beside Millrace, and it proves that the tests of those faults would see them.
 */
export function workshopHandler(cache: Pick<SimpleCache, 'get' | 'set' | 'delete'>): (event: StreamEvent) => Promise<void> {
  const edit = async (key: string, change: (orders: WorkshopOrder[]) => WorkshopOrder[]): Promise<void> => {
    // 5: get, edit, set: another shard may set in between. 6: a miss becomes a list of this one order.
    const found = await cache.get(key);
    const orders: WorkshopOrder[] = found.type === 'hit' ? JSON.parse(found.value) : [];
    await cache.set(key, JSON.stringify(change(orders)));
  };
  const upsert = (order: WorkshopOrder) => (orders: WorkshopOrder[]) => {
    const index = orders.findIndex(({ id }) => id === order.id);
    // 3: an index is never below -1, so every update is an addition.
    if (index < -1) return orders.with(index, order);
    return [order, ...orders];
  };
  const without = (order: WorkshopOrder) => (orders: WorkshopOrder[]) => orders.filter(({ id }) => id !== order.id);
  const put = async (order: WorkshopOrder): Promise<void> => {
    // 2: what `set` responds is not looked at. 8: nor is what it replaces. 7: the old image, and its creator, are never read.
    await cache.set(order.id, JSON.stringify(order));
    await edit(WORKSHOP_ALL, upsert(order));
    await edit(order.creator, upsert(order));
  };
  const remove = async (order: WorkshopOrder): Promise<void> => {
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

function orderOf(image: unknown): WorkshopOrder {
  return unmarshall(image as Parameters<typeof unmarshall>[0]) as WorkshopOrder;
}
