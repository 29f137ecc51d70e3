import { views as shopViews } from '../dist/views/index.js';
import { order, range, record } from './orders.mjs';

/**
 * @typedef {import('./orders.mjs').StreamRecord} StreamRecord
 *
 * @typedef {object} Race
 * @property {string} name
 * @property {number} batch records in a batch
 * @property {readonly StreamRecord[]} before records that are applied before the clock starts
 * @property {readonly StreamRecord[]} records
 *
 * @typedef {object} Thresholds the least ratio of the records/s of `sync` to those of its yardstick
 * @property {number} ofPlain
 * @property {number} ofBare
 */

const RECORDS = 1_000;
export const MUTATIONS_OF_ORDER = 4;
/** The shop's views, with lists that keep all records: the plain writes trim nothing. */
export const views = Object.values(shopViews).map((view) => (view.kind === 'list' ? { ...view, keep: RECORDS } : view));

export const orders = range(RECORDS).map(order);
const inserts = orders.map((order, n) => record(RECORDS + n, undefined, order));
const older = range(RECORDS, -RECORDS).map((n) => record(RECORDS + n, undefined, { ...order(n), id: `older${n}`, pk: `order#older${n}` }));
const updates = orders.map((order, n) => record(2 * RECORDS + n, order, { ...order, status: 'baked' }));

/** Races of `sync`. One without thresholds is only shown. @type {readonly (Race & { readonly thresholds?: Thresholds })[]} */
export const races = [
  { name: '1', batch: 1, before: [], records: inserts },
  { name: '10', batch: 10, before: [], records: inserts },
  // A client without any cost would reach about 1.4 of plain here.
  { name: '100', batch: 100, before: [], records: inserts, thresholds: { ofPlain: 0.9, ofBare: 0.65 } },
  { name: '1,000', batch: 1_000, before: [], records: inserts, thresholds: { ofPlain: 1.2, ofBare: 0.6 } },
  { name: '100, updates', batch: 100, before: inserts, records: updates },
  { name: '100, full lists', batch: 100, before: older, records: inserts },
];

/** The order that the yardstick of an invocation reads. */
export const GET_KEY = 'bench:order';
/**
 * Races of whole handlers, one record an invocation. The lists grow by one order an invocation; those of the workshop's handler without limit.
 *
 * @type {readonly Race[]}
 */
export const invocations = /** @type {const} */ ([
  [10, 60],
  [100, 200],
  [1_000, 1_100],
]).map(([from, to]) => {
  const inserts = range(to).map((n) => record(n, undefined, { ...order(n), creator: 'ann' }));
  const name = `lists of ${from.toLocaleString('en')} to ${to.toLocaleString('en')}`;
  return { name, batch: 1, before: inserts.slice(0, from), records: inserts.slice(from) };
});
