import { Redis } from 'iovalkey';
import { valkeyCache } from '../dist/caches/valkey.js';
import { FLOOR, versionOf } from '../dist/version.js';
import { chunksOf, order, range } from './orders.mjs';
import { figure, figures } from './report.mjs';
import { commandTime, startServer } from './server.mjs';
import { isDecided, median, spread } from './statistics.mjs';
import { addToArray } from './workshop.mjs';

/**
 * @typedef {import('../dist/mutation.js').Mutation} Mutation
 * @typedef {{ readonly name: string, readonly lists: number, readonly keep: (length: number) => number }} Kind
 */

const LENGTHS = [10, 100, 1_000, 10_000, 100_000];
const [SHORTEST, LONGEST] = [LENGTHS[0] ?? 0, LENGTHS.at(-1) ?? 0];
const ALLOWED_GROWTH = 1.5;
const FILL_AT_ONCE = 1_000;
const PAGE_LIMIT = 10;
const ROOMY = 1_000_000;
const MEASURES = /** @type {const} */ (['wall', 'cpu']);
const LABEL = '2026-11-01T09:00:00.123';

let sequenceNumber = 0;
const nextVersion = () => {
  sequenceNumber += 1;
  return versionOf(LABEL, String(sequenceNumber));
};

/** @param {number} n */
const member = (n) => JSON.stringify([order(n).pk, 'order']);

/** @param {string} list @param {number} n @param {number} keep @returns {Mutation} */
function put(list, n, keep, version = nextVersion()) {
  const { items: _, creator: __, pk: ___, sk: ____, ...summary } = order(n);
  const json = JSON.stringify(summary);
  return { kind: 'member', type: 'put', list, member: member(n), score: Date.parse(summary.createdAt), keep, json, version };
}

/**
 * Measures a list's write and its page against the list's length, µs.
 *
 * @param {import('./report.mjs').Context} context
 */
export async function listLength({ quick, progress }) {
  const [least, most] = quick ? [7, 7] : [15, 75];
  const writes = quick ? 20 : 40;
  const arrayRounds = quick ? 2 : 5;
  const server = await startServer();
  const cache = valkeyCache({ url: server.url });
  const array = new Redis({ host: '127.0.0.1', port: server.port });

  /** Measures one call, µs: by the client's clock (`wall`), and the server's time for the command (`cpu`). @param {number} calls @param {readonly string[]} commands @param {(i: number) => Promise<unknown>} call */
  const measure = async (calls, commands, call) => {
    await server.admin.config('RESETSTAT');
    const walls = [];
    for (const i of range(calls)) {
      const started = performance.now();
      await call(i);
      walls.push((performance.now() - started) * 1_000);
    }
    // The median, because the machine may interrupt a call.
    return { wall: median(walls), cpu: (await commandTime(server.admin, commands)) / calls };
  };

  try {
    /** The number of lists that share the inserts, so that none grows by more than a tenth. @param {number} length */
    const sharers = (length) => Math.max(1, Math.ceil((writes * (most + 1) * 10) / length));
    /** @param {string} name @param {number} length @param {number} keep */
    const fill = async (name, length, keep) => {
      const [lease] = await cache.lease([{ kind: 'list', list: name, keep }]);
      await cache.settle([{ lease, found: { kind: 'list', newest: [] } }]);
      for (const chunk of chunksOf(range(length), FILL_AT_ONCE)) await cache.apply(chunk.map((n) => put(name, n, keep, FLOOR)));
    };
    for (const length of LENGTHS) {
      progress(`list length: filling ${figure(length)}`);
      await fill(`full-${length}`, length, length);
      await fill(`update-${length}`, length, ROOMY);
      for (const i of range(sharers(length))) await fill(`insert-${length}-${i}`, length, ROOMY);
    }

    /** The number of the newest member. */
    let fresh = LONGEST;
    let random = 1;
    /** @param {number} below */
    const anyOf = (below) => {
      random = (random * 48_271) % 2_147_483_647;
      return random % below;
    };
    /** @type {Record<string, (length: number, i: number) => Promise<unknown>>} */
    const kinds = {
      'update, in place': (length) => cache.apply([put(`update-${length}`, anyOf(length), ROOMY)]),
      'insert, keep above the length': (length, i) => cache.apply([put(`insert-${length}-${i % sharers(length)}`, fresh, ROOMY)]),
      'insert, keep = length: one is trimmed': (length) => cache.apply([put(`full-${length}`, fresh, length)]),
      [`page of the ${PAGE_LIMIT} newest`]: (length) => cache.list(`update-${length}`, { limit: PAGE_LIMIT }),
    };
    /** @type {Map<string, { wall: number[], cpu: number[] }>} */
    const samples = new Map();
    const at = (/** @type {string} */ kind, /** @type {number} */ length) => {
      const key = `${kind} ${length}`;
      const found = samples.get(key) ?? { wall: [], cpu: [] };
      samples.set(key, found);
      return found;
    };
    /** The cost of the longest list divided by that of the shortest, round by round. @param {string} kind @param {'wall' | 'cpu'} measure */
    const growth = (kind, measure) => {
      const short = at(kind, SHORTEST)[measure];
      return at(kind, LONGEST)[measure].map((cost, i) => cost / (short[i] ?? Number.NaN));
    };
    for (const [kind, call] of Object.entries(kinds)) {
      const decided = () => MEASURES.every((measure) => isDecided(growth(kind, measure), ALLOWED_GROWTH));
      // The first round warms up.
      for (let round = 0; round <= least || (round <= most && !decided()); round++) {
        progress(`list length: ${kind}, round ${round} of ${least} to ${most}`);
        // Every other round goes backwards, so that no length always comes first.
        for (const length of round % 2 ? LENGTHS : LENGTHS.toReversed()) {
          const { wall, cpu } = await measure(writes, ['evalsha'], async (i) => {
            fresh += 1;
            await call(length, round * writes + i);
          });
          if (round === 0) continue;
          at(kind, length).wall.push(wall);
          at(kind, length).cpu.push(cpu);
        }
      }
    }
    const workshop = "the workshop's get-edit-set";
    for (const length of LENGTHS) {
      const all = range(length).map((n) => JSON.parse(/** @type {{ json: string }} */ (put('', n, ROOMY)).json));
      await array.set(`array-${length}`, JSON.stringify(all));
    }
    for (const round of range(arrayRounds)) {
      for (const length of LENGTHS) {
        progress(`list length: round ${round + 1} of ${arrayRounds}, ${workshop}, ${figure(length)}`);
        const calls = length >= 10_000 ? 2 : writes;
        const { wall, cpu } = await measure(calls, ['get', 'set'], () => {
          fresh += 1;
          return addToArray(array, `array-${length}`, JSON.parse(/** @type {{ json: string }} */ (put('', fresh, ROOMY)).json));
        });
        at(workshop, length).wall.push(wall);
        at(workshop, length).cpu.push(cpu);
      }
    }

    const names = [...Object.keys(kinds), workshop];
    /** @param {string} title @param {'wall' | 'cpu'} measure */
    const section = (title, measure) => ({
      title,
      head: ['', ...LENGTHS.map((length) => figure(length)), `${figure(LONGEST)} / ${figure(SHORTEST)}`],
      rows: names.map((kind) => [
        kind,
        ...LENGTHS.map((length) => figure(median(at(kind, length)[measure]))),
        figures(spread(growth(kind, measure))),
      ]),
    });
    return {
      sections: [
        section('µs of a list write or a page against the length of the list: wall time at the client, one call at a time', 'wall'),
        section("µs of the same: the server's time for the command", 'cpu'),
      ],
      checks: Object.keys(kinds).flatMap((kind) =>
        MEASURES.map((measure) => ({
          what: `${kind}: ${figure(LONGEST)} members / ${figure(SHORTEST)}, ${measure === 'wall' ? 'wall time' : "server's time"}`,
          measured: spread(growth(kind, measure)),
          relation: /** @type {const} */ ('at most'),
          required: ALLOWED_GROWTH,
        })),
      ),
      figures: names.flatMap((kind) =>
        LENGTHS.map((length) => ({
          kind,
          length,
          wallMicroseconds: spread(at(kind, length).wall),
          serverMicroseconds: spread(at(kind, length).cpu),
        })),
      ),
    };
  } finally {
    array.disconnect();
    await cache.close();
    await server.close();
  }
}
