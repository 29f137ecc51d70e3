import assert from 'node:assert/strict';
import type { CacheClient, Found } from '../../cache.ts';
import { at, documentAt, found, leaseOn, membersOf, outcomes, type Section, settleOn, shows } from './case.ts';

const { put, del, forget, target } = membersOf('list', 2);
const roomy = membersOf('list', 5);

export const listLeases: Section = {
  about: 'leases on lists',
  cases: [
    {
      it: 'settles the members of the table at a version older than any change, with the bottom at the member that follows',
      async run({ client }) {
        await settles(client, found({ a: 9, b: 6 }, 5));
        await shows(client, 'list', ['a read', 'b read'], false, { limit: 3 });
        const { members, complete } = await client.list('list', { limit: 1 });
        assert.deepEqual([members, complete], [[{ member: 'a', score: 9, value: 'a read', version: at(0) }], true]);
        await client.apply([del('b', 1, 6)]);
        assert.deepEqual(await outcomes(client, put('a', 1, 8), put('c', 1, 5), put('d', 1, 5.5)), ['applied', 'applied', 'applied']);
        await shows(client, 'list', ['a 1', 'd 1'], true, { limit: 2 });
      },
    },
    {
      it: 'is complete for a page of all members that it keeps after a fill, though the table has more',
      async run({ client }) {
        for (const keep of [1, 2, 3]) {
          const list = membersOf(`keep ${keep}`, keep);
          const scores = Object.fromEntries(['a', 'b', 'c'].slice(0, keep).map((name, n) => [name, 9 - n]));
          assert.equal(await settleOn(client, await leaseOn(client, list.target), found(scores, 9 - keep)), 'settled');
          const values = Object.keys(scores).map((name) => `${name} read`);
          await shows(client, list.target.list, values, true, { limit: keep });
          await shows(client, list.target.list, values, false, { limit: keep + 1 });
          await client.apply([list.put('new', 1, 10)]);
          await shows(client, list.target.list, ['new 1', ...values.slice(0, -1)], true, { limit: keep });
        }
      },
    },
    {
      it: 'holds none of the members that tie with the one that follows them',
      async run({ client }) {
        await settles(client, found({ a: 9, b: 5 }, 5));
        await shows(client, 'list', ['a read'], false, { limit: 2 });
        await shows(client, 'list', ['a read'], true, { limit: 1 });
        await client.apply([del('a', 1, 9), put('b', 1, 5)]);
        await shows(client, 'list', [], false);
        await settles(client, found({ b: 5, c: 5 }, 5));
        await shows(client, 'list', [], false);
      },
    },
    {
      it: 'takes fewer members than it keeps, and the score of the next one',
      async run({ client }) {
        await settles(client, found({ a: 9 }, 5));
        await shows(client, 'list', ['a read'], true, { limit: 1 });
        await shows(client, 'list', ['a read'], false, { limit: 2 });
        await client.apply([put('c', 1, 5), put('d', 1, 6)]);
        await shows(client, 'list', ['a read', 'd 1'], true, { limit: 2 });
      },
    },
    {
      it: 'settles members at the versions that the lease saw',
      async run({ client }) {
        await client.apply([put('a', 5, 9), forget('b', 5, 8)]);
        await settles(client, found({ a: 9, b: 8 }));
        await shows(client, 'list', ['a read', 'b read'], true);
        assert.deepEqual(await outcomes(client, put('a', 4, 9), put('b', 4, 8)), ['stale', 'stale']);
        assert.deepEqual(await outcomes(client, put('a', 5, 9), put('b', 5, 8)), ['applied', 'applied']);
      },
    },
    {
      it: 'settles a member that the lease saw as gone, because the table has it again',
      async run({ client }) {
        await client.apply([del('a', 5, 9)]);
        await settles(client, found({ a: 9 }));
        await shows(client, 'list', ['a read'], true);
        assert.deepEqual(await outcomes(client, put('a', 4, 9), put('a', 6, 9)), ['stale', 'applied']);
      },
    },
    {
      it: 'settles members that the table lacks as gone, at the versions that the lease saw',
      async run({ client }) {
        await client.apply([put('a', 5, 9), put('b', 5, 8), forget('c', 5, 7)]);
        await settles(client, found({ b: 8 }));
        await shows(client, 'list', ['b read'], true);
        assert.deepEqual(await outcomes(client, put('a', 4, 9), put('c', 4, 7)), ['stale', 'stale']);
        await shows(client, 'list', ['b read'], true);
      },
    },
    {
      it: 'keeps the mutations that were applied since the lease',
      async run({ client }) {
        await client.apply([roomy.put('a', 2, 9), roomy.put('b', 2, 8), roomy.put('c', 2, 7)]);
        const lease = await leaseOn(client, roomy.target);
        await client.apply([roomy.put('a', 3, 9), roomy.del('b', 3, 8), roomy.put('d', 3, 6), roomy.forget('e', 3, 5)]);
        assert.equal(await settleOn(client, lease, found({ b: 8, c: 7, e: 5 })), 'settled');
        await shows(client, 'list', ['a 3', 'c read', 'd 3'], false);
        await client.apply([roomy.put('e', 4, 5)]);
        await shows(client, 'list', ['a 3', 'c read', 'd 3', 'e 4'], true);
      },
    },
    {
      it: 'settles one of two leases, because the other could lower the bottom',
      async run({ client }) {
        const [first, second] = [await leaseOn(client, target), await leaseOn(client, target)];
        assert.equal(await settleOn(client, first, found({ a: 9, b: 5 }, 4)), 'settled');
        assert.equal(await settleOn(client, second, found({ a: 9 })), 'lost');
        assert.equal(await settleOn(client, first, found({ a: 9 })), 'lost');
        await shows(client, 'list', ['a read', 'b read'], false);
      },
    },
    {
      it: 'lowers the bottom if a later lease reads further',
      async run({ client }) {
        await settles(client, found({ a: 9, b: 5 }, 4));
        await client.apply([del('a', 2, 9)]);
        await settles(client, found({ b: 5, c: 4 }));
        await shows(client, 'list', ['b read', 'c read'], true);
      },
    },
    {
      it: 'keeps the bottom if a put was dropped since the lease, because the list does not know its value',
      async run({ client }) {
        await full(client);
        const lease = await leaseOn(client, target);
        // The marker of d stays, because d was above the bottom at 9.5.
        await client.apply([put('d', 3, 5, { from: 9.5 })]);
        assert.equal(await settleOn(client, lease, found({ a: 9, b: 8 })), 'settled');
        await shows(client, 'list', ['a read', 'b read'], false);
        await shows(client, 'list', ['a read', 'b read'], true, { limit: 2 });
      },
    },
    {
      it: 'drops a member that was read below the bottom, even if the list held it above',
      async run({ client }) {
        await full(client);
        const lease = await leaseOn(client, target);
        await client.apply([put('d', 3, 5, { from: 9.5 })]);
        assert.equal(await settleOn(client, lease, found({ b: 8, a: 6 })), 'settled');
        await shows(client, 'list', ['b read'], true, { limit: 1 });
        await shows(client, 'list', ['b read'], false);
      },
    },
    {
      it: 'is complete above a member that was read at or below the bottom, though its value is too large',
      needs: ['maxValueBytes'],
      async run({ client, maxValueBytes }) {
        for (const score of [7, 6]) {
          const { put, target } = membersOf(`list ${score}`, 2);
          await settleOn(client, await leaseOn(client, target), found({}));
          await client.apply([put('a', 2, 9), put('b', 2, 8), put('c', 2, 7)]);
          const lease = await leaseOn(client, target);
          await client.apply([put('d', 3, 5, { from: 9.5 })]);
          const large = { member: 'a', score, json: JSON.stringify('x'.repeat(maxValueBytes)) };
          assert.equal(await settleOn(client, lease, { kind: 'list', newest: [...found({ b: 8 }).newest, large] }), 'settled');
          await shows(client, target.list, ['b read'], true, { limit: 1 });
        }
      },
    },
    {
      it: 'keeps the bottom if a marker was purged since the lease, because an older read may contain its member',
      async run({ client }) {
        await full(client);
        const lease = await leaseOn(client, target);
        await client.apply([del('x', 3, 5), del('a', 3, 9)]);
        assert.equal(await settleOn(client, lease, found({ b: 8, x: 5 })), 'settled');
        await shows(client, 'list', ['b read'], false);
      },
    },
    {
      it: 'keeps the bottom if a member below it was forgotten since the lease',
      async run({ client }) {
        await full(client);
        const lease = await leaseOn(client, target);
        await client.apply([forget('x', 3, 5), del('a', 3, 9)]);
        assert.equal(await settleOn(client, lease, found({ b: 8, x: 5 })), 'settled');
        await shows(client, 'list', ['b read'], true, { limit: 1 });
        await shows(client, 'list', ['b read'], false);
      },
    },
    {
      it: 'calls pages complete above a bottom that a settle has raised over forgotten members',
      async run({ client }) {
        await client.apply([forget('seen', 3, 8)]);
        const lease = await leaseOn(client, target);
        await client.apply([forget('low', 3, 2)]);
        assert.equal(await settleOn(client, lease, found({ a: 9 }, 8)), 'settled');
        await shows(client, 'list', ['a read'], true, { limit: 1 });
        await client.apply([forget('high', 3, 8.5)]);
        await shows(client, 'list', ['a read'], false, { limit: 1 });
        // A later lease lowers the bottom, because it reads the member that was dropped.
        await settles(client, found({ a: 9, low: 2 }));
        await shows(client, 'list', ['a read', 'low read'], true);
      },
    },
    {
      it: 'keeps the bottom if a member was trimmed since the lease',
      async run({ client }) {
        await full(client);
        const lease = await leaseOn(client, target);
        await client.apply([put('d', 3, 10)]);
        assert.equal(await settleOn(client, lease, found({ a: 9, b: 8 })), 'settled');
        await shows(client, 'list', ['d 3', 'a read'], true, { limit: 2 });
        await shows(client, 'list', ['d 3', 'a read'], false);
      },
    },
    {
      it: 'keeps a bottom that has risen since the lease, even if the list lost no version',
      async run({ client }) {
        const lease = await leaseOn(client, target);
        await client.apply([put('a', 3, 5, { from: 9 }), put('b', 3, 8), put('c', 3, 7)]);
        assert.equal(await settleOn(client, lease, found({})), 'settled');
        await shows(client, 'list', ['b 3', 'c 3'], true, { limit: 2 });
        await shows(client, 'list', ['b 3', 'c 3'], false);
      },
    },
    {
      it: 'raises the bottom if the table has more members, even if nothing was written since the lease',
      async run({ client }) {
        await client.apply([put('low', 2, 1)]);
        await settles(client, found({ a: 9 }, 8));
        await shows(client, 'list', ['a read'], true, { limit: 1 });
        await client.apply([del('a', 1, 9)]);
        await shows(client, 'list', [], false);
        await client.apply([put('low', 3, 1)]);
        await shows(client, 'list', [], false);
      },
    },
    {
      it: 'raises the bottom if the table has more members, even if a marker was purged since the lease',
      async run({ client }) {
        await full(client);
        const lease = await leaseOn(client, target);
        await client.apply([del('x', 3, 5)]);
        assert.equal(await settleOn(client, lease, found({ a: 9 }, 8)), 'settled');
        await client.apply([put('c', 3, 7.5)]);
        await shows(client, 'list', ['a read'], true, { limit: 1 });
        await shows(client, 'list', ['a read'], false, { limit: 2 });
      },
    },
    {
      it: 'shows no member that was deleted since the lease, though the settle raises the bottom over its marker',
      async run({ client }) {
        for (const [what, next] of Object.entries({ 'the next member': 3, 'newer members': undefined })) {
          const { put, del, target } = membersOf(what, 2);
          const lease = await leaseOn(client, target);
          if (next === undefined) await client.apply([put('c', 3, 8), put('d', 3, 7)]);
          await client.apply([del('m', 5, 1)]);
          assert.equal(await settleOn(client, lease, found({ a: 9, m: 8.5 }, next)), 'settled');
          await shows(client, what, next === undefined ? ['a read', 'c 3'] : ['a read'], next === undefined, { limit: 2 });
        }
      },
    },
    {
      it: 'calls no page complete if a member was forgotten since the lease, until the list is settled again',
      async run({ client }) {
        const lease = await leaseOn(client, target);
        await client.apply([forget('b', 3, 8)]);
        assert.equal(await settleOn(client, lease, found({ a: 9, b: 8 })), 'settled');
        await shows(client, 'list', ['a read'], false);
        await settles(client, found({ a: 9, b: 8 }));
        await shows(client, 'list', ['a read', 'b read'], true);
      },
    },
    {
      it: 'loses a lease on a filled or empty list that is evicted, even if another lease follows',
      needs: ['evict'],
      async run({ client, evict }) {
        for (const held of [true, false]) {
          for (const since of ['nothing', 'a lease', 'a write', 'a fill'] as const) {
            const { put, target } = membersOf(`${since} ${held}`, 2);
            if (held) await client.apply([put('a', 1, 1)]);
            const lease = await leaseOn(client, target);
            await evict?.(target);
            const other = since === 'a lease' || since === 'a fill' ? await leaseOn(client, target) : undefined;
            if (since === 'a write') await client.apply([put('a', 1, 1)]);
            if (other && since === 'a fill') assert.equal(await settleOn(client, other, found({ b: 2 })), 'settled');
            const expected = await client.list(target.list, { limit: 5 });
            assert.equal(await settleOn(client, lease, found({ old: 2 })), 'lost', target.list);
            assert.deepEqual(await client.list(target.list, { limit: 5 }), expected, target.list);
            if (other && since === 'a lease') assert.equal(await settleOn(client, other, found({ b: 2 })), 'settled', target.list);
          }
        }
      },
    },
    {
      it: 'forgets a member whose value in the table is too large, and calls no page complete',
      needs: ['maxValueBytes'],
      async run({ client, maxValueBytes }) {
        const large = { member: 'b', score: 8, json: JSON.stringify('x'.repeat(maxValueBytes)) };
        const [a] = found({ a: 9 }).newest;
        assert.ok(a);
        await client.apply([put('b', 3, 8)]);
        await settles(client, { kind: 'list', newest: [a, large] });
        await shows(client, 'list', ['a read'], false);
        await shows(client, 'list', ['a read'], false, { limit: 1 });
        assert.deepEqual(await outcomes(client, put('b', 2, 8)), ['stale']);
        await client.apply([put('b', 3, 8)]);
        await shows(client, 'list', ['a read', 'b 3'], true);
      },
    },
    {
      it: 'refuses members that cannot be the newest of a table, and keeps the lease',
      async run({ client }) {
        const lease = await leaseOn(client, target);
        const refused: Found[] = [
          { kind: 'document', json: '1' },
          found({ a: 3, b: 2, c: 1 }),
          found({}, 1),
          found({ a: 2 }, 3),
          found({ a: 2 }, Number.NaN),
          found({ a: 2 }, -Infinity),
          found({ a: 1, b: 2 }),
          found({ a: Number.NaN }),
          { ...found({ a: 1 }), more: false } as Found,
        ];
        for (const wrong of refused) await assert.rejects(async () => settleOn(client, lease, wrong), TypeError, JSON.stringify(wrong));
        await shows(client, 'list', [], false);
        const document = await leaseOn(client, documentAt('a'));
        await assert.rejects(async () => settleOn(client, document, found({ a: 1 })), TypeError);
        assert.equal(await settleOn(client, lease, found({ a: 2, b: 2 })), 'settled');
        await shows(client, 'list', ['b read', 'a read'], true);
      },
    },
  ],
};

async function settles(client: CacheClient, what: Found): Promise<void> {
  assert.equal(await settleOn(client, await leaseOn(client, target), what), 'settled');
}

/** Fills a list of two members, with the bottom at 7. */
async function full(client: CacheClient): Promise<void> {
  await settles(client, found({}));
  await client.apply([put('a', 2, 9), put('b', 2, 8), put('c', 2, 7)]);
  await shows(client, 'list', ['a 2', 'b 2'], false);
}
