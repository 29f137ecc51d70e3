import { order, range, record } from './orders.mjs';

/**
 * @typedef {import('./orders.mjs').StreamRecord} StreamRecord
 *
 * @typedef {object} Race
 * @property {string} name
 * @property {number} batch
 * @property {boolean} required
 * @property {readonly StreamRecord[]} [before] what is written first, untimed
 * @property {readonly StreamRecord[]} records
 */

/** As many as the shop's lists keep, so that the plain writes have the same effect: nothing is trimmed. */
const RECORDS = 1_000;
export const MUTATIONS_OF_ORDER = 4;

export const orders = range(RECORDS).map(order);
const inserts = orders.map((order, n) => record(RECORDS + n, undefined, order));
const older = range(RECORDS, -RECORDS).map((n) => record(RECORDS + n, undefined, { ...order(n), id: `older${n}`, pk: `order#older${n}` }));
const updates = orders.map((order, n) => record(2 * RECORDS + n, order, { ...order, status: 'baked' }));

/** @type {readonly Race[]} */
export const races = [
  { name: '1', batch: 1, required: false, records: inserts },
  { name: '10', batch: 10, required: false, records: inserts },
  { name: '100', batch: 100, required: true, records: inserts },
  { name: '1,000', batch: 1_000, required: true, records: inserts },
  { name: '100, updates', batch: 100, required: false, before: inserts, records: updates },
  { name: '100, full lists', batch: 100, required: false, before: older, records: inserts },
];
