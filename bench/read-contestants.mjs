import { BatchGetItemCommand, DynamoDBClient, GetItemCommand, QueryCommand } from '@aws-sdk/client-dynamodb';
import { marshall, unmarshall } from '@aws-sdk/util-dynamodb';
import { BentoCache, bentostore } from 'bentocache';
import { redisDriver } from 'bentocache/drivers/redis';
import { Redis as IoRedis } from 'ioredis';
import { Redis } from 'iovalkey';
import { valkeyCache } from '../dist/caches/valkey.js';
import { createReader } from '../dist/fill/reader.js';
import { range } from './orders.mjs';
import { countOf, detail, idOf, idsOf, KEYS, lines, MANY, ownerOf, PAGE, TABLE } from './reads.mjs';

/**
 * What a contestant reads with. Each call returns how many values it got.
 *
 * @typedef {object} Reads
 * @property {(n: number) => Promise<number>} one the n-th document
 * @property {((n: number) => Promise<number>) | undefined} many the documents of the n-th getMany
 * @property {(n: number) => Promise<number>} page a page of the n-th list
 *
 * @typedef {import('./reads.mjs').ReadRace} ReadRace
 */

/** No deadline ends a read of the bench: a busy machine would turn hits into reads of the table. */
const NEVER_MS = 60_000;

/** @param {number} port */
export const tableClient = (port) =>
  new DynamoDBClient({
    endpoint: `http://127.0.0.1:${port}`,
    region: 'us-east-1',
    credentials: { accessKeyId: 'local', secretAccessKey: 'local' },
  });

/** Reads of the table alone, which also are what a cache-aside reader does on a miss. @param {DynamoDBClient} client */
function tableReads(client) {
  /** @param {number} n */
  const keyOf = (n) => marshall({ pk: `order#${idOf(n)}`, sk: 'order' });
  return {
    /** @param {number} n */
    async one(n) {
      const { Item } = await client.send(new GetItemCommand({ TableName: TABLE, Key: keyOf(n), ConsistentRead: true }));
      return Item && unmarshall(Item);
    },
    /** @param {number} n */
    async many(n) {
      const Keys = idsOf(n).map((id) => marshall({ pk: `order#${id}`, sk: 'order' }));
      const { Responses } = await client.send(new BatchGetItemCommand({ RequestItems: { [TABLE]: { Keys, ConsistentRead: true } } }));
      return (Responses?.[TABLE] ?? []).map((item) => unmarshall(item));
    },
    /** @param {number} n */
    async page(n) {
      const { Items = [] } = await client.send(
        new QueryCommand({
          TableName: TABLE,
          KeyConditionExpression: 'pk = :pk AND begins_with(sk, :line)',
          ExpressionAttributeValues: marshall({ ':pk': ownerOf(n), ':line': 'line#' }),
          ScanIndexForward: false,
          ConsistentRead: true,
          Limit: PAGE,
        }),
      );
      return Items.map((item) => unmarshall(item));
    },
  };
}

/** @type {Record<string, (cachePort: number, tablePort: number) => Promise<Reads>>} */
const contestants = {
  async reader(cachePort, tablePort) {
    const cache = valkeyCache({ url: `valkey://127.0.0.1:${cachePort}` });
    const table = { client: tableClient(tablePort), name: TABLE, keys: KEYS };
    const reader = createReader({ cache, table, cacheDeadlineMs: NEVER_MS });
    return {
      one: async (n) => ((await reader.get(detail, idOf(n))) ? 1 : 0),
      many: async (n) => (await reader.getMany(detail, idsOf(n))).filter(Boolean).length,
      page: async (n) => (await reader.page(lines, ownerOf(n), { limit: PAGE })).members.length,
    };
  },
  /** Cache-aside by hand: GET and JSON.parse; after a miss the table, and SET. It guards nothing. */
  async plain(cachePort, tablePort) {
    const client = new Redis({ host: '127.0.0.1', port: cachePort });
    const table = tableReads(tableClient(tablePort));
    /** @param {string} key @param {() => Promise<unknown>} load */
    const aside = async (key, load) => {
      const text = await client.get(key);
      if (text !== null) return JSON.parse(text);
      const value = await load();
      await client.set(key, JSON.stringify(value));
      return value;
    };
    return {
      one: async (n) => ((await aside(`plain:${idOf(n)}`, () => table.one(n))) ? 1 : 0),
      async many(n) {
        const keys = idsOf(n).map((id) => `plain:${id}`);
        const texts = await client.mget(keys);
        if (!texts.includes(null)) return texts.map((text) => JSON.parse(text ?? '')).length;
        const values = await table.many(n);
        await client.mset(Object.fromEntries(values.map((value) => [`plain:${value.id}`, JSON.stringify(value)])));
        return values.length;
      },
      page: async (n) => (await aside(`plain:${ownerOf(n)}`, () => table.page(n))).length,
    };
  },
  /** `getOrSet` with its Redis layer only: a layer in the process would not ask the server. */
  async bentocache(cachePort, tablePort) {
    const connection = new IoRedis({ host: '127.0.0.1', port: cachePort });
    const store = bentostore().useL2Layer(redisDriver({ connection }));
    const bento = new BentoCache({ default: 'server', stores: { server: store } });
    const table = tableReads(tableClient(tablePort));
    return {
      one: async (n) => ((await bento.getOrSet({ key: idOf(n), ttl: '1h', factory: () => table.one(n) })) ? 1 : 0),
      many: undefined,
      page: async (n) => (await bento.getOrSet({ key: ownerOf(n), ttl: '1h', factory: () => table.page(n) })).length,
    };
  },
  async table(_, tablePort) {
    const table = tableReads(tableClient(tablePort));
    return {
      one: async (n) => ((await table.one(n)) ? 1 : 0),
      many: async (n) => (await table.many(n)).length,
      page: async (n) => (await table.page(n)).length,
    };
  },
};

/**
 * Starts a contestant. The function that it returns prepares a race, and then returns its run.
 *
 * @param {string} name @param {number} cachePort @param {number} tablePort
 */
export async function startReads(name, cachePort, tablePort) {
  const all = await contestants[name]?.(cachePort, tablePort);
  if (!all) throw new Error(`there is no contestant "${name}"`);
  const admin = new Redis({ host: '127.0.0.1', port: cachePort });
  const expected = { one: 1, many: MANY, page: PAGE };
  return async (/** @type {ReadRace} */ race) => {
    const { verb, cold } = race;
    const count = countOf(name, race);
    const read = all[verb];
    if (!read) return undefined;
    const run = async () => {
      let values = 0;
      for (const n of range(count)) values += await read(n);
      if (values !== count * expected[verb]) throw new Error(`${name}, ${race.name}: ${values} values`);
    };
    await admin.flushall('SYNC');
    if (!cold) await run();
    return run;
  };
}
