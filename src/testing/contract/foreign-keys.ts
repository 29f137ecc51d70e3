import assert from 'node:assert/strict';
import type { LeaseTarget } from '../../cache.ts';
import {
  documentAt,
  found,
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

/** Bytes that sort before and after every version, that are short, or that begin as a value of ours could. */
const BYTES = [
  '',
  ' ',
  'text',
  '~',
  '0',
  '{"a":1}',
  'z'.repeat(200),
  '9'.repeat(200),
  VERSIONS[3] as string,
  `${VERSIONS[3]}p`,
  `${VERSIONS[3]}x${' '.repeat(15)}1`,
];

export const foreignKeys: Section = {
  about: 'keys that another program wrote',
  cases: [
    {
      it: 'misses bytes of another program, and replaces them by the next write',
      needs: ['plantBytes'],
      async run(trial) {
        for (const [n, bytes] of BYTES.entries()) await countsAsNothing(trial, `${n}`, (target) => trial.plantBytes?.(target, bytes));
      },
    },
    {
      it: 'misses a key of another type, and replaces it by the next write',
      needs: ['plantType'],
      async run(trial) {
        for (const part of [0, 1, 2]) await countsAsNothing(trial, `${part}`, (target) => trial.plantType?.(target, part));
      },
    },
    {
      it: 'loses lists and documents whose keys another program has replaced',
      needs: ['plantType'],
      async run({ client, plantType }) {
        for (const part of [0, 1, 2]) {
          const [document, { put: add, del, target }] = [documentAt(`a${part}`), membersOf(`list ${part}`, 2)];
          await client.apply([put(`a${part}`, 5, 'a'), add('m', 5, 1), del('n', 5, 2)]);
          assert.equal(await settleOn(client, await leaseOn(client, target), found({ m: 1 })), 'settled');
          const [onDocument, onList] = [await leaseOn(client, document), await leaseOn(client, target)];
          await plantType?.(document, part);
          await plantType?.(target, part);
          await reads(client, `a${part}`, MISSED);
          await shows(client, target.list, [], false);
          assert.equal(await settleOn(client, onDocument, { kind: 'document', json: '1' }), 'lost');
          assert.equal(await settleOn(client, onList, found({ m: 1 })), 'lost');
          assert.deepEqual(await outcomes(client, put(`a${part}`, 1, 'b'), add('m', 1, 1), add('n', 1, 2)), [
            'applied',
            'applied',
            'applied',
          ]);
          await reads(client, `a${part}`, hit('b', 1));
          await shows(client, target.list, ['n 1', 'm 1'], false);
        }
      },
    },
  ],
};

/** Plants something at keys of their own, and asserts that reads, writes and leases behave as if nothing were there. */
async function countsAsNothing({ client }: Trial, name: string, plant: (target: LeaseTarget) => Promise<void> | undefined): Promise<void> {
  const [read, written, leased] = ['read', 'written', 'leased'].map((use) => `${name} ${use}`) as [string, string, string];
  for (const use of [read, written, leased]) {
    await plant(documentAt(use));
    await plant(membersOf(use, 2).target);
  }
  await reads(client, read, MISSED, name);
  assert.deepEqual(await client.getMany([read, 'other']), [MISSED, MISSED], name);
  await shows(client, read, [], false);

  const { put: add } = membersOf(written, 2);
  const all = [put('before', 1, 'before'), put(written, 1, 'written'), add('m', 1, 1), put('after', 1, 'after')];
  assert.deepEqual(await outcomes(client, ...all), ['applied', 'applied', 'applied', 'applied'], name);
  await reads(client, written, hit('written', 1), name);
  await shows(client, written, ['m 1'], false);
  assert.deepEqual(await client.getMany(['before', 'after']), [hit('before', 1), hit('after', 1)]);

  assert.equal(await settleOn(client, await leaseOn(client, documentAt(leased)), { kind: 'document', json: '"leased"' }), 'settled', name);
  await reads(client, leased, hit('leased', 0), name);
  assert.equal(await settleOn(client, await leaseOn(client, membersOf(leased, 2).target), found({ m: 1 })), 'settled', name);
  await shows(client, leased, ['m read'], true);
}
