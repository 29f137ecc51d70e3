import assert from 'node:assert/strict';
import type { FoundMember } from '../../cache.ts';
import { found, leaseOn, membersOf, outcomes, refuses, type Section, settleOn, shows } from './case.ts';

const { put, del, forget, target } = membersOf('list', 3);
const member = (name: string, score: number): FoundMember => ({ member: name, score, json: JSON.stringify(`${name} scanned`) });
const scanned = (list: string, ...members: FoundMember[]) => ({ list, keep: 3, members });
const marked = (list: string) => ({ list, keep: 3 });
const LIST = marked('list');
const SURVEY = 'survey-1';

export const surveys: Section = {
  about: 'surveys',
  cases: [
    {
      it: 'completes lists by a mark, a fill and a seal, in one call each for many lists',
      async run({ client }) {
        const names = Array.from({ length: 300 }, (_, i) => `list ${i}`);
        await client.mark(names.map(marked), SURVEY);
        await shows(client, 'list 7', [], false);
        const filled = await client.fill(
          names.map((list) => scanned(list, member('a', 1), member('b', 2))),
          SURVEY,
        );
        assert.deepEqual(new Set(filled), new Set([true]));
        await shows(client, 'list 7', ['b scanned', 'a scanned'], false);
        assert.deepEqual(new Set(await client.seal(names, SURVEY)), new Set(['settled']));
        for (const i of [0, 7, 299]) await shows(client, `list ${i}`, ['b scanned', 'a scanned'], true);
      },
    },
    {
      it: 'fills and seals only lists that have the mark of the survey',
      async run({ client }) {
        await client.mark([LIST, marked('other')], SURVEY);
        await client.mark([marked('other')], 'survey-2');
        const lists = ['other', 'list', 'unmarked'];
        const fills = lists.map((list) => scanned(list, member('a', 1)));
        assert.deepEqual(await client.fill(fills, SURVEY), [false, true, false]);
        assert.deepEqual(await client.seal(lists, SURVEY), ['lost', 'settled', 'lost']);
        await shows(client, 'list', ['a scanned'], true);
        await shows(client, 'other', [], false);
        await shows(client, 'unmarked', [], false);
        assert.deepEqual(await client.seal(['other'], 'survey-2'), ['settled']);
      },
    },
    {
      it: 'loses the mark when the list is evicted',
      needs: ['evict'],
      async run({ client, evict }) {
        await client.mark([LIST], SURVEY);
        await evict?.(target);
        await client.apply([put('a', 1, 1)]);
        assert.deepEqual(await client.fill([scanned('list', member('b', 2))], SURVEY), [false]);
        assert.deepEqual(await client.seal(['list'], SURVEY), ['lost']);
        await shows(client, 'list', ['a 1'], false);
      },
    },
    {
      it: 'loses the mark when the list is settled, because the settle may lower the bottom',
      async run({ client }) {
        await client.apply([put('a', 1, 4), put('b', 2, 5), put('c', 3, 6), put('d', 4, 7)]);
        await client.mark([LIST], SURVEY);
        await client.apply([del('b', 5, 5)]);
        assert.equal(await settleOn(client, await leaseOn(client, target), found({ d: 7, c: 6 })), 'settled');
        assert.deepEqual(await client.fill([scanned('list', member('x', 3))], SURVEY), [false]);
        assert.deepEqual(await client.seal(['list'], SURVEY), ['lost']);
        await shows(client, 'list', ['d read', 'c read'], true);
      },
    },
    {
      it: 'replaces a list that has a forgotten member by an empty one, which it completes',
      async run({ client }) {
        await client.apply([put('a', 1, 1), put('b', 1, 2), forget('c', 1, 3)]);
        assert.equal(await settleOn(client, await leaseOn(client, target), found({ b: 2, a: 1 })), 'settled');
        await client.apply([forget('c', 2, 3)]);
        const lease = await leaseOn(client, target);
        await shows(client, 'list', ['b read', 'a read'], false);
        await client.mark([LIST], SURVEY);
        await shows(client, 'list', [], false);
        assert.equal(await settleOn(client, lease, found({ z: 9 })), 'lost');
        assert.deepEqual(await client.fill([scanned('list', member('a', 1), member('b', 2))], SURVEY), [true]);
        assert.deepEqual(await client.seal(['list'], SURVEY), ['settled']);
        await shows(client, 'list', ['b scanned', 'a scanned'], true);
      },
    },
    {
      it: 'replaces a list that lacks members and has fewer than half of keep',
      async run({ client }) {
        await client.apply([put('a', 1, 1), put('b', 1, 2), put('c', 1, 3), put('d', 1, 4)]);
        await client.apply([del('d', 2, 4)]);
        // Two of three members.
        await client.mark([LIST], SURVEY);
        await shows(client, 'list', ['c 1', 'b 1'], false);
        assert.deepEqual(await client.seal(['list'], SURVEY), ['settled']);
        await shows(client, 'list', ['c 1'], true, { limit: 1 });
        await client.apply([del('c', 2, 3)]);
        // One of three.
        await client.mark([LIST], 'survey-2');
        await shows(client, 'list', [], false);
        assert.deepEqual(await client.fill([scanned('list', member('a', 1), member('b', 2))], 'survey-2'), [true]);
        assert.deepEqual(await client.seal(['list'], 'survey-2'), ['settled']);
        await shows(client, 'list', ['b scanned', 'a scanned'], true);
      },
    },
    {
      it: 'keeps a list that lacks nothing, also if it has few members',
      async run({ client }) {
        assert.equal(await settleOn(client, await leaseOn(client, target), found({ a: 1 })), 'settled');
        await client.mark([LIST], SURVEY);
        await shows(client, 'list', ['a read'], true);
      },
    },
    {
      it: 'changes nothing by a mark that the list has already',
      async run({ client }) {
        await client.mark([LIST], SURVEY);
        await client.apply([put('a', 1, 1), put('b', 1, 2), put('c', 1, 3), put('d', 1, 4), del('c', 2, 3), del('d', 2, 4)]);
        await client.mark([LIST], SURVEY);
        await shows(client, 'list', ['b 1'], false);
        await client.apply([forget('e', 1, 9)]);
        await client.mark([LIST], SURVEY);
        assert.deepEqual(await client.seal(['list'], SURVEY), ['settled']);
        await shows(client, 'list', ['b 1'], false);
      },
    },
    {
      it: 'puts what a scan found below every version of the stream',
      async run({ client }) {
        await client.apply([put('a', 2, 2), del('b', 2, 2)]);
        await client.mark([LIST], SURVEY);
        assert.deepEqual(await client.fill([scanned('list', member('a', 1), member('b', 1), member('c', 1))], SURVEY), [true]);
        await shows(client, 'list', ['a 2', 'c scanned'], false);
        assert.deepEqual(await outcomes(client, put('c', 1, 3)), ['applied']);
        assert.deepEqual(await client.seal(['list'], SURVEY), ['settled']);
        await shows(client, 'list', ['c 1', 'a 2'], true);
      },
    },
    {
      it: 'keeps the newest members and never lowers the bottom',
      async run({ client }) {
        await client.mark([LIST], SURVEY);
        await client.fill([scanned('list', member('a', 1), member('b', 2), member('c', 3), member('d', 4), member('e', 5))], SURVEY);
        assert.deepEqual(await client.fill([scanned('list', member('f', 2))], SURVEY), [true]);
        assert.deepEqual(await client.seal(['list'], SURVEY), ['settled']);
        await shows(client, 'list', ['e scanned', 'd scanned', 'c scanned'], true, { limit: 3 });
        await shows(client, 'list', ['e scanned', 'd scanned', 'c scanned'], false, { limit: 4 });
      },
    },
    {
      it: 'loses the leases that were taken before the seal',
      async run({ client }) {
        const lease = await leaseOn(client, target);
        await client.mark([LIST], SURVEY);
        await client.fill([scanned('list', member('a', 1))], SURVEY);
        assert.deepEqual(await client.seal(['list'], SURVEY), ['settled']);
        assert.equal(await settleOn(client, lease, found({ z: 9 })), 'lost');
        await shows(client, 'list', ['a scanned'], true);
      },
    },
    {
      it: 'seals a list that the second scan did not find as empty',
      async run({ client }) {
        await client.mark([LIST], SURVEY);
        assert.deepEqual(await client.seal(['list'], SURVEY), ['settled']);
        await shows(client, 'list', [], true);
      },
    },
    {
      it: 'forgets a member whose value is too large, so that no page is complete',
      needs: ['maxValueBytes'],
      async run({ client, maxValueBytes }) {
        await client.mark([LIST], SURVEY);
        const large = { member: 'a', score: 1, json: JSON.stringify('x'.repeat(maxValueBytes)) };
        assert.deepEqual(await client.fill([scanned('list', large, member('b', 2))], SURVEY), [true]);
        assert.deepEqual(await client.seal(['list'], SURVEY), ['settled']);
        await shows(client, 'list', ['b scanned'], false);
      },
    },
    {
      it: 'rejects wrong arguments, and changes nothing',
      async run({ client }) {
        for (const survey of ['', 'a b', 'x'.repeat(65), 7 as never]) {
          await refuses(() => client.mark([LIST], survey));
          await refuses(() => client.fill([], survey));
          await refuses(() => client.seal([], survey));
        }
        await client.mark([LIST], SURVEY);
        const wrong = [
          scanned('list', member('', 1)),
          scanned('list', member('a', Number.NaN)),
          scanned('', member('a', 1)),
          { ...scanned('list', member('a', 1)), keep: 0 },
          scanned('list', { ...member('a', 1), json: 7 as never }),
        ];
        for (const one of wrong) await refuses(() => client.fill([scanned('list', member('b', 1)), one], SURVEY));
        const odd = ['list', undefined, { 0: 'list' }, [null], [undefined]] as readonly unknown[] as readonly never[];
        for (const lists of odd) {
          await refuses(() => client.mark(lists, SURVEY));
          await refuses(() => client.fill(lists, SURVEY));
          await refuses(() => client.seal(lists, SURVEY));
        }
        for (const members of [...odd, [{}]] as readonly unknown[] as readonly never[]) {
          await refuses(() => client.fill([{ list: 'list', keep: 3, members }], SURVEY));
        }
        await refuses(() => client.mark([marked('')], SURVEY));
        await refuses(() => client.mark([LIST, { list: 'list', keep: 0 }], SURVEY));
        await refuses(() => client.seal([''], SURVEY));
        await shows(client, 'list', [], false);
        assert.deepEqual(
          [await client.mark([], SURVEY), await client.fill([], SURVEY), await client.seal([], SURVEY)],
          [undefined, [], []],
        );
      },
    },
  ],
};
