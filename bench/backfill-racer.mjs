// Fills a server from a generated table, in a process of its own, and prints what that took, as JSON.
//   node bench/backfill-racer.mjs backfill|plain PORT ITEMS
import { unmarshall } from '@aws-sdk/util-dynamodb';
import { Redis } from 'iovalkey';
import { backfill, begin, passCounts } from '../dist/backfill/backfill.js';
import { valkeyCache } from '../dist/caches/valkey.js';
import { attributesOf } from '../dist/dynamodb/attributes.js';
import { views as shopViews } from '../dist/views/index.js';
import { pipelinePlain, plainWrites } from './contestants.mjs';
import { generatedItem, numberOf, pageOf } from './generated-table.mjs';

const SEGMENTS = 8;
const [name = '', port = '', count = ''] = process.argv.slice(2);
const items = Number(count);

/** Each fills the server, and returns the seconds of its parts. @type {Record<string, () => Promise<Record<string, number>>>} */
const contestants = {
  async backfill() {
    const cache = valkeyCache({ url: `valkey://127.0.0.1:${port}` });
    /** @type {import('../dist/dynamodb/scanned-table.js').ScannedTable} */
    const table = {
      keys: ['pk', 'sk'],
      async scan(place) {
        return pageOf(items, place);
      },
      async reading() {
        return async (keys) => ({ answers: keys.map((key) => ({ item: attributesOf(generatedItem(numberOf(key))) })), units: 0 });
      },
    };
    const views = Object.values(shopViews);
    const place = { tableArn: '', tableId: '', cache: '', views: views.map(({ name }) => name), segments: SEGMENTS };
    /** @type {Record<string, number>} */
    const seconds = {};
    let pass = 'mark';
    let begun = performance.now();
    const done = await backfill({
      table,
      cache,
      views,
      from: begin({ ...place, survey: 'bench', begun: '' }),
      segmentsAtOnce: SEGMENTS,
      signal: new AbortController().signal,
      onCheckpoint({ pass: next }) {
        if (next === pass) return;
        seconds[pass] = (performance.now() - begun) / 1_000;
        [pass, begun] = [next, performance.now()];
      },
    });
    const { views: filled } = passCounts(done, 'mark');
    const { views: sealed } = passCounts(done, 'seal');
    for (const view of ['detail@1', 'admin@1']) {
      if (filled[view]?.filled !== items) throw new Error(`${view}: ${filled[view]?.filled} documents were filled`);
    }
    if (!sealed['orders@1']?.sealed || sealed['orders@1'].unsealed > 0) throw new Error('a list was not sealed');
    await cache.close();
    return seconds;
  },
  /** One scan, and unguarded SET, HSET and ZADD in pipelines of one page: no views, no leases, no marks. */
  async plain() {
    const client = new Redis({ host: '127.0.0.1', port: Number(port) });
    const begun = performance.now();
    let after;
    do {
      const page = pageOf(items, { segment: 0, segments: 1, after });
      await pipelinePlain(
        client,
        page.items.map((item) => plainWrites(/** @type {any} */ (unmarshall(item)))),
      );
      after = page.next;
    } while (after);
    client.disconnect();
    return { load: (performance.now() - begun) / 1_000 };
  },
};

const contestant = contestants[name];
if (!contestant) throw new Error(`there is no contestant "${name}"`);
const begun = performance.now();
const seconds = await contestant();
const wall = (performance.now() - begun) / 1_000;
const { user, system } = process.cpuUsage();
process.stdout.write(JSON.stringify({ wall, cpu: (user + system) / 1e6, resident: process.resourceUsage().maxRSS * 1_024, seconds }));
