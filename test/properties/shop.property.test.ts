import { setTimeout as sleep } from 'node:timers/promises';
import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ApiResponse } from '../../src/shop/api.ts';
import { migrateCartApi } from '../../src/shop/migrate-cart-api.ts';
import { type DynamoDbLocal, HOW_TO_GET_JAVA, javaAvailable, startDynamoDbLocal } from '../servers/dynamodb-local.ts';
import { missing } from '../servers/requires.ts';
import { IDEMPOTENCY, invocation, quantitiesIn, request, ShopDatabase, watched, witness } from '../shop/shop.ts';
import { type Fault, Process } from '../shop/shop-process.ts';

const PRODUCTS = ['cola', 'pizza', 'salad', 'soup', 'tea'];
const FAULTS: readonly Fault[] = ['throttled', 'conflict', 'lost', 'dies before', 'dies after'];
/** The remaining time of a process with faults, ms. After it, another process may repeat its request, as after Lambda has killed a function. */
const SHORT_MS = 200;

/** Number of histories. Default: as many as fit into `TIME_MS`. SEED repeats the histories of a failed run. */
const HISTORIES = process.env.SHOP_HISTORIES === undefined ? undefined : Number(process.env.SHOP_HISTORIES);
const SEED = process.env.SEED === undefined ? Math.trunc(Math.random() * 2 ** 31) : Number(process.env.SEED);
const TIME_MS = 8_000;
const AT_ONCE = 4;

const quantities = fc.dictionary(fc.constantFrom(...PRODUCTS), fc.integer({ min: 1, max: 9 }), { maxKeys: PRODUCTS.length, size: 'max' });
interface Addition {
  readonly afterMs: number;
  readonly product: string;
  readonly quantity: number;
}
const addition: fc.Arbitrary<Addition> = fc.record({
  afterMs: fc.integer({ min: 0, max: 60 }),
  product: fc.constantFrom(...PRODUCTS),
  quantity: fc.integer({ min: 1, max: 9 }),
});
const history = fc.record({
  cart: quantities,
  user: quantities,
  linesAtOnce: fc.integer({ min: 1, max: 4 }),
  /** When the request is sent, and which of its calls fail. */
  deliveries: fc.array(
    fc.record({
      afterMs: fc.integer({ min: 0, max: 40 }),
      faults: fc.array(fc.record({ call: fc.integer({ min: 1, max: 14 }), fault: fc.constantFrom(...FAULTS) }), {
        maxLength: 3,
        size: 'max',
      }),
    }),
    { minLength: 1, maxLength: 4, size: 'max' },
  ),
  /** What the customer adds to the anonymous cart meanwhile. */
  additions: fc.oneof(fc.constant<Addition[]>([]), fc.array(addition, { minLength: 1, maxLength: 3 })),
  idempotencyKey: fc.option(fc.constant('checkout-1'), { nil: undefined }),
});
type History = typeof history extends fc.Arbitrary<infer T> ? T : never;
type Quantities = Readonly<Record<string, number>>;

function sum(...all: readonly Quantities[]): Quantities {
  const total: Record<string, number> = {};
  for (const [product, quantity] of all.flatMap((some) => Object.entries(some))) total[product] = (total[product] ?? 0) + quantity;
  return total;
}

describe.skipIf(missing(javaAvailable(), HOW_TO_GET_JAVA))('a cart migration', () => {
  let local: DynamoDbLocal;
  let shop: ShopDatabase;
  const tally: Record<string, number> = {};
  const happened = (what: string) => {
    tally[what] = (tally[what] ?? 0) + 1;
  };
  let lives = 0;

  beforeAll(async () => {
    local = await startDynamoDbLocal();
    shop = await ShopDatabase.create(local);
    await shop.createRecords(IDEMPOTENCY);
  });
  afterAll(async () => {
    shop?.client.destroy();
    await local?.close();
  });

  const live = async ({ cart, user, linesAtOnce, deliveries, additions, idempotencyKey }: History): Promise<void> => {
    lives += 1;
    const [sub, cartId] = [`u${lives}`, `anonymous-${lives}`];
    const [from, to] = [`cart#${cartId}`, `user#${sub}`];
    await Promise.all([
      ...Object.entries(cart).map(([product, quantity]) => shop.putLine(from, product, quantity)),
      ...Object.entries(user).map(([product, quantity]) => shop.putLine(to, product, quantity)),
    ]);
    const cookie = { maxAgeSeconds: 60, sameSite: 'Lax' } as const;
    const migrate = migrateCartApi({ ...shop, ...watched(witness()), idempotency: IDEMPOTENCY, cookie, linesAtOnce, marginMs: 0 });
    const headers = idempotencyKey === undefined ? undefined : { 'idempotency-key': idempotencyKey };
    const send = (remainingMs?: number) => migrate(request({ sub, cartId, headers }), invocation(remainingMs));
    const answers: ApiResponse[] = [];

    const deliver = async ({ afterMs, faults }: History['deliveries'][number]): Promise<void> => {
      await sleep(afterMs);
      const process = new Process((_, call) => faults.find((fault) => fault.call === call)?.fault);
      const answer = await process.run(() => send(faults.length > 0 ? SHORT_MS : undefined));
      for (const fault of process.faults) happened(fault.replace(/ \w+$/, ''));
      happened(answer ? String(answer.statusCode) : 'dead');
      if (answer) answers.push(answer);
    };
    const putMore = async ({ afterMs, product, quantity }: Addition): Promise<void> => {
      await sleep(afterMs);
      await shop.addTo(from, product, quantity);
    };
    await Promise.all([...deliveries.map(deliver), ...additions.map(putMore)]);

    const last = await retry(send);
    answers.push(last);
    const total = sum(cart, user, ...additions.map(({ product, quantity }) => ({ [product]: quantity })));
    expect(await shop.quantities(to)).toEqual(total);
    expect(await shop.quantities(from)).toEqual({});
    expect(quantitiesIn(last)).toEqual(total);
    for (const answer of answers) {
      expect([200, 409, 503]).toContain(answer.statusCode);
      if (answer.statusCode !== 200) continue;
      if (answer.headers['idempotency-replayed']) happened('replayed');
      if (additions.length === 0) expect(answer.body).toBe(last.body);
      const moved = quantitiesIn(answer);
      for (const [product, quantity] of Object.entries(sum(cart, user))) expect(moved[product]).toBeGreaterThanOrEqual(quantity);
    }
  };

  const retry = async (send: () => Promise<ApiResponse>): Promise<ApiResponse> => {
    const end = Date.now() + 20_000;
    for (;;) {
      const answer = await send();
      if (answer.statusCode === 200 || Date.now() > end) return answer;
      happened('retried');
      await sleep(20);
    }
  };

  const minutes = Math.max(2, (HISTORIES ?? 0) / 50);
  it('neither loses nor repeats a quantity, and gives the same answers, in random histories of faults and concurrent requests', {
    timeout: minutes * 60_000,
  }, async () => {
    const share = {
      numRuns: Math.ceil((HISTORIES ?? 100_000) / AT_ONCE),
      interruptAfterTimeLimit: HISTORIES === undefined ? TIME_MS : (minutes - 1) * 60_000,
      markInterruptAsFailure: HISTORIES !== undefined,
    };
    const shares = Array.from({ length: AT_ONCE }, (_, i) => fc.assert(fc.asyncProperty(history, live), { ...share, seed: SEED + i }));
    await Promise.all(shares);
    if (process.env.SHOW_TALLY) console.log({ histories: lives, ...tally });
    // Histories without faults prove nothing. A slow machine runs few histories, which may lack some faults.
    expect(lives).toBeGreaterThanOrEqual(AT_ONCE);
    for (const what of lives < 100 ? [] : [...FAULTS, '200', '409', '503', 'dead', 'replayed', 'retried']) {
      expect(tally[what] ?? 0, what).toBeGreaterThan(lives / 50);
    }
  });
});
