import assert from 'node:assert/strict';
import type { CacheClient, Page, PageQuery } from '../../cache.ts';
import { at, found, leaseOn, membersOf, outcomes, type Section, settleOn, shows } from './case.ts';

const { put, del, forget } = membersOf('list', 100);

/** Scores in descending order. A careless number format makes some of them equal, reorders or loses them. */
const SCORES: readonly number[] = [
  Number.MAX_VALUE,
  1e308,
  1e21,
  2 ** 53 + 2,
  2 ** 53,
  2 ** 53 - 1,
  1_795_000_000_001,
  1_795_000_000_000.5,
  1_795_000_000_000,
  1.5,
  0.30000000000000004,
  0.3,
  1e-7,
  Number.MIN_VALUE,
  0,
  -Number.MIN_VALUE,
  -0.5,
  -(2 ** 53 - 1),
  -(2 ** 53),
  -1e308,
];

const UNKNOWN_ORDERS = ['up', 'DESC', '', 'ascending'] as unknown as readonly ('asc' | 'desc')[];

export const pages: Section = {
  about: 'pages of a list',
  cases: [
    {
      it: 'sorts members by score, and equal scores by the bytes of the names, in either order',
      async run({ client }) {
        await client.apply([put('b', 1, 5), put('a', 2, 9), put('Z', 3, 5), put('é', 4, 5), put('c', 5, -1)]);
        await shows(client, 'list', ['a 2', 'é 4', 'b 1', 'Z 3', 'c 5'], false);
        await shows(client, 'list', ['c 5', 'Z 3', 'b 1', 'é 4', 'a 2'], false, { limit: 100, order: 'asc' });
        const { members } = await client.list('list', { limit: 2, order: 'desc' });
        assert.deepEqual(members, [
          { member: 'a', score: 9, value: 'a 2', version: at(2) },
          { member: 'é', score: 5, value: 'é 4', version: at(4) },
        ]);
      },
    },
    {
      it: 'answers with an empty, incomplete page for an unknown list',
      async run({ client }) {
        assert.deepEqual(await client.list('unknown', { limit: 3 }), { members: [], complete: false });
      },
    },
    {
      it: 'applies a mutation of a member unless the member has a newer version',
      async run({ client }) {
        assert.deepEqual(await outcomes(client, put('a', 2, 1), put('a', 1, 9), put('a', 2, 2)), ['applied', 'stale', 'applied']);
        assert.deepEqual(await outcomes(client, put('b', 3, 1), del('b', 4, 1), put('b', 3, 1)), ['applied', 'applied', 'stale']);
        assert.deepEqual(await outcomes(client, del('c', 4, 3), put('c', 3, 3)), ['applied', 'stale']);
        assert.deepEqual(await outcomes(client, put('d', 3, 1), forget('d', 4, 1), put('d', 3, 1)), ['applied', 'applied', 'stale']);
        const { members } = await client.list('list', { limit: 9 });
        assert.deepEqual(members, [{ member: 'a', score: 2, value: 'a 2', version: at(2) }]);
      },
    },
    {
      it: 'applies the mutations of one call in their order, also for several lists',
      async run({ client }) {
        const other = membersOf('other', 2);
        const all = [put('a', 1, 1), other.put('a', 1, 1), put('b', 1, 2), del('a', 2, 1), put('a', 1, 1), other.put('b', 3, 3)];
        assert.deepEqual(await outcomes(client, ...all), ['applied', 'applied', 'applied', 'applied', 'stale', 'applied']);
        assert.deepEqual(await outcomes(client, put('a', 3, 8), put('a', 4, 7), put('b', 1, 9)), ['applied', 'applied', 'applied']);
        await shows(client, 'list', ['b 1', 'a 4'], false);
        await shows(client, 'other', ['b 3', 'a 1'], false);
      },
    },
    {
      it: 'moves a member to its new score, and shows it once',
      async run({ client }) {
        await client.apply([put('a', 1, 1), put('b', 1, 2)]);
        await client.apply([put('a', 2, 3, { from: 1 })]);
        await shows(client, 'list', ['a 2', 'b 1'], false);
      },
    },
    {
      it: 'pages through all members once, with any limit and in either order, also among equal scores',
      async run({ client }) {
        const names = Array.from({ length: 23 }, (_, n) => `m${n}`);
        await client.apply(names.map((name, n) => put(name, 1, n < 12 ? 5 : n % 4)));
        for (const order of ['desc', 'asc'] as const) {
          const { members } = await client.list('list', { limit: 100, order });
          const whole = members.map(({ member }) => member);
          assert.deepEqual(new Set(whole), new Set(names));
          for (const limit of [1, 2, 7, 22, 23, 24]) assert.deepEqual(await walk(client, { limit, order }), whole, `${order} by ${limit}`);
        }
      },
    },
    {
      it: 'returns a cursor if the list has more members, and none with a page that is not full',
      async run({ client }) {
        await client.apply([put('a', 1, 1), put('b', 1, 2), put('c', 1, 3)]);
        const first = await client.list('list', { limit: 2 });
        assert.ok(first.cursor !== undefined);
        const second = await client.list('list', { limit: 2, after: first.cursor });
        assert.equal(second.cursor, undefined);
        assert.equal((await client.list('list', { limit: 4 })).cursor, undefined);
      },
    },
    {
      it: 'continues after the position of a cursor, even if its member was moved or deleted',
      async run({ client }) {
        for (const order of ['desc', 'asc'] as const) {
          const sign = order === 'desc' ? -1 : 1;
          for (const change of ['none', 'deleted', 'moved on', 'moved back', 'tied'] as const) {
            const list = `${order} ${change}`;
            const { put, del } = membersOf(list, 100);
            await client.apply(['a', 'b', 'c', 'd'].map((name, n) => put(name, 1, sign * n)));
            const { cursor } = await client.list(list, { limit: 2, order });
            const [b, e] = [sign, sign * 1.5];
            if (change === 'deleted') await client.apply([del('b', 2, b)]);
            if (change === 'moved on') await client.apply([put('b', 2, sign * 9, { from: b })]);
            if (change === 'moved back') await client.apply([put('b', 2, -sign * 9, { from: b })]);
            if (change === 'tied') await client.apply([put('a2', 2, b), put('b2', 2, b), put('e', 2, e)]);
            const { members } = await client.list(list, { limit: 9, order, after: cursor });
            const tied = order === 'desc' ? ['a2', 'e', 'c', 'd'] : ['b2', 'e', 'c', 'd'];
            const expected = { none: ['c', 'd'], deleted: ['c', 'd'], 'moved on': ['c', 'd', 'b'], 'moved back': ['c', 'd'], tied }[change];
            assert.deepEqual(
              members.map(({ member }) => member),
              expected,
              list,
            );
          }
        }
      },
    },
    {
      it: 'refuses a limit that is not a positive integer, and a cursor that no page returned',
      async run({ client }) {
        await client.apply([put('a', 1, 1)]);
        for (const list of ['list', 'unknown']) {
          for (const limit of [0, -1, 1.5, Number.NaN, Infinity]) {
            await assert.rejects(async () => client.list(list, { limit }), RangeError, `limit ${limit}`);
          }
          for (const order of UNKNOWN_ORDERS) {
            await assert.rejects(async () => client.list(list, { limit: 1, order }), RangeError, `order ${order}`);
          }
          const { cursor = '' } = await client.list('list', { limit: 1 });
          const forged = ['["1","a"]', '[1]', '[1,2]', '[1e999,"a"]', '[-0,"a"]', '[ 1,"a"]', '[1,"a",2]', '[1,"\\ud83c"]', '[null,"a"]'];
          for (const after of [
            ...['', 'nonsense', '!', 'bnVsbA', 'WzEsMl0', `${cursor}=`, ` ${cursor}`],
            ...forged.map((text) => Buffer.from(text).toString('base64url')),
          ]) {
            await assert.rejects(async () => client.list(list, { limit: 1, after }), RangeError, `cursor "${after}"`);
          }
        }
      },
    },
    {
      it: 'takes a limit of any size',
      async run({ client }) {
        await client.apply([put('a', 1, 1), put('b', 1, 2)]);
        for (const limit of [3, 100_000, 2 ** 31, 2 ** 32 + 1, Number.MAX_SAFE_INTEGER]) {
          for (const order of ['desc', 'asc'] as const) {
            const page = await client.list('list', { limit, order });
            assert.deepEqual([page.members.length, page.cursor], [2, undefined], String(limit));
          }
          const { cursor } = await client.list('list', { limit: 1 });
          await shows(client, 'list', ['a 1'], false, { limit, after: cursor });
        }
      },
    },
    {
      it: 'takes a cursor for a position, in another list and in the other order too',
      async run({ client }) {
        const other = membersOf('other', 100);
        await client.apply([
          put('a', 1, 1),
          put('b', 1, 2),
          put('c', 1, 3),
          other.put('b', 2, 2),
          other.put('d', 2, 1.5),
          other.put('e', 2, 2.5),
        ]);
        const { cursor } = await client.list('list', { limit: 2 });
        await shows(client, 'list', ['a 1'], false, { limit: 9, after: cursor });
        await shows(client, 'list', ['c 1'], false, { limit: 9, after: cursor, order: 'asc' });
        await shows(client, 'other', ['d 2'], false, { limit: 9, after: cursor });
        await shows(client, 'other', ['e 2'], false, { limit: 9, after: cursor, order: 'asc' });
        assert.deepEqual(await client.list('unknown', { limit: 9, after: cursor }), { members: [], complete: false });
      },
    },
    {
      it: 'sorts, returns and pages scores of any magnitude exactly',
      async run({ client }) {
        await client.apply(SCORES.map((score, n) => put(`m${n}`, 1, score)));
        const scores = (page: Page) => page.members.map(({ score }) => score);
        assert.deepEqual(scores(await client.list('list', { limit: 100 })), SCORES);
        assert.deepEqual(scores(await client.list('list', { limit: 100, order: 'asc' })), SCORES.toReversed());
        const names = SCORES.map((_, n) => `m${n}`);
        assert.deepEqual(await walk(client, { limit: 1 }), names);
        assert.deepEqual(await walk(client, { limit: 1, order: 'asc' }), names.toReversed());
        assert.deepEqual(await walk(client, { limit: 3 }), names);
      },
    },
    {
      it: 'treats -0 as 0',
      async run({ client }) {
        await client.apply([put('a', 1, -0), put('b', 1, 0), put('c', 1, -0)]);
        await shows(client, 'list', ['c 1', 'b 1', 'a 1'], false);
        assert.deepEqual(await walk(client, { limit: 1 }), ['c', 'b', 'a']);
        const lease = await leaseOn(client, { kind: 'list', list: 'read', keep: 2 });
        assert.equal(await settleOn(client, lease, found({ a: 1, b: -0 }, -0)), 'settled');
        await client.apply([membersOf('read', 2).put('c', 1, -0), membersOf('read', 2).put('d', 1, Number.MIN_VALUE)]);
        for (const list of ['list', 'read']) {
          const { members } = await client.list(list, { limit: 9 });
          assert.ok(members.length > 1 && members.every(({ score }) => !Object.is(score, -0)), list);
        }
        await shows(client, 'read', ['a read', 'd 1'], true, { limit: 2 });
      },
    },
    {
      it: 'sets the bottom at scores of any magnitude',
      async run({ client }) {
        for (const [n, bottom] of SCORES.entries()) {
          const [above, below] = [SCORES[n - 1], SCORES[n + 1]];
          if (above === undefined || below === undefined) continue;
          const list = `bottom ${bottom}`;
          const { put, target } = membersOf(list, 1);
          const lease = await leaseOn(client, target);
          assert.equal(await settleOn(client, lease, { kind: 'list', newest: [] }), 'settled');
          await client.apply([put('a', 1, above), put('b', 1, bottom)]);
          await shows(client, list, ['a 1'], true, { limit: 1 });
          await client.apply([membersOf(list, 1).del('a', 2, above), put('c', 1, bottom), put('d', 1, below)]);
          await shows(client, list, [], false);
          await client.apply([put('e', 1, above)]);
          await shows(client, list, ['e 1'], true, { limit: 1 });
        }
      },
    },
  ],
};

/** The names of the members on all pages, in the order of the pages. */
async function walk(client: CacheClient, query: PageQuery): Promise<string[]> {
  const names: string[] = [];
  for (let after: string | undefined, pages = 0; pages < 1_000; pages += 1) {
    const page = await client.list('list', { ...query, after });
    names.push(...page.members.map(({ member }) => member));
    if (page.cursor === undefined) return names;
    after = page.cursor;
  }
  throw assert.fail('the pages do not end');
}
