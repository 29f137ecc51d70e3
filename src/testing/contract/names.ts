import assert from 'node:assert/strict';
import { hit, leaseOn, membersOf, outcomes, put, type Section, settleOn } from './case.ts';

/** Names that a careless encoding confuses, splits, truncates or refuses. */
export const HOSTILE_NAMES: readonly string[] = [
  'plain',
  'a name with spaces ',
  ' a name with spaces',
  'a:b',
  'a::b',
  ':',
  '{a}b',
  '{a}c',
  '}a{',
  '}',
  '{}',
  '{}{a}',
  '{{a}}',
  'line\nbreak',
  'line\r\nbreak',
  '\t',
  'nul\u0000byte',
  '"quoted"',
  "'quoted'",
  '\\escaped\\n',
  '%25',
  '*',
  '[a-z]?',
  '__proto__',
  'constructor',
  'hasOwnProperty',
  'length',
  '0',
  '1',
  '-0',
  '1e3',
  'null',
  'é',
  'e\u0301',
  '\u{1f355}',
  '\u{1f355}\u{1f355}',
  '\u{10000}',
  '\uffff',
  '\ue000',
  'x'.repeat(10_000),
  `${'x'.repeat(10_000)}y`,
];

export const names: Section = {
  about: 'names',
  cases: [
    {
      it: 'accepts any string as the key of a document',
      async run({ client }) {
        const applied = await outcomes(client, ...HOSTILE_NAMES.map((name, n) => put(name, 1, n)));
        assert.deepEqual(new Set(applied), new Set(['applied']));
        assert.deepEqual(
          await client.getMany(HOSTILE_NAMES),
          HOSTILE_NAMES.map((_, n) => hit(n, 1)),
        );
        for (const [n, name] of HOSTILE_NAMES.entries()) assert.deepEqual(await client.get(name), hit(n, 1), JSON.stringify(name));
      },
    },
    {
      it: 'accepts any string as the name of a list, also for a lease',
      async run({ client }) {
        await client.apply(HOSTILE_NAMES.map((name, n) => membersOf(name, 3).put('m', 1, n)));
        for (const [n, name] of HOSTILE_NAMES.entries()) {
          const lease = await leaseOn(client, { kind: 'list', list: name, keep: 3 });
          const newest = [{ member: 'm', score: n, json: String(n) }];
          assert.equal(await settleOn(client, lease, { kind: 'list', newest }), 'settled', JSON.stringify(name));
        }
        for (const [n, name] of HOSTILE_NAMES.entries()) {
          const { members, complete } = await client.list(name, { limit: 10 });
          assert.deepEqual([members.length, members[0]?.score, members[0]?.value, complete], [1, n, n, true], JSON.stringify(name));
        }
      },
    },
    {
      it: 'accepts any string as the name of a member, and sorts equal scores by the bytes of the names',
      async run({ client }) {
        const { put: add, target } = membersOf('list', 1_000);
        await client.apply(HOSTILE_NAMES.map((name) => add(name, 1, 7, { json: JSON.stringify(name.slice(0, 20)) })));
        const ascending = [...HOSTILE_NAMES].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
        const seen = async (order: 'asc' | 'desc') =>
          (await client.list(target.list, { limit: 1_000, order })).members.map(({ member }) => member);
        assert.deepEqual(await seen('asc'), ascending);
        assert.deepEqual(await seen('desc'), ascending.toReversed());
        let cursor: string | undefined;
        for (const name of ascending) {
          const page = await client.list(target.list, { limit: 1, order: 'asc', after: cursor });
          assert.deepEqual(
            page.members.map(({ member, value }) => [member, value]),
            [[name, name.slice(0, 20)]],
          );
          cursor = page.cursor;
        }
      },
    },
    {
      it: 'separates pairs of list and member whose joined names are equal',
      async run({ client }) {
        const pairs = [
          ['a', 'b:c'],
          ['a:b', 'c'],
          ['a:b:', 'c'],
          ['{a}', 'b'],
          ['{a}b', 'b'],
        ] as const;
        await client.apply(pairs.map(([list, member]) => membersOf(list, 5).put(member, 1, 1)));
        for (const [list, member] of pairs) {
          const { members } = await client.list(list, { limit: 9 });
          assert.deepEqual(
            members.map((it) => it.member),
            [member],
            list,
          );
        }
      },
    },
  ],
};
