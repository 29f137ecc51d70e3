import { Redis } from 'iovalkey';
import { valkeyCache } from '../dist/caches/valkey.js';
import { views as shopViews } from '../dist/views/index.js';
import { bareSocket, pipelinePlain, plainWrites, recordCalls, syncRecords, tally } from './contestants.mjs';
import { chunksOf, order, range, record } from './orders.mjs';
import { figure, figures } from './report.mjs';
import { serverCpu, startServer } from './server.mjs';
import { isDecided, median, spread } from './statistics.mjs';

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
const LEAST_OF_PLAIN = 1.2;
const LEAST_OF_BARE = 0.6;
const MUTATIONS_OF_ORDER = 4;
const views = Object.values(shopViews);

const orders = range(RECORDS).map(order);
const inserts = orders.map((order, n) => record(RECORDS + n, undefined, order));
const older = range(RECORDS, -RECORDS).map((n) => record(RECORDS + n, undefined, { ...order(n), id: `older${n}`, pk: `order#older${n}` }));
const updates = orders.map((order, n) => record(2 * RECORDS + n, order, { ...order, status: 'baked' }));

/** @type {readonly Race[]} */
const races = [
  { name: '1', batch: 1, required: false, records: inserts },
  { name: '10', batch: 10, required: false, records: inserts },
  { name: '100', batch: 100, required: true, records: inserts },
  { name: '1,000', batch: 1_000, required: true, records: inserts },
  { name: '100, updates', batch: 100, required: false, before: inserts, records: updates },
  { name: '100, full lists', batch: 100, required: false, before: older, records: inserts },
];

/**
 * Records a second, from Lambda event to acknowledged writes, beside the plain pipeline and the bare server.
 *
 * @param {import('./report.mjs').Context} context
 */
export async function throughput({ quick, progress }) {
  const [warmups, least, most] = quick ? [5, 15, 15] : [15, 31, 151];
  const server = await startServer();
  const cache = valkeyCache({ url: server.url });
  const plain = new Redis({ host: '127.0.0.1', port: server.port });
  const bare = await bareSocket(server.port);
  try {
    const results = [];
    for (const race of races) {
      const batches = chunksOf(race.records, race.batch);
      const plainBatches = chunksOf(orders.map(plainWrites), race.batch);
      const calls = await recordCalls(server.port, views, batches);
      const contestants = {
        sync: async () => {
          /** @type {import('../dist/sync.js').Report[]} */
          const reports = [];
          for (const records of batches) reports.push(await syncRecords(cache, views, records));
          return () => {
            const applied = reports.reduce((sum, report) => sum + tally(report).applied, 0);
            if (applied !== race.records.length * MUTATIONS_OF_ORDER) throw new Error(`${race.name}: ${applied} mutations were applied`);
          };
        },
        plain: async () => {
          for (const writes of plainBatches) await pipelinePlain(plain, writes);
        },
        bare: () => bare.send(calls),
      };
      /** @typedef {keyof typeof contestants} Name */
      const names = /** @type {Name[]} */ (Object.keys(contestants));
      /** @type {Record<Name, { wall: number, client: number, server: number }[]>} */
      const rounds = { sync: [], plain: [], bare: [] };

      /** On an empty cache; µs a record. @param {Name} name */
      const run = async (name) => {
        await server.admin.flushall();
        if (race.before) tally(await syncRecords(cache, views, race.before));
        const [cpu, used] = [await serverCpu(server.admin), process.cpuUsage()];
        const started = performance.now();
        const check = await contestants[name]();
        const wall = performance.now() - started;
        const { user, system } = process.cpuUsage(used);
        const onServer = (await serverCpu(server.admin)) - cpu;
        check?.();
        const count = race.records.length;
        return { wall: (wall * 1_000) / count, client: (user + system) / count, server: onServer / count };
      };
      /** Round by round. @param {Name} other */
      const against = (other) => rounds.sync.map(({ wall }, i) => (rounds[other][i]?.wall ?? Number.NaN) / wall);
      const decided = () => !race.required || (isDecided(against('plain'), LEAST_OF_PLAIN) && isDecided(against('bare'), LEAST_OF_BARE));

      for (let round = -warmups; round < least || (round < most && !decided()); round++) {
        progress(`throughput: batches of ${race.name}, ${round < 0 ? 'warming up' : `round ${round + 1} of ${least} to ${most}`}`);
        // Another begins each time, and all follow at once: what else this machine does hits them alike.
        for (const i of range(names.length)) {
          const name = /** @type {Name} */ (names[(i + round + warmups) % names.length]);
          const took = await run(name);
          if (round >= 0) rounds[name].push(took);
        }
      }
      results.push({ race, rounds, ofPlain: against('plain'), ofBare: against('bare') });
    }

    /** @param {readonly { wall: number }[]} rounds */
    const perSecond = (rounds) => spread(rounds.map(({ wall }) => 1e6 / wall));
    /** @param {readonly { client: number, server: number }[]} rounds @param {'client' | 'server'} part */
    const cost = (rounds, part) => median(rounds.map((round) => round[part]));
    return {
      sections: [
        {
          title: 'Records a second, by records in a batch',
          head: ['', 'sync', 'plain pipeline', 'bare server', 'of plain', 'of bare', 'rounds'],
          rows: results.map(({ race, rounds, ofPlain, ofBare }) => [
            race.name,
            ...[rounds.sync, rounds.plain, rounds.bare].map((of) => figure(perSecond(of).median)),
            figures(spread(ofPlain)),
            figures(spread(ofBare)),
            figure(rounds.sync.length),
          ]),
          note: 'Inserts unless it says otherwise. The plain pipeline decodes, guards and trims nothing; the bare server is sent the encoded calls of sync.',
        },
        {
          title: 'CPU time a record, µs: client + server',
          head: ['', 'sync', 'plain pipeline', 'bare server'],
          rows: results.map(({ race, rounds }) => [
            race.name,
            ...[rounds.sync, rounds.plain, rounds.bare].map((of) => `${figure(cost(of, 'client'))} + ${figure(cost(of, 'server'))}`),
          ]),
        },
      ],
      checks: results
        .filter(({ race }) => race.required)
        .flatMap(({ race, ofPlain, ofBare }) => [
          {
            what: `sync / plain pipeline, batches of ${race.name}`,
            measured: spread(ofPlain),
            relation: /** @type {const} */ ('at least'),
            required: LEAST_OF_PLAIN,
          },
          {
            what: `sync / bare server, batches of ${race.name}`,
            measured: spread(ofBare),
            relation: /** @type {const} */ ('at least'),
            required: LEAST_OF_BARE,
          },
        ]),
      figures: results.map(({ race, rounds, ofPlain, ofBare }) => ({
        batch: race.batch,
        name: race.name,
        ofPlain: spread(ofPlain),
        ofBare: spread(ofBare),
        ...Object.fromEntries(
          Object.entries(rounds).map(([name, of]) => [
            name,
            { recordsPerSecond: perSecond(of), clientMicroseconds: cost(of, 'client'), serverMicroseconds: cost(of, 'server') },
          ]),
        ),
      })),
    };
  } finally {
    bare.close();
    plain.disconnect();
    await cache.close();
    await server.close();
  }
}
