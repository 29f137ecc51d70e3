import { closeSync, ftruncateSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { unmarshall } from '@aws-sdk/util-dynamodb';
import { valkeyCache } from '../dist/caches/valkey.js';
import { withLives } from '../dist/lives/with-lives.js';
import { views as shopViews } from '../dist/views/index.js';
import { syncRecords, tally } from './contestants.mjs';
import { chunksOf, range } from './orders.mjs';
import { startRacer } from './racers.mjs';
import { GET_KEY, invocations, MUTATIONS_OF_ORDER } from './races.mjs';
import { figure, figures } from './report.mjs';
import { serverCpu, startServer } from './server.mjs';
import { spread } from './statistics.mjs';

/** @typedef {import('./races.mjs').Race} Race */

const BATCH = 100;
/** Rounds before the first race: 3,000 invocations, after which V8 has compiled the code of every contestant. */
const FIRST_WARMUPS = 60;
const WARMUPS = 5;
/** Bytes of log an invocation may write. At batch size 1, logs would otherwise cost more than everything else; see docs/costs.md. */
const MOST_LOG_BYTES = 700;
/** Where the cache has the lives of its views; see docs/keys.md. */
const REGISTER = 'millrace:doc:lives';
const views = Object.values(shopViews);
const names = /** @type {const} */ (['handler', 'workshop', 'get']);

/**
 * Measures the deployed handler with one record an invocation: CPU time beside one GET and the workshop's handler, and bytes of log.
 *
 * @param {import('./report.mjs').Context} context
 */
export async function invocation({ quick, progress }) {
  const rounds = quick ? 7 : 31;
  const folder = mkdtempSync(join(tmpdir(), 'millrace-bench-'));
  const log = openSync(join(folder, 'log'), 'a+');
  const server = await startServer();
  const cache = withLives(valkeyCache({ url: server.url }), { views, waitMs: 0 });
  await cache.lives();
  const register = await server.admin.dumpBuffer(REGISTER);
  const [handler, workshop, get] = await Promise.all([
    startRacer('handler', server.port, log),
    startRacer('workshop', server.port),
    startRacer('get', server.port),
  ]);
  const racers = { handler, workshop, get };
  try {
    const results = [];
    for (const [place, race] of invocations.entries()) {
      const warmups = place === 0 ? FIRST_WARMUPS : WARMUPS;
      await Promise.all(Object.values(racers).map((racer) => racer.prepare(race.name)));
      /** @type {Record<(typeof names)[number], { client: number, server: number }[]>} */
      const taken = { handler: [], workshop: [], get: [] };
      /** @type {ReturnType<typeof linesOf>[]} */
      const logged = [];
      for (const round of range(warmups + rounds, -warmups)) {
        progress(`invocation: ${race.name}, ${round < 0 ? 'warming up' : `round ${round + 1} of ${rounds}`}`);
        // Each round begins with another contestant.
        for (const i of range(names.length)) {
          const name = /** @type {(typeof names)[number]} */ (names[(i + round + warmups) % names.length]);
          await server.empty();
          // The views have begun their lives long ago.
          await server.admin.restore(REGISTER, 0, register);
          await prefill(server.admin, cache, name, race);
          ftruncateSync(log);
          const cpu = await serverCpu(server.admin);
          const { client } = await racers[name].run();
          const onServer = (await serverCpu(server.admin)) - cpu;
          if (round < 0) continue;
          const count = race.records.length;
          taken[name].push({ client: client / count, server: onServer / count });
          if (name === 'handler') logged.push(bytesOfLog(readFileSync(join(folder, 'log'), 'utf8'), count));
        }
      }
      /** The ratio of the handler to another contestant, round by round. @param {'workshop' | 'get'} other @param {'client' | 'server'} part */
      const against = (other, part) => spread(taken.handler.map((took, i) => took[part] / (taken[other][i]?.[part] ?? Number.NaN)));
      results.push({
        name: race.name,
        cpu: names.map((name) => ({
          name,
          client: spread(taken[name].map(({ client }) => client)),
          server: spread(taken[name].map(({ server }) => server)),
        })),
        ofGet: against('get', 'client'),
        ofWorkshop: against('workshop', 'client'),
        serverOfWorkshop: against('workshop', 'server'),
        logBytes: spread(logged),
      });
    }
    return {
      sections: [
        {
          title: 'CPU time an invocation with one record, µs: client + server',
          head: ['', 'handler', "workshop's", 'one GET', 'of one GET', "of the workshop's", "server's, of the workshop's"],
          rows: results.map(({ name, cpu, ofGet, ofWorkshop, serverOfWorkshop }) => [
            name,
            ...cpu.map(({ client, server }) => `${figure(client.median)} + ${figure(server.median)}`),
            figures(ofGet),
            figures(ofWorkshop),
            figures(serverOfWorkshop),
          ]),
          note: "An invocation inserts an order into two documents and two lists. The workshop's handler writes one document and two lists, no log and no metrics.",
        },
        {
          title: 'Log an invocation with one record, bytes on stdout',
          head: ['', 'one line: the batch and its metrics'],
          rows: results.map(({ name, logBytes }) => [name, figure(logBytes.median)]),
        },
      ],
      checks: results.map(({ name, logBytes }) => ({
        what: `log an invocation, bytes, ${name}`,
        measured: logBytes,
        relation: /** @type {const} */ ('at most'),
        required: MOST_LOG_BYTES,
      })),
      figures: results,
    };
  } finally {
    for (const racer of Object.values(racers)) racer.end();
    await cache.close();
    await server.close();
    closeSync(log);
    rmSync(folder, { recursive: true, force: true });
  }
}

/**
 * Fills an empty server with the contestant's data.
 *
 * @param {import('iovalkey').Redis} admin @param {import('../dist/cache.js').CacheClient} cache @param {(typeof names)[number]} name @param {Race} race
 */
async function prefill(admin, cache, name, { before }) {
  if (name === 'handler') {
    for (const records of chunksOf(before, BATCH)) tally(await syncRecords(cache, views, records));
    return;
  }
  const orders = before.map(({ dynamodb }) => unmarshall(/** @type {Parameters<typeof unmarshall>[0]} */ (dynamodb?.NewImage)));
  if (name === 'get') await admin.set(GET_KEY, JSON.stringify(orders[0]));
  else for (const list of ['all-orders', String(orders[0]?.creator)]) await admin.set(list, JSON.stringify(orders));
}

/**
 * Counts the bytes of log an invocation. Throws when an invocation has not logged exactly one line, with the metrics of its batch.
 *
 * @param {string} text @param {number} invocations
 */
function bytesOfLog(text, invocations) {
  const lines = text.split('\n').slice(0, -1);
  const metrics = lines.filter((line) => '_aws' in JSON.parse(line) && JSON.parse(line).Applied === MUTATIONS_OF_ORDER);
  if (metrics.length !== invocations || lines.length !== invocations) {
    throw new Error(`${invocations} invocations have not logged one line each:\n${text.slice(0, 2_000)}`);
  }
  return Buffer.byteLength(text) / invocations;
}
