import { marshall } from '@aws-sdk/util-dynamodb';

/**
 * @typedef {import('../dist/dynamodb/record.js').StreamRecord} StreamRecord
 * @typedef {Readonly<Record<string, unknown>> & { readonly pk: string, readonly sk: string }} Item
 */

const STREAM_ARN = 'arn:aws:dynamodb:eu-west-1:123456789012:table/shop/stream/2026-11-01T09:00:00.123';
const FIRST_SEQUENCE_NUMBER = 418_800_000_000_000_000_000_000n;
const FIRST_ORDER_AT = Date.parse('2026-11-20T18:00:00Z');
const ORDERS_PER_CREATOR = 10;
const [SIZES, CRUSTS, SAUCES] = [
  ['small', 'medium', 'large'],
  ['classic', 'thin', 'stuffed'],
  ['tomato', 'white', 'pesto'],
];
const TOPPINGS = ['mozzarella', 'basil', 'olives', 'mushrooms', 'artichokes', 'capers'];

/** @param {readonly string[]} choices @param {number} n */
const pick = (choices, n) => choices[n % choices.length] ?? '';

/** Makes the n-th order; the shop takes one a second. @param {number} n */
export function order(n) {
  const id = `order-${String(n).padStart(8, '0')}`;
  return {
    pk: `order#${id}`,
    sk: 'order',
    id,
    createdAt: new Date(FIRST_ORDER_AT + n * 1_000).toISOString(),
    status: 'placed',
    numItems: 2,
    items: [0, 1].map((i) => ({
      size: pick(SIZES, n + i),
      crust: pick(CRUSTS, n + 2 * i),
      sauce: pick(SAUCES, n + i),
      toppings: [0, 1, 2].map((t) => pick(TOPPINGS, n + i + t)),
    })),
    creator: `creator-${Math.floor(n / ORDERS_PER_CREATOR)}`,
  };
}

/** @param {number} n @returns {Item} */
export function cartLine(n) {
  return { pk: `cart#cart-${n}`, sk: `product#product-${n}`, quantity: 1, productDetail: { name: `Pizza ${n}` }, expiresAt: 1_900_000_000 };
}

/**
 * Makes the stream record of a change, as Lambda delivers it. A greater `place` is a later change.
 *
 * @param {number} place @param {Item | undefined} before @param {Item | undefined} after @returns {StreamRecord}
 */
export function record(place, before, after) {
  const { pk, sk } = /** @type {Item} */ (after ?? before);
  return {
    eventID: `event-${place}`,
    eventName: !before ? 'INSERT' : after ? 'MODIFY' : 'REMOVE',
    eventSource: 'aws:dynamodb',
    eventSourceARN: STREAM_ARN,
    dynamodb: {
      ApproximateCreationDateTime: (FIRST_ORDER_AT + place) / 1_000,
      Keys: marshall({ pk, sk }),
      ...(before && { OldImage: marshall(before) }),
      ...(after && { NewImage: marshall(after) }),
      SequenceNumber: String(FIRST_SEQUENCE_NUMBER + BigInt(place)),
      StreamViewType: 'NEW_AND_OLD_IMAGES',
    },
  };
}

/** Lists numbers from `start` on. @param {number} count */
export function range(count, start = 0) {
  return Array.from({ length: count }, (_, i) => start + i);
}

/** @template T @param {readonly T[]} all @param {number} size @returns {T[][]} */
export function chunksOf(all, size) {
  return range(Math.ceil(all.length / size)).map((i) => all.slice(i * size, (i + 1) * size));
}
