import assert from 'node:assert/strict';
import type { Found } from '../../cache.ts';
import { del, documentAt, forget, found, gone, hit, leaseOn, MISSED, outcomes, put, reads, type Section, settleOn } from './case.ts';

const a = documentAt('a');
const read: Found = { kind: 'document', json: '"read"' };
const absent: Found = { kind: 'document' };

export const documentLeases: Section = {
  about: 'leases on documents',
  cases: [
    {
      it: 'settles an absent document with the value of the table, at a version older than any change',
      async run({ client }) {
        const lease = await leaseOn(client, a);
        await reads(client, 'a', MISSED);
        assert.equal(await settleOn(client, lease, read), 'settled');
        await reads(client, 'a', hit('read', 0));
        assert.deepEqual(await outcomes(client, put('a', 1, 'one')), ['applied']);
        await reads(client, 'a', hit('one', 1));
      },
    },
    {
      it: 'settles an item that the table lacks as gone',
      async run({ client }) {
        assert.equal(await settleOn(client, await leaseOn(client, a), absent), 'settled');
        await reads(client, 'a', gone(0));
        assert.deepEqual(await outcomes(client, put('a', 1, 'one')), ['applied']);
        await reads(client, 'a', hit('one', 1));
      },
    },
    {
      it: 'settles a forgotten document at the version of the forget',
      async run({ client }) {
        await client.apply([forget('a', 3)]);
        assert.equal(await settleOn(client, await leaseOn(client, a), read), 'settled');
        await reads(client, 'a', hit('read', 3));
        assert.deepEqual(await outcomes(client, put('a', 2, 'two')), ['stale']);
        await reads(client, 'a', hit('read', 3));
        assert.deepEqual(await outcomes(client, put('a', 3, 'three')), ['applied']);
      },
    },
    {
      it: 'settles a value or a tombstone at the held version',
      async run({ client }) {
        await client.apply([put('a', 3, 'three'), del('b', 3)]);
        assert.equal(await settleOn(client, await leaseOn(client, a), read), 'settled');
        await reads(client, 'a', hit('read', 3));
        assert.equal(await settleOn(client, await leaseOn(client, a), absent), 'settled');
        await reads(client, 'a', gone(3));
        assert.deepEqual(await outcomes(client, put('a', 2, 'two')), ['stale']);
        assert.equal(await settleOn(client, await leaseOn(client, documentAt('b')), read), 'settled');
        await reads(client, 'b', hit('read', 3));
      },
    },
    {
      it: 'keeps the held value and version until the lease is settled',
      async run({ client }) {
        await client.apply([put('a', 3, 'three'), del('b', 3)]);
        await leaseOn(client, a);
        await leaseOn(client, documentAt('b'));
        await reads(client, 'a', hit('three', 3));
        await reads(client, 'b', gone(3));
        assert.deepEqual(await outcomes(client, put('a', 2, 'two'), put('b', 2, 'two')), ['stale', 'stale']);
      },
    },
    {
      it: 'loses a lease to any later write, even of an equal version',
      async run({ client }) {
        for (const [n, write] of [put, del, forget].entries()) {
          for (const before of ['nothing', 'older', 'equal'] as const) {
            const key = `${n} ${before}`;
            if (before !== 'nothing') await client.apply([put(key, before === 'older' ? 1 : 2, 'before')]);
            const lease = await leaseOn(client, documentAt(key));
            await client.apply([write(key, 2, 'written')]);
            const expected = await client.get(key);
            assert.equal(await settleOn(client, lease, read), 'lost', key);
            assert.equal(await settleOn(client, lease, absent), 'lost', key);
            await reads(client, key, expected, key);
          }
        }
      },
    },
    {
      it: 'keeps a lease despite a stale write',
      async run({ client }) {
        await client.apply([forget('a', 3)]);
        const lease = await leaseOn(client, a);
        assert.deepEqual(await outcomes(client, put('a', 2, 'two'), del('a', 1)), ['stale', 'stale']);
        assert.equal(await settleOn(client, lease, read), 'settled');
        await reads(client, 'a', hit('read', 3));
      },
    },
    {
      it: 'does not settle over a deletion that followed the lease',
      async run({ client }) {
        const lease = await leaseOn(client, a);
        await client.apply([put('a', 1, 'one'), del('a', 2)]);
        assert.equal(await settleOn(client, lease, read), 'lost');
        await reads(client, 'a', gone(2));
      },
    },
    {
      it: 'settles one of two leases, and loses the other',
      async run({ client }) {
        const [first, second] = [await leaseOn(client, a), await leaseOn(client, a)];
        assert.equal(await settleOn(client, second, read), 'settled');
        assert.equal(await settleOn(client, first, absent), 'lost');
        assert.equal(await settleOn(client, second, absent), 'lost');
        await reads(client, 'a', hit('read', 0));
      },
    },
    {
      it: 'settles the earlier of two leases if it is settled first',
      async run({ client }) {
        await client.apply([put('b', 2, 'two')]);
        for (const [key, rank] of [
          ['a', 0],
          ['b', 2],
        ] as const) {
          const [first, second] = [await leaseOn(client, documentAt(key)), await leaseOn(client, documentAt(key))];
          assert.equal(await settleOn(client, first, read), 'settled');
          assert.equal(await settleOn(client, second, absent), 'lost');
          await reads(client, key, hit('read', rank));
        }
      },
    },
    {
      it: 'loses a lease on a present or absent document that is evicted, even if another lease follows',
      needs: ['evict'],
      async run({ client, evict }) {
        for (const held of [true, false]) {
          for (const since of ['nothing', 'a lease', 'a write', 'a fill'] as const) {
            const key = `${since} ${held}`;
            if (held) await client.apply([put(key, 1, 'one')]);
            const lease = await leaseOn(client, documentAt(key));
            await evict?.(documentAt(key));
            const other = since === 'a lease' || since === 'a fill' ? await leaseOn(client, documentAt(key)) : undefined;
            if (since === 'a write') await client.apply([put(key, 1, 'one')]);
            if (other && since === 'a fill') assert.equal(await settleOn(client, other, read), 'settled');
            const expected = await client.get(key);
            assert.equal(await settleOn(client, lease, { kind: 'document', json: '"old"' }), 'lost', key);
            await reads(client, key, expected, key);
            if (other && since === 'a lease') {
              assert.equal(await settleOn(client, other, read), 'settled', key);
              await reads(client, key, hit('read', 0), key);
            }
          }
        }
      },
    },
    {
      it: 'misses an evicted document',
      needs: ['evict'],
      async run({ client, evict }) {
        await client.apply([put('a', 3, 'three'), del('b', 3)]);
        await evict?.(a);
        await evict?.(documentAt('b'));
        await reads(client, 'a', MISSED);
        await reads(client, 'b', MISSED);
        assert.deepEqual(await outcomes(client, put('a', 1, 'one')), ['applied']);
      },
    },
    {
      it: 'loses a lease that is settled with a value that is too large, and changes nothing',
      needs: ['maxValueBytes'],
      async run({ client, maxValueBytes }) {
        await client.apply([put('b', 2, 'two')]);
        const large = { kind: 'document', json: JSON.stringify('x'.repeat(maxValueBytes)) } as const;
        for (const [key, expected] of [
          ['a', MISSED],
          ['b', hit('two', 2)],
        ] as const) {
          assert.equal(await settleOn(client, await leaseOn(client, documentAt(key)), large), 'lost');
          await reads(client, key, expected);
        }
        assert.deepEqual(await outcomes(client, put('a', 1, 'one'), put('b', 1, 'one')), ['applied', 'stale']);
      },
    },
    {
      it: 'refuses to settle a document with a list',
      async run({ client }) {
        const lease = await leaseOn(client, a);
        await assert.rejects(async () => settleOn(client, lease, found({})), TypeError);
        await reads(client, 'a', MISSED);
        assert.equal(await settleOn(client, lease, read), 'settled');
      },
    },
  ],
};
