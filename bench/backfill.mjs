import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { figure, figures } from './report.mjs';
import { infoNumber, startServer } from './server.mjs';
import { median, spread } from './statistics.mjs';

const RACER = fileURLToPath(new URL('./backfill-racer.mjs', import.meta.url));
const ROUNDS = 3;
const NAMES = /** @type {const} */ (['backfill', 'plain']);

/**
 * @typedef {object} Fill
 * @property {number} wall s
 * @property {number} cpu of the process, s
 * @property {number} resident the most memory of the process, bytes
 * @property {number} stored memory of the server, bytes
 * @property {Record<string, number>} seconds of each pass
 */

/**
 * Fills an empty server from a generated table, beside a plain loader with the same source.
 *
 * @param {import('./report.mjs').Context} context
 */
export async function backfill({ quick, large, progress }) {
  const sizes = quick ? [20_000] : [100_000, 1_000_000, ...(large ? [10_000_000] : [])];
  const server = await startServer();
  try {
    const empty = await infoNumber(server.admin, 'memory', 'used_memory');
    /** @param {string} name @param {number} items @returns {Promise<Fill>} */
    const run = async (name, items) => {
      await server.empty();
      const { stdout } = await promisify(execFile)(process.execPath, [RACER, name, String(server.port), String(items)]);
      return { ...JSON.parse(stdout), stored: (await infoNumber(server.admin, 'memory', 'used_memory')) - empty };
    };
    const results = [];
    for (const items of sizes) {
      /** @type {Record<(typeof NAMES)[number], Fill[]>} */
      const fills = { backfill: [], plain: [] };
      const rounds = items > 100_000 ? 1 : ROUNDS;
      for (let round = 0; round < rounds; round += 1) {
        // Each round begins with another one.
        for (const name of round % 2 === 0 ? NAMES : NAMES.toReversed()) {
          progress(`backfill: ${items.toLocaleString('en')} items, round ${round + 1} of ${rounds}, ${name}`);
          fills[name].push(await run(name, items));
        }
      }
      const ratios = fills.backfill.map(({ wall }, i) => (fills.plain[i]?.wall ?? Number.NaN) / wall);
      results.push({ items, fills, ratio: spread(ratios) });
    }
    await server.empty();

    /** @param {readonly Fill[]} fills @param {(fill: Fill) => number} of */
    const middle = (fills, of) => median(fills.map(of));
    const residents = results.map(({ fills }) => middle(fills.backfill, ({ resident }) => resident));
    const growth = (residents.at(-1) ?? 0) / (residents[0] ?? 0);
    const [least] = results.map(({ ratio }) => ratio).sort((a, b) => a.median - b.median);
    return {
      sections: [
        {
          title: 'Backfill of an empty server from a generated table of orders, with four views',
          head: ['items', '', 'items/s', 'items a CPU s', 'of plain', 'process MiB', 'server bytes an item', 'mark + fill + seal, s'],
          rows: results.flatMap(({ items, fills, ratio }) =>
            NAMES.map((name) => [
              items.toLocaleString('en'),
              name,
              figure(items / middle(fills[name], ({ wall }) => wall)),
              figure(items / middle(fills[name], ({ cpu }) => cpu)),
              name === 'plain' ? '' : figures(ratio),
              figure(middle(fills[name], ({ resident }) => resident) / 1_048_576),
              figure(middle(fills[name], ({ stored }) => stored) / items),
              Object.values(fills[name][0]?.seconds ?? {})
                .map((seconds) => figure(seconds))
                .join(' + '),
            ]),
          ),
          note: 'Plain: one scan, the decoder of the AWS SDK, and unguarded SET, HSET and ZADD in pipelines of 1,000 items; no views, no leases, no bound of a list. CPU: of the process, not of the server.',
        },
      ],
      checks: [
        { what: 'backfill / plain loader', measured: least ?? spread([]), relation: /** @type {const} */ ('at least'), required: 0.4 },
        ...(quick
          ? []
          : [
              {
                what: `memory of the process at ${results.at(-1)?.items.toLocaleString('en')} items / at 100,000`,
                measured: spread([growth]),
                relation: /** @type {const} */ ('at most'),
                required: 1.2,
              },
            ]),
      ],
      figures: results,
    };
  } finally {
    await server.close();
  }
}
