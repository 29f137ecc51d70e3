import { BatchWriteItemCommand, CreateTableCommand } from '@aws-sdk/client-dynamodb';
import { marshall } from '@aws-sdk/util-dynamodb';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type MeteredTable, meteredTable } from '../../../src/dynamodb/metered-table.ts';
import type { KeyAttributes, ListQuery } from '../../../src/view.ts';
import { type DynamoDbLocal, HOW_TO_GET_JAVA, javaAvailable, startDynamoDbLocal } from '../../servers/dynamodb-local.ts';
import { missing } from '../../servers/requires.ts';
import { chanceOf } from './chance.ts';
import { FakeTable, GOOD_MOOD } from './fake-table.ts';
import { INDEXES, imageOf, KEYS, TABLE, type Thing } from './views.ts';

const SEED = process.env.SEED === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(process.env.SEED);
const never = new AbortController().signal;

describe.skipIf(missing(javaAvailable(), HOW_TO_GET_JAVA))('FakeTable, beside DynamoDB Local', () => {
  const random = chanceOf(SEED);
  const upTo = (n: number): number => Math.floor(random() * n);
  let local: DynamoDbLocal;
  let real: MeteredTable;
  let fake: FakeTable;
  let faked: MeteredTable;

  beforeAll(async () => {
    local = await startDynamoDbLocal();
    await createTable(local);
    fake = new FakeTable({ name: TABLE, keys: KEYS, indexes: INDEXES, random, lagMs: 0 });
    real = meteredTable({ client: local.client, name: TABLE });
    faked = meteredTable({ client: fake.client, name: TABLE });
    const things = Array.from({ length: 48 }, (_, i) => {
      const key = { pk: `g${i % 2}`, sk: `${i % 7 === 0 ? 'x' : 'i'}${i >> 1}` };
      return imageOf({ ...key, n: i, rank: upTo(9) - 2, listed: random() < 0.8, team: random() < 0.5 ? 'a' : 'b', note: '' });
    });
    for (const thing of things) fake.write(thing as never, thing as never);
    for (let i = 0; i < things.length; i += 25) {
      const puts = things.slice(i, i + 25).map((thing) => ({ PutRequest: { Item: marshall(thing, { removeUndefinedValues: true }) } }));
      await local.client.send(new BatchWriteItemCommand({ RequestItems: { [TABLE]: puts } }));
    }
  });
  afterAll(async () => {
    await local?.close();
  });

  it(`gives the same items in the same order, on pages that end at the same places (SEED=${SEED})`, async () => {
    let items = 0;
    for (let i = 0; i < 60; i += 1) {
      const [query, score, limit] = [
        queryOf(upTo(6), upTo),
        random() < 0.5 ? upTo(9) - 2 : undefined,
        random() < 0.7 ? 1 + upTo(8) : undefined,
      ];
      const start = { ...(query.sort?.valueAt && score !== undefined && { score }), ...(limit !== undefined && { limit }) };
      fake.mood = GOOD_MOOD;
      const wanted = await pagesOf(real, query, start);
      const has = await pagesOf(faked, query, start);
      const what = JSON.stringify({ query, start });
      expect(inOrder(has.flat(), query), what).toEqual(inOrder(wanted.flat(), query));
      expect(
        has.map(({ length }) => length),
        what,
      ).toEqual(wanted.map(({ length }) => length));
      fake.mood = { ...GOOD_MOOD, mostItems: 3 };
      expect(inOrder((await pagesOf(faked, query, start)).flat(), query), `${what} on small pages`).toEqual(inOrder(wanted.flat(), query));
      items += wanted.flat().length;
    }
    expect(items).toBeGreaterThan(200);
  });

  it(`gives the same items for keys, also where the answers leave some unprocessed (SEED=${SEED})`, async () => {
    for (let i = 0; i < 20; i += 1) {
      const names = new Set(Array.from({ length: 1 + upTo(12) }, () => `g${upTo(3)} ${upTo(5) === 0 ? 'x' : 'i'}${upTo(26)}`));
      const keys: KeyAttributes[] = [...names].map((name) => ({ pk: name.split(' ')[0] ?? '', sk: name.split(' ')[1] ?? '' }));
      fake.mood = { ...GOOD_MOOD, unprocessed: i % 10 === 0 ? 0.5 : 0 };
      expect(await faked.items(keys, never)).toEqual(await real.items(keys, never));
    }
  });
});

async function createTable({ client }: DynamoDbLocal): Promise<void> {
  const indexOf = (name: keyof typeof INDEXES) => {
    const { partition, sort } = INDEXES[name];
    const KeySchema = [
      { AttributeName: partition, KeyType: 'HASH' as const },
      { AttributeName: sort, KeyType: 'RANGE' as const },
    ];
    return { IndexName: name, KeySchema, Projection: { ProjectionType: 'ALL' as const } };
  };
  const types = { pk: 'S', sk: 'S', slot: 'S', team: 'S', rank: 'N' } as const;
  await client.send(
    new CreateTableCommand({
      TableName: TABLE,
      BillingMode: 'PAY_PER_REQUEST',
      AttributeDefinitions: Object.entries(types).map(([AttributeName, AttributeType]) => ({ AttributeName, AttributeType })),
      KeySchema: [
        { AttributeName: KEYS[0], KeyType: 'HASH' },
        { AttributeName: KEYS[1], KeyType: 'RANGE' },
      ],
      LocalSecondaryIndexes: [indexOf('bySlot')],
      GlobalSecondaryIndexes: [indexOf('byTeam')],
    }),
  );
}

/** Every shape of a query that a reader sends. */
function queryOf(shape: number, upTo: (n: number) => number): ListQuery {
  const pk = { name: 'pk', value: `g${upTo(2)}` };
  const slotAt = (score: number) => `r#${String(score).padStart(3, '0')}`;
  const team = { name: 'team', value: 'ab'[upTo(2)] ?? '' };
  const ofIndex = { index: 'byTeam', trust: 'index', lagMs: 0 } as const;
  const shapes: readonly ListQuery[] = [
    { partition: pk },
    { partition: pk, sort: { name: 'sk', beginsWith: 'i' } },
    { partition: pk, sort: { name: 'slot', valueAt: slotAt }, index: 'bySlot' },
    { partition: pk, sort: { name: 'slot', beginsWith: 'r#', valueAt: slotAt }, index: 'bySlot' },
    { partition: team, ...ofIndex },
    { partition: team, sort: { name: 'rank', valueAt: (score) => score }, ...ofIndex },
  ];
  return shapes[shape] as ListQuery;
}

async function pagesOf(
  table: MeteredTable,
  query: ListQuery,
  start: { score?: number; limit?: number },
): Promise<readonly (readonly Thing[])[]> {
  const pages = [];
  for (let page = await table.query(query, start, never); ; page = await page.next()) {
    pages.push(page.items as unknown as Thing[]);
    if (!page.next) return pages;
  }
}

/** Items that tie in an index come in no particular order. */
function inOrder(items: readonly Thing[], { index }: ListQuery): readonly Thing[] {
  const sort = index === 'bySlot' ? 'slot' : index === 'byTeam' ? 'rank' : 'sk';
  const ties: Thing[][] = [];
  for (const item of items) {
    const tied = ties.at(-1);
    if (tied?.[0]?.[sort] === item[sort]) tied.push(item);
    else ties.push([item]);
  }
  return ties.flatMap((tied) => tied.toSorted((a, b) => (`${a.pk} ${a.sk}` < `${b.pk} ${b.sk}` ? -1 : 1)));
}
