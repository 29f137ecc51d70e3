import { documentView, entity, listView } from '../dist/view.js';
import { order, range } from './orders.mjs';

/**
 * A read that the contestants repeat.
 *
 * @typedef {object} ReadRace
 * @property {string} name
 * @property {'one' | 'many' | 'page'} verb
 * @property {boolean} cold whether the cache is empty before each read
 * @property {number} count reads a run; of a cold race with a key each
 */

export const TABLE = 'reads';
export const KEYS = /** @type {const} */ (['pk', 'sk']);
/** Documents of one `getMany`. */
export const MANY = 100;
export const PAGE = 20;
const OWNERS = 20;
const LINES = 100;

const orderEntity = entity({
  name: 'order',
  owns: ({ sk }) => sk === 'order',
  schema: { parse: (item) => /** @type {ReturnType<typeof order>} */ (item) },
});
export const detail = documentView({
  name: 'detail',
  revision: 1,
  entity: orderEntity,
  project: ({ pk: _, sk: __, creator: ___, ...visible }) => [{ key: visible.id, value: visible }],
  from: (id) => ({ pk: `order#${id}`, sk: 'order' }),
});

/** @typedef {{ readonly pk: string, readonly sk: string, readonly at: number, readonly title: string }} Line */
const line = entity({
  name: 'line',
  owns: ({ sk }) => typeof sk === 'string' && sk.startsWith('line#'),
  schema: { parse: (item) => /** @type {Line} */ (item) },
});
/** @param {number} at */
const sortKey = (at) => `line#${String(at).padStart(6, '0')}`;
export const lines = listView({
  name: 'lines',
  revision: 1,
  keep: 50,
  entity: line,
  project: ({ pk, at, title }) => [{ list: pk, score: at, value: { at, title } }],
  from: (list) => ({
    partition: { name: 'pk', value: list },
    sort: { name: 'sk', beginsWith: 'line#', valueAt: sortKey },
  }),
});

const ORDERS = 1_000;
const ids = range(ORDERS).map((n) => order(n).id);
/** @param {number} n */
export const idOf = (n) => ids[n % ORDERS] ?? '';
/** @param {number} n */
export const ownerOf = (n) => `owner#${n % OWNERS}`;
/** Ids of the n-th `getMany`. @param {number} n */
export const idsOf = (n) => range(MANY, (n * MANY) % ORDERS).map(idOf);

/** What the table has: orders, and owners with lines. @returns {readonly Readonly<Record<string, unknown>>[]} */
export function items() {
  const ofOwners = range(OWNERS).flatMap((owner) =>
    range(LINES).map((at) => ({ pk: ownerOf(owner), sk: sortKey(at), at, title: `line ${at} of owner ${owner}` })),
  );
  return [...range(ORDERS).map(order), ...ofOwners];
}

/** The reads of a run: fewer of the table where the others read a cache, because they would take most of the time. @param {string} contestant @param {ReadRace} race */
export const countOf = (contestant, { count, cold }) => (contestant === 'table' && !cold ? Math.ceil(count / 10) : count);

/** @type {readonly ReadRace[]} */
export const reads = [
  { name: 'hit', verb: 'one', cold: false, count: 500 },
  { name: 'getMany, 100 hits', verb: 'many', cold: false, count: 30 },
  { name: 'complete page of 20', verb: 'page', cold: false, count: 200 },
  { name: 'miss, filled', verb: 'one', cold: true, count: 50 },
  { name: 'getMany, 100 misses, filled', verb: 'many', cold: true, count: 5 },
  { name: 'incomplete page of 20, filled', verb: 'page', cold: true, count: 20 },
];
