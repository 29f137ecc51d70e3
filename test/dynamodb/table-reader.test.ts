import {
  BatchGetItemCommand,
  type BatchGetItemCommandInput,
  BatchWriteItemCommand,
  CreateTableCommand,
  DynamoDBClient,
  PutItemCommand,
  type WriteRequest,
} from '@aws-sdk/client-dynamodb';
import { type AwsClientStub, mockClient } from 'aws-sdk-client-mock';
import * as fc from 'fast-check';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { decodeRecord, type Marshalled, type StreamRecord } from '../../src/dynamodb/record.ts';
import { type TableAnswer, type TableReaderOptions, tableReader } from '../../src/dynamodb/table-reader.ts';
import {
  createShopTable,
  type DynamoDbLocal,
  HOW_TO_GET_JAVA,
  javaAvailable,
  readStream,
  startDynamoDbLocal,
} from '../servers/dynamodb-local.ts';
import { missing } from '../servers/requires.ts';

const SEED = process.env.SEED === undefined ? Math.trunc(Math.random() * 2 ** 31) : Number(process.env.SEED);
const arnOf = (table: string) => `arn:aws:dynamodb:eu-west-1:123456789012:table/${table}`;
const key = (n: number | string) => ({ pk: { S: `order#${n}` }, sk: { S: 'order' } });

describe.skipIf(missing(javaAvailable(), HOW_TO_GET_JAVA))('tableReader, of DynamoDB Local', () => {
  let local: DynamoDbLocal;
  let streamArn: string;
  beforeAll(async () => {
    local = await startDynamoDbLocal();
    ({ streamArn } = await createShopTable(local.client, 'shop'));
    const requests = Array.from({ length: 250 }, (_, n): WriteRequest => ({ PutRequest: { Item: { ...key(n), n: { N: String(n) } } } }));
    for (let i = 0; i < requests.length; i += 25) {
      await local.client.send(new BatchWriteItemCommand({ RequestItems: { shop: requests.slice(i, i + 25) } }));
    }
  });
  afterAll(() => local?.close());

  const read = (keys: readonly Marshalled[], table = 'shop', options: Partial<TableReaderOptions> = {}) =>
    tableReader({ client: local.client, readUnitsPerSecond: 1e6, ...options }).read(arnOf(table), keys);

  it('gives one answer a key, in their order, for more keys than a call takes, and for absent items', async () => {
    const numbers = Array.from({ length: 270 }, (_, i) => (i * 7) % 270);
    const answers = await read(numbers.map((n) => key(n)));
    expect(answers).toEqual(numbers.map((n) => (n < 250 ? { item: { pk: `order#${n}`, sk: 'order', n } } : {})));
  });

  it('gives no answers to no keys', async () => {
    expect(await read([])).toEqual([]);
  });

  it('decodes an item exactly as the stream decodes its image', async () => {
    const { readNew } = readStream(local.streams, streamArn);
    await readNew();
    const number = fc.oneof(
      fc.integer().map(String),
      fc.constantFrom('0.1', '1E+30', '-0', '12345678901234567890123456789012345678', '1.5e-100', '9007199254740993'),
    );
    const leaf = fc.oneof(
      fc.string().map((S) => ({ S })),
      number.map((N) => ({ N })),
      fc.boolean().map((BOOL) => ({ BOOL })),
      fc.constant({ NULL: true }),
      fc.uint8Array().map((B) => ({ B })),
      fc.uniqueArray(fc.string({ minLength: 1 }), { minLength: 1 }).map((SS) => ({ SS })),
      fc.uniqueArray(fc.integer(), { minLength: 1 }).map((all) => ({ NS: all.map(String) })),
      fc.uniqueArray(fc.uint8Array({ minLength: 1 }), { minLength: 1, selector: (bytes) => bytes.join() }).map((BS) => ({ BS })),
    );
    // The SDK loses an attribute of that name.
    const name = fc.string({ minLength: 1 }).filter((text) => text !== '__proto__');
    const { value } = fc.letrec((tie) => ({
      value: fc.oneof(
        { maxDepth: 3 },
        leaf,
        fc.array(tie('value')).map((L) => ({ L })),
        // DynamoDB Local's stream has nothing where the table has an empty map.
        fc.dictionary(name, tie('value'), { minKeys: 1 }).map((M) => ({ M })),
      ),
    }));
    let n = 0;
    const image = async (it: unknown) => {
      const at = key(`image${n++}`);
      await local.client.send(new PutItemCommand({ TableName: 'shop', Item: { ...at, it } as never }));
      const [record] = await readNew();
      // The record in the form of an event, which is JSON.
      const event = JSON.parse(JSON.stringify(record, bytesAsBase64)) as StreamRecord;
      const { after } = decodeRecord({ ...event, eventSourceARN: streamArn }, 0);
      expect(await read([at])).toEqual([{ item: after }]);
    };
    await fc.assert(fc.asyncProperty(value, image), { numRuns: Number(process.env.IMAGES ?? 40), seed: SEED });
  });

  it('takes keys in the form of an event: numbers as text, bytes as base64', async () => {
    const KeySchema = [
      { AttributeName: 'id', KeyType: 'HASH' as const },
      { AttributeName: 'part', KeyType: 'RANGE' as const },
    ];
    const AttributeDefinitions = [
      { AttributeName: 'id', AttributeType: 'B' as const },
      { AttributeName: 'part', AttributeType: 'N' as const },
    ];
    await local.client.send(
      new CreateTableCommand({ TableName: 'bytes', KeySchema, AttributeDefinitions, BillingMode: 'PAY_PER_REQUEST' }),
    );
    const id = Uint8Array.of(0, 255, 128, 10);
    for (const N of ['12345678901234567890123456789', '-1.5']) {
      await local.client.send(new PutItemCommand({ TableName: 'bytes', Item: { id: { B: id }, part: { N }, it: { S: N } } }));
    }
    const B = Buffer.from(id).toString('base64');
    const answers = await read(
      ['-1.5', '12345678901234567890123456789', '7'].map((N) => ({ id: { B }, part: { N } })),
      'bytes',
    );
    expect(answers).toEqual([
      { item: { id: B, part: -1.5, it: '-1.5' } },
      { item: { id: B, part: '12345678901234567890123456789', it: '12345678901234567890123456789' } },
      {},
    ]);
  });

  it('says what to do about a table that is not there', async () => {
    expect(reasons(await read([key(1), key(2)], 'shopping'))).toEqual(
      Array(2).fill(expect.stringMatching(/^table shopping \(arn:.*not there: see .*Region/)),
    );
  });

  it('reads the other keys of a call that has keys which the table refuses', async () => {
    const keys: Marshalled[] = Array.from({ length: 100 }, (_, n) => key(n));
    keys[13] = { pk: { S: 'order#13' } };
    keys[77] = { pk: { N: '77' }, sk: { S: 'order' } };
    const answers = await read(keys);
    expect(reasons([answers[13], answers[77]])).toEqual(
      Array(2).fill(expect.stringMatching(/^table shop .* refuses the key: .*other key attributes/)),
    );
    expect(answers.filter((answer) => 'item' in answer)).toHaveLength(98);
  });
});

describe('a key that the table refuses', () => {
  it.each([
    [{ pk: { S: 'cart#s3cret' }, sk: { S: 'product#1' } }, 'cart#s3cret'],
    [{ pk: { N: '1234567' } }, '1234567'],
    [{ pk: { B: 'czNjcmV0' } }, 'czNjcmV0'],
  ])('is not quoted, although DynamoDB may quote it: %j', async (refused, value) => {
    const send = async () => {
      throw Object.assign(new Error(`The parameter cannot be converted: ${value}, it is ${value}`), { name: 'ValidationException' });
    };
    const [answer] = await tableReader({ client: { send } as never }).read('arn:aws:dynamodb:eu-west-1:123456789012:table/shop', [refused]);
    expect(reasons([answer])).toEqual([
      expect.stringMatching(/refuses the key: The parameter cannot be converted: …, it is …; the table may/),
    ]);
  });
});

function reasons(answers: readonly (TableAnswer | undefined)[]): (string | undefined)[] {
  return answers.map((answer) => (answer && 'error' in answer ? answer.error.message : undefined));
}

function bytesAsBase64(this: unknown, name: string, value: unknown): unknown {
  const original = (this as Record<string, unknown>)[name];
  if (original instanceof Uint8Array) return Buffer.from(original).toString('base64');
  if (original instanceof Date) return original.getTime() / 1_000;
  return value;
}

describe('tableReader, of a stub', () => {
  let stub: AwsClientStub<DynamoDBClient>;
  let slept: number[];
  let now: number;
  beforeEach(() => {
    stub = mockClient(DynamoDBClient);
    slept = [];
    now = 1_000_000;
  });
  afterEach(() => stub.restore());

  const reader = (options: Partial<TableReaderOptions> = {}) =>
    tableReader({
      client: new DynamoDBClient({ region: 'eu-west-1' }),
      async sleep(ms) {
        slept.push(ms);
        now += ms;
      },
      now: () => now,
      random: () => 0.5,
      ...options,
    });
  const asked = () =>
    stub.commandCalls(BatchGetItemCommand).map(({ args: [{ input }] }) => {
      const [[table, request] = []] = Object.entries((input as BatchGetItemCommandInput).RequestItems ?? {});
      return { table, keys: request?.Keys?.map(({ pk }) => pk?.S), consistent: request?.ConsistentRead };
    });
  /** Answers for the first `most` keys of each call. */
  const answering = (most: number, units = 0) =>
    stub.on(BatchGetItemCommand).callsFake(({ RequestItems }: BatchGetItemCommandInput) => {
      const [[table = '', request] = []] = Object.entries(RequestItems ?? {});
      const keys = request?.Keys ?? [];
      return {
        Responses: { [table]: keys.slice(0, most).map((it) => ({ ...it, n: { N: '1' } })) },
        ...(keys.length > most && { UnprocessedKeys: { [table]: { ...request, Keys: keys.slice(most) } } }),
        ConsumedCapacity: [{ TableName: table, CapacityUnits: units }],
      };
    });

  it('asks again for unprocessed keys, after longer and longer pauses, always with ConsistentRead', async () => {
    answering(2);
    const keys = Array.from({ length: 5 }, (_, n) => key(n));
    expect(await reader().read(arnOf('shop'), keys)).toEqual(keys.map(({ pk, sk }) => ({ item: { pk: pk.S, sk: sk.S, n: 1 } })));
    expect(asked()).toEqual([
      { table: arnOf('shop'), keys: ['order#0', 'order#1', 'order#2', 'order#3', 'order#4'], consistent: true },
      { table: arnOf('shop'), keys: ['order#2', 'order#3', 'order#4'], consistent: true },
      { table: arnOf('shop'), keys: ['order#4'], consistent: true },
    ]);
    expect(slept).toEqual([50, 100]);
  });

  it('asks for a hundred keys at a time', async () => {
    answering(100);
    await reader().read(
      arnOf('shop'),
      Array.from({ length: 250 }, (_, n) => key(n)),
    );
    expect(asked().map(({ keys }) => keys?.length)).toEqual([100, 100, 50]);
  });

  it('asks again as long as the table processes any key', async () => {
    answering(1);
    const keys = Array.from({ length: 12 }, (_, n) => key(n));
    expect(await reader({ retries: 2 }).read(arnOf('shop'), keys)).toHaveLength(12);
  });

  it('throws the reason of the signal when the signal ends a pause', async () => {
    answering(100, 1_000);
    const { read } = reader({ readUnitsPerSecond: 1 });
    await read(arnOf('shop'), [key(1)]);
    const over = new AbortController();
    const waits = read(arnOf('shop'), [key(2)], over.signal);
    over.abort(new Error('the time is over'));
    await expect(waits).rejects.toThrow('the time is over');
    expect(asked()).toHaveLength(1);
    expect(Math.max(...slept)).toBe(5_000);
  });

  it('throws when the table processes no key at any retry', async () => {
    answering(0);
    await expect(reader({ retries: 3 }).read(arnOf('shop'), [key(1)])).rejects.toThrow(/^table shop is too busy/);
    expect(asked()).toHaveLength(4);
  });

  it('takes `readUnitsPerSecond` units a second on average', async () => {
    answering(100, 50);
    const { read } = reader({ readUnitsPerSecond: 100 });
    const begun = now;
    for (let i = 0; i < 5; i += 1) await read(arnOf('shop'), [key(1)]);
    // The pause for the units of the last call comes before the next call.
    expect(now - begun).toBe(4 * 500);
    now += 10_000;
    slept = [];
    await read(arnOf('shop'), [key(1)]);
    expect(slept).toEqual([]);
  });

  it.each([
    ['AccessDeniedException', /^table shop \(arn.*may not be read: allow dynamodb:BatchGetItem/],
    ['ResourceNotFoundException', /is not there/],
  ])('gives each key an answer when the table answers %s', async (name, message) => {
    stub.on(BatchGetItemCommand).rejects(Object.assign(new Error('no'), { name }));
    expect(reasons(await reader().read(arnOf('shop'), [key(1), key(2)]))).toEqual([
      expect.stringMatching(message),
      expect.stringMatching(message),
    ]);
    expect(asked()).toHaveLength(1);
  });

  it.each(['ProvisionedThroughputExceededException', 'ExpiredTokenException', 'TimeoutError'])(
    'throws when the table answers %s',
    async (name) => {
      stub.on(BatchGetItemCommand).rejects(Object.assign(new Error('no'), { name }));
      await expect(reader().read(arnOf('shop'), [key(1)])).rejects.toThrow('no');
    },
  );

  it('takes no item for deleted when the table answers for keys that it was not asked for', async () => {
    stub.on(BatchGetItemCommand).resolves({ Responses: { shop: [{ ...key(3), n: { N: '1' } }] } });
    expect(reasons(await reader().read(arnOf('shop'), [key(1), key(2)]))).toEqual(Array(2).fill(expect.stringMatching(/not asked for/)));
  });
});
