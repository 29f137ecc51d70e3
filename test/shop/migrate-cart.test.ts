import { PutItemCommand, type TransactWriteItemsCommand, type UpdateItemCommand } from '@aws-sdk/client-dynamodb';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import type { ApiRequest } from '../../src/shop/api.ts';
import { migrateCartApi } from '../../src/shop/migrate-cart-api.ts';
import { type DynamoDbLocal, HOW_TO_GET_JAVA, javaAvailable, startDynamoDbLocal } from '../servers/dynamodb-local.ts';
import { missing } from '../servers/requires.ts';
import { bodyOf, IDEMPOTENCY, invocation, quantitiesIn, request, ShopDatabase, type Witness, watched, witness } from './shop.ts';
import { type Fault, Process } from './shop-process.ts';

const COOKIE = { maxAgeSeconds: 86_400, sameSite: 'None' } as const;
const ORIGIN = 'https://shop.example';

describe.skipIf(missing(javaAvailable(), HOW_TO_GET_JAVA))('POST /cart/migrate', { timeout: 60_000 }, () => {
  let local: DynamoDbLocal;
  let shop: ShopDatabase;
  let seen: Witness;
  let migrate: ReturnType<typeof migrateCartApi>;
  /** Each test has its own owners. */
  let sub: string;
  let cartId: string;
  let from: string;
  let to: string;
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
    [sub, cartId] = [`ann-${tests}`, `anonymous-cart-${tests}`];
    [from, to] = [`cart#${cartId}`, `user#${sub}`];
    seen = witness();
    migrate = open();
  });

  const open = (more: Partial<Parameters<typeof migrateCartApi>[0]> = {}) =>
    migrateCartApi({
      ...shop,
      ...watched(seen),
      idempotency: IDEMPOTENCY,
      cookie: COOKIE,
      linesAtOnce: 8,
      allowedOrigins: [ORIGIN],
      ...more,
    });
  const mine = (more: Parameters<typeof request>[0] = {}): ApiRequest => request({ sub, cartId, ...more });
  const send = (more: Parameters<typeof request>[0] = {}) => migrate(mine(more), invocation());
  const sendWith = async (faultAt: (command: string, call: number) => Fault | undefined) => {
    const process = new Process(faultAt);
    return { process, response: await process.run(() => send()) };
  };
  const once = (command: string, fault: Fault) => {
    let done = false;
    return (name: string) => {
      if (done || name !== `${command}Command`) return undefined;
      done = true;
      return fault;
    };
  };

  describe('the lines', () => {
    it('moves every line, adds quantities, and answers with the products of the user', async () => {
      await shop.putLine(from, 'cola', 2, { expiresAt: 1_900_000_000 });
      await shop.putLine(from, 'pizza', 1.5);
      await shop.putLine(to, 'cola', 3, { productDetail: { name: 'Cola, the old one' } });
      await shop.putLine(to, 'salad', 1);

      const response = await send();
      expect(response.statusCode).toBe(200);
      expect(bodyOf(response)).toEqual({
        products: [
          { productId: 'cola', quantity: 5, productDetail: { name: 'Cola, the old one' } },
          { productId: 'pizza', quantity: 1.5, productDetail: { name: 'pizza', price: 1.5 } },
          { productId: 'salad', quantity: 1, productDetail: { name: 'salad', price: 1.5 } },
        ],
      });
      expect(await shop.quantities(from)).toEqual({});
      expect(await shop.quantities(to)).toEqual({ cola: 5, pizza: 1.5, salad: 1 });
      expect(seen.measured).toEqual({ CartMigrated: 1, CartLinesMoved: 2 });
    });

    it('moves all pages of a cart, and answers with all products', async () => {
      const note = 'x'.repeat(100_000);
      for (let n = 0; n < 25; n += 1) await shop.putLine(from, `p${String(n).padStart(2, '0')}`, n + 1, { note });
      const process = new Process();
      const response = await process.run(() => send());
      const wanted = Object.fromEntries(Array.from({ length: 25 }, (_, n) => [`p${String(n).padStart(2, '0')}`, n + 1]));
      expect(response && quantitiesIn(response)).toEqual(wanted);
      expect(await shop.quantities(from)).toEqual({});
      // Three pages of 1 MB for reading the cart, and three for the user's products.
      expect(process.calls.filter((name) => name === 'QueryCommand')).toHaveLength(6);
    });

    it('does not move other items of the cart', async () => {
      await shop.put({ pk: from, sk: 'note', text: 'ring twice' });
      await shop.putLine(from, 'cola', 1);
      expect(quantitiesIn(await send())).toEqual({ cola: 1 });
      expect(await shop.lines(from)).toEqual([{ pk: from, sk: 'note', text: 'ring twice' }]);
    });

    it("moves the other attributes of a line, but keeps those of the user's line", async () => {
      await shop.putLine(from, 'cola', 1, { gift: true, note: 'from the cart' });
      await shop.putLine(to, 'cola', 1, { note: 'from the user' });
      await send();
      expect(await shop.lines(to)).toMatchObject([{ quantity: 2, gift: true, note: 'from the user' }]);
    });

    it.each([
      ['the later expiry time', 2_000, 1_000, 2_000],
      ['the later expiry time, the other way round', 1_000, 2_000, 2_000],
      ["no expiry time if the user's line has none", 1_000, undefined, undefined],
      ["no expiry time if the cart's line has none", undefined, 1_000, undefined],
    ])('gives the merged line %s', async (_, cart, user, wanted) => {
      await shop.putLine(from, 'cola', 1, cart ? { expiresAt: cart } : {});
      await shop.putLine(to, 'cola', 1, user ? { expiresAt: user } : {});
      await send();
      expect(await shop.lines(to)).toMatchObject([{ quantity: 2 }]);
      expect((await shop.lines(to))[0]?.expiresAt).toBe(wanted);
    });

    const [ago, ahead] = [Math.floor(Date.now() / 1_000) - 60, Math.floor(Date.now() / 1_000) + 3_600];
    const sixYearsAgo = ago - 6 * 365 * 86_400;

    it.each<[string, number | undefined, number | undefined, object[], string[]]>([
      ['does not move an expired line', ago, undefined, [{ quantity: 5, note: 'user' }], ['product#cola']],
      ['does not move an expired line into an expired one', ago, ago, [{ quantity: 5, note: 'user', expiresAt: ago }], ['product#cola']],
      ['replaces an expired line of the user', undefined, ago, [{ quantity: 2, note: 'cart' }], []],
      ['replaces an expired line of the user by one that expires later', ahead, ago, [{ quantity: 2, note: 'cart', expiresAt: ahead }], []],
      ['adds to a line that has not expired', ahead, ahead, [{ quantity: 7, note: 'user', expiresAt: ahead }], []],
      [
        'moves a line that time-to-live ignores, because the time is too long ago',
        sixYearsAgo,
        undefined,
        [{ quantity: 7, note: 'user' }],
        [],
      ],
    ])('%s', async (_, cart, user, wanted, left) => {
      await shop.putLine(from, 'cola', 2, { note: 'cart', ...(cart && { expiresAt: cart }) });
      await shop.putLine(to, 'cola', 5, { note: 'user', ...(user && { expiresAt: user }) });
      await send();
      const lines = await shop.lines(to);
      expect(lines).toMatchObject(wanted);
      expect(lines.map(({ expiresAt }) => expiresAt)).toEqual(wanted.map((line) => (line as { expiresAt?: number }).expiresAt));
      expect((await shop.lines(from)).map(({ sk }) => sk)).toEqual(left);
    });

    it('answers without expired lines, and replays its answer although an expired line remains in the cart', async () => {
      await shop.putLine(from, 'old', 9, { expiresAt: ago });
      await shop.putLine(to, 'stale', 9, { expiresAt: ago });
      await shop.putLine(from, 'cola', 1);
      expect(quantitiesIn(await send())).toEqual({ cola: 1 });
      const again = await send();
      expect([quantitiesIn(again), again.headers['idempotency-replayed']]).toEqual([{ cola: 1 }, 'true']);
    });

    it('answers with the numbers that the cart view has, unrounded', async () => {
      const price = { N: '123456789012345.678' };
      const line = {
        pk: { S: to },
        sk: { S: 'product#cola' },
        quantity: { N: '1' },
        productDetail: { M: { price, tiny: { N: '1E-130' } } },
      };
      await shop.client.send(new PutItemCommand({ TableName: shop.tableName, Item: line }));
      expect(bodyOf(await send()).products).toEqual([
        { productId: 'cola', quantity: 1, productDetail: { price: '123456789012345.678', tiny: 1e-130 } },
      ]);
    });

    it('answers with all digits of a large number', async () => {
      await shop.put({ pk: from, sk: 'product#cola', quantity: 1, productDetail: { article: 2n ** 70n } });
      expect(bodyOf(await send()).products).toEqual([{ productId: 'cola', quantity: 1, productDetail: { article: String(2n ** 70n) } }]);
    });

    it('moves at most the configured number of lines at the same time', async () => {
      for (let n = 0; n < 12; n += 1) await shop.putLine(from, `p${n}`, 1);
      migrate = open({ linesAtOnce: 3 });
      let [now, most] = [0, 0];
      shop.client.middlewareStack.add(
        (next, { commandName }) =>
          async (args) => {
            if (commandName !== 'TransactWriteItemsCommand') return next(args);
            now += 1;
            most = Math.max(most, now);
            return next(args).finally(() => {
              now -= 1;
            });
          },
        { step: 'initialize', name: 'count' },
      );
      try {
        await send();
      } finally {
        shop.client.middlewareStack.remove('count');
      }
      expect(most).toBe(3);
    });

    it('leaves lines whose quantity is not a number, and moves the others', async () => {
      await shop.putLine(from, 'cola', 2);
      await shop.putLine(from, 'odd', 'many');
      await shop.putLine(from, 'pizza', 1);
      await shop.putLine(to, 'pizza', 'lots');
      expect(quantitiesIn(await send())).toEqual({ cola: 2 });
      expect((await shop.lines(from)).map(({ sk }) => sk)).toEqual(['product#odd', 'product#pizza']);
      expect(seen.lines.filter(({ level }) => level === 'warn')).toMatchObject([{ fields: { lines: 2 } }]);
    });
  });

  describe('answers', () => {
    it('answers 400 without a user', async () => {
      for (const response of [await migrate(request({ cartId }), invocation()), await send({ sub: '' })]) {
        expect(response).toMatchObject({ statusCode: 400, body: '{"message":"Invalid user"}' });
      }
    });

    it.each(['', ' ', 'a', '7', 'ab', '1234567', 'a b c d e f', 'x'.repeat(129), 'anonymous;Path=/', 'anonymous-ä'])(
      'answers 400 to the cart id %j',
      async (wrong) => {
        expect(await send({ cartId: wrong })).toMatchObject({ statusCode: 400, body: '{"message":"Invalid cart id"}' });
      },
    );

    it.each([
      ['half a surrogate pair as user', { sub: 'ann\ud800' }, 'Invalid user'],
      ['half a surrogate pair in the body', { body: '{"a":"\udc00"}' }, 'Invalid body'],
    ])('answers 400 to %s', async (_, sent, message) => {
      expect(await send(sent)).toMatchObject({ statusCode: 400, body: JSON.stringify({ message }) });
    });

    it('answers 400 to bytes that are not UTF-8', async () => {
      const body = Buffer.from([0x7b, 0xff, 0x7d]).toString('base64');
      const response = await migrate({ ...mine(), body, isBase64Encoded: true }, invocation());
      expect(response).toMatchObject({ statusCode: 400, body: '{"message":"Invalid body"}' });
    });

    it('answers 400 without a cart id', async () => {
      expect(await migrate(request({ sub }), invocation())).toMatchObject({ statusCode: 400, body: '{"message":"Invalid cart id"}' });
    });

    it('takes the cart id from the cookie or the header', async () => {
      await shop.putLine(from, 'cola', 1);
      const cookies = ['theme=dark', `cartId=${cartId}`];
      expect(quantitiesIn(await migrate(request({ sub, cookies }), invocation()))).toEqual({ cola: 1 });
      await shop.putLine(from, 'cola', 1);
      expect(quantitiesIn(await migrate(request({ sub, headers: { cartId } }), invocation()))).toEqual({ cola: 2 });
    });

    it('names an allowed origin in the CORS headers, and sets the cookies', async () => {
      const response = await send({ headers: { origin: ORIGIN } });
      expect(response.headers).toMatchObject({
        'access-control-allow-origin': ORIGIN,
        'access-control-allow-credentials': 'true',
        'access-control-expose-headers': expect.stringContaining('Idempotency-Replayed'),
        vary: 'Origin',
      });
      expect(response.cookies).toEqual([
        `cartId=${cartId}; Max-Age=86400; Path=/; Secure; HttpOnly; SameSite=None`,
        expect.stringMatching(/^cartTicket=[\w.~-]{30,50}; Max-Age=60; Path=\/; Secure; HttpOnly; SameSite=None$/),
      ]);
      const refused = await migrate(request({ headers: { origin: ORIGIN } }), invocation());
      expect(refused.headers).toMatchObject({ 'access-control-allow-origin': ORIGIN });
    });

    it('sends no CORS headers to any other origin', async () => {
      for (const origin of ['https://evil.example', `${ORIGIN}.evil.example`, 'null']) {
        const { headers } = await send({ headers: { origin } });
        expect(Object.keys(headers).filter((name) => name.startsWith('access-control'))).toEqual([]);
        expect(headers.vary).toBe('Origin');
      }
    });

    it('answers 503 if the time runs out, and moves the rest on a retry', async () => {
      for (let n = 0; n < 40; n += 1) await shop.putLine(from, `p${n}`, 1);
      migrate = open({ marginMs: 0, linesAtOnce: 1 });
      const response = await migrate(mine(), invocation(60));
      expect(response).toMatchObject({ statusCode: 503, headers: { 'retry-after': '1' } });
      const left = Object.keys(await shop.quantities(from)).length;
      expect(left).toBeGreaterThan(0);
      expect(Object.keys(quantitiesIn(await send()))).toHaveLength(40);
      expect(seen.measured.CartLinesMoved).toBe(left);
    });
  });

  describe('a quantity', () => {
    const FAULTS: Fault[] = ['throttled', 'conflict', 'lost'];
    it.each(FAULTS)('counts a quantity once if a transaction is %s', async (fault) => {
      await shop.putLine(from, 'cola', 2);
      const { process, response } = await sendWith(once('TransactWriteItems', fault));
      expect(process.faults).toHaveLength(1);
      expect(response && quantitiesIn(response)).toEqual({ cola: 2 });
      expect(await shop.quantities(from)).toEqual({});
    });

    it('moves an equal line that is added after the migration', async () => {
      await shop.putLine(from, 'cola', 2);
      expect(quantitiesIn(await send())).toEqual({ cola: 2 });
      await shop.putLine(from, 'cola', 2);
      expect(quantitiesIn(await send())).toEqual({ cola: 4 });
      expect(await shop.quantities(from)).toEqual({});
    });

    it('moves the whole quantity of a line that grows during the move', async () => {
      await shop.putLine(from, 'cola', 1);
      shop.client.middlewareStack.add(
        (next, { commandName }) =>
          async (args) => {
            if (commandName === 'TransactWriteItemsCommand') {
              shop.client.middlewareStack.remove('grow');
              await shop.addTo(from, 'cola', 5);
            }
            return next(args);
          },
        { step: 'initialize', name: 'grow' },
      );
      expect(quantitiesIn(await send())).toEqual({ cola: 6 });
      expect(await shop.quantities(from)).toEqual({});
    });

    it('repeats a transaction with the same token, and sends a changed one with a new token', async () => {
      await shop.putLine(from, 'cola', 2);
      const sent: { token?: string; items: string }[] = [];
      shop.client.middlewareStack.add(
        (next, { commandName }) =>
          async (args) => {
            if (commandName !== 'TransactWriteItemsCommand') return next(args);
            const { ClientRequestToken: token, TransactItems } = args.input as TransactWriteItemsCommand['input'];
            sent.push({ token, items: JSON.stringify(TransactItems) });
            if (sent.length === 2) await shop.addTo(from, 'cola', 5);
            if (sent.length !== 1) return next(args);
            throw Object.assign(new Error('throttled'), { name: 'ThrottlingException' });
          },
        { step: 'initialize', name: 'tokens' },
      );
      try {
        expect(quantitiesIn(await send())).toEqual({ cola: 7 });
      } finally {
        shop.client.middlewareStack.remove('tokens');
      }
      const [first, again, changed] = sent;
      expect(again).toEqual(first);
      expect(changed?.items).not.toBe(first?.items);
      expect(changed?.token).not.toBe(first?.token);
    });

    it('repeats a transaction with the same conditions in a later second', async () => {
      await shop.putLine(from, 'cola', 2, { expiresAt: Math.floor(Date.now() / 1_000) + 3_600 });
      await shop.putLine(to, 'cola', 1, { expiresAt: Math.floor(Date.now() / 1_000) - 60 });
      const now = Date.now.bind(Date);
      let passedMs = 0;
      const clock = vi.spyOn(Date, 'now').mockImplementation(() => now() + passedMs);
      shop.client.middlewareStack.add(
        (next, { commandName }) =>
          async (args) => {
            const answer = await next(args);
            if (commandName !== 'TransactWriteItemsCommand' || passedMs > 0) return answer;
            passedMs = 1_000;
            throw Object.assign(new Error('lost'), { name: 'TimeoutError' });
          },
        { step: 'initialize', name: 'later' },
      );
      try {
        expect(quantitiesIn(await send())).toEqual({ cola: 2 });
      } finally {
        shop.client.middlewareStack.remove('later');
        clock.mockRestore();
      }
      expect(await shop.quantities(from)).toEqual({});
    });

    it('answers 503 for a line that changes during each of its moves, and moves it at the next request', async () => {
      await shop.putLine(from, 'cola', 1);
      let moves = 0;
      shop.client.middlewareStack.add(
        (next, { commandName }) =>
          async (args) => {
            if (commandName === 'TransactWriteItemsCommand') {
              moves += 1;
              await shop.addTo(from, 'cola', 1);
            }
            return next(args);
          },
        { step: 'initialize', name: 'grow' },
      );
      try {
        expect((await send()).statusCode).toBe(503);
      } finally {
        shop.client.middlewareStack.remove('grow');
      }
      expect(quantitiesIn(await send())).toEqual({ cola: 1 + moves });
    });

    it('counts quantities once in ten concurrent migrations', async () => {
      for (let n = 0; n < 10; n += 1) await shop.putLine(from, `p${n}`, n + 1);
      const responses = await Promise.all(Array.from({ length: 10 }, () => send()));
      const wanted = Object.fromEntries(Array.from({ length: 10 }, (_, n) => [`p${n}`, n + 1]));
      expect(await shop.quantities(to)).toEqual(wanted);
      expect(new Set(responses.map(({ statusCode }) => statusCode))).toEqual(new Set([200, 409]));
      for (const response of responses) if (response.statusCode === 200) expect(quantitiesIn(response)).toEqual(wanted);
      expect(seen.measured.CartMigrated).toBe(1);
    });

    it('gives each line to one of two users who take the same cart concurrently', async () => {
      for (let n = 0; n < 10; n += 1) await shop.putLine(from, `p${n}`, 1);
      const others = [sub, `${sub}-other`];
      await Promise.all(others.map((other) => send({ sub: other })));
      const both = await Promise.all(others.map((other) => shop.quantities(`user#${other}`)));
      expect(Object.keys({ ...both[0], ...both[1] })).toHaveLength(10);
      expect(both.flatMap(Object.values)).toHaveLength(10);
    });
  });

  describe('a repeated request', () => {
    it('replays the first answer, marked as replayed, without work', async () => {
      await shop.putLine(from, 'cola', 2);
      const first = await send();
      await shop.putLine(to, 'salad', 1);
      const again = await send();
      expect(again.body).toBe(first.body);
      expect(first.headers['idempotency-replayed']).toBeUndefined();
      expect(again.headers['idempotency-replayed']).toBe('true');
      expect(again.cookies?.[0]).toBe(first.cookies?.[0]);
      expect(seen.measured.CartMigrated).toBe(1);
    });

    it.each([undefined, 'my-key'])('moves lines that were added since, also with the same idempotency key (%s)', async (idempotencyKey) => {
      const headers = idempotencyKey ? { 'idempotency-key': idempotencyKey } : undefined;
      await shop.putLine(from, 'cola', 2);
      await send({ headers });
      await shop.putLine(from, 'cola', 3);
      const second = await send({ headers });
      expect(second.headers['idempotency-replayed']).toBeUndefined();
      expect(quantitiesIn(second)).toEqual({ cola: 5 });
      expect(await shop.quantities(from)).toEqual({});
      const third = await send({ headers });
      expect(third.headers['idempotency-replayed']).toBe('true');
      expect(third.body).toBe(second.body);
    });

    it('moves a line that was added during the first request', async () => {
      await shop.putLine(from, 'cola', 2);
      // Adds the line after the cart was read and before the answer is stored.
      shop.client.middlewareStack.add(
        (next, { commandName }) =>
          async (args) => {
            const record =
              commandName === 'UpdateItemCommand' && (args.input as UpdateItemCommand['input']).TableName === IDEMPOTENCY.tableName;
            if (record) {
              shop.client.middlewareStack.remove('late');
              await shop.putLine(from, 'late', 1);
            }
            return next(args);
          },
        { step: 'initialize', name: 'late' },
      );
      expect(quantitiesIn(await send())).toEqual({ cola: 2 });
      expect(await shop.quantities(from)).toEqual({ late: 1 });
      expect(quantitiesIn(await send())).toEqual({ cola: 2, late: 1 });
    });

    it('treats another idempotency key, user or cart as another request', async () => {
      await send({ headers: { 'idempotency-key': 'one' } });
      expect((await send({ headers: { 'idempotency-key': 'two' } })).headers['idempotency-replayed']).toBeUndefined();
      expect((await send({ headers: { 'idempotency-key': 'one' } })).headers['idempotency-replayed']).toBe('true');
      expect((await send({ sub: `${sub}-other`, headers: { 'idempotency-key': 'one' } })).headers['idempotency-replayed']).toBeUndefined();
      // The parts of the key cannot be confused with each other.
      expect((await send({ sub: cartId, cartId: sub })).headers['idempotency-replayed']).toBeUndefined();
    });

    it('replays an answer of 500 kB', async () => {
      const detail = (n: number) => ({ text: Array.from({ length: 3_000 }, (_, i) => `word${(i * 7919 + n) % 1_000}`).join(' ') });
      for (let n = 0; n < 40; n += 1) await shop.putLine(from, `p${n}`, 1, { productDetail: detail(n) });
      const first = await send();
      expect(first.body.length).toBeGreaterThan(500_000);
      const again = await send();
      expect(again.headers['idempotency-replayed']).toBe('true');
      expect(again.body).toBe(first.body);
    });
  });

  describe('a process that dies', () => {
    it('repairs by a retry whatever a process left that died at any of its calls', async () => {
      migrate = open({ marginMs: 0, linesAtOnce: 2 });
      const rehearsal = new Process();
      for (let n = 0; n < 3; n += 1) await shop.putLine(from, `p${n}`, n + 1);
      await rehearsal.run(() => send());
      const calls = rehearsal.calls.length;
      expect(calls).toBeGreaterThan(6);
      const retries: Promise<void>[] = [];
      for (const fault of ['dies before', 'dies after'] as const) {
        for (let at = 1; at <= calls; at += 1) retries.push(dieAndRetry(`${sub}-${at}-${fault.at(5)}`, fault, at));
      }
      await Promise.all(retries);
    });

    const dieAndRetry = async (who: string, fault: Fault, at: number): Promise<void> => {
      const cart = `anonymous-${who}`;
      for (let n = 0; n < 3; n += 1) await shop.putLine(`cart#${cart}`, `p${n}`, n + 1);
      const mortal = new Process((_, call) => (call === at ? fault : undefined));
      expect(await mortal.run(() => migrate(request({ sub: who, cartId: cart }), invocation(3_000)))).toBeUndefined();
      const answers: number[] = [];
      const end = Date.now() + 20_000;
      while (answers.at(-1) !== 200 && Date.now() < end) {
        const response = await migrate(request({ sub: who, cartId: cart }), invocation());
        answers.push(response.statusCode);
        if (response.statusCode === 200) expect(quantitiesIn(response)).toEqual({ p0: 1, p1: 2, p2: 3 });
        else await new Promise((resolve) => setTimeout(resolve, 100));
      }
      expect(answers.at(-1)).toBe(200);
      expect(answers.slice(0, -1).every((status) => status === 409)).toBe(true);
      expect(await shop.quantities(`cart#${cart}`)).toEqual({});
      expect(await shop.quantities(`user#${who}`)).toEqual({ p0: 1, p1: 2, p2: 3 });
    };
  });

  it('logs neither products nor ids', async () => {
    await shop.putLine(from, 'caviar', 7, { productDetail: { name: 'Beluga' } });
    const faults: Fault[] = ['throttled', 'lost', 'conflict'];
    let call = 0;
    await sendWith(() => faults[call++ % 3]);
    await send();
    expect(seen.lines.length).toBeGreaterThan(1);
    expect(JSON.stringify(seen.lines)).not.toMatch(/caviar|Beluga|cart-\d|ann-/);
  });
});
