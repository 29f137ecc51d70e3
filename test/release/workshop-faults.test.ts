import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { CacheClient } from '../../src/cache.ts';
import { memoryCache } from '../../src/caches/memory.ts';
import { valkeyCache } from '../../src/caches/valkey.ts';
import type { StreamEvent } from '../../src/dynamodb/record.ts';
import { CacheUnavailableError } from '../../src/errors.ts';
import { streamHandler } from '../../src/handlers/stream-handler.ts';
import { SimpleCache, workshopHandler } from '../../src/playground/workshop.ts';
import { keyOf } from '../../src/view.ts';
import { views } from '../../src/views/index.ts';
import { Shard } from '../properties/world/shard.ts';
import { type Image, Table, type Written } from '../properties/world/table.ts';
import { missing } from '../servers/requires.ts';
import { HOW_TO_GET_VALKEY, startValkey, type ValkeyServer, valkeyAvailable } from '../servers/valkey.ts';

const SILENT = { info() {}, warn() {}, error() {} };
const MAX_VALUE_BYTES = 2_000;

/** A worker and its cache, as its readers see them. An order is undefined when the cache does not claim to know one. */
interface Worker {
  handle(event: StreamEvent): Promise<unknown>;
  /** So many of the next writes to the cache throw. */
  breakFor(writes: number): void;
  statusOf(id: string): Promise<string | undefined>;
  /** Ids and statuses, and whether a reader would take them for the whole list. */
  listOf(list: 'all' | 'ann' | 'bob'): Promise<{ readonly orders: readonly string[]; readonly complete: boolean }>;
  evictLists(): Promise<void>;
}

function millrace(): Worker {
  const memory = memoryCache({ maxValueBytes: MAX_VALUE_BYTES });
  let outage = 0;
  // As far away as the workshop's.
  const cache: CacheClient = {
    ...memory,
    async apply(mutations) {
      await undefined;
      if (outage-- > 0) throw new CacheUnavailableError('connection reset');
      return await memory.apply(mutations);
    },
  };
  const nameOf = (list: string) => keyOf(views.orders, list === 'all' ? 'all' : `creator:${list}`);
  return {
    handle: streamHandler({ views: Object.values(views), cache, logger: SILENT }),
    breakFor: (writes) => {
      outage = writes;
    },
    async statusOf(id) {
      const found = await cache.get(keyOf(views.admin, id));
      return found.type === 'hit' ? (found.value as { status: string }).status : undefined;
    },
    async listOf(list) {
      const { members, complete } = await cache.list(nameOf(list), { limit: 100 });
      return { orders: members.map(({ value }) => named(value)), complete };
    },
    async evictLists() {
      for (const list of ['all', 'ann', 'bob']) memory.evict({ kind: 'list', list: nameOf(list), keep: views.orders.keep });
    },
  };
}

function workshop(): Worker {
  const cache = new SimpleCache(MAX_VALUE_BYTES);
  const keyOfList = (list: string) => (list === 'all' ? 'all-orders' : list);
  const read = async (key: string) => {
    const found = await cache.get(key);
    return found.type === 'hit' ? JSON.parse(found.value) : undefined;
  };
  return {
    handle: workshopHandler(cache),
    breakFor: (writes) => {
      cache.outage = writes;
    },
    statusOf: async (id) => (await read(id))?.status,
    async listOf(list) {
      const found = await read(keyOfList(list));
      // Its reader takes what it finds for the whole list.
      return { orders: (found ?? []).map(named), complete: found !== undefined };
    },
    async evictLists() {
      for (const list of ['all', 'ann', 'bob']) await cache.delete(keyOfList(list));
    },
  };
}

function named(value: unknown): string {
  const { id, status } = value as { id: string; status: string };
  return `${id} ${status}`;
}

/** The pizza shop's table, with a stream. */
class Shop {
  readonly #table = new Table([], { from: 1n, digits: 21 });

  write(id: string, change?: { status?: string; creator?: string; crust?: string }): Written {
    const key = { pk: `order#${id}`, sk: 'order' };
    const { status = 'new', creator = 'ann', crust = 'thin' } = change ?? {};
    const items = [{ size: 'L', crust, sauce: 'tomato', toppings: ['ham'] }];
    const createdAt = `2026-11-22T12:00:0${id.slice(1)}.000Z`;
    const image: Image | undefined = change && { ...key, id, createdAt, status, numItems: 1, items, creator };
    return this.#table.write(key, image) as Written;
  }
}

/** Delivers like an event source mapping: what the handler reports as failed comes again. */
async function deliver(worker: Worker, ...records: readonly Written[]): Promise<void> {
  const shard = new Shard();
  shard.records.push(...records);
  for (let attempts = 0; !shard.drained && attempts < 20; attempts++) {
    const batch = shard.batch(10);
    const answer = await worker.handle({ Records: batch.map(({ event }) => event) });
    shard.settle(batch, (answer ?? { batchItemFailures: [] }) as { batchItemFailures: { itemIdentifier: string }[] });
  }
  expect(shard.drained, 'the stream is stuck').toBe(true);
}

interface Scenario {
  readonly behaviour: string;
  /** What is wrong when it does not hold. The scenario's last expectation says it. */
  readonly fault: string;
  play(worker: Worker, shop: Shop, fault: string): Promise<void>;
}

const SCENARIOS: readonly Scenario[] = [
  {
    behaviour: 'a record that failed comes again until it is applied',
    fault: 'a failed record is checkpointed and lost',
    async play(worker, shop, fault) {
      await deliver(worker, shop.write('o1', { status: 'new' }));
      worker.breakFor(3);
      await deliver(worker, shop.write('o1', { status: 'baked' }), shop.write('o2', { status: 'new' }));
      const statuses = [await worker.statusOf('o1'), await worker.statusOf('o2')];
      expect({ statuses, all: await worker.listOf('all') }, fault).toMatchObject({
        statuses: ['baked', 'new'],
        all: { orders: ['o2 new', 'o1 baked'] },
      });
    },
  },
  {
    behaviour: 'a value that the cache refuses is not answered by the value before it',
    fault: 'an error response is ignored, and the old value is served',
    async play(worker, shop, fault) {
      await deliver(worker, shop.write('o1', { status: 'new' }));
      await deliver(worker, shop.write('o1', { status: 'baked', crust: 'thick'.repeat(1_000) }));
      expect(await worker.statusOf('o1'), fault).toBe(undefined);
    },
  },
  {
    behaviour: 'an order that is modified stays one entry of its lists',
    fault: 'every MODIFY adds a duplicate',
    async play(worker, shop, fault) {
      for (const status of ['new', 'baked', 'sent']) await deliver(worker, shop.write('o1', { status }));
      expect((await worker.listOf('all')).orders, fault).toEqual(['o1 sent']);
    },
  },
  {
    behaviour: 'an order that is deleted leaves the list of all orders',
    fault: 'a delete edits another list than an update',
    async play(worker, shop, fault) {
      await deliver(worker, shop.write('o1', {}), shop.write('o2', {}));
      await deliver(worker, shop.write('o1'));
      expect((await worker.listOf('all')).orders, fault).toEqual(['o2 new']);
    },
  },
  {
    behaviour: 'shards that write to one list at the same time lose nothing',
    fault: 'concurrent shards lose updates',
    async play(worker, shop, fault) {
      await deliver(worker, shop.write('o1', {}));
      await Promise.all(['o2', 'o3', 'o4'].map((id) => deliver(worker, shop.write(id, {}))));
      expect((await worker.listOf('all')).orders.toSorted(), fault).toEqual(['o1 new', 'o2 new', 'o3 new', 'o4 new']);
    },
  },
  {
    behaviour: 'a list that was lost is not called complete for the one order that came since',
    fault: 'a partial list looks complete',
    async play(worker, shop, fault) {
      await deliver(worker, shop.write('o1', {}), shop.write('o2', {}));
      await worker.evictLists();
      await deliver(worker, shop.write('o3', {}));
      expect(await worker.listOf('all'), fault).toEqual({ orders: ['o3 new'], complete: false });
    },
  },
  {
    behaviour: 'an order whose creator changes leaves the list of the creator before',
    fault: 'the order stays with the old creator',
    async play(worker, shop, fault) {
      await deliver(worker, shop.write('o1', { creator: 'ann' }), shop.write('o1', { creator: 'bob' }));
      expect((await worker.listOf('bob')).orders).toEqual(['o1 new']);
      expect((await worker.listOf('ann')).orders, fault).toEqual([]);
    },
  },
  {
    behaviour: 'an older write does not overwrite a newer one',
    fault: 'an older write wins',
    async play(worker, shop, fault) {
      const [inserted, baked] = [shop.write('o1', { status: 'new' }), shop.write('o1', { status: 'baked' })];
      await deliver(worker, inserted, baked);
      await deliver(worker, inserted);
      expect(await worker.statusOf('o1'), fault).toBe('baked');
    },
  },
  {
    behaviour: 'an older write does not bring back a deleted order',
    fault: 'a deleted order is back',
    async play(worker, shop, fault) {
      const [inserted, deleted] = [shop.write('o1', {}), shop.write('o1')];
      await deliver(worker, inserted, deleted);
      await deliver(worker, inserted);
      expect([await worker.statusOf('o1'), (await worker.listOf('ann')).orders], fault).toEqual([undefined, []]);
    },
  },
];

describe('where the well-known workshop version fails', () => {
  for (const { behaviour, fault, play } of SCENARIOS) {
    it(behaviour, () => play(millrace(), new Shop(), fault));
  }
});

describe('the same scenarios on an imitation of the workshop version', () => {
  for (const { behaviour, fault, play } of SCENARIOS) {
    it(`show that ${fault} (${behaviour})`, async () => {
      await expect(play(workshop(), new Shop(), fault)).rejects.toThrow(fault);
    });
  }
});

describe.skipIf(missing(valkeyAvailable(), HOW_TO_GET_VALKEY))('a server that answers with an error', () => {
  let server: ValkeyServer;
  beforeAll(async () => {
    server = await startValkey({ config: { maxmemory: '1', 'maxmemory-policy': 'noeviction' } });
  });
  afterAll(() => server?.close());

  it('fails the record, so that it comes again', async () => {
    const cache = valkeyCache({ url: server.url, namespace: 'full' });
    try {
      const handler = streamHandler({ views: Object.values(views), cache, logger: SILENT });
      const { event, number } = new Shop().write('o1', {});
      expect(await handler({ Records: [event] })).toEqual({ batchItemFailures: [{ itemIdentifier: number }] });
    } finally {
      await cache.close();
    }
  });
});
