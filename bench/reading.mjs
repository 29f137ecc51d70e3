import { fileURLToPath } from 'node:url';
import { buildSync } from 'esbuild';
import { valkeyCache } from '../dist/caches/valkey.js';
import { createReader } from '../dist/fill/reader.js';
import { range } from './orders.mjs';
import { startProxy } from './proxy.mjs';
import { startRacer } from './racers.mjs';
import { tableClient } from './read-contestants.mjs';
import { countOf, detail, idOf, idsOf, KEYS, lines, ownerOf, PAGE, reads, TABLE } from './reads.mjs';
import { exact, figure, figures } from './report.mjs';
import { startServer } from './server.mjs';
import { spread } from './statistics.mjs';
import { startTable } from './table.mjs';

/** @typedef {import('./report.mjs').Check} Check */

const KIB = 1_024;
/** The aim is 25. Most of the rest are messages with a way out. */
const LIMIT_KIB = 32;
/** The most that a hit may take, of a GET and JSON.parse. The aim is 1.3; README.md has where the rest goes. */
const MOST_OF_GET = { wall: 1.3, cpu: 1.6 };
const COUNT = 10;
/** Rounds before the first race: 20,000 hits, after which V8 has compiled the code of every contestant. */
const FIRST_WARMUPS = 40;
const WARMUPS = 5;
const NEVER_MS = 60_000;
const names = /** @type {const} */ (['reader', 'plain', 'bentocache', 'table']);

/** Measures reads through the cache. @param {import('./report.mjs').Context} context */
export async function reading({ quick, progress }) {
  progress('reads: DynamoDB Local');
  const [server, table] = await Promise.all([startServer(), startTable()]);
  try {
    const trips = await roundTrips(server, table.port, progress);
    const races = await times(server, table.port, quick ? 7 : 31, progress);
    const bytes = readerBytes();
    const [hit] = races;
    return {
      sections: [
        {
          title: 'Calls a read: round trips to the cache, and calls of the table',
          head: ['', 'cache', 'table', 'GetItem and so on'],
          rows: trips.map(({ name, cache, calls, kinds }) => [name, figures(cache), figures(calls), kinds.join(', ') || '-']),
        },
        {
          title: 'Time a read, µs by the clock',
          head: ['', ...names, 'reader of plain', 'reader of bentocache', 'reader of table'],
          rows: races.map(({ name, wall, of }) => [
            name,
            ...names.map((contestant) => (wall[contestant] ? figure(wall[contestant].median) : '-')),
            ...names.slice(1).map((other) => (of[other] ? figures(of[other].wall) : '-')),
          ]),
          note: 'Plain: GET and JSON.parse; after a miss the table and SET. It guards nothing. Bentocache: getOrSet with its Redis layer alone.',
        },
        {
          title: 'CPU time of the client a read, µs',
          head: ['', ...names, 'reader of plain', 'reader of bentocache', 'reader of table'],
          rows: races.map(({ name, cpu, of }) => [
            name,
            ...names.map((contestant) => (cpu[contestant] ? figure(cpu[contestant].median) : '-')),
            ...names.slice(1).map((other) => (of[other] ? figures(of[other].cpu) : '-')),
          ]),
        },
        {
          title: 'The reader without a backend, and without the AWS SDK',
          head: ['', 'KiB minified'],
          rows: [['reader', figure(bytes / KIB)]],
        },
      ],
      checks: [
        ...trips.flatMap(({ name, cache, calls, required }) => [
          check(`${name}: round trips to the cache`, cache, 'exactly', required.cache),
          check(`${name}: calls of the table`, calls, 'exactly', required.table),
        ]),
        ...(hit?.of.plain
          ? [
              check('time of a hit, of GET and JSON.parse', hit.of.plain.wall, 'at most', MOST_OF_GET.wall),
              check('CPU time of a hit, of GET and JSON.parse', hit.of.plain.cpu, 'at most', MOST_OF_GET.cpu),
            ]
          : []),
        { ...check('reader, minified', exact(bytes / KIB), 'at most', LIMIT_KIB), unit: ' KiB' },
      ],
      figures: { trips, races, bytes },
    };
  } finally {
    await Promise.all([server.close(), table.close()]);
  }
}

/**
 * @param {string} what @param {import('./statistics.mjs').Spread} measured @param {Check['relation']} relation @param {number} required
 * @returns {Check}
 */
function check(what, measured, relation, required) {
  return { what, measured, relation, required };
}

/** Counts the calls of reads. @param {import('./server.mjs').Server} server @param {number} tablePort @param {(step: string) => void} progress */
async function roundTrips(server, tablePort, progress) {
  const proxy = await startProxy(server.port);
  const cache = valkeyCache({ url: proxy.url });
  const client = tableClient(tablePort);
  /** @type {string[]} */
  let sent = [];
  /** @type {(...args: Parameters<typeof client.send>) => unknown} */
  const send = (command, ...rest) => {
    sent.push(command.constructor.name.replace('Command', ''));
    return client.send(command, ...rest);
  };
  const table = { client: /** @type {Pick<typeof client, 'send'>} */ ({ send }), name: TABLE, keys: KEYS };
  const reader = createReader({ cache, table, cacheDeadlineMs: NEVER_MS });
  const one = (/** @type {number} */ n) => reader.get(detail, idOf(n));
  const absent = (/** @type {number} */ n) => reader.get(detail, `absent-${n}`);
  const many = (/** @type {number} */ n) => reader.getMany(detail, idsOf(n));
  const page = (/** @type {number} */ n) => reader.page(lines, ownerOf(n), { limit: PAGE });
  const stories = [
    { name: 'hit', read: one, cold: false, required: { cache: 1, table: 0 } },
    { name: 'gone', read: absent, cold: false, required: { cache: 1, table: 0 } },
    { name: 'miss, filled', read: one, cold: true, required: { cache: 2, table: 1 } },
    { name: 'miss of an absent item, filled', read: absent, cold: true, required: { cache: 2, table: 1 } },
    { name: 'getMany, 100 hits', read: many, cold: false, required: { cache: 1, table: 0 } },
    { name: 'getMany, 100 misses, filled', read: many, cold: true, required: { cache: 2, table: 1 } },
    { name: 'complete page', read: page, cold: false, required: { cache: 1, table: 0 } },
    { name: 'incomplete page, filled', read: page, cold: true, required: { cache: 3, table: 1 } },
  ];
  try {
    const results = [];
    // The first call of each script sends its text, and the first of all reads the server's clock.
    for (const { read } of stories) await read(0);
    for (const { name, read, cold, required } of stories) {
      progress(`reads: calls of ${name}`);
      await server.empty();
      if (!cold) for (const n of range(COUNT)) await read(n);
      /** @type {number[]} */
      const trips = [];
      /** @type {number[]} */
      const calls = [];
      /** @type {Set<string>} */
      const kinds = new Set();
      for (const n of range(COUNT)) {
        proxy.reset();
        sent = [];
        await read(n);
        trips.push(proxy.traffic().roundTrips);
        calls.push(sent.length);
        for (const kind of sent) kinds.add(kind);
      }
      results.push({ name, cache: spread(trips), calls: spread(calls), kinds: [...kinds], required });
    }
    return results;
  } finally {
    client.destroy();
    await cache.close();
    await proxy.close();
  }
}

/**
 * Lets the contestants take turns.
 *
 * @param {import('./server.mjs').Server} server @param {number} tablePort @param {number} rounds @param {(step: string) => void} progress
 */
async function times(server, tablePort, rounds, progress) {
  const racers = await Promise.all(
    names.map(async (name) => ({ name, racer: await startRacer(`reads:${name}`, server.port, 'inherit', tablePort) })),
  );
  try {
    const results = [];
    for (const [place, read] of reads.entries()) {
      const { name: race } = read;
      const warmups = place === 0 ? FIRST_WARMUPS : WARMUPS;
      /** @type {Record<string, { wall: number, cpu: number }[]>} */
      const taken = Object.fromEntries(names.map((name) => [name, []]));
      for (const round of range(warmups + rounds, -warmups)) {
        progress(`reads: ${race}, ${round < 0 ? 'warming up' : `round ${round + 1} of ${rounds}`}`);
        // Each round begins with another contestant.
        for (const i of range(names.length)) {
          const { name, racer } = racers[(i + round + warmups) % names.length] ?? {};
          if (!name || !racer || !(await racer.prepare(race)).isReady) continue;
          const { wall, client } = await racer.run();
          const count = countOf(name, read);
          if (round >= 0) taken[name]?.push({ wall: wall / count, cpu: client / count });
        }
      }
      /** @param {'wall' | 'cpu'} part */
      const spreads = (part) =>
        Object.fromEntries(
          Object.entries(taken).flatMap(([name, all]) => (all.length > 0 ? [[name, spread(all.map((took) => took[part]))]] : [])),
        );
      /** @param {string} other @param {'wall' | 'cpu'} part */
      const against = (other, part) =>
        spread((taken.reader ?? []).map((took, i) => took[part] / (taken[other]?.[i]?.[part] ?? Number.NaN)));
      results.push({
        name: race,
        wall: spreads('wall'),
        cpu: spreads('cpu'),
        /** The ratio of the reader to another contestant, round by round. */
        of: Object.fromEntries(
          names
            .slice(1)
            .flatMap((other) => (taken[other]?.length ? [[other, { wall: against(other, 'wall'), cpu: against(other, 'cpu') }]] : [])),
        ),
      });
    }
    return results;
  } finally {
    for (const { racer } of racers) racer.end();
  }
}

/** Size of `createReader`, bundled and minified without the AWS SDK. */
function readerBytes() {
  const { outputFiles } = buildSync({
    stdin: { contents: "export { createReader } from './dist/fill/reader.js';", resolveDir: fileURLToPath(new URL('..', import.meta.url)) },
    bundle: true,
    minify: true,
    platform: 'node',
    format: 'esm',
    external: ['@aws-sdk/*'],
    write: false,
  });
  return outputFiles[0]?.contents.byteLength ?? Number.NaN;
}
