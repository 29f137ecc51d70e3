import assert from 'node:assert/strict';
import {
  at,
  del,
  forget,
  gone,
  hit,
  leaseOn,
  MISSED,
  membersOf,
  outcomes,
  put,
  reads,
  type Section,
  settleOn,
  shows,
  type Trial,
  VERSIONS,
} from './case.ts';

export const documents: Section = {
  about: 'documents',
  cases: [
    {
      it: 'reads a value that was put, with its version, and misses any other key',
      async run({ client }) {
        assert.deepEqual(await outcomes(client, put('a', 1, { total: 1 })), ['applied']);
        await reads(client, 'a', hit({ total: 1 }, 1));
        await reads(client, 'b', MISSED);
      },
    },
    {
      it: 'reads a deleted key as gone, even after an older put',
      async run({ client }) {
        await client.apply([put('a', 2, 'two'), del('a', 3)]);
        await reads(client, 'a', gone(3));
        assert.deepEqual(await outcomes(client, put('a', 2, 'two')), ['stale']);
        await reads(client, 'a', gone(3));
        assert.deepEqual(await outcomes(client, put('a', 4, 'four')), ['applied']);
        await reads(client, 'a', hit('four', 4));
      },
    },
    {
      it: 'reads a deleted key as gone, even if the cache never held it',
      async run({ client }) {
        assert.deepEqual(await outcomes(client, del('a', 3)), ['applied']);
        await reads(client, 'a', gone(3));
        assert.deepEqual(await outcomes(client, put('a', 2, 'two'), forget('a', 2), del('a', 2)), ['stale', 'stale', 'stale']);
        await reads(client, 'a', gone(3));
      },
    },
    {
      it: 'misses a forgotten key, even after an older put',
      async run({ client }) {
        await client.apply([put('a', 2, 'two')]);
        assert.deepEqual(await outcomes(client, forget('a', 3)), ['applied']);
        await reads(client, 'a', MISSED);
        assert.deepEqual(await outcomes(client, put('a', 2, 'two'), del('a', 2)), ['stale', 'stale']);
        await reads(client, 'a', MISSED);
        assert.deepEqual(await outcomes(client, put('a', 4, 'four')), ['applied']);
        await reads(client, 'a', hit('four', 4));
      },
    },
    {
      it: 'answers stale to any mutation that is older than the held version',
      async run({ client }) {
        await client.apply([put('a', 3, 'three')]);
        assert.deepEqual(await outcomes(client, put('a', 2, 'two'), del('a', 1), forget('a', 2)), ['stale', 'stale', 'stale']);
        await reads(client, 'a', hit('three', 3));
      },
    },
    {
      it: 'applies an equal version again, so that a retry completes an interrupted write',
      async run({ client }) {
        for (const [mutation, expected] of [
          [put('a', 2, 'first'), hit('first', 2)],
          [put('a', 2, 'again'), hit('again', 2)],
          [del('a', 2), gone(2)],
          [forget('a', 2), MISSED],
          [put('a', 2, 'last'), hit('last', 2)],
        ] as const) {
          assert.deepEqual(await outcomes(client, mutation), ['applied']);
          await reads(client, 'a', expected);
        }
      },
    },
    {
      it: 'compares versions that differ in length, beyond the precision of a double, or in the age of the stream',
      async run({ client }) {
        for (let newer = 1; newer < VERSIONS.length; newer += 1) {
          for (let older = 0; older < newer; older += 1) {
            const key = `${newer} after ${older}`;
            assert.deepEqual(await outcomes(client, put(key, older, 'older'), put(key, newer, 'newer')), ['applied', 'applied'], key);
            assert.deepEqual(await outcomes(client, put(key, older, 'older')), ['stale'], key);
            await reads(client, key, hit('newer', newer), key);
            const { del, put: add } = membersOf('list', 1_000);
            assert.deepEqual(await outcomes(client, add(key, newer, 1), del(key, older, 1)), ['applied', 'stale'], key);
          }
        }
      },
    },
    {
      it: 'applies the mutations of one call in their order',
      async run({ client }) {
        const all = [put('a', 1, 'one'), del('a', 3), put('a', 2, 'two'), put('b', 5, 'b'), put('a', 4, 'four'), forget('b', 4)];
        assert.deepEqual(await outcomes(client, ...all), ['applied', 'applied', 'stale', 'applied', 'applied', 'stale']);
        await reads(client, 'a', hit('four', 4));
        await reads(client, 'b', hit('b', 5));
        assert.deepEqual(await client.apply([]), []);
      },
    },
    {
      it: 'reads many keys in their order, with repetitions and misses',
      async run({ client }) {
        await client.apply([put('a', 1, 'a'), del('b', 2), forget('c', 3)]);
        const [a, b] = [hit('a', 1), gone(2)];
        assert.deepEqual(await client.getMany(['b', 'x', 'a', 'c', 'b', 'a']), [b, MISSED, a, MISSED, b, a]);
        assert.deepEqual(await client.getMany([]), []);
      },
    },
    {
      it: 'reads 300 keys in one call',
      async run({ client }) {
        const keys = Array.from({ length: 300 }, (_, n) => `key ${n}`);
        await client.apply(keys.filter((_, n) => n % 3 > 0).map((key) => put(key, 1, key)));
        assert.deepEqual(
          await client.getMany(keys),
          keys.map((key, n) => (n % 3 > 0 ? hit(key, 1) : MISSED)),
        );
      },
    },
    {
      it: 'forgets the old value when it rejects the new one, at the version of the new one',
      needs: ['maxValueBytes'],
      async run(trial) {
        const { client } = trial;
        await client.apply([put('a', 2, 'two')]);
        assert.deepEqual(await outcomes(client, sized('a', 1, trial, 1)), ['stale']);
        await reads(client, 'a', hit('two', 2));
        const [outcome] = await client.apply([sized('a', 3, trial, 1)]);
        assert.equal(outcome?.type, 'rejected');
        assert.ok(outcome?.type === 'rejected' && outcome.reason.length > 0, 'a rejection has a reason');
        await reads(client, 'a', MISSED);
        assert.deepEqual(await outcomes(client, put('a', 2, 'two')), ['stale']);
        await reads(client, 'a', MISSED);
        assert.deepEqual(await outcomes(client, put('a', 3, 'small')), ['applied']);
        await reads(client, 'a', hit('small', 3));
      },
    },
    {
      it: 'rejects one value of a call, and applies the others',
      needs: ['maxValueBytes'],
      async run(trial) {
        const all = [put('a', 1, 'a'), sized('b', 1, trial, 1), put('c', 1, 'c')];
        assert.deepEqual(await outcomes(trial.client, ...all), ['applied', 'rejected', 'applied']);
        assert.deepEqual(await trial.client.getMany(['a', 'b', 'c']), [hit('a', 1), MISSED, hit('c', 1)]);
      },
    },
    {
      it: 'accepts a value of the maximum size, which is measured in bytes',
      needs: ['maxValueBytes'],
      async run(trial) {
        const { client, maxValueBytes } = trial;
        assert.deepEqual(await outcomes(client, sized('a', 1, trial, 0)), ['applied']);
        assert.equal((await client.get('a')).type, 'hit');
        const wide = '€'.repeat(Math.ceil(maxValueBytes / 3));
        assert.deepEqual(await outcomes(client, put('b', 1, wide)), ['rejected']);
      },
    },
    {
      it: 'separates a document and a list of the same name',
      async run({ client }) {
        const { put: add, target } = membersOf('one', 5);
        await client.apply([put('one', 3, 'document'), add('m', 1, 1)]);
        await client.apply([del('other', 3), membersOf('other', 5).put('m', 1, 1)]);
        await reads(client, 'one', hit('document', 3));
        await shows(client, 'one', ['m 1'], false);
        await reads(client, 'other', gone(3));
        await shows(client, 'other', ['m 1'], false);
        const lease = await leaseOn(client, target);
        await client.apply([del('one', 4)]);
        assert.equal(await settleOn(client, lease, { kind: 'list', newest: [] }), 'settled');
        await reads(client, 'one', gone(4));
      },
    },
  ],
};

/** A put whose value exceeds the limit by `over` bytes. */
function sized(key: string, rank: number, { maxValueBytes }: Trial, over: number) {
  return { ...put(key, rank, ''), type: 'put', version: at(rank), json: JSON.stringify('x'.repeat(maxValueBytes - 2 + over)) } as const;
}
