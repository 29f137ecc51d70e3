import assert from 'node:assert/strict';
import type { CacheClient } from '../../cache.ts';
import { at, found, leaseOn, membersOf, outcomes, type Section, settleOn, shows, type Trial } from './case.ts';

const keep2 = membersOf('list', 2);

export const lists: Section = {
  about: 'members of a list',
  cases: [
    {
      it: 'calls no page complete before the list was filled from the table',
      async run({ client }) {
        await client.apply([keep2.put('a', 1, 1)]);
        await shows(client, 'list', ['a 1'], false);
        await shows(client, 'list', ['a 1'], false, { limit: 1 });
        await shows(client, 'list', ['a 1'], false, { limit: 1, order: 'asc' });
        await leaseOn(client, keep2.target);
        await shows(client, 'list', ['a 1'], false);
      },
    },
    {
      it: 'calls every page complete after the list was filled with all members of the table',
      async run({ client }) {
        await fill(client, { a: 3, b: 1 });
        for (const order of ['desc', 'asc'] as const) {
          for (const limit of [1, 2, 3]) {
            const values = (order === 'desc' ? ['a read', 'b read'] : ['b read', 'a read']).slice(0, limit);
            await shows(client, 'list', values, true, { limit, order });
          }
        }
        await client.apply([keep2.del('b', 1, 1)]);
        await shows(client, 'list', ['a read'], true);
        await client.apply([keep2.del('a', 1, 3)]);
        await shows(client, 'list', [], true);
      },
    },
    {
      it: 'keeps the newest members, and calls pages complete above the greatest score that was dropped',
      async run({ client }) {
        await fill(client, {});
        await client.apply([keep2.put('a', 1, 1), keep2.put('b', 1, 2), keep2.put('c', 1, 3)]);
        await shows(client, 'list', ['c 1', 'b 1'], true, { limit: 2 });
        await shows(client, 'list', ['c 1', 'b 1'], false, { limit: 3 });
        await client.apply([keep2.del('c', 2, 3)]);
        await shows(client, 'list', ['b 1'], true, { limit: 1 });
        await shows(client, 'list', ['b 1'], false, { limit: 2 });
      },
    },
    {
      it: 'calls an ascending page complete if it starts above the bottom',
      async run({ client }) {
        await fill(client, {});
        await client.apply([keep2.put('a', 1, 1), keep2.put('b', 1, 2), keep2.put('c', 1, 3)]);
        await shows(client, 'list', ['b 1', 'c 1'], false, { limit: 5, order: 'asc' });
        const { cursor } = await client.list('list', { limit: 1, order: 'asc' });
        await shows(client, 'list', ['c 1'], true, { limit: 5, order: 'asc', after: cursor });
      },
    },
    {
      it: 'drops puts at or below the bottom, even if the list is no longer full',
      async run({ client }) {
        await fill(client, {});
        await client.apply([keep2.put('a', 1, 5), keep2.put('b', 1, 6), keep2.put('c', 1, 7)]);
        await client.apply([keep2.del('b', 2, 6), keep2.del('c', 2, 7)]);
        assert.deepEqual(await outcomes(client, keep2.put('d', 1, 4), keep2.put('e', 1, 5)), ['applied', 'applied']);
        await shows(client, 'list', [], false);
        await client.apply([keep2.put('f', 1, 5.5)]);
        await shows(client, 'list', ['f 1'], true, { limit: 1 });
      },
    },
    {
      it: 'drops a member that moves below the bottom',
      async run({ client }) {
        await fill(client, {});
        await client.apply([keep2.put('a', 1, 5), keep2.put('b', 1, 6), keep2.put('c', 1, 7)]);
        await client.apply([keep2.put('c', 2, 1, { from: 7 })]);
        await shows(client, 'list', ['b 1'], true, { limit: 1 });
        await shows(client, 'list', ['b 1'], false);
        assert.deepEqual(await outcomes(client, keep2.put('c', 1, 7)), ['stale']);
      },
    },
    {
      it: 'drops the lowest name among equal scores at the end of a full list, and calls no page complete at that score',
      async run({ client }) {
        await fill(client, {});
        await client.apply(['b', 'a', 'c'].map((name) => keep2.put(name, 1, 4)));
        await shows(client, 'list', ['c 1', 'b 1'], false, { limit: 2 });
        await client.apply([keep2.put('d', 1, 4)]);
        await shows(client, 'list', ['c 1', 'b 1'], false, { limit: 2 });
        await client.apply([keep2.put('e', 1, 5)]);
        await shows(client, 'list', ['e 1'], true, { limit: 1 });
      },
    },
    {
      it: 'refuses an older version of a moved member at its old score',
      async run({ client }) {
        const { put, del } = membersOf('list', 1);
        // The list has dropped the member at 1, and a replay of version 2 at 9 is above the bottom.
        await client.apply([put('a', 2, 9), put('a', 3, 1, { from: 9 }), put('b', 1, 5)]);
        assert.deepEqual(await outcomes(client, put('a', 2, 9)), ['stale']);
        await shows(client, 'list', ['b 1'], false);
        await client.apply([del('b', 2, 5)]);
        assert.deepEqual(await outcomes(client, put('a', 2, 9)), ['stale']);
        await shows(client, 'list', [], false);
      },
    },
    {
      it: 'refuses a repeated replay at a score that only the first replay named',
      async run({ client }) {
        for (const type of ['put', 'del', 'forget'] as const) {
          const list = membersOf(type, 1);
          await client.apply([list[type]('a', 3, 1)]);
          assert.deepEqual(await outcomes(client, list.put('a', 2, 5)), ['stale']);
          await client.apply([list.put('b', 1, 3), list.put('c', 1, 4)]);
          assert.deepEqual(await outcomes(client, list.put('a', 2, 5)), ['stale'], type);
          await shows(client, type, ['c 1'], false);
        }
      },
    },
    {
      it: 'refuses an older version at a score that only a put named as the previous one',
      async run({ client }) {
        const { put } = membersOf('list', 1);
        await client.apply([put('b', 1, 5), put('c', 1, 4), put('a', 3, 1, { from: 9 })]);
        assert.deepEqual(await outcomes(client, put('a', 2, 9)), ['stale']);
        await shows(client, 'list', ['b 1'], false);
      },
    },
    {
      it: 'remembers a deletion above the bottom, and none below it',
      async run({ client }) {
        const { put, del } = membersOf('list', 1);
        await client.apply([put('b', 1, 5), put('c', 1, 4), del('d', 3, 9), del('e', 3, 2)]);
        assert.deepEqual(await outcomes(client, put('d', 2, 9)), ['stale']);
        await client.apply([put('e', 2, 2)]);
        await shows(client, 'list', ['b 1'], false);
      },
    },
    {
      it: 'calls no page complete while a member is forgotten',
      async run({ client }) {
        await fill(client, { a: 3, b: 1 });
        await client.apply([keep2.forget('c', 4, 0.5)]);
        await shows(client, 'list', ['a read', 'b read'], false);
        await shows(client, 'list', ['a read'], false, { limit: 1 });
        await client.apply([keep2.put('c', 3, 0.5)]);
        await shows(client, 'list', ['a read', 'b read'], false);
        await client.apply([keep2.del('c', 5, 0.5)]);
        await shows(client, 'list', ['a read', 'b read'], true);
        await client.apply([keep2.forget('a', 4, 3)]);
        await shows(client, 'list', ['b read'], false);
        await client.apply([keep2.put('a', 5, 3)]);
        await shows(client, 'list', ['a 5', 'b read'], true);
      },
    },
    {
      it: 'calls pages complete above the bottom if members below it are forgotten',
      async run({ client }) {
        await fill(client, {});
        await client.apply([keep2.put('a', 1, 5), keep2.put('b', 1, 6), keep2.put('c', 1, 7)]);
        await client.apply([keep2.forget('d', 2, 4), keep2.forget('e', 2, 5)]);
        await shows(client, 'list', ['c 1', 'b 1'], true, { limit: 2 });
        await shows(client, 'list', ['c 1', 'b 1'], false);
        await client.apply([keep2.put('d', 1, 4), keep2.put('e', 2, 5)]);
        await shows(client, 'list', ['c 1', 'b 1'], true, { limit: 2 });
      },
    },
    {
      it: 'calls pages complete again after the bottom has passed the forgotten members',
      async run({ client }) {
        await fill(client, {});
        await client.apply([keep2.put('b', 1, 6), keep2.put('c', 1, 7), keep2.forget('d', 2, 6), keep2.forget('e', 2, 6.5)]);
        await shows(client, 'list', ['c 1'], false, { limit: 1 });
        await client.apply([keep2.put('f', 1, 8)]);
        await shows(client, 'list', ['f 1', 'c 1'], false, { limit: 2 });
        await client.apply([keep2.put('g', 1, 9)]);
        await shows(client, 'list', ['g 1', 'f 1'], true, { limit: 2 });
        // A member that is forgotten later makes pages incomplete again.
        await client.apply([keep2.forget('f', 2, 8)]);
        await shows(client, 'list', ['g 1'], false, { limit: 1 });
        await client.apply([keep2.put('f', 2, 8)]);
        await shows(client, 'list', ['g 1', 'f 2'], true, { limit: 2 });
      },
    },
    {
      it: 'calls pages complete again once the bottom is at a forgotten member',
      async run({ client }) {
        await fill(client, {});
        await client.apply([keep2.put('a', 1, 6), keep2.put('b', 1, 7), keep2.forget('d', 2, 6)]);
        await shows(client, 'list', ['b 1'], false, { limit: 1 });
        await client.apply([keep2.put('c', 1, 8)]);
        await shows(client, 'list', ['c 1', 'b 1'], true, { limit: 2 });
      },
    },
    {
      it: 'calls no page complete while an older version of a forgotten member may come back above the bottom',
      async run({ client }) {
        await fill(client, {});
        await client.apply([keep2.put('a', 2, 9), keep2.put('b', 1, 6), keep2.put('c', 1, 7), keep2.put('d', 1, 8)]);
        await client.apply([keep2.forget('a', 3, 1)]);
        assert.deepEqual(await outcomes(client, keep2.put('a', 2, 9), keep2.put('a', 2, 10)), ['stale', 'stale']);
        await shows(client, 'list', ['d 1'], false, { limit: 1 });
        await client.apply([keep2.put('e', 1, 9.2), keep2.put('f', 1, 9.4), keep2.put('g', 1, 9.6)]);
        assert.deepEqual(await outcomes(client, keep2.put('a', 2, 10)), ['stale']);
        await client.apply([keep2.put('h', 1, 11), keep2.put('i', 1, 12), keep2.put('j', 1, 13)]);
        await shows(client, 'list', ['j 1', 'i 1'], true, { limit: 2 });
      },
    },
    {
      it: 'calls pages complete above the bottom if values below it are rejected',
      needs: ['maxValueBytes'],
      async run(trial) {
        const { client } = trial;
        await fill(client, {});
        await client.apply([keep2.put('a', 1, 5), keep2.put('b', 1, 6), keep2.put('c', 1, 7)]);
        for (const from of [undefined, 4, 5]) {
          const rejected = keep2.put('d', 2, 3, { json: tooLarge(trial), ...(from && { from }) });
          assert.deepEqual(await outcomes(client, rejected), ['rejected']);
          await shows(client, 'list', ['c 1', 'b 1'], true, { limit: 2 });
        }
        // The member was above the bottom at 6, where an older version could come back.
        assert.deepEqual(await outcomes(client, keep2.put('d', 2, 3, { json: tooLarge(trial), from: 6 })), ['rejected']);
        await shows(client, 'list', ['c 1', 'b 1'], false, { limit: 2 });
      },
    },
    {
      it: 'forgets a member whose value is rejected',
      needs: ['maxValueBytes'],
      async run(trial) {
        const { client } = trial;
        await fill(client, { a: 3, b: 1 });
        assert.deepEqual(await outcomes(client, keep2.put('a', 3, 3, { json: tooLarge(trial) })), ['rejected']);
        await shows(client, 'list', ['b read'], false);
        assert.deepEqual(await outcomes(client, keep2.put('a', 2, 3)), ['stale']);
        assert.deepEqual(await outcomes(client, keep2.put('a', 2, 3, { json: tooLarge(trial) })), ['stale']);
        await client.apply([keep2.put('a', 3, 3)]);
        await shows(client, 'list', ['a 3', 'b read'], true);
      },
    },
    {
      it: 'refuses an older version at a score that only a rejected put named as the previous one',
      needs: ['maxValueBytes'],
      async run(trial) {
        const { client } = trial;
        const { put, del } = membersOf('list', 1);
        await client.apply([put('b', 1, 5), put('c', 1, 4), put('a', 3, 1, { from: 9, json: tooLarge(trial) }), del('a', 4, 1)]);
        assert.deepEqual(await outcomes(client, put('a', 2, 9)), ['stale']);
        await shows(client, 'list', ['b 1'], false);
      },
    },
    {
      it: 'does not fill a member that was rejected and deleted since the lease',
      needs: ['maxValueBytes'],
      async run(trial) {
        const { client } = trial;
        await client.apply([keep2.put('b', 1, 5), keep2.put('c', 1, 4.5), keep2.put('d', 1, 4)]);
        const lease = await leaseOn(client, keep2.target);
        await client.apply([keep2.put('a', 3, 1, { from: 9, json: tooLarge(trial) }), keep2.del('a', 4, 1)]);
        assert.equal(await settleOn(client, lease, found({ a: 9, b: 5 }, 5)), 'settled');
        const { members } = await client.list('list', { limit: 9 });
        assert.ok(!members.some(({ member }) => member === 'a'), 'the deleted member is shown');
      },
    },
    {
      it: 'keeps one member if keep is 1',
      async run({ client }) {
        const { put, del, target } = membersOf('list', 1);
        const lease = await leaseOn(client, target);
        assert.equal(await settleOn(client, lease, found({})), 'settled');
        await client.apply([put('a', 1, 1)]);
        await shows(client, 'list', ['a 1'], true);
        await client.apply([put('b', 1, 2)]);
        await shows(client, 'list', ['b 1'], true, { limit: 1 });
        await shows(client, 'list', ['b 1'], false, { limit: 2 });
        await client.apply([put('c', 1, 1.5), del('b', 2, 2)]);
        await shows(client, 'list', [], false);
      },
    },
    {
      it: 'trims the list when keep decreases, and lets it grow when keep increases',
      async run({ client }) {
        const { put } = membersOf('list', 3);
        await fill(client, {});
        await client.apply([put('a', 1, 1), put('b', 1, 2), put('c', 1, 3)]);
        await shows(client, 'list', ['c 1', 'b 1', 'a 1'], true);
        await client.apply([keep2.put('c', 2, 3)]);
        await shows(client, 'list', ['c 2', 'b 1'], false);
        await client.apply([put('d', 1, 0), put('e', 1, 1.5)]);
        await shows(client, 'list', ['c 2', 'b 1', 'e 1'], false);
        await shows(client, 'list', ['c 2', 'b 1', 'e 1'], true, { limit: 3 });
      },
    },
    {
      it: 'shows no member and calls no page complete after an eviction, and can be filled again',
      needs: ['evict'],
      async run({ client, evict }) {
        await fill(client, { a: 3, b: 1 });
        await evict?.(keep2.target);
        await shows(client, 'list', [], false);
        assert.deepEqual(await outcomes(client, keep2.put('a', 1, 3)), ['applied']);
        await shows(client, 'list', ['a 1'], false);
        await fill(client, { a: 3 });
        const { members, complete } = await client.list('list', { limit: 9 });
        assert.deepEqual([members, complete], [[{ member: 'a', score: 3, value: 'a read', version: at(1) }], true]);
      },
    },
    {
      it: 'treats a list as evicted if one of its keys was evicted',
      needs: ['evictPart'],
      async run({ client, evictPart }) {
        for (const write of [false, true]) {
          for (let part = 0; part < 12; part += 1) {
            const list = `list ${part} ${write}`;
            const { put, del, target } = membersOf(list, 2);
            const lease = await leaseOn(client, target);
            await settleOn(client, lease, found({ a: 3, b: 1 }));
            await client.apply([put('c', 2, 2), del('a', 5, 3)]);
            await shows(client, list, ['c 2'], true, { limit: 1 });
            const stale = await leaseOn(client, target);
            if (!(await evictPart?.(list, part))) continue;
            if (write) {
              await client.apply([put('d', 1, 8)]);
              await shows(client, list, ['d 1'], false);
            } else await shows(client, list, [], false);
            assert.equal(await settleOn(client, stale, found({ a: 3 })), 'lost');
            assert.deepEqual(await outcomes(client, put('a', 1, 3)), ['applied']);
          }
        }
      },
    },
  ],
};

async function fill(client: CacheClient, scores: Readonly<Record<string, number>>): Promise<void> {
  const lease = await leaseOn(client, keep2.target);
  assert.equal(await settleOn(client, lease, found(scores)), 'settled');
}

function tooLarge({ maxValueBytes }: Trial): string {
  return JSON.stringify('x'.repeat(maxValueBytes));
}
