import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { ApiResponse } from '../../src/shop/api.ts';
import { importOrdersApi } from '../../src/shop/import-orders-api.ts';
import { order } from '../../src/views/order.ts';
import { type DynamoDbLocal, HOW_TO_GET_JAVA, javaAvailable, startDynamoDbLocal } from '../servers/dynamodb-local.ts';
import { missing } from '../servers/requires.ts';
import { bodyOf, IDEMPOTENCY, invocation, request, ShopDatabase, type Witness, watched, witness } from './shop.ts';
import { type Fault, Process } from './shop-process.ts';

interface Result {
  readonly legacyId?: string;
  readonly status: string;
  readonly id?: string;
  readonly faults?: readonly string[];
}

describe.skipIf(missing(javaAvailable(), HOW_TO_GET_JAVA))('POST /orders/import', { timeout: 60_000 }, () => {
  let local: DynamoDbLocal;
  let shop: ShopDatabase;
  let seen: Witness;
  let importOrders: ReturnType<typeof importOrdersApi>;
  let tests = 0;
  beforeAll(async () => {
    local = await startDynamoDbLocal();
    shop = await ShopDatabase.create(local);
    await shop.createRecords(IDEMPOTENCY);
  });
  afterAll(async () => {
    shop?.client.destroy();
    await local?.close();
  });
  beforeEach(() => {
    tests += 1;
    seen = witness();
    importOrders = importOrdersApi({ ...shop, ...watched(seen), idempotency: IDEMPOTENCY, marginMs: 0 });
  });

  const legacy = (n: number | string, more: object = {}) => ({
    id: `${tests}-${n}`,
    createdAt: '2019-05-04T18:30:00+02:00',
    status: 'delivered',
    items: [{ size: 'L', crust: 'thin', sauce: 'tomato', toppings: ['ham'] }],
    creator: 'ann',
    ...more,
  });
  const send = (orders: unknown, headers = {}, sub = 'clerk'): Promise<ApiResponse> =>
    importOrders(request({ sub, headers, body: JSON.stringify({ orders }) }), invocation());
  const resultsOf = (response: ApiResponse | undefined): Result[] => response && bodyOf(response).results;
  const stored = async (id: string | undefined) => (await shop.lines(`order#${id}`))[0];

  it('answers invalid for an order that is larger than an item of DynamoDB, and imports the others', async () => {
    const topping = '\u20ac'.repeat(64);
    const pizza = { size: 'L', crust: 'thin', sauce: 'tomato', toppings: Array.from({ length: 50 }, () => topping) };
    const response = await send([legacy('large', { items: Array.from({ length: 100 }, () => pizza) }), legacy('small')]);
    expect(response.statusCode).toBe(200);
    expect(resultsOf(response)).toMatchObject([
      { legacyId: `${tests}-large`, status: 'invalid', faults: ['order: must have 400 KB or less'] },
      { legacyId: `${tests}-small`, status: 'imported' },
    ]);
  });

  it.each(['id', 'status', 'creator'])(
    'answers invalid for half a surrogate pair in the %s, so that two texts never become one',
    async (field) => {
      const orders = [legacy('a', { [field]: `x${tests}\ud800` }), legacy('b', { [field]: `x${tests}\udfff` })];
      const results = resultsOf(await send(orders));
      for (const { status, faults } of results) expect([status, faults]).toEqual(['invalid', [`${field}: must be well-formed Unicode`]]);
      expect(await shop.lines(`legacy#x${tests}\ufffd`)).toEqual([]);
    },
  );

  it('answers 400 to a body that is not UTF-8', async () => {
    const body = Buffer.concat([Buffer.from('{"orders":[{"id":"'), Buffer.from([0xc3, 0x28]), Buffer.from('"}]}')]).toString('base64');
    const response = await importOrders({ ...request({ sub: 'clerk' }), body, isBase64Encoded: true }, invocation());
    expect(response).toMatchObject({ statusCode: 400, body: '{"message":"Invalid body"}' });
  });

  it('writes orders under their mapped ids, in a form that the views accept', async () => {
    const response = await send([legacy('a'), legacy('b', { numItems: 7, lastUpdated: '2020-01-01T00:00:00Z' })]);
    expect(response.statusCode).toBe(200);
    const [a, b] = resultsOf(response);
    expect([a, b]).toMatchObject([
      { legacyId: `${tests}-a`, status: 'imported' },
      { legacyId: `${tests}-b`, status: 'imported' },
    ]);
    expect((await shop.lines(`legacy#${tests}-a`))[0]?.newId).toBe(a?.id);
    const { pk, sk, ...item } = (await stored(a?.id)) as Record<string, unknown>;
    expect({ pk, sk }).toEqual({ pk: `order#${a?.id}`, sk: 'order' });
    expect(order.owns({ pk, sk })).toBe(true);
    expect(order.schema.parse(item)).toEqual({
      ...legacy('a'),
      id: a?.id,
      numItems: 1,
      createdAt: '2019-05-04T16:30:00.000Z',
    });
    expect(order.schema.parse(await stored(b?.id))).toMatchObject({ numItems: 7, lastUpdated: '2020-01-01T00:00:00.000Z' });
  });

  it('accepts 100 orders and refuses 101', async () => {
    const hundred = Array.from({ length: 100 }, (_, n) => legacy(n));
    const results = resultsOf(await send(hundred));
    expect(new Set(results.map(({ status }) => status))).toEqual(new Set(['imported']));
    expect(results.map(({ legacyId }) => legacyId)).toEqual(hundred.map(({ id }) => id));
    expect(await send([...hundred, legacy(100)])).toMatchObject({ statusCode: 400 });
  });

  it('does not change an order that another request imported', async () => {
    const [first] = resultsOf(await send([legacy('a')]));
    const before = await stored(first?.id);
    const again = await send([legacy('a', { status: 'cancelled' })]);
    expect(resultsOf(again)).toEqual([{ legacyId: `${tests}-a`, status: 'present', id: first?.id }]);
    const other = await send([legacy('a', { creator: 'eve' })], {}, 'another clerk');
    expect(resultsOf(other)).toMatchObject([{ status: 'present', id: first?.id }]);
    expect(await stored(first?.id)).toEqual(before);
  });

  it('lists the faults of each invalid order, and imports the others', async () => {
    const { creator: _, ...anonymous } = legacy('d');
    const results = resultsOf(
      await send([
        legacy('a', { createdAt: 'yesterday' }),
        legacy('b', { discount: 5 }),
        legacy('c'),
        anonymous,
        legacy('e', { items: 'many', numItems: -1 }),
        null,
        legacy('c', { status: 'twice' }),
        legacy('f', { id: 7 }),
        legacy('', { id: '' }),
        legacy('g', { createdAt: '9999-12-31T23:59:59-12:00' }),
        legacy('h', { lastUpdated: '0000-01-01T00:00:00+12:00' }),
      ]),
    );
    expect(results.map(({ status, faults }) => faults ?? status)).toEqual([
      ['createdAt: must be a datetime'],
      ['order: does not have discount'],
      'imported',
      ['creator: must be of type string'],
      ['numItems: must have 0 or more', 'items: must be of type array'],
      ['order: must be of type object'],
      ['id: order 2 has the same id'],
      ['id: must be of type string'],
      ['id: must have 1 or more'],
      ['createdAt: must be a time of the years 0000 to 9999 in UTC'],
      ['lastUpdated: must be a time of the years 0000 to 9999 in UTC'],
    ]);
    expect(await shop.lines(`legacy#${tests}-a`)).toEqual([]);
    expect(await stored(results[2]?.id)).toMatchObject({ status: 'delivered' });
  });

  it.each([undefined, null, '', 'no JSON', '[]', '{}', '5', 'null', '{"orders":[]}', '{"orders":{}}'])(
    'answers 400 to the body %j',
    async (body) => {
      const response = await importOrders(request({ sub: 'clerk', body }), invocation());
      expect(response).toMatchObject({ statusCode: 400 });
      expect(bodyOf(response)).toMatchObject({ message: 'Invalid orders' });
    },
  );

  it('answers 400 without a user', async () => {
    const response = await importOrders(request({ body: JSON.stringify({ orders: [legacy('a')] }) }), invocation());
    expect(response).toMatchObject({ statusCode: 400, body: '{"message":"Invalid user"}' });
  });

  it('decodes a body in base64', async () => {
    const body = Buffer.from(JSON.stringify({ orders: [legacy('a')] })).toString('base64');
    const response = await importOrders({ ...request({ sub: 'clerk', body }), isBase64Encoded: true }, invocation());
    expect(resultsOf(response)).toMatchObject([{ status: 'imported' }]);
  });

  it('replays the answer to the same request, and marks it as replayed', async () => {
    const orders = [legacy('a'), legacy('b', { status: 5 })];
    const first = await send(orders);
    const process = new Process();
    const again = await process.run(() => send(orders));
    expect(again).toMatchObject({ statusCode: 200, body: first.body, headers: { 'idempotency-replayed': 'true' } });
    expect(process.calls).toEqual(['PutItemCommand']);
    expect(await send(orders, {}, 'another clerk')).not.toMatchObject({ headers: { 'idempotency-replayed': 'true' } });
  });

  it('answers 422 if an idempotency key is repeated with other orders', async () => {
    const headers = { 'idempotency-key': `key-${tests}` };
    const first = await send([legacy('a')], headers);
    expect(await send([legacy('b')], headers)).toMatchObject({ statusCode: 422 });
    expect(await shop.lines(`legacy#${tests}-b`)).toEqual([]);
    expect(await send([legacy('a')], headers)).toMatchObject({ statusCode: 200, body: first.body });
    expect(await send([legacy('b')], { 'idempotency-key': 'ä' })).toMatchObject({ statusCode: 400 });
  });

  it('answers 409 while the same import runs, and imports its orders once', async () => {
    const orders = Array.from({ length: 20 }, (_, n) => legacy(n));
    const responses = await Promise.all(Array.from({ length: 5 }, () => send(orders)));
    expect(responses.map(({ statusCode }) => statusCode).sort()).toContain(409);
    for (const response of responses) {
      if (response.statusCode === 200) expect(resultsOf(response).every(({ status }) => status === 'imported')).toBe(true);
    }
  });

  it('answers 503 with the results if DynamoDB fails, and imports the rest on a retry', async () => {
    const orders = Array.from({ length: 6 }, (_, n) => legacy(n));
    let calls = 0;
    const failing = new Process((command) => {
      if (command !== 'PutItemCommand') return undefined;
      calls += 1;
      return calls > 7 ? 'throttled' : undefined;
    });
    const response = await failing.run(() => importOrders(request({ sub: 'clerk', body: JSON.stringify({ orders }) }), invocation(1_500)));
    expect(response).toMatchObject({ statusCode: 503, headers: { 'retry-after': '1' } });
    expect(resultsOf(response).map(({ status }) => status)).toContain('failed');
    const retried = await send(orders);
    expect(retried.headers['idempotency-replayed']).toBeUndefined();
    for (const { status } of resultsOf(retried)) expect(['imported', 'present']).toContain(status);
    for (const { id } of resultsOf(retried)) expect(await stored(id)).toBeDefined();
  });

  it.each(['lost', 'throttled', 'dies before', 'dies after'] satisfies Fault[])(
    'imports each legacy order once if any single call is %s',
    async (fault) => {
      const orders = [legacy('a'), legacy('b')];
      const failAt = async (at: number): Promise<void> => {
        const mine = orders.map((given) => ({ ...given, id: `${given.id}-${at}` }));
        const body = JSON.stringify({ orders: mine });
        const process = new Process((_, call) => (call === at ? fault : undefined));
        await process.run(() => importOrders(request({ sub: 'clerk', body }), invocation(500)));
        await new Promise((resolve) => setTimeout(resolve, 510));
        const response = await send(mine);
        expect(response.statusCode).toBe(200);
        for (const { id, legacyId } of resultsOf(response)) {
          expect((await shop.lines(`legacy#${legacyId}`))[0]?.newId).toBe(id);
          expect(await stored(id)).toMatchObject({ id });
        }
      };
      await Promise.all([2, 3, 4, 5, 6].map(failAt));
    },
  );

  it('logs counts, but no part of an order', async () => {
    await send([legacy('a', { creator: 'Ann Secret' }), legacy('b', { status: { Secret: 1 } })]);
    const throttled = new Process((command, call) => (command === 'PutItemCommand' && call > 1 ? 'throttled' : undefined));
    const body = JSON.stringify({ orders: [legacy('c', { creator: 'Bob Secret' })] });
    await throttled.run(() => importOrders(request({ sub: 'clerk', body }), invocation(300)));
    expect(seen.lines).toMatchObject([
      { level: 'info', fields: { imported: 1, present: 0, invalid: 1, failed: 0 } },
      { level: 'info', fields: { failed: 1 } },
      { level: 'error', fields: { fault: 'RefusedError' } },
    ]);
    expect(JSON.stringify(seen.lines)).not.toContain('Secret');
  });
});
