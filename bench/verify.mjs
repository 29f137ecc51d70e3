import { backfill, begin } from '../dist/backfill/backfill.js';
import { USD_A_MILLION_UNITS } from '../dist/backfill/estimate.js';
import { valkeyCache } from '../dist/caches/valkey.js';
import { attributesOf } from '../dist/dynamodb/attributes.js';
import { streamHandler } from '../dist/handlers/stream-handler.js';
import { sampledSegments, verification } from '../dist/verify/verify.js';
import { views as shopViews } from '../dist/views/index.js';
import { generatedItem, numberOf, pageOf } from './generated-table.mjs';
import { range, record } from './orders.mjs';
import { figure, figures } from './report.mjs';
import { startServer } from './server.mjs';
import { median, spread } from './statistics.mjs';

const ROUNDS = 5;
const SEGMENTS = 8;
const UNIT_BYTES = 4_096;
/** Changes of a large application in a month, and the part of them that is verified. */
const CHANGES_A_MONTH = 30e9;
const SAMPLED = 1 / 1_000;
/** USD, us-east-1, 2026: a million requests of SQS, and a GB-second of Lambda. */
const USD_A_MILLION_REQUESTS = 0.4;
const USD_A_GB_SECOND = 0.0000166667;
/** A change is looked at so often; see docs/verify.md. */
const LOOKS = 3;
/** The worker sends each sample alone. Each look receives a message and deletes it, and all but the last send the next, ten to a request. */
const REQUESTS_A_SAMPLE = 1 + (LOOKS + LOOKS + LOOKS - 1) / 10;
const FUNCTION_GB = 0.5;

/** @param {number} n @returns {any} */
const itemOf = (n) => attributesOf(generatedItem(n));

/** @typedef {{ readonly wall: number, readonly observations: number, readonly calls: number, readonly units: number }} Run */

/**
 * Verifies a server that is filled from a generated table, beside plain `MGET`s of the same documents.
 *
 * @param {import('./report.mjs').Context} context
 */
export async function verify({ quick, progress }) {
  const items = quick ? 4_000 : 20_000;
  const rounds = quick ? 3 : ROUNDS;
  const server = await startServer();
  const cache = valkeyCache({ url: server.url });
  try {
    const table = tableOf(items);
    const from = begin({ tableArn: '', tableId: '', cache: '', views: [], segments: SEGMENTS, survey: 'bench', begun: '' });
    progress('verify: filling');
    await backfill({ from, views: Object.values(shopViews), cache, table, signal: new AbortController().signal });
    // For the stream: changes that the cache has.
    const records = range(Math.min(items, 2_000)).map((n) => record(n, itemOf(n), itemOf(n)));
    const handler = streamHandler({ views: Object.values(shopViews), cache, logger: { info() {}, warn() {}, error() {} } });
    await handler({ Records: records });

    const { detail, admin, orders } = shopViews;
    const keys = range(items).map((n) => String(itemOf(n).id));
    /** @type {Record<string, () => Promise<Run>>} */
    const contestants = {
      'table → cache, documents': () => run(cache, table, { items, views: [detail, admin], probes: ['table'] }),
      'table → cache, lists': () => run(cache, table, { items, views: [orders], probes: ['table'] }),
      'cache → table, documents': () => run(cache, table, { items, views: [detail], probes: ['cache'], keys }),
      'stream → cache, four views': () => run(cache, table, { items, views: Object.values(shopViews), probes: ['stream'], records }),
      'plain, documents': () => plain(server.admin, items),
    };
    /** @type {Record<string, Run[]>} */
    const runs = {};
    for (let round = 0; round < rounds; round += 1) {
      for (const [name, contestant] of Object.entries(contestants)) {
        progress(`verify: round ${round + 1} of ${rounds}, ${name}`);
        runs[name] = [...(runs[name] ?? []), await contestant()];
      }
    }
    /** @param {string} name @param {(run: Run) => number} of */
    const middle = (name, of) => median((runs[name] ?? []).map(of));
    const documents = runs['table → cache, documents'] ?? [];
    const ofPlain = spread(documents.map(({ wall }, i) => (runs['plain, documents']?.[i]?.wall ?? Number.NaN) / wall));

    const stream = 'stream → cache, four views';
    const samples = CHANGES_A_MONTH * SAMPLED;
    const observations = samples * LOOKS * (middle(stream, (one) => one.observations) / records.length);
    const usd = {
      queue: (samples * REQUESTS_A_SAMPLE * USD_A_MILLION_REQUESTS) / 1e6,
      function: (observations / middle(stream, (one) => one.observations / one.wall)) * FUNCTION_GB * USD_A_GB_SECOND,
      reads: (observations * middle(stream, (one) => one.units / one.observations) * USD_A_MILLION_UNITS) / 1e6,
    };
    const sum = usd.queue + usd.function + usd.reads;
    return {
      sections: [
        {
          title: `Verification of ${items.toLocaleString('en')} orders`,
          head: ['', 'observations/s', 'of plain', 'calls of the cache an observation', 'read units an observation'],
          rows: Object.keys(contestants).map((name) => [
            name,
            figure(middle(name, ({ observations, wall }) => observations / wall)),
            name === 'table → cache, documents' ? figures(ofPlain) : '',
            figure(middle(name, ({ observations, calls }) => calls / observations)),
            name.startsWith('plain') ? '' : figure(middle(name, ({ observations, units }) => units / observations)),
          ]),
          note: 'Plain: MGET of the same documents, JSON.parse, and a comparison of the texts; no views, no versions, no looks. Calls of one turn share a round trip.',
        },
        {
          title: 'A month of verification: one in 1,000 of 10^9 changes a day',
          head: ['', 'USD'],
          rows: [
            ['queue', figure(usd.queue)],
            ['function, of 512 MB, while it computes', figure(usd.function)],
            ['reads', figure(usd.reads)],
            ['all', figure(sum)],
          ],
          note: `${(samples / 1e6).toFixed(0)} million changes, ${(observations / 1e6).toFixed(0)} million observations. A claim that has arrived needs no read. Prices of us-east-1, 2026.`,
        },
      ],
      checks: [
        { what: 'verification of documents / plain', measured: ofPlain, relation: /** @type {const} */ ('at least'), required: 0.15 },
      ],
      figures: { items, runs, usd },
    };
  } finally {
    await cache.close();
    await server.close();
  }
}

/** @param {number} items @returns {import('../dist/verify/table.js').VerifiedTable} */
function tableOf(items) {
  const bytes = Buffer.byteLength(JSON.stringify(itemOf(0)));
  return {
    keys: ['pk', 'sk'],
    async scan(place) {
      const page = pageOf(items, place);
      return { ...page, units: Math.ceil((page.items.length * bytes) / UNIT_BYTES) };
    },
    async reading() {
      return async (keys) => ({
        answers: keys.map((key) => ({ item: attributesOf(generatedItem(numberOf(key))) })),
        units: keys.length * Math.ceil(bytes / UNIT_BYTES),
      });
    },
    async query() {
      throw new Error('nothing is queried here');
    },
  };
}

/**
 * @param {import('../dist/cache.js').CacheClient} cache
 * @param {import('../dist/verify/table.js').VerifiedTable} table
 * @param {{ items: number, views: readonly any[], probes: readonly ('table' | 'cache' | 'stream')[], keys?: readonly string[], records?: readonly any[] }} what
 * @returns {Promise<Run>}
 */
async function run(cache, table, { items, views, probes, keys = [], records = [] }) {
  let calls = 0;
  const counted = {
    ...cache,
    /** @param {readonly string[]} asked */
    getMany(asked) {
      calls += 1;
      return cache.getMany(asked);
    },
    /** @param {string} list @param {import('../dist/cache.js').PageQuery} query */
    list(list, query) {
      calls += 1;
      return cache.list(list, query);
    },
  };
  const verifying = verification({
    cache: /** @type {import('../dist/cache.js').CacheClient} */ (counted),
    table,
    keyTypes: { pk: 'S', sk: 'S' },
    views,
    // The looks at changes come at once.
    boundMs: 1,
    probes,
    ...sampledSegments(1, items, SEGMENTS),
    sample: 1,
    keys: async function* () {
      for (let i = 0; i < keys.length; i += 500) yield keys.slice(i, i + 500).map((key) => `detail@1:${key}`);
    },
    signal: new AbortController().signal,
  });
  for (const one of records) verifying.saw(one);
  const begun = performance.now();
  const findings = await verifying.run();
  const wall = (performance.now() - begun) / 1_000;
  const { views: reports, readUnits } = findings.report({ table: '', segments: { read: SEGMENTS, of: SEGMENTS }, repairs: false });
  const observations = reports.reduce((sum, view) => sum + view.observations, 0);
  const wrong = reports.flatMap(({ examples }) => examples);
  if (wrong.length > 0 || observations === 0) throw new Error(`${observations} observations, wrong: ${JSON.stringify(wrong)}`);
  return { wall, observations, calls, units: readUnits };
}

/** @param {import('iovalkey').Redis} client @param {number} items @returns {Promise<Run>} */
async function plain(client, items) {
  const { detail, admin } = shopViews;
  const begun = performance.now();
  let calls = 0;
  for (let i = 0; i < items; i += 500) {
    const some = range(Math.min(500, items - i)).flatMap((n) => {
      const item = itemOf(i + n);
      return [detail, admin].map((view) => ({ key: `millrace:doc:${view.name}@1:${item.id}`, value: view.project(item)[0]?.value }));
    });
    const texts = await client.mget(...some.map(({ key }) => key));
    calls += 1;
    for (const [n, { value }] of some.entries()) {
      const text = texts[n] ?? '';
      JSON.stringify(JSON.parse(text.slice(text.indexOf('{')))) === JSON.stringify(value);
    }
  }
  return { wall: (performance.now() - begun) / 1_000, observations: items * 2, calls, units: 0 };
}
