import { createHash } from 'node:crypto';
import { momentoCache } from '../dist/caches/momento.js';
import { versionOf } from '../dist/version.js';
import { views as shopViews } from '../dist/views/index.js';
import { syncRecords, tally } from './contestants.mjs';
import { order, range, record } from './orders.mjs';
import { exact, figure, figures } from './report.mjs';
import { spread } from './statistics.mjs';
import { importTypeScript } from './typescript.mjs';

/**
 * @typedef {import('./orders.mjs').StreamRecord} StreamRecord
 * @typedef {import('../test/servers/momento/server.ts').MomentoServer} MomentoServer
 *
 * @typedef {object} Story
 * @property {string} name
 * @property {(n: number) => StreamRecord} record
 * @property {{ readonly applied: number, readonly stale: number }} outcome of one record; another outcome is an error of the bench
 * @property {readonly [documents: number, lists: number]} calls the most calls an address
 */

export const CACHE = 'bench';
const COUNT = 50;
const LENGTHS = [20, 150, 1_000];
const BATCH = 100;
const KIB = 1_024;
const LABEL = '2026-11-01T09:00:00.123';
const FIRST_NUMBER = 418_800_000_000_000_000_000_000n;
/** Places in the stream, one range for each kind of change. */
const [INSERTED, UPDATED, DELETED] = /** @type {const} */ ([1_000_000, 2_000_000, 3_000_000]);
/** Addresses of an order. */
const ADDRESSES = { documents: 2, lists: 2 };
const views = Object.values(shopViews);

/** An order of the one creator whose lists exist already. @param {number} n */
const placed = (n) => ({ ...order(n), creator: 'ann' });
/** @param {number} n */
const baked = (n) => ({ ...placed(n), status: 'baked' });

/** @type {readonly Story[]} */
const stories = [
  {
    name: 'insert',
    record: (n) => record(INSERTED + n, undefined, placed(n)),
    outcome: { applied: 4, stale: 0 },
    calls: [3, 1],
  },
  { name: 'update', record: (n) => record(UPDATED + n, placed(n), baked(n)), outcome: { applied: 4, stale: 0 }, calls: [1, 1] },
  { name: 'duplicate', record: (n) => record(UPDATED + n, placed(n), baked(n)), outcome: { applied: 4, stale: 0 }, calls: [1, 1] },
  { name: 'stale', record: (n) => record(INSERTED + n, undefined, placed(n)), outcome: { applied: 0, stale: 4 }, calls: [1, 1] },
  { name: 'delete', record: (n) => record(DELETED + n, baked(n), undefined), outcome: { applied: 4, stale: 0 }, calls: [1, 1] },
];

/** Starts the tests' server of Momento in this process. @returns {Promise<MomentoServer>} */
export async function startMomento() {
  const { startMomentoServer } = await importTypeScript('test/servers/momento/server.ts');
  return await startMomentoServer({ caches: [CACHE], casMixing: 'reject' });
}

/** Counts, at the server, calls a record, and bytes a write and a page of a list. @param {import('./report.mjs').Context} context */
export async function momento({ quick, progress }) {
  progress('momento: starting the test server');
  const server = await startMomento();
  const access = { kind: /** @type {const} */ ('local'), host: server.host, port: server.port };
  const cache = await momentoCache({ access, cacheName: CACHE });
  try {
    const records = await callsARecord(server, cache, progress);
    const batch = await callsABatch(server, cache);
    const lists = [];
    for (const length of LENGTHS) {
      progress(`momento: a list of ${length}`);
      lists.push(await sizeOfAList(server, cache, length, quick ? 5 : 25));
    }
    return {
      sections: [
        {
          title: 'Momento: calls a record, one record a batch; an order is in two documents and two lists',
          head: ['', 'records', 'calls', 'a document', 'a list'],
          rows: records.map(({ name, documents, lists }) => [
            name,
            figure(COUNT),
            figures(spread(documents.map((calls, i) => calls + (lists[i] ?? 0)))),
            figure(Math.max(...documents) / ADDRESSES.documents),
            figure(Math.max(...lists) / ADDRESSES.lists),
          ]),
          note: `The first write of a document by a client takes 2 calls, of a new document 3. Calls of ${BATCH} concurrent records of one list, together: ${batch}.`,
        },
        {
          title: 'Momento: a list of order summaries, written and read whole',
          head: ['members', 'KiB a write', 'KiB a read', 'bytes a member', 'update, ms', 'page of 10, ms'],
          rows: lists.map(({ length, writtenKib, readKib, updateMs, pageMs }) => [
            figure(length),
            figure(writtenKib),
            figure(readKib),
            figure((writtenKib * KIB) / length),
            figures(updateMs),
            figures(pageMs),
          ]),
          note: 'Momento charges by the KiB. Client and server share one process, so the times contain no network.',
        },
      ],
      checks: [
        ...records.flatMap(({ name, documents, lists, calls: [aDocument, aList] }) => [
          {
            what: `Momento, ${name}: calls a document`,
            measured: exact(Math.max(...documents) / ADDRESSES.documents),
            relation: /** @type {const} */ ('at most'),
            required: aDocument,
          },
          {
            what: `Momento, ${name}: calls a list`,
            measured: exact(Math.max(...lists) / ADDRESSES.lists),
            relation: /** @type {const} */ ('at most'),
            required: aList,
          },
        ]),
        {
          what: `Momento: calls of ${BATCH} concurrent records of one list`,
          measured: exact(batch),
          relation: /** @type {const} */ ('at most'),
          required: 3,
        },
      ],
      figures: { records, batch, lists },
    };
  } finally {
    await cache.close();
    await server.stop();
  }
}

/** Counts the calls of each story, record by record. @param {MomentoServer} server @param {import('../dist/cache.js').CacheClient} cache @param {(step: string) => void} progress */
async function callsARecord(server, cache, progress) {
  const counted = { documents: 0, lists: 0 };
  server.onCall(({ key = '' }) => {
    counted[key.includes(':list:') ? 'lists' : 'documents'] += 1;
    return undefined;
  });
  tally(await syncRecords(cache, views, [record(INSERTED - 1, undefined, placed(COUNT))]));
  const results = [];
  for (const { name, record, outcome, calls } of stories) {
    progress(`momento: ${name}`);
    /** @type {number[]} */
    const documents = [];
    /** @type {number[]} */
    const lists = [];
    for (const n of range(COUNT)) {
      Object.assign(counted, { documents: 0, lists: 0 });
      const { applied, stale } = tally(await syncRecords(cache, views, [record(n)]));
      if (applied !== outcome.applied || stale !== outcome.stale) {
        throw new Error(`${name}: ${applied} applied and ${stale} stale, not ${outcome.applied} and ${outcome.stale}`);
      }
      documents.push(counted.documents);
      lists.push(counted.lists);
    }
    results.push({ name, documents, lists, calls });
  }
  server.onCall(undefined);
  return results;
}

/** @param {string} list @param {number} n @param {number} keep @param {number} place @returns {import('../dist/mutation.js').Mutation} */
function put(list, n, keep, place) {
  const { items: _, creator: __, pk: ___, sk, ...summary } = order(n);
  // Random digits, because real ids compress badly. The same n has the same digits.
  const digits = createHash('md5').update(String(n)).digest('hex');
  const id = digits.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
  const score = Date.parse(summary.createdAt) + (Number.parseInt(digits.slice(0, 4), 16) % 1_000);
  const json = JSON.stringify({ ...summary, id, createdAt: new Date(score).toISOString() });
  const version = versionOf(LABEL, String(FIRST_NUMBER + BigInt(place)));
  return { kind: 'member', type: 'put', list, member: JSON.stringify([`order#${id}`, sk]), score, keep, json, version };
}

/** Counts the calls of concurrent records of one list. @param {MomentoServer} server @param {import('../dist/cache.js').CacheClient} cache */
async function callsABatch(server, cache) {
  await cache.apply([put('batch', 0, 1_000, 1)]);
  server.resetCounters();
  await Promise.all(range(BATCH, 1).map((n) => cache.apply([put('batch', n, 1_000, 1 + n)])));
  return server.calls();
}

/** Counts the bytes of a list, and times its update and its page. @param {MomentoServer} server @param {import('../dist/cache.js').CacheClient} cache @param {number} length @param {number} rounds */
async function sizeOfAList(server, cache, length, rounds) {
  const list = `of ${length}`;
  await cache.apply(range(length).map((n) => put(list, n, length, 1 + n)));
  /** @type {number[]} */
  const updates = [];
  /** @type {number[]} */
  const pages = [];
  server.resetCounters();
  for (const round of range(rounds)) {
    const started = performance.now();
    await cache.apply([put(list, round, length, 1 + length + round)]);
    updates.push(performance.now() - started);
  }
  for (const _ of range(rounds)) {
    const started = performance.now();
    const { members } = await cache.list(list, { limit: 10 });
    pages.push(performance.now() - started);
    if (members.length !== 10) throw new Error(`a page of 10 has ${members.length} members`);
  }
  const { SetIfHash, Get } = server.counters();
  return {
    length,
    writtenKib: (SetIfHash?.bytesIn ?? 0) / rounds / KIB,
    readKib: (Get?.bytesOut ?? 0) / rounds / KIB,
    updateMs: spread(updates),
    pageMs: spread(pages),
  };
}
