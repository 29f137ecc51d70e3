// One contestant of the throughput bench, in a process of its own: else the code of one is compiled for what the others do with it.
//   node bench/racer.mjs sync|plain|bare PORT
import { Redis } from 'iovalkey';
import { valkeyCache } from '../dist/caches/valkey.js';
import { views as shopViews } from '../dist/views/index.js';
import { bareSocket, pipelinePlain, plainWrites, recordCalls, syncRecords, tally } from './contestants.mjs';
import { chunksOf } from './orders.mjs';
import { MUTATIONS_OF_ORDER, orders, races } from './races.mjs';

/**
 * @typedef {import('./races.mjs').Race} Race
 * @typedef {() => Promise<void | (() => void)>} Run resolves, when all is acknowledged, with a check that is not timed
 */

const views = Object.values(shopViews);

/** @type {Record<string, (port: number) => Promise<(race: Race) => Run | Promise<Run>>>} */
const contestants = {
  async sync(port) {
    const cache = valkeyCache({ url: `valkey://127.0.0.1:${port}` });
    return ({ name, batch, records }) => {
      const batches = chunksOf(records, batch);
      return async () => {
        /** @type {import('../dist/sync/sync.js').Report[]} */
        const reports = [];
        for (const records of batches) reports.push(await syncRecords(cache, views, records));
        return () => {
          const applied = reports.reduce((sum, report) => sum + tally(report).applied, 0);
          if (applied !== records.length * MUTATIONS_OF_ORDER) throw new Error(`${name}: ${applied} mutations were applied`);
        };
      };
    };
  },
  async plain(port) {
    const client = new Redis({ host: '127.0.0.1', port });
    return ({ batch }) => {
      const batches = chunksOf(orders.map(plainWrites), batch);
      return async () => {
        for (const writes of batches) await pipelinePlain(client, writes);
      };
    };
  },
  async bare(port) {
    const socket = await bareSocket(port);
    return async ({ batch, records }) => {
      const calls = await recordCalls(port, views, chunksOf(records, batch));
      return () => socket.send(calls);
    };
  },
};

const [name = '', port = ''] = process.argv.slice(2);
const prepare = await contestants[name]?.(Number(port));
if (!prepare) throw new Error(`there is no contestant "${name}"`);
/** @type {Run | undefined} */
let run;
/** @param {unknown} message */
const tell = (message) => process.send?.(message);

process.on('message', async (/** @type {string} */ command) => {
  try {
    const race = races.find((race) => race.name === command);
    if (race) {
      run = await prepare(race);
      tell({});
      return;
    }
    const used = process.cpuUsage();
    const started = performance.now();
    const check = await run?.();
    const wall = performance.now() - started;
    const { user, system } = process.cpuUsage(used);
    check?.();
    tell({ wall: wall * 1_000, client: user + system });
  } catch (error) {
    tell({ error: String(error) });
  }
});
process.on('disconnect', () => process.exit());
tell({});
