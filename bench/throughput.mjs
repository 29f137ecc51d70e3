import { valkeyCache } from '../dist/caches/valkey.js';
import { syncRecords, tally } from './contestants.mjs';
import { range } from './orders.mjs';
import { startRacer } from './racers.mjs';
import { races, views } from './races.mjs';
import { figure, figures } from './report.mjs';
import { serverCpu, startServer } from './server.mjs';
import { isDecided, median, spread } from './statistics.mjs';

/**
 * Measures records a second, from Lambda event to acknowledged writes, beside the plain pipeline and the bare server.
 *
 * @param {import('./report.mjs').Context} context
 */
export async function throughput({ quick, progress }) {
  const [warmups, least, most] = quick ? [5, 15, 15] : [15, 31, 151];
  const server = await startServer();
  const cache = valkeyCache({ url: server.url });
  const names = /** @type {const} */ (['sync', 'plain', 'bare']);
  /** @typedef {(typeof names)[number]} Name */
  const [sync, plain, bare] = await Promise.all([
    startRacer('sync', server.port),
    startRacer('plain', server.port),
    startRacer('bare', server.port),
  ]);
  const racers = { sync, plain, bare };
  try {
    const results = [];
    for (const race of races) {
      await bare.prepare(race.name);
      await Promise.all([sync.prepare(race.name), plain.prepare(race.name)]);
      /** @type {Record<Name, { wall: number, client: number, server: number }[]>} */
      const rounds = { sync: [], plain: [], bare: [] };

      /** Runs a contestant on an empty cache. Returns µs a record. @param {Name} name */
      const run = async (name) => {
        await server.empty();
        tally(await syncRecords(cache, views, race.before));
        const cpu = await serverCpu(server.admin);
        const { wall, client } = await racers[name].run();
        const onServer = (await serverCpu(server.admin)) - cpu;
        const count = race.records.length;
        return { wall: wall / count, client: client / count, server: onServer / count };
      };
      /** The ratio of `sync` to another contestant in records/s, round by round. @param {Name} other */
      const against = (other) => rounds.sync.map(({ wall }, i) => (rounds[other][i]?.wall ?? Number.NaN) / wall);
      const { thresholds } = race;
      const decided = () =>
        !thresholds || (isDecided(against('plain'), thresholds.ofPlain) && isDecided(against('bare'), thresholds.ofBare));

      for (let round = -warmups; round < least || (round < most && !decided()); round++) {
        progress(`throughput: batches of ${race.name}, ${round < 0 ? 'warming up' : `round ${round + 1} of ${least} to ${most}`}`);
        // All contestants run in each round, so other load on the machine slows them equally. Each round begins with another one.
        for (const i of range(names.length)) {
          const name = /** @type {Name} */ (names[(i + round + warmups) % names.length]);
          const took = await run(name);
          if (round >= 0) rounds[name].push(took);
        }
      }
      const [ofPlain, ofBare] = [against('plain'), against('bare')];
      results.push({ race, rounds, ofPlain, ofBare, bareOfPlain: ofPlain.map((ratio, i) => ratio / (ofBare[i] ?? Number.NaN)) });
    }

    /** @param {readonly { wall: number }[]} rounds */
    const perSecond = (rounds) => spread(rounds.map(({ wall }) => 1e6 / wall));
    /** @param {readonly { client: number, server: number }[]} rounds @param {'client' | 'server'} part */
    const cost = (rounds, part) => median(rounds.map((round) => round[part]));
    return {
      sections: [
        {
          title: 'Records a second, by records in a batch',
          head: ['', 'sync', 'plain pipeline', 'bare server', 'of plain', 'of bare', 'bare of plain', 'rounds'],
          rows: results.map(({ race, rounds, ofPlain, ofBare, bareOfPlain }) => [
            race.name,
            ...[rounds.sync, rounds.plain, rounds.bare].map((of) => figure(perSecond(of).median)),
            figures(spread(ofPlain)),
            figures(spread(ofBare)),
            figures(spread(bareOfPlain)),
            figure(rounds.sync.length),
          ]),
          note: 'Inserts, except where the row names updates. The plain pipeline decodes, orders and trims nothing. The bare server receives the recorded calls of sync, so its ratio to plain is that of a client without any cost.',
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
      checks: results.flatMap(({ race: { name, thresholds }, ofPlain, ofBare }) =>
        thresholds
          ? [
              {
                what: `sync / plain pipeline, batches of ${name}`,
                measured: spread(ofPlain),
                relation: /** @type {const} */ ('at least'),
                required: thresholds.ofPlain,
              },
              {
                what: `sync / bare server, batches of ${name}`,
                measured: spread(ofBare),
                relation: /** @type {const} */ ('at least'),
                required: thresholds.ofBare,
              },
            ]
          : [],
      ),
      figures: results.map(({ race, rounds, ofPlain, ofBare, bareOfPlain }) => ({
        batch: race.batch,
        name: race.name,
        ofPlain: spread(ofPlain),
        ofBare: spread(ofBare),
        bareOfPlain: spread(bareOfPlain),
        ...Object.fromEntries(
          Object.entries(rounds).map(([name, of]) => [
            name,
            { recordsPerSecond: perSecond(of), clientMicroseconds: cost(of, 'client'), serverMicroseconds: cost(of, 'server') },
          ]),
        ),
      })),
    };
  } finally {
    for (const racer of Object.values(racers)) racer.end();
    await cache.close();
    await server.close();
  }
}
