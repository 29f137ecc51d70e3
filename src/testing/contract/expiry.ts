import assert from 'node:assert/strict';
import type { CacheClient } from '../../cache.ts';
import { del, documentAt, forget, found, gone, hit, leaseOn, MISSED, membersOf, outcomes, put, type Section, settleOn } from './case.ts';

/** Both times to live, ms. */
const TTL_MS = 4_000;
/** What was written first expires between the two, and what was written after the first lives on after both. */
const [FIRST_MS, SECOND_MS] = [2_500, 2_700];

type Act = (client: CacheClient, name: string) => Promise<unknown>;

/** What happens to a document at version 5, and whether its time begins again. */
const ON_DOCUMENTS: Readonly<Record<string, readonly [renews: boolean, act: Act]>> = {
  nothing: [false, async () => undefined],
  'a newer put': [true, (client, name) => client.apply([put(name, 6, 'put')])],
  'an equal put': [true, (client, name) => client.apply([put(name, 5, 'put')])],
  'a stale put': [false, (client, name) => client.apply([put(name, 4, 'put')])],
  'a stale delete': [false, (client, name) => client.apply([del(name, 4)])],
  'a read': [false, (client, name) => Promise.all([client.get(name), client.getMany([name])])],
  'a lease': [false, (client, name) => leaseOn(client, documentAt(name))],
  'a settle': [
    true,
    async (client, name) => settleOn(client, await leaseOn(client, documentAt(name)), { kind: 'document', json: '"put"' }),
  ],
};

/** What happens to a list that holds a member `a` of version 5 at 1, and whether its time begins again. */
const ON_LISTS: typeof ON_DOCUMENTS = {
  nothing: [false, async () => undefined],
  'a newer put': [true, (client, list) => client.apply([membersOf(list, 9).put('a', 6, 1)])],
  'another put': [true, (client, list) => client.apply([membersOf(list, 9).put('b', 1, 1)])],
  'a delete': [true, (client, list) => client.apply([membersOf(list, 9).del('b', 1, 1)])],
  'a forget': [true, (client, list) => client.apply([membersOf(list, 9).forget('b', 1, 1)])],
  'a stale put': [false, (client, list) => client.apply([membersOf(list, 9).put('a', 4, 1)])],
  'a stale put that raises the peak': [true, (client, list) => client.apply([membersOf(list, 9).put('a', 4, 2)])],
  'a page': [false, (client, list) => client.list(list, { limit: 1 })],
  'a lease': [false, (client, list) => leaseOn(client, membersOf(list, 9).target)],
  'a settle': [true, async (client, list) => settleOn(client, await leaseOn(client, membersOf(list, 9).target), found({ a: 1 }))],
  'a settle that is lost': [false, (client, list) => settleOn(client, { target: membersOf(list, 9).target }, found({ a: 1 }))],
};

export const expiry: Section = {
  about: 'times to live',
  cases: [
    {
      it: 'restarts a time to live with each write that takes effect, and with nothing else',
      needs: ['elapse'],
      async run({ open, elapse }) {
        const client = await open({ entryTtlMs: TTL_MS, tombstoneTtlMs: TTL_MS });
        const [documents, lists] = [Object.entries(ON_DOCUMENTS), Object.entries(ON_LISTS)];
        await client.apply([
          ...documents.map(([name]) => put(name, 5, 'put')),
          ...documents.map(([name]) => del(`${name}, deleted`, 5)),
          ...lists.flatMap(([name]) => [membersOf(name, 9).put('a', 5, 1), membersOf(`${name}, empty`, 9).del('a', 5, 1)]),
        ]);
        const empty = lists.map(([name]) => membersOf(`${name}, empty`, 9).target);
        for (const target of empty) assert.equal(await settleOn(client, await leaseOn(client, target), found({})), 'settled');
        await elapse?.(FIRST_MS);
        await Promise.all([
          ...documents.flatMap(([name, [, act]]) => [act(client, name), act(client, `${name}, deleted`)]),
          ...lists.flatMap(([name, [, act]]) => [act(client, name), act(client, `${name}, empty`)]),
        ]);
        await elapse?.(SECOND_MS);
        for (const [name, [renews]] of documents) {
          const [live, deleted] = await client.getMany([name, `${name}, deleted`]);
          assert.deepEqual([live?.type !== 'miss', deleted?.type !== 'miss'], [renews, renews], `a document after ${name}`);
        }
        for (const [name, [renews]] of lists) {
          const { members } = await client.list(name, { limit: 9 });
          assert.equal(members.length > 0, renews, `a list after ${name}`);
          // Only a list that is still there refuses an older version of its member.
          const [outcome] = await client.apply([membersOf(`${name}, empty`, 9).del('a', 4, 1)]);
          assert.equal(outcome?.type === 'stale', renews, `a list without live members after ${name}`);
        }
      },
    },
    {
      it: 'expires entries and tombstones independently',
      needs: ['elapse'],
      async run({ open, elapse }) {
        const client = await open({ entryTtlMs: 1_000, tombstoneTtlMs: 60_000 });
        const { put: add, target } = membersOf('list', 9);
        await client.apply([put('a', 5, 'a'), del('b', 5), add('a', 5, 1)]);
        assert.equal(await settleOn(client, await leaseOn(client, target), found({ a: 1 })), 'settled');
        await elapse?.(2_200);
        assert.deepEqual(await client.get('a'), MISSED);
        assert.equal((await client.get('b')).type, 'gone');
        // A list lives for the longer of the two times.
        assert.equal((await client.list('list', { limit: 9 })).complete, true);
        await client.apply([put('a', 1, 'older')]);
        assert.deepEqual(await client.get('a'), hit('older', 1));
      },
    },
    {
      it: 'expires a list without live members, and keeps one that has live members if entries do not expire',
      needs: ['elapse'],
      async run({ open, elapse }) {
        const client = await open({ entryTtlMs: 0, tombstoneTtlMs: 1_000 });
        const [empty, live] = [membersOf('empty', 9), membersOf('live', 9)];
        await client.apply([empty.del('a', 5, 1), live.put('a', 5, 1), live.del('b', 5, 1)]);
        await elapse?.(2_200);
        assert.deepEqual(await outcomes(client, empty.put('a', 4, 1), live.put('a', 4, 1)), ['applied', 'stale']);
      },
    },
    {
      it: 'expires a fill of an item that the table lacks soon, if no version of the item was known',
      needs: ['elapse'],
      async run({ open, elapse }) {
        const client = await open({ tombstoneTtlMs: 60_000, absentTtlMs: 1_000 });
        await client.apply([put('present', 1, 'one'), forget('forgotten', 1)]);
        for (const key of ['unknown', 'present', 'forgotten']) {
          assert.equal(await settleOn(client, await leaseOn(client, documentAt(key)), { kind: 'document' }), 'settled');
        }
        assert.equal(await settleOn(client, await leaseOn(client, documentAt('found')), { kind: 'document', json: '"read"' }), 'settled');
        assert.deepEqual(await client.getMany(['unknown', 'present', 'forgotten']), [gone(0), gone(1), gone(1)]);
        await elapse?.(2_200);
        assert.deepEqual(await client.getMany(['unknown', 'present', 'forgotten', 'found']), [MISSED, gone(1), gone(1), hit('read', 0)]);
      },
    },
    {
      it: 'expires a list soon of which nothing is known but that the table has no members of it',
      needs: ['elapse'],
      async run({ open, elapse }) {
        const client = await open({ tombstoneTtlMs: 60_000, absentTtlMs: 1_000 });
        const empty = { kind: 'list', newest: [] } as const;
        const [leased, filled, deleted, marked] = ['leased', 'filled', 'deleted', 'marked'].map((name) => membersOf(name, 9));
        if (!leased || !filled || !deleted || !marked) return;
        const lost = await leaseOn(client, leased.target);
        assert.equal(await settleOn(client, await leaseOn(client, filled.target), empty), 'settled');
        await client.apply([deleted.del('m', 1, 1)]);
        assert.equal(await settleOn(client, await leaseOn(client, deleted.target), empty), 'settled');
        await client.mark([{ list: 'marked', keep: 9 }], 'survey');
        const complete = () => Promise.all(['filled', 'deleted'].map(async (name) => (await client.list(name, { limit: 1 })).complete));
        assert.deepEqual(await complete(), [true, true]);
        await elapse?.(2_200);
        assert.deepEqual(await complete(), [false, true]);
        assert.equal(await settleOn(client, lost, empty), 'lost');
        assert.deepEqual(await client.seal(['marked'], 'survey'), ['settled']);
      },
    },
  ],
};
