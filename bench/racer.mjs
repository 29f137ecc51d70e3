// One contestant in a process of its own. In one process, V8 would compile the code they share for all of them together.
//   node bench/racer.mjs sync|plain|bare|handler|workshop|get|reads:CONTESTANT PORT [PORT_OF_THE_TABLE]
import { Redis } from 'iovalkey';
import { valkeyCache } from '../dist/caches/valkey.js';
import { bareSocket, pipelinePlain, plainWrites, recordCalls, syncRecords, tally } from './contestants.mjs';
import { chunksOf } from './orders.mjs';
import { GET_KEY, invocations, MUTATIONS_OF_ORDER, orders, races, views } from './races.mjs';
import { reads } from './reads.mjs';
import { startWorkshop } from './workshop.mjs';

/**
 * @typedef {import('./races.mjs').Race} Race
 * @typedef {() => Promise<void | (() => void)>} Run resolves, when all is acknowledged, with a check that is not timed
 */

const FUNCTION_TIMEOUT_MS = 30_000;

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
  /** The deployed function: its configuration, its log, its metrics and its store of letters. */
  async handler(port) {
    Object.assign(process.env, {
      CACHE_BACKEND: 'valkey',
      CACHE_URL: `valkey://127.0.0.1:${port}`,
      DEAD_LETTERS: 's3://bench',
      METRICS: 'true',
      POWERTOOLS_SERVICE_NAME: 'millrace',
    });
    const { handler } = await import('../dist/lambdas/stream.js');
    return ({ name, records }) => {
      const context = {
        awsRequestId: '316aa6d0-8154-4b1a-9af7-85d5f4a6bc81',
        functionName: 'millrace-SyncFunction-0J8ZkXq3vT2b',
        invokedFunctionArn: 'arn:aws:lambda:eu-west-1:123456789012:function:millrace-SyncFunction-0J8ZkXq3vT2b',
        getRemainingTimeInMillis: () => FUNCTION_TIMEOUT_MS,
      };
      const events = eventsOf(records);
      return async () => {
        const answers = [];
        for (const event of events) answers.push(await handler(event, context));
        return () => {
          if (answers.some(({ batchItemFailures }) => batchItemFailures.length > 0)) throw new Error(`${name}: a record failed`);
        };
      };
    };
  },
  async workshop(port) {
    const handler = await startWorkshop(new Redis({ host: '127.0.0.1', port }));
    return ({ records }) => {
      const events = eventsOf(records);
      return async () => {
        for (const event of events) await handler(event);
      };
    };
  },
  /** One GET a record. */
  async get(port) {
    const client = new Redis({ host: '127.0.0.1', port });
    return ({ records }) =>
      async () => {
        for (const _ of records) await client.get(GET_KEY);
      };
  },
};

/** An event for each record, which was written just now: old records would make the handler warn. @param {Race['records']} records */
function eventsOf(records) {
  const now = Math.floor(Date.now() / 1_000);
  return records.map((record) => ({ Records: [{ ...record, dynamodb: { ...record.dynamodb, ApproximateCreationDateTime: now } }] }));
}

const [name = '', port = '', tablePort = ''] = process.argv.slice(2);
const reader = /^reads:(.*)/.exec(name)?.[1];
/** @type {(race: any) => Run | undefined | Promise<Run | undefined>} */
const prepare =
  reader === undefined
    ? await contestants[name]?.(Number(port))
    : // Loads packages that the other contestants must not pay for.
      await (await import('./read-contestants.mjs')).startReads(reader, Number(port), Number(tablePort));
if (!prepare) throw new Error(`there is no contestant "${name}"`);
/** @type {Run | undefined} */
let run;
/** @param {unknown} message */
const answer = (message) => process.send?.(message);

process.on('message', async (/** @type {string} */ command) => {
  try {
    const race = [...races, ...invocations, ...reads].find((race) => race.name === command);
    if (race) {
      run = await prepare(race);
      answer({ isReady: run !== undefined });
      return;
    }
    const used = process.cpuUsage();
    const started = performance.now();
    const check = await run?.();
    const wall = performance.now() - started;
    const { user, system } = process.cpuUsage(used);
    check?.();
    answer({ wall: wall * 1_000, client: user + system });
  } catch (error) {
    answer({ error: String(error) });
  }
});
process.on('disconnect', () => process.exit());
answer({});
