import {
  BatchWriteItemCommand,
  DeleteItemCommand,
  DescribeTableCommand,
  PutItemCommand,
  ScanCommand,
  TransactWriteItemsCommand,
  UpdateItemCommand,
  UpdateTableCommand,
} from '@aws-sdk/client-dynamodb';
import { marshall, unmarshall } from '@aws-sdk/util-dynamodb';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { CacheClient, FoundMember } from '../../src/cache.ts';
import { itemOf } from '../../src/change.ts';
import { decodeRecord, type StreamRecord } from '../../src/dynamodb/record.ts';
import { eventRecord } from '../../src/event-source-mapping/index.ts';
import { streamHandler } from '../../src/handlers/stream-handler.ts';
import { leaseOn, settleOn } from '../../src/testing/contract/case.ts';
import { keyOf, type View } from '../../src/view.ts';
import { views as shopViews } from '../../src/views/index.ts';
import { type Backend, memoryBackend, valkeyBackend } from '../properties/world/backend.ts';
import { type Projected, project } from '../properties/world/table.ts';
import {
  createShopTable,
  type DynamoDbLocal,
  HOW_TO_GET_JAVA,
  javaAvailable,
  readStream,
  type StreamReader,
  startDynamoDbLocal,
} from '../servers/dynamodb-local.ts';
import { until } from '../servers/processes.ts';
import { missing } from '../servers/requires.ts';
import { HOW_TO_GET_VALKEY, startValkey, type ValkeyServer, valkeyAvailable } from '../servers/valkey.ts';

const views: readonly View[] = Object.values<View>(shopViews);
const SILENT = { info() {}, warn() {}, error() {} };

interface Order {
  readonly status?: string;
  readonly creator?: string;
}

function orderItem(id: string, { status = 'new', creator = 'ann' }: Order = {}) {
  const items = [{ size: 'L', crust: 'thin', sauce: 'tomato', toppings: ['ham', 'olives'] }];
  const createdAt = `2026-11-22T12:00:${id.slice(1).padStart(2, '0')}.000Z`;
  return { pk: `order#${id}`, sk: 'order', id, createdAt, status, numItems: 1, items, creator };
}

function lineItem(owner: string, product: string, quantity: number) {
  return { pk: owner, sk: `product#${product}`, quantity, productDetail: { name: product, price: 1.5 }, expiresAt: 1_900_000_000 };
}

/** The pizza shop's table in DynamoDB Local, written as an application would. */
class Shop {
  readonly #local: DynamoDbLocal;
  readonly #TableName: string;

  constructor(local: DynamoDbLocal, tableName: string) {
    this.#local = local;
    this.#TableName = tableName;
  }

  #at(item: { readonly pk: string; readonly sk: string }) {
    return { TableName: this.#TableName, Key: marshall({ pk: item.pk, sk: item.sk }) };
  }

  #set(id: string, name: 'status' | 'creator', value: string) {
    const expression = { UpdateExpression: 'SET #name = :value', ExpressionAttributeNames: { '#name': name } };
    return { ...this.#at(orderItem(id)), ...expression, ExpressionAttributeValues: { ':value': { S: value } } };
  }

  #insert(id: string, order?: Order) {
    return { TableName: this.#TableName, Item: marshall(orderItem(id, order)), ConditionExpression: 'attribute_not_exists(pk)' };
  }

  async put(id: string, order?: Order): Promise<void> {
    await this.#local.client.send(new PutItemCommand({ TableName: this.#TableName, Item: marshall(orderItem(id, order)) }));
  }

  /** Puts the order only if there is none. */
  async insert(id: string, order?: Order): Promise<void> {
    await this.#local.client.send(new PutItemCommand(this.#insert(id, order)));
  }

  async set(id: string, name: 'status' | 'creator', value: string): Promise<void> {
    await this.#local.client.send(new UpdateItemCommand(this.#set(id, name, value)));
  }

  async delete(id: string): Promise<void> {
    await this.#local.client.send(new DeleteItemCommand(this.#at(orderItem(id))));
  }

  /** Checks out a cart in one transaction: puts an order, deletes a line, and gives an earlier order another creator. */
  async checkOut(id: string, line: { readonly pk: string; readonly sk: string }, earlier: string): Promise<void> {
    await this.#local.client.send(
      new TransactWriteItemsCommand({
        TransactItems: [
          { Put: this.#insert(id, { creator: 'bob' }) },
          { Delete: this.#at(line) },
          { Update: this.#set(earlier, 'creator', 'cy') },
        ],
      }),
    );
  }

  async batch(puts: readonly Record<string, unknown>[], deletes: readonly { readonly pk: string; readonly sk: string }[] = []) {
    const requests = [
      ...puts.map((item) => ({ PutRequest: { Item: marshall(item) } })),
      ...deletes.map((item) => ({ DeleteRequest: { Key: marshall({ pk: item.pk, sk: item.sk }) } })),
    ];
    await this.#local.client.send(new BatchWriteItemCommand({ RequestItems: { [this.#TableName]: requests } }));
  }

  /** All items of the table, projected. */
  async projected(): Promise<readonly Projected[]> {
    const { Items = [] } = await this.#local.client.send(new ScanCommand({ TableName: this.#TableName, ConsistentRead: true }));
    return Items.flatMap((marshalled) => {
      const image = unmarshall(marshalled);
      return project(views, itemOf({ pk: image.pk, sk: image.sk }), image);
    });
  }

  /** Disables the stream and enables it again. Returns the new one's ARN. */
  async renewStream(before: string): Promise<string> {
    const { client } = this.#local;
    const TableName = this.#TableName;
    await client.send(new UpdateTableCommand({ TableName, StreamSpecification: { StreamEnabled: false } }));
    const StreamSpecification = { StreamEnabled: true, StreamViewType: 'NEW_AND_OLD_IMAGES' } as const;
    await client.send(new UpdateTableCommand({ TableName, StreamSpecification }));
    let arn: string | undefined;
    await until('a new stream', async () => {
      arn = (await client.send(new DescribeTableCommand({ TableName }))).Table?.LatestStreamArn;
      return arn !== undefined && arn !== before;
    });
    return arn as string;
  }
}

async function eventsOf(reader: StreamReader, streamArn: string): Promise<StreamRecord[]> {
  return (await reader.readNew()).map((record, i) => {
    const event = eventRecord(record, streamArn);
    // A record decodes equally as one of GetRecords and as one of an event.
    expect(decodeRecord(record, i, streamArn)).toEqual(decodeRecord(event, i));
    return event;
  });
}

async function drive(cache: CacheClient, events: readonly StreamRecord[], batchSize: number): Promise<void> {
  const handler = streamHandler({ views, cache, logger: SILENT });
  for (let i = 0; i < events.length; i += batchSize) {
    expect(await handler({ Records: events.slice(i, i + batchSize) })).toEqual({ batchItemFailures: [] });
  }
}

/** What the cache has of these orders and of all lists: `gone`, `miss` or the value. */
async function shown(cache: CacheClient, orders: readonly string[]): Promise<Record<string, unknown>> {
  const keys = [shopViews.detail, shopViews.admin].flatMap((view) => orders.map((id) => keyOf(view, id)));
  const lookups = await cache.getMany(keys);
  const documents = lookups.map((lookup, i) => [keys[i], lookup.type === 'hit' ? lookup.value : lookup.type]);
  const lists = await Promise.all(LISTS.map(async (list) => [list, await membersOf(cache, list)]));
  return Object.fromEntries([...documents, ...lists]);
}

const OWNERS = ['cart#1', 'user#2'];
const LISTS = [
  ...['all', 'creator:ann', 'creator:bob', 'creator:cy'].map((list) => keyOf(shopViews.orders, list)),
  ...OWNERS.map((owner) => keyOf(shopViews.cart, owner)),
];

interface Shown {
  readonly member: string;
  readonly score: number;
  readonly value: unknown;
}

async function membersOf(cache: CacheClient, list: string): Promise<Shown[]> {
  const members: Shown[] = [];
  let after: string | undefined;
  do {
    const page = await cache.list(list, { limit: 2, after });
    members.push(...page.members.map(({ member, score, value }) => ({ member, score, value })));
    after = page.cursor;
  } while (after !== undefined);
  return members;
}

/** What the cache should have, by the table. */
function wanted(table: readonly Projected[], orders: readonly string[]): Record<string, unknown> {
  const keys = [shopViews.detail, shopViews.admin].flatMap((view) => orders.map((id) => keyOf(view, id)));
  const documents = keys.map((key) => {
    const place = table.find((it) => it.kind === 'document' && it.key === key);
    return [key, place ? JSON.parse(place.json) : 'gone'];
  });
  const valued = (list: string) => membersIn(table, list).map(({ json, ...place }) => ({ ...place, value: JSON.parse(json) }));
  return Object.fromEntries([...documents, ...LISTS.map((list) => [list, valued(list)])]);
}

function membersIn(table: readonly Projected[], list: string): FoundMember[] {
  const members = table.flatMap((place) => (place.kind === 'member' && place.list === list ? [place] : []));
  return members
    .map(({ member, score, json }) => ({ member, score, json }))
    .sort((a, b) => b.score - a.score || Buffer.compare(Buffer.from(b.member), Buffer.from(a.member)));
}

/** Settles each list from the table, as a reader does. Only then may the cache call the list complete. */
async function fill(cache: CacheClient, shop: Shop): Promise<void> {
  for (const list of LISTS) {
    const lease = await leaseOn(cache, { kind: 'list', list, keep: 1_000 });
    const newest = membersIn(await shop.projected(), list);
    expect(await settleOn(cache, lease, { kind: 'list', newest })).toBe('settled');
  }
}

async function completeLists(cache: CacheClient): Promise<string[]> {
  const pages = await Promise.all(LISTS.map((list) => cache.list(list, { limit: 100 })));
  return LISTS.filter((_, i) => pages[i]?.complete);
}

/** An item that no view projects, with values that JSON does not have. */
const STRANGER = { pk: 'legacy#1', sk: 'id', bytes: new Uint8Array([1, 2, 255]), tags: new Set(['a', 'b']), exact: 2n ** 70n };

const ORDERS = ['o1', 'o2', 'o3', 'o4', 'o5', 'o6', 'o7', 'o8'];

/** Writes in every way: each kind of request, requests that fail, and requests that change nothing. Returns the number of stream records. */
async function keepShop(shop: Shop): Promise<number> {
  for (const id of ['o1', 'o2', 'o3', 'o4', 'o5']) await shop.put(id, { creator: id === 'o2' ? 'bob' : 'ann' });
  await shop.batch([lineItem('cart#1', 'cola', 1), lineItem('cart#1', 'pizza', 2), lineItem('user#2', 'cola', 3)]);
  await shop.set('o1', 'status', 'baked');
  await shop.set('o3', 'creator', 'bob');
  await shop.set('o3', 'status', 'sent');
  await shop.delete('o4');
  await shop.insert('o6', { creator: 'cy' });
  await expect(shop.insert('o6', { status: 'never' })).rejects.toThrow('conditional request failed');
  await expect(shop.checkOut('o6', lineItem('cart#1', 'cola', 1), 'o1')).rejects.toThrow('ConditionalCheckFailed');
  await shop.checkOut('o7', lineItem('cart#1', 'cola', 1), 'o5');
  await shop.set('o1', 'status', 'baked');
  await shop.put('o1', { status: 'baked' });
  await shop.delete('o8');
  await shop.batch([lineItem('cart#1', 'pizza', 4), lineItem('cart#1', 'salad', 1)], [lineItem('user#2', 'cola', 3)]);
  await shop.delete('o2');
  await shop.put('o2', { status: 'again', creator: 'ann' });
  await shop.put('o8', { creator: 'bob' });
  await shop.delete('o8');
  await shop.batch([STRANGER]);
  return 5 + 3 + 4 + 1 + 3 + 3 + 4 + 1;
}

describe.skipIf(missing(javaAvailable(), HOW_TO_GET_JAVA))('a real stream', { timeout: 60_000 }, () => {
  let local: DynamoDbLocal;
  beforeAll(async () => {
    local = await startDynamoDbLocal();
  }, 60_000);
  afterAll(() => local?.close());

  const testsOn = (backendOf: () => Backend) => {
    it.each([1, 3, 1_000])('makes the cache equal to the table, in batches of %i', async (batchSize) => {
      const { cache } = await backendOf().open();
      const { tableName, streamArn } = await createShopTable(local.client, `shop-${backendOf().name}-${batchSize}`);
      const shop = new Shop(local, tableName);
      try {
        const records = await keepShop(shop);
        const events = await eventsOf(readStream(local.streams, streamArn), streamArn);
        expect(events).toHaveLength(records);
        await drive(cache, events, batchSize);
        expect(await shown(cache, ORDERS)).toEqual(wanted(await shop.projected(), ORDERS));
        expect(await completeLists(cache)).toEqual([]);

        await fill(cache, shop);
        await drive(cache, events.slice(5), batchSize);
        expect(await shown(cache, ORDERS)).toEqual(wanted(await shop.projected(), ORDERS));
        expect(await completeLists(cache)).toEqual(LISTS);
      } finally {
        await cache.close();
      }
    });
  };

  describe('on memory', () => testsOn(memoryBackend));

  describe.skipIf(missing(valkeyAvailable(), HOW_TO_GET_VALKEY))('on Valkey', () => {
    let server: ValkeyServer;
    let backend: Backend;
    beforeAll(async () => {
      server = await startValkey();
      backend = valkeyBackend(server.url);
    });
    afterAll(async () => {
      await backend?.close();
      await server?.close();
    });

    testsOn(() => backend);

    it('makes a cache equal to the table that outlives a stream and a table', async () => {
      const { cache } = await backend.open();
      try {
        const { tableName, streamArn } = await createShopTable(local.client, 'shop');
        const shop = new Shop(local, tableName);
        await keepShop(shop);
        const first = await eventsOf(readStream(local.streams, streamArn), streamArn);
        await drive(cache, first, 10);

        const renewedArn = await shop.renewStream(streamArn);
        await shop.set('o1', 'status', 'sent');
        await shop.delete('o3');
        await shop.put('o4', { status: 'renewed' });
        const renewed = await eventsOf(readStream(local.streams, renewedArn), renewedArn);
        expect(renewed.map(({ eventName }) => eventName)).toEqual(['MODIFY', 'REMOVE', 'INSERT']);
        await drive(cache, renewed, 10);
        const table = await shop.projected();
        expect(await shown(cache, ORDERS)).toEqual(wanted(table, ORDERS));
        await drive(cache, first, 10);
        expect(await shown(cache, ORDERS)).toEqual(wanted(table, ORDERS));

        await local.restart();
        const recreated = await createShopTable(local.client, 'shop');
        // The new table gets the items that the cache still has of the lost one, and some of them are deleted.
        const creators = { o1: 'ann', o2: 'ann', o3: 'bob', o4: 'ann', o5: 'cy', o6: 'cy', o7: 'bob', o8: 'bob' };
        for (const [id, creator] of Object.entries(creators)) await shop.put(id, { status: 'recreated', creator });
        for (const id of ['o2', 'o3', 'o8']) await shop.delete(id);
        await shop.set('o1', 'creator', 'bob');
        const [pizza, salad, cola] = [lineItem('cart#1', 'pizza', 7), lineItem('cart#1', 'salad', 7), lineItem('user#2', 'cola', 7)];
        await shop.batch([pizza, salad, cola]);
        await shop.batch([], [salad]);
        const latest = await eventsOf(readStream(local.streams, recreated.streamArn), recreated.streamArn);
        // The sequence numbers of the new stream begin again at 1.
        expect(numberOf(latest[0])).toBe(1n);
        expect(numberOf(latest.at(-1))).toBeLessThan(numberOf(renewed[0]));
        await drive(cache, latest, 10);
        const again = await shop.projected();
        expect(await shown(cache, ORDERS)).toEqual(wanted(again, ORDERS));
        await drive(cache, [...first, ...renewed], 10);
        expect(await shown(cache, ORDERS)).toEqual(wanted(again, ORDERS));
      } finally {
        await cache.close();
      }
    });
  });
});

function numberOf(event: StreamRecord | undefined): bigint {
  return BigInt(event?.dynamodb?.SequenceNumber ?? -1);
}
