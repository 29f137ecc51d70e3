import { DynamoDBClient, UpdateItemCommand } from '@aws-sdk/client-dynamodb';
import { marshall } from '@aws-sdk/util-dynamodb';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { CacheClient } from '../../src/cache.ts';
import { memoryCache } from '../../src/caches/memory.ts';
import { valkeyCache } from '../../src/caches/valkey.ts';
import { found } from '../../src/fill/found.ts';
import { streamHandler } from '../../src/handlers/stream-handler.ts';
import type { ApiResponse } from '../../src/shop/api.ts';
import { migrateCartApi } from '../../src/shop/migrate-cart-api.ts';
import { readApi } from '../../src/shop/read-api.ts';
import { keyOf, type View } from '../../src/view.ts';
import { views } from '../../src/views/index.ts';
import {
  type DynamoDbLocal,
  HOW_TO_GET_JAVA,
  javaAvailable,
  readStream,
  type StreamReader,
  startDynamoDbLocal,
} from '../servers/dynamodb-local.ts';
import { missing } from '../servers/requires.ts';
import { HOW_TO_GET_VALKEY, startValkey, type ValkeyServer, valkeyAvailable } from '../servers/valkey.ts';
import { bodyOf, IDEMPOTENCY, invocation, request, ShopDatabase, type Witness, watched, witness } from './shop.ts';

const SCOPE = 'orders/admin';
/** As in the view: so long the index may lag. */
const LAG_MS = 2_000;
const absent = missing(javaAvailable(), HOW_TO_GET_JAVA) || missing(valkeyAvailable(), HOW_TO_GET_VALKEY);

function orderItem(id: string, creator: string, more: object = {}) {
  return {
    ...{ pk: `order#${id}`, sk: 'order', id, creator },
    ...{ createdAt: '2026-11-20T21:00:00.000Z', status: 'placed', numItems: 0, items: [] },
    ...more,
  };
}

/** Where the answer came from. */
function placeOf({ headers }: ApiResponse): string | undefined {
  return /^(\w+);dur=\d+\.\d$/.exec(headers['server-timing'] ?? '')?.[1];
}

describe.skipIf(absent)('the routes that read', { timeout: 60_000 }, () => {
  let local: DynamoDbLocal;
  let valkey: ValkeyServer;
  let shop: ShopDatabase;
  let stream: StreamReader;
  let cache: CacheClient;
  let seen: Witness;
  let read: ReturnType<typeof readApi>;
  /** Each test has its own users, orders and cache. */
  let [ann, bob, cartId, tests] = ['', '', '', 0];

  beforeAll(async () => {
    [local, valkey] = await Promise.all([startDynamoDbLocal(), startValkey()]);
    shop = await ShopDatabase.create(local);
    await shop.createRecords(IDEMPOTENCY);
    stream = readStream(local.streams, shop.streamArn);
  });
  afterAll(async () => {
    shop?.client.destroy();
    await Promise.all([local?.close(), valkey?.close()]);
  });
  beforeEach(async () => {
    tests += 1;
    [ann, bob, cartId] = [`ann-${tests}`, `bob-${tests}`, `anonymous-cart-${tests}`];
    cache = valkeyCache({ url: valkey.url, namespace: `test-${tests}` });
    seen = witness();
    read = open();
  });
  afterEach(() => cache.close());

  const open = (more: Partial<Parameters<typeof readApi>[0]> = {}) =>
    // On a busy machine, the cache must not answer too late.
    readApi({ ...shop, ...watched(seen), cache, adminScope: SCOPE, cacheDeadlineMs: 10_000, ...more });
  const get = (route: string, more: Parameters<typeof request>[0] = {}) => read(request({ route: `GET ${route}`, ...more }), invocation());
  /** Applies what has changed in the table, as the worker does. */
  const follow = async (): Promise<void> => {
    const handler = streamHandler({ views: Object.values<View>(views), cache, logger: witness().logger });
    const records = (await stream.readNew()).map((record) => ({ ...record, eventSourceARN: shop.streamArn }));
    expect(await handler({ Records: records })).toEqual({ batchItemFailures: [] });
  };
  const setStatus = (id: string, status: string) =>
    shop.client.send(
      new UpdateItemCommand({
        TableName: shop.tableName,
        Key: marshall({ pk: `order#${id}`, sk: 'order' }),
        UpdateExpression: 'SET #s = :s',
        ExpressionAttributeNames: { '#s': 'status' },
        ExpressionAttributeValues: { ':s': { S: status } },
      }),
    );

  describe('GET /orders/{id}', () => {
    it('shows an order to its creator, without the creator, from the table and then from the cache', async () => {
      await shop.put(orderItem(`a-${tests}`, ann));
      const first = await get('/orders/{id}', { sub: ann, id: `a-${tests}` });
      const { creator: _, pk: __, sk: ___, ...visible } = orderItem(`a-${tests}`, ann);
      expect([first.statusCode, bodyOf(first), placeOf(first)]).toEqual([200, visible, 'table']);
      expect(first.headers['cache-control']).toBe('private, no-cache');
      const second = await get('/orders/{id}', { sub: ann, id: `a-${tests}` });
      expect([second.body, placeOf(second)]).toEqual([first.body, 'cache']);
    });

    it('reads the table once for an order that the cache does not know', async () => {
      await shop.put(orderItem(`a-${tests}`, ann));
      await get('/orders/{id}', { sub: ann, id: `a-${tests}` });
      expect(seen.measured).toEqual({ CacheMisses: 1, TableReads: 1 });
      await get('/orders/{id}', { sub: ann, id: `a-${tests}` });
      expect(seen.measured).toEqual({ CacheMisses: 1, TableReads: 1, CacheHits: 1 });
    });

    it('answers for the order of another user as for one that does not exist', async () => {
      await shop.put(orderItem(`a-${tests}`, ann));
      await get('/orders/{id}', { sub: ann, id: `a-${tests}` });
      const foreign = await get('/orders/{id}', { sub: bob, id: `a-${tests}` });
      expect([foreign.statusCode, bodyOf(foreign)]).toEqual([404, { message: 'Not found' }]);
      expect(await get('/orders/{id}', { sub: bob, id: `no-${tests}` })).toEqual(foreign);
      expect(await get('/orders/{id}', { sub: bob, id: '\ud800' })).toEqual(foreign);
      expect(await get('/orders/{id}', { sub: bob })).toEqual(foreign);
    });

    it('follows the table: a change, another creator, and the end of an order', async () => {
      const id = `a-${tests}`;
      await shop.put(orderItem(id, ann));
      await follow();
      const status = async (sub: string) => {
        const response = await get('/orders/{id}', { sub, id });
        return [response.statusCode, bodyOf(response).status, placeOf(response)];
      };
      expect(await status(ann)).toEqual([200, 'placed', 'cache']);
      await setStatus(id, 'baked');
      await follow();
      expect(await status(ann)).toEqual([200, 'baked', 'cache']);
      await shop.put(orderItem(id, bob));
      await follow();
      expect([await status(ann), await status(bob)]).toEqual([
        [404, undefined, undefined],
        [200, 'placed', 'cache'],
      ]);
    });

    it('answers 304 without a body to a client that has this body', async () => {
      const [id, sub] = [`a-${tests}`, ann];
      await shop.put(orderItem(id, ann));
      const { headers, body } = await get('/orders/{id}', { sub, id });
      const etag = headers.etag ?? '';
      expect(etag).toMatch(/^"[\w-]{22}"$/);
      for (const known of [etag, `W/${etag}`, `"other", ${etag}`, '*']) {
        const again = await get('/orders/{id}', { sub, id, headers: { 'if-none-match': known } });
        expect([again.statusCode, again.body, again.headers.etag, again.headers['cache-control']]).toEqual([
          304,
          '',
          etag,
          'private, no-cache',
        ]);
      }
      const other = await get('/orders/{id}', { sub, id, headers: { 'If-None-Match': '"other"' } });
      expect([other.statusCode, other.body]).toEqual([200, body]);
      const foreign = await get('/orders/{id}', { sub: bob, id, headers: { 'if-none-match': '*' } });
      expect(foreign.statusCode).toBe(404);
    });

    it('gives two values that were filled at one version different tags', async () => {
      const [id, sub] = [`a-${tests}`, ann];
      const evicting = memoryCache();
      read = open({ cache: evicting });
      await shop.put(orderItem(id, ann));
      const first = await get('/orders/{id}', { sub, id });
      const version = async () => {
        const lookup = await evicting.get(keyOf(views.detail, id));
        return lookup.type === 'hit' && lookup.version;
      };
      const filled = await version();
      await setStatus(id, 'baked');
      evicting.flush();
      const second = await get('/orders/{id}', { sub, id, headers: { 'if-none-match': first.headers.etag ?? '' } });
      expect(await version()).toBe(filled);
      expect([second.statusCode, bodyOf(second).status]).toEqual([200, 'baked']);
    });
  });

  describe('GET /orders', () => {
    it("shows the user's orders alone, in brief, the newest first", async () => {
      await shop.put(orderItem(`a-${tests}`, ann));
      await shop.put(orderItem(`b-${tests}`, ann, { createdAt: '2026-11-20T22:00:00.000Z' }));
      await shop.put(orderItem(`c-${tests}`, bob));
      const response = await get('/orders', { sub: ann });
      const brief = { status: 'placed', numItems: 0 };
      expect([response.statusCode, bodyOf(response), placeOf(response)]).toEqual([
        200,
        {
          orders: [
            { id: `b-${tests}`, createdAt: '2026-11-20T22:00:00.000Z', ...brief },
            { id: `a-${tests}`, createdAt: '2026-11-20T21:00:00.000Z', ...brief },
          ],
          complete: false,
        },
        'index',
      ]);
      expect(bodyOf(await get('/orders', { sub: `nobody-${tests}` }))).toEqual({ orders: [], complete: false });
    });

    it('gives each order once, over more pages than the list in the cache has', async () => {
      const count = views.orders.keep + 25;
      const ids = Array.from({ length: count }, (_, n) => `p${String(n).padStart(3, '0')}-${tests}`);
      // Several orders have one time.
      const createdAt = (n: number) => new Date(Date.UTC(2026, 10, 20) + Math.floor(n / 3) * 1_000).toISOString();
      await Promise.all(ids.map((id, n) => shop.put(orderItem(id, ann, { createdAt: createdAt(n) }))));
      await follow();
      const pages = async () => {
        const [shown, places]: [string[], (string | undefined)[]] = [[], []];
        for (let cursor: string | undefined; ; ) {
          const response = await get('/orders', { sub: ann, ...(cursor !== undefined && { cursor }) });
          expect(response.statusCode).toBe(200);
          const page = bodyOf(response) as { orders: { id: string }[]; cursor?: string };
          shown.push(...page.orders.map(({ id }) => id));
          places.push(placeOf(response));
          cursor = page.cursor;
          if (cursor === undefined) return { shown, places };
        }
      };
      const ofIndex = await pages();
      expect([...ofIndex.shown].sort()).toEqual(ids);
      expect(new Set(ofIndex.places)).toEqual(new Set(['index']));

      // The first read has begun the fill, which waits for the index.
      await new Promise((resolve) => setTimeout(resolve, LAG_MS + 100));
      await get('/orders', { sub: ann });
      const { shown, places } = await pages();
      expect(shown).toEqual(ofIndex.shown);
      expect([places[0], places.at(-1)]).toEqual(['cache', 'index']);
    });

    it.each([
      ['no JSON', 'x'],
      ['an empty list', 'W10'],
      ['padding', 'e30='],
      ['other characters', '%00'],
      ['5,000 characters', 'a'.repeat(5_000)],
    ])('refuses a cursor with %s', async (_, cursor) => {
      const response = await get('/orders', { sub: ann, cursor });
      expect([response.statusCode, bodyOf(response)]).toEqual([
        400,
        { message: 'Invalid cursor', faults: ["give a page's cursor unchanged, or none for the first page"] },
      ]);
    });

    it('takes an empty cursor for none', async () => {
      expect((await get('/orders', { sub: ann, cursor: '' })).statusCode).toBe(200);
    });
  });

  describe('GET /admin', () => {
    it('shows any order to a token with the scope, with its creator', async () => {
      await shop.put(orderItem(`a-${tests}`, ann));
      const response = await get('/admin/orders/{id}', { scope: `openid ${SCOPE}`, id: `a-${tests}` });
      const { pk: _, sk: __, ...whole } = orderItem(`a-${tests}`, ann);
      expect([response.statusCode, bodyOf(response), placeOf(response)]).toEqual([200, whole, 'table']);
      expect((await get('/admin/orders/{id}', { scope: SCOPE, id: `no-${tests}` })).statusCode).toBe(404);
    });

    it.each([undefined, '', 'orders', 'orders/admin2', 'orders/import openid'])('refuses a token with the scope %j', async (scope) => {
      for (const route of ['/admin/orders/{id}', '/admin/orders']) {
        const response = await get(route, { sub: ann, id: 'a', ...(scope !== undefined && { scope }) });
        expect([response.statusCode, bodyOf(response)]).toEqual([403, { message: 'Forbidden' }]);
      }
    });

    it('reads the scope from a list in the claim scp, as API Gateway writes it', async () => {
      const jwt = { claims: { scp: `[openid ${SCOPE}]` } };
      const response = await read({ routeKey: 'GET /admin/orders', requestContext: { authorizer: { jwt } } }, invocation());
      expect(response.statusCode).toBe(200);
    });

    it('shows the orders that the cache has, and says whether they are all', async () => {
      const items = [orderItem(`a-${tests}`, ann), orderItem(`b-${tests}`, bob, { createdAt: '2026-11-20T22:00:00.000Z' })];
      await stream.readNew();
      for (const item of items) await shop.put(item);
      await follow();
      const shown = async () => {
        const response = await get('/admin/orders', { scope: SCOPE });
        const { orders, complete } = bodyOf(response) as { orders: { id: string }[]; complete: boolean };
        return { ids: orders.map(({ id }) => id), complete, place: placeOf(response) };
      };
      const ids = [`b-${tests}`, `a-${tests}`];
      expect(await shown()).toEqual({ ids, complete: false, place: 'cache' });
      const [lease] = await cache.lease([{ kind: 'list', list: keyOf(views.orders, 'all'), keep: views.orders.keep }]);
      if (lease) await cache.settle([{ lease, found: found(views.orders, 'all', items, { keys: ['pk', 'sk'] }) }]);
      expect(await shown()).toEqual({ ids, complete: true, place: 'cache' });
    });
  });

  describe('GET /cart', () => {
    const product = (productId: string, quantity: number) => ({ productId, quantity, productDetail: { name: productId, price: 1.5 } });
    const cookiesOf = ({ cookies = [] }: ApiResponse) => cookies.map((cookie) => cookie.slice(0, cookie.indexOf(';')));
    const migrated = async () => {
      const cookie = { maxAgeSeconds: 60, sameSite: 'Lax' } as const;
      const migrate = migrateCartApi({ ...shop, ...watched(seen), idempotency: IDEMPOTENCY, cookie, linesAtOnce: 8 });
      const response = await migrate(request({ sub: ann, cartId }), invocation());
      expect(response.statusCode).toBe(200);
      return response;
    };

    it("shows the user's cart, in the order of the product ids", async () => {
      for (const [id, quantity] of [
        ['pizza', 1],
        ['cola', 2],
      ] as const)
        await shop.putLine(`user#${ann}`, id, quantity);
      await shop.putLine(`user#${bob}`, 'salad', 1);
      const first = await get('/cart', { sub: ann, cookies: [`cartId=${cartId}`] });
      expect([bodyOf(first), placeOf(first)]).toEqual([{ products: [product('cola', 2), product('pizza', 1)], complete: true }, 'table']);
      expect(placeOf(await get('/cart', { sub: ann }))).toBe('cache');
    });

    it('shows the anonymous cart to those who know its id', async () => {
      await shop.putLine(`cart#${cartId}`, 'cola', 2);
      const wanted = { products: [product('cola', 2)], complete: true };
      expect(bodyOf(await get('/cart/anonymous', { cookies: [`cartId=${cartId}`] }))).toEqual(wanted);
      expect(bodyOf(await get('/cart/anonymous', { cartId }))).toEqual(wanted);
      for (const other of [{}, { cartId: 'short' }, { sub: ann }]) {
        const response = await get('/cart/anonymous', other);
        expect([response.statusCode, bodyOf(response)]).toEqual([400, { message: 'Invalid cart id' }]);
      }
    });

    it('shows both carts as they are, at once after a migration, to the browser that has the ticket', async () => {
      await shop.putLine(`cart#${cartId}`, 'cola', 2);
      await shop.putLine(`user#${ann}`, 'cola', 3);
      await get('/cart', { sub: ann });
      await get('/cart/anonymous', { cartId });

      // The cache does not follow yet.
      const cookies = cookiesOf(await migrated());
      const carts = async (given: readonly string[]) => {
        const [own, anonymous] = [
          await get('/cart', { sub: ann, cookies: given }),
          await get('/cart/anonymous', { cartId, cookies: given }),
        ];
        return [bodyOf(own).products, placeOf(own), bodyOf(anonymous).products, placeOf(anonymous)];
      };
      const stale = [[product('cola', 3)], 'cache', [product('cola', 2)], 'cache'];
      expect(await carts(cookies)).toEqual([[product('cola', 5)], 'table', [], 'table']);
      expect(await carts(cookies.slice(0, 1))).toEqual(stale);
      for (const bad of ['cartTicket=', 'cartTicket=nonsense', `${cookies[1]}~`, `${cookies[1]}x`]) {
        expect(await carts([cookies[0] ?? '', bad])).toEqual(stale);
      }
      await follow();
      expect(await carts(cookies.slice(0, 1))).toEqual([[product('cola', 5)], 'cache', [], 'cache']);
    });
  });

  describe('the metrics', () => {
    it('count pages of the index as misses and as incomplete', async () => {
      await get('/orders', { sub: ann });
      expect(seen.measured).toEqual({ CacheMisses: 1, TableReads: 1, IncompletePages: 1 });
    });

    it('count pages and absences that the cache knows as hits', async () => {
      await shop.putLine(`user#${ann}`, 'cola', 2);
      await get('/cart', { sub: ann });
      await get('/cart', { sub: ann });
      expect(seen.measured).toEqual({ CacheMisses: 1, TableReads: 1, CacheHits: 1 });
      for (let n = 0; n < 2; n += 1) await get('/orders/{id}', { sub: ann, id: `no-${tests}` });
      expect(seen.measured).toEqual({ CacheMisses: 2, TableReads: 2, CacheHits: 2 });
    });

    it('count the reads of a request that fails', async () => {
      const client = new DynamoDBClient({ endpoint: 'http://127.0.0.1:1', region: 'eu-west-1', maxAttempts: 1 });
      try {
        read = open({ client });
        expect((await get('/cart', { sub: ann })).statusCode).toBe(503);
      } finally {
        client.destroy();
      }
      expect(seen.measured.CacheMisses).toBe(1);
    });

    it('have no line for a request that reads nothing', async () => {
      let published = 0;
      const metrics = { ...seen.metrics, publishStoredMetrics: () => (published += 1) };
      read = open({ metrics: metrics as never });
      expect((await get('/cart', {})).statusCode).toBe(400);
      expect(published).toBe(0);
      await get('/cart', { sub: ann });
      expect(published).toBe(1);
    });
  });

  it.each(['/orders/{id}', '/orders', '/cart'])('answers GET %s without a user with 400', async (route) => {
    for (const sub of [undefined, '', '\ud800']) {
      const response = await get(route, { id: 'a', ...(sub !== undefined && { sub }) });
      expect([response.statusCode, bodyOf(response)]).toEqual([400, { message: 'Invalid user' }]);
    }
  });

  it.each(['GET /', 'POST /cart', 'constructor'])('answers the route %s with 404', async (route) => {
    expect((await read(request({ route, sub: ann }), invocation())).statusCode).toBe(404);
  });

  it('lets pages of allowed origins read the tag', async () => {
    read = open({ allowedOrigins: ['https://shop.example'] });
    const { headers } = await get('/orders', { sub: ann, headers: { origin: 'https://shop.example' } });
    expect(headers['access-control-expose-headers']).toContain('ETag');
  });

  describe('in an outage', () => {
    const UNAVAILABLE = { statusCode: 503, headers: { 'retry-after': '1', 'cache-control': 'no-store' }, body: '{"message":"Try again"}' };

    it('answers from the table while the cache is down, all but the list of all orders', async () => {
      const down = valkeyCache({ url: 'redis://127.0.0.1:1', deadlineMs: 50, commandTimeoutMs: 50 });
      try {
        read = open({ cache: down });
        const id = `a-${tests}`;
        await shop.put(orderItem(id, ann));
        await shop.putLine(`user#${ann}`, 'cola', 2);
        const places = [
          await get('/orders/{id}', { sub: ann, id }),
          await get('/orders', { sub: ann }),
          await get('/cart', { sub: ann }),
          await get('/admin/orders/{id}', { scope: SCOPE, id }),
        ].map((response) => [response.statusCode, placeOf(response)]);
        expect(places).toEqual([
          [200, 'table'],
          [200, 'index'],
          [200, 'table'],
          [200, 'table'],
        ]);
        expect(await get('/admin/orders', { scope: SCOPE })).toMatchObject(UNAVAILABLE);
      } finally {
        await down.close();
      }
    });

    it('answers from the cache while the table is down, else 503, and logs nothing of the items', async () => {
      const id = `secret-id-${tests}`;
      await shop.put(orderItem(id, ann, { status: 'secret-status' }));
      await get('/orders/{id}', { sub: ann, id });
      const client = new DynamoDBClient({ endpoint: 'http://127.0.0.1:1', region: 'eu-west-1', maxAttempts: 1 });
      try {
        read = open({ client });
        expect((await get('/orders/{id}', { sub: ann, id })).statusCode).toBe(200);
        expect(await get('/orders/{id}', { sub: ann, id: `secret-id-2-${tests}` })).toMatchObject(UNAVAILABLE);
        expect(await get('/orders', { sub: ann })).toMatchObject(UNAVAILABLE);
        expect(await get('/cart', { sub: ann })).toMatchObject(UNAVAILABLE);
      } finally {
        client.destroy();
      }
      expect(seen.lines).toHaveLength(3);
      expect(seen.lines[0]).toMatchObject({
        level: 'error',
        fields: { fault: 'TableUnavailableError', reason: expect.stringContaining('table shop') },
      });
      expect(JSON.stringify(seen.lines)).not.toMatch(/secret|ann-/);
    });

    it('answers 503 when the read units are used up', async () => {
      read = open({ readUnitsPerSecond: 0.1 });
      const id = `a-${tests}`;
      await shop.put(orderItem(id, ann));
      expect((await get('/admin/orders/{id}', { scope: SCOPE, id })).statusCode).toBe(200);
      expect(await get('/admin/orders/{id}', { scope: SCOPE, id: `b-${tests}` })).toMatchObject(UNAVAILABLE);
      expect((await get('/admin/orders/{id}', { scope: SCOPE, id })).statusCode).toBe(200);
      expect(seen.lines).toMatchObject([{ fields: { fault: 'ReadBudgetError' } }]);
    });

    it('answers 503 when the time runs out', async () => {
      expect(await read(request({ route: 'GET /cart', sub: ann }), invocation(3_000))).toMatchObject(UNAVAILABLE);
    });

    it('answers 500 for an item that the view refuses, and logs nothing of it', async () => {
      const id = `secret-id-${tests}`;
      await shop.put(orderItem(id, ann, { numItems: 'secret-number' }));
      const response = await get('/orders/{id}', { sub: ann, id });
      expect([response.statusCode, bodyOf(response)]).toEqual([500, { message: 'Internal error' }]);
      expect(seen.lines).toMatchObject([{ fields: { fault: 'ViewError' } }]);
      expect(JSON.stringify(seen.lines)).not.toMatch(/secret|ann-/);
    });
  });
});
