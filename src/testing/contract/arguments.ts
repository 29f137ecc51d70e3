import assert from 'node:assert/strict';
import type { CacheClient, Found, LeaseTarget } from '../../cache.ts';
import { MAX_NAME_BYTES, type Mutation } from '../../mutation.ts';
import { FLOOR } from '../../version.ts';
import {
  at,
  documentAt,
  found,
  hit,
  leaseOn,
  MISSED,
  membersOf,
  outcomes,
  put,
  reads,
  refuses,
  type Section,
  settleOn,
  shows,
} from './case.ts';

const { put: add, del, forget, target } = membersOf('list', 3);
const [key, member, list] = [documentAt('a'), add('m', 1, 1), target];

/** Names that no cache takes. Some are of types that TypeScript forbids. */
const NO_NAMES: readonly unknown[] = [
  '',
  '\ud83c',
  'cut\ud83c',
  '\udf55cut',
  'a\udf55\ud83cb',
  'x'.repeat(MAX_NAME_BYTES + 1),
  `${'€'.repeat(Math.floor(MAX_NAME_BYTES / 3))}xx`,
  1,
  null,
  undefined,
];

const NO_SCORES: readonly unknown[] = [Number.NaN, Infinity, -Infinity, '5', 5n, null];
const NO_KEEPS: readonly unknown[] = [-1, 0, -0, 1.5, Number.NaN, Infinity, 2 ** 53, '3', null, undefined];
const NO_VERSIONS: readonly unknown[] = ['', 'x'.repeat(64), FLOOR.slice(1), `${FLOOR}0`, at(1).replace('T', ' '), 7, null, undefined];
const NO_JSON: readonly unknown[] = [{ a: 1 }, 5, null, '"\ud83c"', '"a\udf55"'];

export const callArguments: Section = {
  about: 'arguments',
  cases: [
    {
      it: 'rejects names that are empty, too long, cut inside a surrogate pair or no strings',
      async run({ client }) {
        const lease = await leaseOn(client, list);
        for (const name of NO_NAMES as readonly string[]) {
          const why = JSON.stringify(name)?.slice(0, 20);
          await refuses(() => client.get(name), why);
          await refuses(() => client.getMany(['a', name]), why);
          await refuses(() => client.list(name, { limit: 1 }), why);
          await refuses(() => leaseOn(client, { kind: 'document', key: name }), why);
          await refuses(() => leaseOn(client, { kind: 'list', list: name, keep: 3 }), why);
          await refuses(() => settleOn(client, lease, { kind: 'list', newest: [{ member: name, score: 1, json: '1' }] }), why);
          await changesNothing(client, { ...put('b', 1, 'b'), key: name } as Mutation, why);
          await changesNothing(client, { ...member, list: name }, why);
          await changesNothing(client, { ...member, member: name }, why);
          await changesNothing(client, { ...del('m', 1, 1), member: name }, why);
        }
        assert.equal(await settleOn(client, lease, found({ a: 1 })), 'settled');
      },
    },
    {
      it: 'takes names of the greatest length, in bytes',
      async run({ client }) {
        for (const name of ['x'.repeat(MAX_NAME_BYTES), `${'€'.repeat(Math.floor(MAX_NAME_BYTES / 3))}x`]) {
          const { put: add, target } = membersOf(name, 2);
          assert.deepEqual(await outcomes(client, put(name, 1, 'long'), add(name, 1, 1, { json: '"long"' })), ['applied', 'applied']);
          await reads(client, name, hit('long', 1));
          await shows(client, name, ['long'], false);
          const newest = [{ member: name, score: 1, json: '"read"' }];
          assert.equal(await settleOn(client, await leaseOn(client, target), { kind: 'list', newest }), 'settled');
          const page = await client.list(name, { limit: 1 });
          assert.deepEqual([page.members[0]?.member === name, page.complete], [true, true]);
          assert.deepEqual((await client.list(name, { limit: 1, after: page.cursor })).members, []);
        }
      },
    },
    {
      it: 'rejects scores that are no finite numbers',
      async run({ client }) {
        for (const score of NO_SCORES as readonly number[]) {
          const why = String(score);
          for (const mutation of [add('m', 1, score), del('m', 1, score), forget('m', 1, score), add('m', 1, 1, { from: score })])
            await changesNothing(client, mutation, why);
          const lease = await leaseOn(client, list);
          await refuses(() => settleOn(client, lease, found({ a: score })), why);
          await refuses(() => settleOn(client, lease, found({ a: 9 }, score)), why);
        }
        await changesNothing(client, add('m', 1, undefined as never));
      },
    },
    {
      it: 'rejects a number of members to keep that is not a positive integer',
      async run({ client }) {
        for (const keep of NO_KEEPS as readonly number[]) {
          const why = String(keep);
          for (const mutation of [add('m', 1, 1), del('m', 1, 1), forget('m', 1, 1)])
            await changesNothing(client, { ...mutation, keep }, why);
          await refuses(() => leaseOn(client, { kind: 'list', list: 'list', keep }), why);
        }
        await shows(client, 'list', [], false);
      },
    },
    {
      it: 'takes the greatest number of members to keep',
      async run({ client }) {
        const { put, target } = membersOf('list', Number.MAX_SAFE_INTEGER);
        await client.apply([put('a', 1, 1), put('b', 1, 2)]);
        assert.equal(await settleOn(client, await leaseOn(client, target), found({ b: 2, a: 1 })), 'settled');
        await shows(client, 'list', ['b read', 'a read'], true);
      },
    },
    {
      it: 'rejects versions that no stream has',
      async run({ client }) {
        for (const version of NO_VERSIONS as readonly never[]) {
          await changesNothing(client, { ...put('b', 1, 'b'), version }, String(version));
          await changesNothing(client, { ...member, version }, String(version));
        }
      },
    },
    {
      it: 'rejects values that are no JSON text, or text that is cut inside a surrogate pair',
      async run({ client }) {
        const [document, members] = [await leaseOn(client, key), await leaseOn(client, list)];
        for (const json of NO_JSON as readonly never[]) {
          const why = JSON.stringify(json);
          await changesNothing(client, { kind: 'document', type: 'put', key: 'b', version: at(1), json }, why);
          await changesNothing(client, { ...member, json } as Mutation, why);
          await refuses(() => settleOn(client, document, { kind: 'document', json }), why);
          await refuses(() => settleOn(client, members, { kind: 'list', newest: [{ member: 'm', score: 1, json }] }), why);
        }
        await changesNothing(client, { kind: 'document', type: 'put', key: 'b', version: at(1) } as never);
        assert.equal(await settleOn(client, document, { kind: 'document', json: '"read"' }), 'settled');
        assert.equal(await settleOn(client, members, found({ m: 1 })), 'settled');
      },
    },
    {
      it: 'rejects mutations and leases of unknown kinds and types',
      async run({ client }) {
        const mutations: readonly unknown[] = [
          { ...put('b', 1, 'b'), kind: 'set' },
          { ...put('b', 1, 'b'), type: 'upsert' },
          { ...member, type: 'remove' },
          { key: 'b' },
        ];
        const targets: readonly unknown[] = [{ kind: 'set', key: 'a' }, { key: 'a' }];
        for (const mutation of mutations as readonly never[]) {
          await changesNothing(client, mutation, JSON.stringify(mutation));
        }
        for (const target of targets as readonly never[]) {
          await refuses(() => leaseOn(client, target), JSON.stringify(target));
        }
      },
    },
    {
      it: 'names what is wrong with arguments that are absent or no arrays',
      async run({ client }) {
        const lease = await leaseOn(client, list);
        const wrong: readonly (readonly [call: () => Promise<unknown>, fault: RegExp])[] = [
          [() => client.apply(put('a', 1, 'a') as never), /^the mutations are not an array: give \[\.\.\.\], also for one$/],
          [() => client.apply(new Set([put('a', 1, 'a')]) as never), /^the mutations are not an array/],
          [() => client.apply([null as never]), /^a mutation is of the kind/],
          [() => client.getMany('a' as never), /^the keys are not an array/],
          [() => client.getOrLease('a' as never), /^the keys are not an array/],
          [() => client.lease(list as never), /^the targets of leases are not an array/],
          [() => client.settle({ lease, found: found({}) } as never), /^the fills are not an array/],
          [() => client.settle([null as never]), /^a fill has no lease: give one that/],
          [() => client.settle([{ lease: 'a' as never, found: found({}) }]), /^a fill has no lease/],
          [() => client.settle([{ lease, found: { kind: 'list', newest: {} } as never }]), /^the newest members are not an array/],
          [() => client.list('list', undefined as never), /^limit is undefined: give a positive integer$/],
          [() => client.list('list', null as never), /^limit is undefined/],
        ];
        for (const [call, fault] of wrong) await assert.rejects(async () => call(), { message: fault });
        await reads(client, 'a', MISSED);
        assert.equal(await settleOn(client, lease, found({})), 'settled');
      },
    },
    {
      it: 'rejects a fill that does not fit its lease, and keeps the lease',
      async run({ client }) {
        const [document, members] = [await leaseOn(client, key), await leaseOn(client, { ...list, keep: 2 })];
        const [a, b] = found({ a: 3, b: 2 }).newest;
        assert.ok(a && b);
        const unfit: readonly Found[] = [
          { kind: 'document', json: '1' },
          { kind: 'list', newest: [a, b, { ...b, member: 'c' }] },
          { kind: 'list', newest: [a, a] },
          { kind: 'list', newest: [a, { ...a, score: 1 }] },
          { kind: 'list', newest: [b, a] },
          { kind: 'list', newest: [], next: 1 },
          { kind: 'list', newest: [a, b], next: 2.5 },
          { kind: 'list', newest: [a], more: true } as Found,
          { kind: 'list', newest: [a], more: false } as Found,
          { kind: 'list' } as never,
          undefined as never,
          {} as never,
        ];
        for (const wrong of unfit) await refuses(() => settleOn(client, members, wrong), JSON.stringify(wrong));
        await refuses(() => settleOn(client, document, found({})));
        await shows(client, 'list', [], false);
        await reads(client, 'a', MISSED);
        assert.equal(await settleOn(client, members, { kind: 'list', newest: [a, b], next: 2 }), 'settled');
        assert.equal(await settleOn(client, document, { kind: 'document' }), 'settled');
      },
    },
    {
      it: 'says what to give instead of the former flag `more`',
      async run({ client }) {
        const lease = await leaseOn(client, list);
        await assert.rejects(
          settleOn(client, lease, { ...found({ a: 1 }), more: true } as Found),
          /give "next", the score of the member that follows/,
        );
      },
    },
    {
      it: 'takes an empty list of mutations or keys',
      async run({ client }) {
        assert.deepEqual(await client.apply([]), []);
        assert.deepEqual(await client.getMany([]), []);
      },
    },
    {
      it: 'applies several mutations of one address in one call in their order, each by its own `keep`',
      async run({ client }) {
        assert.deepEqual(await outcomes(client, put('a', 3, 'three'), put('a', 2, 'two'), put('a', 3, 'again')), [
          'applied',
          'stale',
          'applied',
        ]);
        await reads(client, 'a', hit('again', 3));
        const [one, three] = [membersOf('list', 1), membersOf('list', 3)];
        await client.apply([three.put('a', 1, 1), three.put('b', 1, 2), three.put('c', 1, 3), one.put('d', 1, 4), three.put('e', 1, 5)]);
        await shows(client, 'list', ['e 1', 'd 1'], false);
        assert.deepEqual(await outcomes(client, three.put('e', 3, 6), three.del('e', 2, 6), three.del('e', 3, 6), three.put('e', 4, 7)), [
          'applied',
          'stale',
          'applied',
          'applied',
        ]);
        await shows(client, 'list', ['e 4', 'd 1'], false);
      },
    },
    {
      it: 'trims a list to the `keep` of a settle',
      async run({ client }) {
        const three = membersOf('list', 3);
        await client.apply([three.put('a', 1, 1), three.put('b', 1, 2), three.put('c', 1, 3)]);
        const lease = await leaseOn(client, membersOf('list', 2).target);
        assert.equal(await settleOn(client, lease, found({ c: 3, b: 2 }, 1)), 'settled');
        await shows(client, 'list', ['c read', 'b read'], true, { limit: 2 });
        await shows(client, 'list', ['c read', 'b read'], false, { limit: 3 });
      },
    },
    {
      it: 'misses a value that is not JSON, and calls no page with it complete',
      async run({ client }) {
        assert.deepEqual(
          await outcomes(
            client,
            { kind: 'document', type: 'put', key: 'a', version: at(1), json: '{"half":' },
            add('a', 1, 3, { json: '{"half":' }),
            add('b', 1, 2),
          ),
          ['applied', 'applied', 'applied'],
        );
        assert.equal(await settleOn(client, await leaseOn(client, documentAt('b')), { kind: 'document', json: 'undefined' }), 'settled');
        assert.deepEqual(await client.getMany(['a', 'b']), [MISSED, MISSED]);
        await reads(client, 'a', MISSED);
        await shows(client, 'list', ['b 1'], false);
        const newest = [
          { member: 'a', score: 3, json: '' },
          { member: 'b', score: 2, json: '"b"' },
        ];
        assert.equal(await settleOn(client, await leaseOn(client, list), { kind: 'list', newest }), 'settled');
        await shows(client, 'list', ['b'], false);
        const first = await client.list('list', { limit: 1 });
        assert.deepEqual([first.members, first.complete], [[], false]);
        await shows(client, 'list', ['b'], true, { limit: 9, after: first.cursor });
      },
    },
    {
      it: 'loses a lease that no call of `lease` returned',
      async run({ client }) {
        await leaseOn(client, key);
        await leaseOn(client, list);
        assert.equal(await settleOn(client, { target: key }, { kind: 'document', json: '1' }), 'lost');
        assert.equal(await settleOn(client, { target: list }, found({ a: 1 })), 'lost');
        await reads(client, 'a', MISSED);
        await shows(client, 'list', [], false);
      },
    },
    {
      it: 'settles a lease once, whatever is found the second time',
      async run({ client }) {
        for (const second of [true, false]) {
          const [document, members]: LeaseTarget[] = [documentAt(`d${second}`), { ...list, list: `l${second}` }];
          const [one, other] = [await leaseOn(client, document as LeaseTarget), await leaseOn(client, members as LeaseTarget)];
          assert.equal(await settleOn(client, one, { kind: 'document', json: '"first"' }), 'settled');
          assert.equal(await settleOn(client, other, found({ first: 1 })), 'settled');
          assert.equal(await settleOn(client, one, { kind: 'document', ...(second && { json: '"second"' }) }), 'lost');
          assert.equal(await settleOn(client, other, found(second ? { second: 1 } : {})), 'lost');
          await reads(client, `d${second}`, hit('first', 0));
          await shows(client, `l${second}`, ['first read'], true);
        }
      },
    },
    {
      it: 'settles a document by any of its leases, and after a value that was too large',
      needs: ['maxValueBytes'],
      async run({ client, maxValueBytes }) {
        const [first, second] = [await leaseOn(client, key), await leaseOn(client, key)];
        assert.equal(await settleOn(client, first, { kind: 'document', json: JSON.stringify('x'.repeat(maxValueBytes)) }), 'lost');
        assert.equal(await settleOn(client, second, { kind: 'document', json: '"small"' }), 'settled');
        await reads(client, 'a', hit('small', 0));
      },
    },
  ],
};

/** Asserts that a call with this mutation is rejected, and applies nothing, also not what comes before it. */
async function changesNothing(client: CacheClient, mutation: Mutation, why?: string): Promise<void> {
  for (const all of [[mutation], [put('good', 1, 'good'), add('good', 1, 1), mutation]]) await refuses(() => client.apply(all), why);
  await reads(client, 'good', MISSED, why);
  await shows(client, 'list', [], false);
}
