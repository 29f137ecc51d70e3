import assert from 'node:assert/strict';
import type { CacheClient } from '../../cache.ts';
import { CacheUnavailableError } from '../../errors.ts';
import { documentAt, found, hit, leaseOn, MISSED, membersOf, put, type Section, settleOn } from './case.ts';

const { put: add, target } = membersOf('list', 3);

export const closing: Section = {
  about: 'a client that is closed',
  cases: [
    {
      it: 'rejects every call with CacheUnavailableError after it was closed',
      async run({ client }) {
        const [document, list] = [await leaseOn(client, documentAt('a')), await leaseOn(client, target)];
        await client.close();
        const calls: readonly ((client: CacheClient) => Promise<unknown>)[] = [
          (it) => it.apply([put('a', 1, 'a')]),
          (it) => it.apply([]),
          (it) => it.get('a'),
          (it) => it.getMany(['a']),
          (it) => it.getMany([]),
          (it) => it.getOrLease(['a']),
          (it) => it.getOrLease([]),
          (it) => it.mark([{ list: 'list', keep: 3 }], 'survey'),
          (it) => it.fill([], 'survey'),
          (it) => it.seal(['list'], 'survey'),
          (it) => it.list('list', { limit: 1 }),
          (it) => leaseOn(it, documentAt('a')),
          (it) => leaseOn(it, target),
          (it) => settleOn(it, document, { kind: 'document', json: '1' }),
          (it) => settleOn(it, list, found({ a: 1 })),
        ];
        for (const call of calls) await assert.rejects(call(client), CacheUnavailableError, String(call));
      },
    },
    {
      it: 'does nothing when a closed client is closed',
      async run({ client }) {
        await client.get('a');
        await client.close();
        await client.close();
      },
    },
    {
      it: 'answers the calls that are under way when it is closed',
      async run({ client }) {
        await client.apply([put('a', 1, 'a')]);
        const [document, list] = [await leaseOn(client, documentAt('b')), await leaseOn(client, target)];
        const answers = Promise.all([
          client.apply([put('c', 1, 'c'), add('m', 1, 1)]),
          client.get('a'),
          client.getMany(['a', 'x']),
          client.list('other', { limit: 1 }),
          settleOn(client, document, { kind: 'document', json: '"b"' }),
          settleOn(client, list, found({ a: 1 })),
        ]);
        const closed = client.close();
        assert.deepEqual(await answers, [
          [{ type: 'applied' }, { type: 'applied' }],
          hit('a', 1),
          [hit('a', 1), MISSED],
          { members: [], complete: false },
          'settled',
          'settled',
        ]);
        await closed;
      },
    },
    {
      it: 'answers its first calls if it is closed before it has connected',
      async run({ client }) {
        const answers = Promise.all([
          client.apply([put('a', 1, 'a'), put('b', 1, 'b')]),
          client.getMany(['x', 'y']),
          leaseOn(client, target),
        ]);
        const closed = client.close();
        const [outcomes, lookups, lease] = await answers;
        assert.deepEqual([outcomes, lookups, lease.target], [[{ type: 'applied' }, { type: 'applied' }], [MISSED, MISSED], target]);
        await closed;
      },
    },
  ],
};
