import assert from 'node:assert/strict';
import { at, documentAt, leaseOn, membersOf, type Section, settleOn, shows } from './case.ts';

/** JSON texts that a careless round trip changes or loses. */
const TEXTS: readonly string[] = [
  'null',
  'false',
  'true',
  '0',
  '-1.5',
  '0.1',
  '0.30000000000000004',
  '12345678901234567890',
  '1e300',
  '""',
  '"text"',
  '"null"',
  '"a\\u0000b\\n\\"\\\\/"',
  '"\\ud83c\\udf55 \\uffff é"',
  '"🍕 é 漢字"',
  '[]',
  '{}',
  '[[],{},[{}]]',
  '{"list":[],"map":{},"nothing":null}',
  '{"__proto__":{"polluted":true},"constructor":1}',
  '{"":"empty","a b":1,"é":[null,false,0]}',
  ' { "spaced" : [ 1 , 2 ] } ',
  // Halves of a surrogate pair, escaped as JSON.stringify escapes them.
  '"\\ud83c"',
  '{"\\udf55\\ud83c":"\\udf55"}',
  `${'['.repeat(64)}1${']'.repeat(64)}`,
];

export const values: Section = {
  about: 'values',
  cases: [
    {
      it: 'returns any JSON value of a document unchanged, put or settled',
      async run({ client }) {
        await client.apply(TEXTS.map((json, n) => ({ kind: 'document', type: 'put', key: `put ${n}`, version: at(1), json })));
        for (const [n, json] of TEXTS.entries()) {
          const lease = await leaseOn(client, documentAt(`settled ${n}`));
          assert.equal(await settleOn(client, lease, { kind: 'document', json }), 'settled');
          const found = await client.getMany([`put ${n}`, `settled ${n}`]);
          assert.deepEqual(
            found.map((lookup) => (lookup.type === 'hit' ? lookup.value : lookup.type)),
            [JSON.parse(json), JSON.parse(json)],
            json,
          );
        }
      },
    },
    {
      it: 'returns any JSON value of a member unchanged, put or settled',
      async run({ client }) {
        const { put, target } = membersOf('put', 100);
        await client.apply(TEXTS.map((json, n) => put(`m${n}`, 1, -n, { json })));
        const expected = TEXTS.map((json) => JSON.parse(json));
        await shows(client, target.list, expected, false);
        const lease = await leaseOn(client, { kind: 'list', list: 'settled', keep: 100 });
        const newest = TEXTS.map((json, n) => ({ member: `m${n}`, score: -n, json }));
        assert.equal(await settleOn(client, lease, { kind: 'list', newest }), 'settled');
        await shows(client, 'settled', expected, true);
      },
    },
    {
      it: 'returns a separate value to each reader',
      async run({ client }) {
        await client.apply([{ kind: 'document', type: 'put', key: 'a', version: at(1), json: '{"tags":["x"]}' }]);
        const first = await client.get('a');
        assert.ok(first.type === 'hit');
        (first.value as { tags: string[] }).tags.push('y');
        const second = await client.get('a');
        assert.deepEqual(second.type === 'hit' && second.value, { tags: ['x'] });
      },
    },
  ],
};
