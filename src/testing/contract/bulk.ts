import assert from 'node:assert/strict';
import { type CacheClient, type Fill, type Lease, type LookupOrLease, STANDING_MS } from '../../cache.ts';
import {
  del,
  documentAt,
  forget,
  found,
  gone,
  hit,
  leaseOn,
  MISSED,
  membersOf,
  put,
  reads,
  refuses,
  type Section,
  settleOn,
  shows,
} from './case.ts';

const { put: add, target: list } = membersOf('list', 9);
const read = (text: string) => ({ kind: 'document', json: JSON.stringify(text) }) as const;
/** Longer than the calls of one case take, so that a lease which stands still does so at the next call. */
const YOUNG_MS = STANDING_MS - 1;

export const bulk: Section = {
  about: 'leases and fills of many targets',
  cases: [
    {
      it: 'takes and settles leases on documents and lists in one call each, and answers in order',
      async run({ client }) {
        const [a, b] = [documentAt('a'), documentAt('b')];
        const other = membersOf('other', 9).target;
        const leases = await client.lease([list, a, other, b]);
        assert.deepEqual(
          leases.map(({ target }) => target),
          [list, a, other, b],
        );
        await client.apply([put('b', 1, 'one')]);
        const founds = [found({ m: 1 }), read('a'), found({}), read('b')];
        const fills = leases.map((lease, i) => ({ lease, found: founds[i] }) as Fill);
        assert.deepEqual(await client.settle(fills), ['settled', 'settled', 'settled', 'lost']);
        assert.deepEqual(await client.getMany(['a', 'b']), [hit('a', 0), hit('one', 1)]);
        await shows(client, 'list', ['m read'], true);
        await shows(client, 'other', [], true);
        assert.deepEqual(await client.settle(fills), ['lost', 'lost', 'lost', 'lost']);
      },
    },
    {
      it: 'takes and settles more leases than one call of the backend may have',
      async run({ client }) {
        const keys = Array.from({ length: 700 }, (_, i) => `${i}`);
        const answers = await client.getOrLease(keys);
        const fills = answers.map((answer, i) => ({ lease: leaseIn(answer), found: read(`${i}`) }));
        assert.deepEqual(new Set(await client.settle(fills)), new Set(['settled']));
        assert.deepEqual(
          await client.getOrLease(keys),
          keys.map((key) => hit(key, 0)),
        );
      },
    },
    {
      it: 'answers nothing for no targets, no fills and no keys',
      async run({ client }) {
        assert.deepEqual([await client.lease([]), await client.settle([]), await client.getOrLease([])], [[], [], []]);
      },
    },
    {
      it: 'settles none of the fills if one does not fit its lease',
      async run({ client }) {
        const [document, members] = (await client.lease([documentAt('a'), list])) as [Lease, Lease];
        const fill: Fill = { lease: document, found: read('a') };
        for (const unfit of [found({}), { kind: 'document', json: 7 } as never]) {
          await refuses(() => client.settle([fill, { lease: members, found: found({ m: 1 }) }, { lease: document, found: unfit }]));
        }
        await reads(client, 'a', MISSED);
        assert.deepEqual(await client.settle([fill, { lease: members, found: found({ m: 1 }) }]), ['settled', 'settled']);
      },
    },
    {
      it: 'takes none of the leases if one target is wrong',
      async run({ client }) {
        await refuses(() => client.lease([documentAt('a'), documentAt('')]));
        await refuses(() => client.getOrLease(['a', '']));
        assert.equal((await leaseOn(client, documentAt('a'))).standingMs, undefined);
      },
    },
    {
      it: 'loses only the fill whose value is too large',
      needs: ['maxValueBytes'],
      async run({ client, maxValueBytes }) {
        const [a, b] = (await client.lease([documentAt('a'), documentAt('b')])) as [Lease, Lease];
        const fills = [
          { lease: a, found: read('x'.repeat(maxValueBytes)) },
          { lease: b, found: read('b') },
        ];
        assert.deepEqual(await client.settle(fills), ['lost', 'settled']);
        assert.deepEqual(await client.getMany(['a', 'b']), [MISSED, hit('b', 0)]);
      },
    },
  ],
};

export const getOrLease: Section = {
  about: 'reads that take a lease on a miss',
  cases: [
    {
      it: 'gives the value, the tombstone, or a miss and its lease, in the order of the keys',
      async run({ client }) {
        await client.apply([put('a', 3, 'three'), del('b', 3), forget('c', 3)]);
        const [c, a, d, b] = (await client.getOrLease(['c', 'a', 'd', 'b'])) as [
          LookupOrLease,
          LookupOrLease,
          LookupOrLease,
          LookupOrLease,
        ];
        assert.deepEqual([a, b], [hit('three', 3), gone(3)]);
        assert.deepEqual([c.type, leaseIn(c).target, d.type, leaseIn(d).target], ['miss', documentAt('c'), 'miss', documentAt('d')]);
        const fills = [
          { lease: leaseIn(c), found: read('c') },
          { lease: leaseIn(d), found: read('d') },
        ];
        assert.deepEqual(await client.settle(fills), ['settled', 'settled']);
        assert.deepEqual(await client.getOrLease(['c', 'd']), [hit('c', 3), hit('d', 0)]);
      },
    },
    {
      it: 'gives one value alone',
      async run({ client }) {
        await client.apply([put('a', 3, { three: 'é\u{1f355}' }), del('b', 3)]);
        assert.deepEqual(await client.getOrLease(['a']), [hit({ three: 'é\u{1f355}' }, 3)]);
        assert.deepEqual(await client.getOrLease(['b']), [gone(3)]);
      },
    },
    {
      it: 'loses a lease to a later write, and to an eviction',
      needs: ['evict'],
      async run({ client, evict }) {
        const [written, evicted] = (await client.getOrLease(['a', 'b'])) as [LookupOrLease, LookupOrLease];
        await client.apply([put('a', 1, 'one')]);
        await evict?.(documentAt('b'));
        const fills = [
          { lease: leaseIn(written), found: read('a') },
          { lease: leaseIn(evicted), found: read('b') },
        ];
        assert.deepEqual(await client.settle(fills), ['lost', 'lost']);
        assert.deepEqual(await client.getMany(['a', 'b']), [hit('one', 1), MISSED]);
      },
    },
    {
      it: 'shares one lease with the other readers of a document',
      async run({ client }) {
        const [first, second] = [await leaseOn(client, documentAt('a')), leaseIn((await client.getOrLease(['a']))[0])];
        assert.equal(await settleOn(client, first, read('first')), 'settled');
        assert.equal(await settleOn(client, second, read('second')), 'lost');
      },
    },
    {
      it: 'takes a lease on bytes that another program wrote, whatever they look like',
      needs: ['plantBytes'],
      async run({ client, plantBytes }) {
        const version = `2026-01-31T23:59:59.999/${'0'.repeat(40)}`;
        const strange = ['', 'x'.repeat(64), `${'x'.repeat(64)}p${'y'.repeat(40)}`, `${version}p`, `${version}p${' '.repeat(15)}{`];
        for (const [i, bytes] of strange.entries()) await plantBytes?.(documentAt(`${i}`), bytes);
        const answers = await client.getOrLease(strange.map((_, i) => `${i}`));
        const fills = answers.map((answer) => ({ lease: leaseIn(answer), found: read('mine') }));
        assert.deepEqual(new Set(await client.settle(fills)), new Set(['settled']));
        for (const i of strange.keys()) assert.equal((await client.get(`${i}`)).type, 'hit');
      },
    },
  ],
};

export const standing: Section = {
  about: 'leases that stand',
  cases: [
    {
      it: 'tells the later readers of a document how long ago the first took its lease, until the document is written',
      async run({ client }) {
        assert.equal(await ageOf(client, 'a'), undefined);
        standsFor(await ageOf(client, 'a'));
        standsFor(leaseIn((await client.getOrLease(['a']))[0]).standingMs);
        await client.apply([forget('a', 1)]);
        assert.equal(leaseIn((await client.getOrLease(['a']))[0]).standingMs, undefined);
        standsFor(await ageOf(client, 'a'));
      },
    },
    {
      it: 'tells nothing of leases on what the cache holds',
      async run({ client }) {
        await client.apply([put('a', 1, 'one'), del('b', 1)]);
        for (const key of ['a', 'b', 'a', 'b']) assert.equal(await ageOf(client, key), undefined);
      },
    },
    {
      it: 'tells nothing after a fill',
      async run({ client }) {
        assert.equal(await settleOn(client, await leaseOn(client, documentAt('a')), read('a')), 'settled');
        assert.equal(await ageOf(client, 'a'), undefined);
      },
    },
    {
      it: 'tells the later readers of a list',
      async run({ client }) {
        await client.apply([add('m', 1, 1)]);
        assert.equal((await leaseOn(client, list)).standingMs, undefined);
        standsFor((await leaseOn(client, list)).standingMs);
        assert.equal((await leaseOn(client, membersOf('other', 9).target)).standingMs, undefined);
      },
    },
    {
      it: 'tells nothing of a list after its fill',
      async run({ client }) {
        const lease = await leaseOn(client, list);
        standsFor((await leaseOn(client, list)).standingMs);
        assert.equal(await settleOn(client, lease, found({ m: 1 })), 'settled');
        assert.equal((await leaseOn(client, list)).standingMs, undefined);
        standsFor((await leaseOn(client, list)).standingMs);
      },
    },
    {
      it: 'lets one reader take the place of a lease that no longer stands, and keeps the old lease',
      needs: ['elapse'],
      async run({ client, elapse }) {
        const first = await leaseOn(client, documentAt('a'));
        await leaseOn(client, list);
        await elapse?.(STANDING_MS);
        const targets = Array.from({ length: 5 }, () => [documentAt('a'), list]).flat();
        const later = await Promise.all(targets.map((target) => leaseOn(client, target)));
        for (const kind of ['document', 'list']) {
          const ages = later.filter(({ target }) => target.kind === kind).map(({ standingMs }) => standingMs);
          assert.equal(ages.filter((age) => age === undefined).length, 1, kind);
          for (const age of ages) if (age !== undefined) standsFor(age);
        }
        assert.equal(await settleOn(client, first, read('first')), 'settled');
      },
    },
  ],
};

async function ageOf(client: CacheClient, key: string): Promise<number | undefined> {
  return (await leaseOn(client, documentAt(key))).standingMs;
}

function standsFor(age: number | undefined): void {
  assert.ok(age !== undefined && age >= 0 && age <= YOUNG_MS, `the age of the lease is ${age}`);
}

/** The lease of a miss. */
function leaseIn(answer: LookupOrLease | undefined): Lease {
  assert.ok(answer?.type === 'miss', `the answer is a ${answer?.type}`);
  return answer.lease;
}
