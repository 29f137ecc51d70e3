import { Redis } from 'iovalkey';
import { valkeyCache } from '../dist/caches/valkey.js';
import { views as shopViews } from '../dist/views/index.js';
import { pipelinePlain, plainWrites, syncRecords, tally } from './contestants.mjs';
import { chunksOf, order, range, record } from './orders.mjs';
import { figure } from './report.mjs';
import { infoNumber, startServer } from './server.mjs';

const BATCH = 100;
const shop = Object.values(shopViews);

/** Measures the server's memory an order, bytes. @param {import('./report.mjs').Context} context */
export async function memory({ quick, progress }) {
  const count = quick ? 2_000 : 20_000;
  const unbounded = shop.map((view) => (view.kind === 'list' ? { ...view, keep: count } : view));
  const orders = range(count).map(order);
  const server = await startServer();
  const cache = valkeyCache({ url: server.url });
  const plain = new Redis({ host: '127.0.0.1', port: server.port });
  /** @param {typeof shop} views @param {(order: ReturnType<typeof import('./orders.mjs').order>, n: number) => import('./orders.mjs').StreamRecord} recordOf */
  const syncAll = async (views, recordOf) => {
    for (const batch of chunksOf(orders.map(recordOf), BATCH)) tally(await syncRecords(cache, views, batch));
  };
  const insertAll = (/** @type {typeof shop} */ views) => syncAll(views, (order, n) => record(n, undefined, order));
  const fillings = {
    'plain keys: 2 strings, 2 hash fields, 2 scores': async () => {
      for (const batch of chunksOf(orders, BATCH)) await pipelinePlain(plain, batch.map(plainWrites));
    },
    'the same in views whose lists keep all': () => insertAll(unbounded),
    "the shop's views, whose lists of orders keep 150": () => insertAll(shop),
    'deleted orders: their tombstones': async () => {
      await insertAll(shop);
      await syncAll(shop, (order, n) => record(count + n, order, undefined));
    },
  };
  try {
    // Connections and scripts take their memory before the first figure.
    await insertAll(shop);
    const figures = [];
    for (const [name, filling] of Object.entries(fillings)) {
      progress(`memory: ${name}`);
      await server.empty();
      const before = await infoNumber(server.admin, 'memory', 'used_memory');
      await filling();
      const after = await infoNumber(server.admin, 'memory', 'used_memory');
      figures.push({ name, orders: count, bytes: (after - before) / count });
    }
    const base = figures[0]?.bytes ?? Number.NaN;
    return {
      sections: [
        {
          title: `Bytes of server memory an order, of ${figure(count)}`,
          head: ['', 'bytes', 'of plain'],
          rows: figures.map(({ name, bytes }) => [name, figure(bytes), figure(bytes / base)]),
        },
      ],
      checks: [],
      figures,
    };
  } finally {
    plain.disconnect();
    await cache.close();
    await server.close();
  }
}
