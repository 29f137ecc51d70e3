import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { CacheClient } from '../../src/cache.ts';
import { memoryCache } from '../../src/caches/memory.ts';
import { itemOf } from '../../src/change.ts';
import { streamHandler } from '../../src/handlers/stream-handler.ts';
import { importOrdersApi } from '../../src/shop/import-orders-api.ts';
import { migrateCartApi } from '../../src/shop/migrate-cart-api.ts';
import { leaseOn, settleOn } from '../../src/testing/contract/case.ts';
import { keyOf, type View } from '../../src/view.ts';
import { views as shopViews } from '../../src/views/index.ts';
import { project } from '../properties/world/table.ts';
import {
  type DynamoDbLocal,
  HOW_TO_GET_JAVA,
  javaAvailable,
  readStream,
  type StreamReader,
  startDynamoDbLocal,
} from '../servers/dynamodb-local.ts';
import { missing } from '../servers/requires.ts';
import { bodyOf, IDEMPOTENCY, invocation, request, ShopDatabase, watched, witness } from './shop.ts';

const views: readonly View[] = Object.values<View>(shopViews);

describe.skipIf(missing(javaAvailable(), HOW_TO_GET_JAVA))('the views of the write side', { timeout: 60_000 }, () => {
  let local: DynamoDbLocal;
  let shop: ShopDatabase;
  let stream: StreamReader;
  let cache: CacheClient;
  beforeAll(async () => {
    local = await startDynamoDbLocal();
    shop = await ShopDatabase.create(local);
    await shop.createRecords(IDEMPOTENCY);
    stream = readStream(local.streams, shop.streamArn);
    cache = memoryCache();
  });
  afterAll(async () => {
    await cache?.close();
    shop?.client.destroy();
    await local?.close();
  });

  const follow = async (): Promise<number> => {
    const handler = streamHandler({ views, cache, logger: witness().logger });
    const records = (await stream.readNew()).map((record) => ({ ...record, eventSourceARN: shop.streamArn }));
    for (const record of records) expect(await handler({ Records: [record] })).toEqual({ batchItemFailures: [] });
    return records.length;
  };
  /** Fills a list from the table, like a reader. */
  const fill = async (owner: string): Promise<void> => {
    const list = keyOf(shopViews.cart, owner);
    const lease = await leaseOn(cache, { kind: 'list', list, keep: 1_000 });
    const newest = (await shop.lines(owner)).flatMap((image) => {
      const { pk, sk } = image as { pk: string; sk: string };
      return project(views, itemOf({ pk, sk }), image).flatMap((place) =>
        place.kind === 'member' ? [{ member: place.member, score: place.score, json: place.json }] : [],
      );
    });
    expect(await settleOn(cache, lease, { kind: 'list', newest })).toBe('settled');
  };
  const shown = async (owner: string) => {
    const { members, complete } = await cache.list(keyOf(shopViews.cart, owner), { limit: 100 });
    const products = members.map(({ value }) => value as { productId: string });
    return { complete, products: products.sort((a, b) => (a.productId < b.productId ? -1 : 1)) };
  };

  it("shows the user's cart complete and the anonymous cart empty after a migration", async () => {
    await shop.putLine('cart#anonymous-1', 'cola', 2);
    await shop.putLine('cart#anonymous-1', 'pizza', 1);
    await shop.putLine('user#ann', 'cola', 3);
    await follow();
    await fill('cart#anonymous-1');
    await fill('user#ann');
    expect(await shown('cart#anonymous-1')).toMatchObject({ complete: true, products: [{ productId: 'cola' }, { productId: 'pizza' }] });

    const cookie = { maxAgeSeconds: 60, sameSite: 'Lax' } as const;
    const migrate = migrateCartApi({ ...shop, ...watched(witness()), idempotency: IDEMPOTENCY, cookie, linesAtOnce: 8 });
    const send = () => migrate(request({ sub: 'ann', cartId: 'anonymous-1' }), invocation());
    const responses = await Promise.all([send(), send(), send()]);
    const answer = responses.find(({ statusCode }) => statusCode === 200);
    // An addition and a deletion for each line, for any number of requests.
    expect(await follow()).toBe(4);
    expect(await shown('cart#anonymous-1')).toEqual({ complete: true, products: [] });
    expect(await shown('user#ann')).toEqual({ complete: true, products: answer && bodyOf(answer).products });
    expect(answer && bodyOf(answer).products).toMatchObject([
      { productId: 'cola', quantity: 5 },
      { productId: 'pizza', quantity: 1 },
    ]);
  });

  it('shows an imported order once, under its new id', async () => {
    const importOrders = importOrdersApi({ ...shop, ...watched(witness()), idempotency: IDEMPOTENCY });
    const legacy = { id: '4711', createdAt: '2019-05-04T18:30:00Z', status: 'delivered', items: [], creator: 'ann' };
    const send = (more = {}) =>
      importOrders(request({ sub: 'clerk', body: JSON.stringify({ orders: [{ ...legacy, ...more }] }) }), invocation());
    const [{ id }] = bodyOf(await send()).results;
    await send({ status: 'changed' });
    await follow();
    const wanted = { id, createdAt: '2019-05-04T18:30:00.000Z', status: 'delivered', numItems: 0, items: [] };
    expect(await cache.get(keyOf(shopViews.detail, id))).toMatchObject({ type: 'hit', value: wanted });
    expect(await cache.get(keyOf(shopViews.admin, id))).toMatchObject({ type: 'hit', value: { ...wanted, creator: 'ann' } });
    expect(await cache.get(keyOf(shopViews.detail, '4711'))).toMatchObject({ type: 'miss' });
    for (const list of ['all', 'creator:ann']) {
      const { members } = await cache.list(keyOf(shopViews.orders, list), { limit: 10 });
      expect(members.map(({ value }) => (value as { id: string }).id)).toEqual([id]);
    }
  });
});
