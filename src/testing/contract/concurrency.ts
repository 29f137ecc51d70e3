import assert from 'node:assert/strict';
import type { CacheClient } from '../../cache.ts';
import { documentAt, found, hit, leaseOn, membersOf, outcomes, put, type Section, settleOn, shows, VERSIONS } from './case.ts';

const RANKS = VERSIONS.map((_, rank) => rank).slice(1);
const NEWEST = RANKS.length;

export const concurrency: Section = {
  about: 'concurrent calls',
  cases: [
    {
      it: 'keeps the newest version of concurrent calls',
      run: ({ client }) => race(client, client),
    },
    {
      it: 'keeps the newest version of concurrent calls of two clients',
      needs: ['shared'],
      run: async ({ client, open }) => race(client, await open()),
    },
    {
      it: 'shows a client the writes of another client',
      needs: ['shared'],
      async run({ client, open }) {
        const other = await open();
        const { put: add, target } = membersOf('list', 3);
        await client.apply([put('a', 2, 'two'), add('m', 2, 1)]);
        assert.deepEqual(await other.get('a'), hit('two', 2));
        await shows(other, 'list', ['m 2'], false);
        assert.deepEqual(await outcomes(other, put('a', 1, 'one'), add('m', 1, 1)), ['stale', 'stale']);
        const lease = await leaseOn(client, target);
        assert.equal(await settleOn(other, await leaseOn(other, target), found({ m: 1 })), 'settled');
        assert.equal(await settleOn(client, lease, found({})), 'lost');
        await shows(client, 'list', ['m read'], true);
      },
    },
    {
      it: 'settles one of several leases that are settled concurrently',
      run: ({ client }) => settleAtOnce([client]),
    },
    {
      it: 'settles one of several leases that two clients settle concurrently',
      needs: ['shared'],
      run: async ({ client, open }) => settleAtOnce([client, await open()]),
    },
  ],
};

async function race(one: CacheClient, other: CacheClient): Promise<void> {
  const clients = [one, other];
  for (let round = 0; round < 20; round += 1) {
    const [key, { put: add, target }] = [`key ${round}`, membersOf(`list ${round}`, 100)];
    const shuffled = RANKS.map((rank) => [(rank * 7 + round * 3) % 11, rank] as const).sort(([a], [b]) => a - b);
    await Promise.all(
      shuffled.map(([, rank], n) => {
        const client = clients[n % 2] as CacheClient;
        return client.apply([put(key, rank, rank), add('a', rank, rank), add('b', rank, -rank)]);
      }),
    );
    for (const client of clients) {
      assert.deepEqual(await client.get(key), hit(NEWEST, NEWEST), key);
      await shows(client, target.list, [`a ${NEWEST}`, `b ${NEWEST}`], false);
    }
  }
}

async function settleAtOnce(clients: readonly CacheClient[]): Promise<void> {
  for (let round = 0; round < 20; round += 1) {
    const { target } = membersOf(`list ${round}`, 3);
    const all = [...clients, ...clients, ...clients];
    const documents = await Promise.all(all.map(async (client) => [client, await leaseOn(client, documentAt(`key ${round}`))] as const));
    const lists = await Promise.all(all.map(async (client) => [client, await leaseOn(client, target)] as const));
    const ends = await Promise.all([
      Promise.all(documents.map(([client, lease], n) => settleOn(client, lease, { kind: 'document', json: String(n) }))),
      Promise.all(lists.map(([client, lease], n) => settleOn(client, lease, found({ [`m${n}`]: 1 })))),
    ]);
    for (const end of ends) assert.equal(end.filter((outcome) => outcome === 'settled').length, 1, end.join());
    const [settled, listed] = ends.map((end) => end.indexOf('settled'));
    for (const client of clients) {
      assert.deepEqual(await client.get(`key ${round}`), hit(settled, 0));
      await shows(client, target.list, [`m${listed} read`], true);
    }
  }
}
