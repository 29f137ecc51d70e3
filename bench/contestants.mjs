import { once } from 'node:events';
import { connect } from 'node:net';
import { Redis } from 'iovalkey';
import { valkeyCache } from '../dist/caches/valkey.js';
import { decodeRecord } from '../dist/dynamodb/record.js';
import { sync } from '../dist/sync/sync.js';
import { startProxy } from './proxy.mjs';
import { RespCounter } from './resp.mjs';

/**
 * @typedef {import('./orders.mjs').StreamRecord} StreamRecord
 * @typedef {import('../dist/view.js').View} View
 * @typedef {import('../dist/cache.js').CacheClient} CacheClient
 */

/** Applies records as the worker does, and resolves when the server has acknowledged the writes. @param {CacheClient} cache @param {readonly View[]} views @param {readonly StreamRecord[]} records */
export function syncRecords(cache, views, records) {
  return sync({
    records,
    decode: (record, index) => decodeRecord(record, index),
    views,
    cache,
    setAside: async ({ causes }) => {
      throw causes[0]?.error;
    },
  });
}

/**
 * Sums the outcomes of a report. Throws the error of a failed record.
 *
 * @param {import('../dist/sync/sync.js').Report} report
 */
export function tally({ records }) {
  const sum = { applied: 0, stale: 0 };
  for (const { status, applied, stale, error } of records) {
    if (status === 'failed') throw error;
    sum.applied += applied;
    sum.stale += stale;
  }
  return sum;
}

/** Makes the writes with the same effect as an order's mutations, without versions. @param {ReturnType<typeof import('./orders.mjs').order>} order */
export function plainWrites({ pk: _, sk: __, ...all }) {
  const { creator, ...visible } = all;
  const { items: ___, ...summary } = visible;
  const json = JSON.stringify(summary);
  const member = JSON.stringify([`order#${all.id}`, 'order']);
  return {
    documents: [
      [`plain:detail:${all.id}`, JSON.stringify(visible)],
      [`plain:admin:${all.id}`, JSON.stringify(all)],
    ],
    members: ['plain:orders:all', `plain:orders:creator:${creator}`].map((list) => ({
      hash: `${list}:members`,
      sorted: `${list}:scores`,
      member,
      score: Date.parse(all.createdAt),
      json,
    })),
  };
}

/** @param {Redis} client @param {readonly ReturnType<typeof plainWrites>[]} writes */
export async function pipelinePlain(client, writes) {
  const pipeline = client.pipeline();
  for (const { documents, members } of writes) {
    for (const [key, json] of documents) pipeline.set(/** @type {string} */ (key), /** @type {string} */ (json));
    for (const { hash, sorted, member, score, json } of members) {
      pipeline.hset(hash, member, json);
      pipeline.zadd(sorted, score, member);
    }
  }
  const replies = await pipeline.exec();
  const failed = replies?.find(([error]) => error);
  if (failed) throw failed[0];
}

/**
 * Records the bytes that the client sends for these batches. Scripts are called by their digest.
 *
 * @param {number} serverPort @param {readonly View[]} views @param {readonly StreamRecord[][]} batches
 */
export async function recordCalls(serverPort, views, batches) {
  const proxy = await startProxy(serverPort);
  // The server rejects a call after its deadline, and these calls are sent again later.
  const cache = valkeyCache({ url: proxy.url, commandTimeoutMs: 900_000, deadlineMs: 900_000 });
  try {
    // Because the first call of a connection sends the whole script.
    await syncRecords(cache, views, batches[0] ?? []);
    proxy.reset();
    for (const records of batches) tally(await syncRecords(cache, views, records));
    const { sent, commands } = proxy.traffic();
    return { bytes: Buffer.concat(sent), commands };
  } finally {
    await cache.close();
    await proxy.close();
  }
}

/** Opens a socket that sends recorded calls as fast as the server reads, and counts the replies. @param {number} port */
export async function bareSocket(port) {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  await once(socket, 'connect');
  let replies = new RespCounter();
  let wanted = 0;
  let resolve = () => {};
  /** @type {(error: Error) => void} */
  let reject = () => {};
  socket.on('data', (data) => {
    replies.push(data);
    if (replies.error) reject(new Error(replies.error));
    else if (replies.count >= wanted) resolve();
  });
  return {
    /** @param {{ readonly bytes: Buffer, readonly commands: number }} calls @returns {Promise<void>} */
    send({ bytes, commands }) {
      replies = new RespCounter();
      wanted = commands;
      return new Promise((done, failed) => {
        [resolve, reject] = [done, failed];
        socket.write(bytes);
      });
    },
    close: () => socket.destroy(),
  };
}
