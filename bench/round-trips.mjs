import { valkeyCache } from '../dist/caches/valkey.js';
import { views as shopViews } from '../dist/views/index.js';
import { syncRecords, tally } from './contestants.mjs';
import { cartLine, order, range, record } from './orders.mjs';
import { startProxy } from './proxy.mjs';
import { exact, figure } from './report.mjs';
import { startServer } from './server.mjs';
import { spread } from './statistics.mjs';

/**
 * @typedef {import('./orders.mjs').StreamRecord} StreamRecord
 * @typedef {import('../dist/view.js').View} View
 *
 * @typedef {object} Story
 * @property {string} name
 * @property {(n: number) => StreamRecord} record
 * @property {{ readonly applied: number, readonly stale: number }} outcome of one record; another outcome is an error of the bench
 * @property {readonly View[]} [views]
 */

const COUNT = 50;
/** Places in the stream, one range for each kind of change. */
const [INSERTED, UPDATED, MOVED, DELETED] = /** @type {const} */ ([1_000_000, 2_000_000, 3_000_000, 4_000_000]);
const views = Object.values(shopViews);

/** @param {number} n @param {object} changes */
const changed = (n, changes) => ({ ...order(n), ...changes });
/** @param {number} n */
const updated = (n) => changed(n, { status: 'baked' });
/** @param {number} n */
const moved = (n) => changed(n, { status: 'baked', creator: `heir-${n}` });

/** Copies the views under other names. @param {number} copies */
const manyViews = (copies) => range(copies).flatMap((i) => views.map((view) => ({ ...view, name: `${view.name}-${i}` })));

/** @type {readonly Story[]} */
const stories = [
  { name: 'insert', record: (n) => record(INSERTED + n, undefined, order(n)), outcome: { applied: 4, stale: 0 } },
  { name: 'update', record: (n) => record(UPDATED + n, order(n), updated(n)), outcome: { applied: 4, stale: 0 } },
  { name: 'duplicate', record: (n) => record(UPDATED + n, order(n), updated(n)), outcome: { applied: 4, stale: 0 } },
  { name: 'creator change', record: (n) => record(MOVED + n, updated(n), moved(n)), outcome: { applied: 5, stale: 0 } },
  // The list that the order has left holds the version of the move, which is newer than this record.
  { name: 'stale', record: (n) => record(UPDATED + n, order(n), updated(n)), outcome: { applied: 0, stale: 4 } },
  { name: 'delete', record: (n) => record(DELETED + n, moved(n), undefined), outcome: { applied: 4, stale: 0 } },
  { name: 'cart line', record: (n) => record(INSERTED + n, undefined, cartLine(n)), outcome: { applied: 1, stale: 0 } },
  {
    name: 'insert, 1 view',
    views: views.slice(0, 1),
    record: (n) => record(DELETED + n, undefined, order(n)),
    outcome: { applied: 1, stale: 0 },
  },
  {
    name: 'insert, 40 views',
    views: manyViews(10),
    record: (n) => record(INSERTED + n, undefined, order(n)),
    outcome: { applied: 40, stale: 0 },
  },
];

/** Counts round trips a record at the socket. @param {import('./report.mjs').Context} context */
export async function roundTrips({ progress }) {
  const server = await startServer();
  const proxy = await startProxy(server.port);
  const cache = valkeyCache({ url: proxy.url });
  try {
    tally(await syncRecords(cache, views, [record(INSERTED - 1, undefined, order(COUNT))]));
    const first = proxy.traffic();
    const figures = [];
    for (const { name, record, outcome, views: chosen = views } of stories) {
      progress(`round trips: ${name}`);
      /** @type {number[]} */
      const trips = [];
      /** @type {number[]} */
      const commands = [];
      for (const n of range(COUNT)) {
        proxy.reset();
        const { applied, stale } = tally(await syncRecords(cache, chosen, [record(n)]));
        if (applied !== outcome.applied || stale !== outcome.stale) {
          throw new Error(`${name}: ${applied} applied and ${stale} stale, not ${outcome.applied} and ${outcome.stale}`);
        }
        const traffic = proxy.traffic();
        trips.push(traffic.roundTrips);
        commands.push(traffic.commands);
      }
      figures.push({ name, records: COUNT, roundTrips: spread(trips), most: Math.max(...trips), commands: spread(commands) });
    }
    const worst = Math.max(...figures.map(({ most }) => most));
    const least = Math.min(...figures.map(({ roundTrips }) => roundTrips.low));
    return {
      sections: [
        {
          title: 'Round trips a record, one record a batch',
          head: ['', 'records', 'round trips', 'most', 'commands'],
          rows: figures.map((row) => [
            row.name,
            figure(row.records),
            figure(row.roundTrips.median),
            figure(row.most),
            figure(row.commands.median),
          ]),
          note: `The first record of a connection: ${first.roundTrips} round trips, ${first.commands} commands.`,
        },
      ],
      checks: [
        {
          what: 'round trips a record',
          measured: { ...exact(worst), low: least, high: worst },
          relation: /** @type {const} */ ('exactly'),
          required: 1,
        },
      ],
      figures: { stories: figures, first: { roundTrips: first.roundTrips, commands: first.commands } },
    };
  } finally {
    await cache.close();
    await proxy.close();
    await server.close();
  }
}
