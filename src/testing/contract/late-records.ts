import assert from 'node:assert/strict';
import type { CacheClient } from '../../cache.ts';
import { found, leaseOn, membersOf, outcomes, type Section, settleOn, shows, type Trial } from './case.ts';

const { put, del, forget, target } = membersOf('list', 2);

export const lateRecords: Section = {
  about: 'records that reach a list late',
  cases: [
    {
      it: 'shows no older version of a member that was dropped, though a fill has lowered the bottom',
      async run({ client }) {
        await lowered(client);
        assert.deepEqual(await outcomes(client, put('x', 3, 5)), ['applied']);
        await shows(client, 'list', ['y read'], false);
        await shows(client, 'list', ['y read'], false, { limit: 1 });
        await fill(client, { x: 6, y: 4 });
        await shows(client, 'list', ['x read', 'y read'], true, { limit: 2 });
        assert.deepEqual(await outcomes(client, put('x', 2, 5)), ['stale']);
      },
    },
    {
      it: 'shows no older version of a member that was dropped and that the table no longer has',
      async run({ client }) {
        await full(client);
        await client.apply([put('gone', 4, 6), del('gone', 5, 6), del('a', 6, 9), del('b', 6, 8)]);
        await fill(client, { y: 4 });
        assert.deepEqual(await outcomes(client, put('gone', 4, 6)), ['applied']);
        await shows(client, 'list', ['y read'], false, { limit: 1 });
        await fill(client, { y: 4 });
        await shows(client, 'list', ['y read'], true, { limit: 1 });
      },
    },
    {
      it: 'shows no older version of a member that was trimmed from a full list',
      async run({ client }) {
        await client.apply([put('x', 5, 6)]);
        await client.apply([put('a', 2, 9), put('b', 2, 8), del('a', 6, 9), del('b', 6, 8)]);
        await fill(client, { x: 6, y: 4 });
        await shows(client, 'list', ['x read', 'y read'], true, { limit: 2 });
        await client.apply([put('x', 4, 5)]);
        await shows(client, 'list', ['y read'], false);
      },
    },
    {
      it: 'is complete nowhere after any late record of a dropped member, until a newer one or a fill',
      async run({ client }) {
        for (const [n, late] of [put('x', 4, 6), put('x', 4, 2, { from: 6 }), del('x', 4, 6), forget('x', 4, 6)].entries()) {
          const { target } = membersOf(`list ${n}`, 2);
          const here = { ...late, list: target.list };
          await lowered(client, target.list);
          assert.deepEqual(await outcomes(client, here), ['applied'], JSON.stringify(here));
          await shows(client, target.list, ['y read'], false, { limit: 1 });
          if (n % 2 === 0) await client.apply([membersOf(target.list, 2).put('x', 7, 6)]);
          else await fill(client, { x: 6, y: 4 }, target.list);
          await shows(client, target.list, [n % 2 === 0 ? 'x 7' : 'x read', 'y read'], true, { limit: 2 });
        }
      },
    },
    {
      it: 'is complete nowhere after a late record that moves a member below the bottom, where the list has the member',
      async run({ client }) {
        await lowered(client);
        await client.apply([put('x', 4, 1)]);
        await shows(client, 'list', ['y read'], false, { limit: 1 });
        await fill(client, { x: 6, y: 4 });
        await shows(client, 'list', ['x read', 'y read'], true, { limit: 2 });
      },
    },
    {
      it: 'is complete nowhere after a late record that moves a member below the bottom, where the list knows that the member is gone',
      async run({ client }) {
        await lowered(client);
        await fill(client, { y: 4 }, 'list', 3);
        await shows(client, 'list', ['y read'], true, { limit: 1 });
        await client.apply([put('x', 4, 1)]);
        await shows(client, 'list', ['y read'], false, { limit: 1 });
      },
    },
    {
      it: 'is complete nowhere after a late record that moves a member from above the bottom to below it, where the list does not know the member',
      async run({ client }) {
        await lowered(client);
        await client.apply([put('z', 4, 2, { from: 6 })]);
        await shows(client, 'list', ['x read', 'y read'], false, { limit: 2 });
      },
    },
    {
      it: 'applies a late record of a member that was above the highest bottom',
      async run({ client }) {
        await lowered(client);
        await client.apply([put('z', 4, 6, { from: 8 })]);
        await shows(client, 'list', ['z 4', 'x read'], true, { limit: 2 });
      },
    },
    {
      it: 'is complete nowhere after a record as old as the newest dropped version, and after one at the highest bottom',
      async run({ client }) {
        await lowered(client);
        await client.apply([put('x', 5, 6)]);
        await shows(client, 'list', ['y read'], false, { limit: 1 });
        await fill(client, { x: 6, y: 4 }, 'list', 3);
        await shows(client, 'list', ['x read', 'y read'], true, { limit: 2 });
        await client.apply([put('top', 4, 7)]);
        await shows(client, 'list', ['x read', 'y read'], false, { limit: 2 });
      },
    },
    {
      it: 'applies a record that is newer than all that was dropped',
      async run({ client }) {
        await lowered(client);
        await client.apply([put('x', 7, 5)]);
        await shows(client, 'list', ['x 7', 'y read'], true, { limit: 2 });
        await client.apply([del('y', 7, 4), put('z', 8, 6)]);
        await shows(client, 'list', ['z 8', 'x 7'], true, { limit: 2 });
      },
    },
    {
      it: 'applies an old record above the highest bottom, where nothing was dropped',
      async run({ client }) {
        await lowered(client);
        await client.apply([put('top', 1, 7.5)]);
        await shows(client, 'list', ['top 1', 'x read'], true, { limit: 2 });
      },
    },
    {
      it: 'stays complete above the bottom after an old record of another member below it',
      async run({ client }) {
        await lowered(client);
        await client.apply([put('low', 4, 2), del('lower', 4, 1)]);
        await shows(client, 'list', ['x read', 'y read'], true, { limit: 2 });
      },
    },
    {
      it: 'doubts no record of a list whose bottom was never lowered',
      async run({ client }) {
        await full(client);
        await client.apply([put('low', 8, 6), del('a', 6, 9)]);
        await client.apply([put('c', 1, 7.5), put('d', 1, 8.5)]);
        await shows(client, 'list', ['d 1', 'b 2'], true, { limit: 2 });
      },
    },
    {
      it: 'stays complete after a late record of a member that has left to a place below the bottom, where the bottom was never lowered',
      async run({ client }) {
        await full(client);
        await client.apply([put('x', 5, 6), put('a', 3, 3, { from: 9 })]);
        await shows(client, 'list', ['b 2'], true, { limit: 1 });
        await client.apply([put('a', 4, 3)]);
        await shows(client, 'list', ['b 2'], true, { limit: 1 });
        // Its marker still keeps older versions away.
        assert.deepEqual(await outcomes(client, put('a', 2, 9)), ['stale']);
      },
    },
    {
      it: 'remembers the highest of several bottoms, and the newest of the versions that it dropped',
      async run({ client }) {
        await full(client);
        await client.apply([put('x', 5, 6), del('a', 6, 9), del('b', 6, 8)]);
        await fill(client, { x: 6, y: 4 }, 'list', 2);
        // The bottom rises again, but not up to where it was.
        await client.apply([put('z', 9, 5)]);
        await shows(client, 'list', ['x read', 'z 9'], true, { limit: 2 });
        await fill(client, { x: 6, z: 5 }, 'list', 3);
        await client.apply([put('x', 4, 6.5)]);
        await shows(client, 'list', ['z read'], false);
      },
    },
    {
      it: 'forgets old versions with the list when it is evicted',
      needs: ['evict'],
      async run({ client, evict }: Trial) {
        await lowered(client);
        await evict?.(target);
        await client.apply([put('x', 4, 6)]);
        await shows(client, 'list', ['x 4'], false);
      },
    },
  ],
};

async function fill(client: CacheClient, scores: Readonly<Record<string, number>>, list = 'list', next?: number): Promise<void> {
  const lease = await leaseOn(client, { kind: 'list', list, keep: 2 });
  assert.equal(await settleOn(client, lease, found(scores, next)), 'settled');
}

/** A list of two with a bottom of 7, settled once. */
async function full(client: CacheClient, list = 'list'): Promise<void> {
  const { put } = membersOf(list, 2);
  await fill(client, {}, list);
  await client.apply([put('a', 2, 9), put('b', 2, 8), put('c', 2, 7)]);
}

/** A list whose bottom was 7 and is 3. It has dropped version 5 of `x`, and shows `x` at 6 and `y` at 4 as the table has them. */
async function lowered(client: CacheClient, list = 'list'): Promise<void> {
  const { put, del } = membersOf(list, 2);
  await full(client, list);
  await client.apply([put('x', 5, 6), del('a', 6, 9), del('b', 6, 8)]);
  await fill(client, { x: 6, y: 4 }, list, 3);
  await shows(client, list, ['x read', 'y read'], true, { limit: 2 });
}
