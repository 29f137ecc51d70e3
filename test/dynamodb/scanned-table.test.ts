import type { BatchGetItemCommand, DynamoDBClient, ScanCommand } from '@aws-sdk/client-dynamodb';
import { describe, expect, it } from 'vitest';
import { readBudget } from '../../src/dynamodb/read-budget.ts';
import { scannedTable } from '../../src/dynamodb/scanned-table.ts';
import { TableRefusalError, TableUnavailableError } from '../../src/errors.ts';

const ARN = 'arn:aws:dynamodb:us-east-1:123456789012:table/shop';
const signal = new AbortController().signal;

function tableOf(answers: readonly unknown[], retryForMs?: number) {
  const sent: unknown[] = [];
  const left = [...answers];
  const client = {
    async send(command: ScanCommand | BatchGetItemCommand) {
      sent.push(command.input);
      const answer = left.shift();
      if (answer instanceof Error) throw answer;
      return answer;
    },
  } as unknown as Pick<DynamoDBClient, 'send'>;
  const table = scannedTable({
    client,
    arn: ARN,
    keys: ['pk'],
    budget: readBudget(1_000_000),
    ...(retryForMs !== undefined && { retryForMs }),
  });
  return { table, sent };
}

function errorOf(name: string): Error {
  return Object.assign(new Error(`the key secret is wrong`), { name });
}

describe('scan', () => {
  it('reads a page of a segment, with positions that JSON keeps', async () => {
    const item = { pk: { B: new Uint8Array([1, 2]) } };
    const { table, sent } = tableOf([
      { Items: [item], LastEvaluatedKey: item, ConsumedCapacity: { CapacityUnits: 12.5 } },
      { Items: [], ConsumedCapacity: { CapacityUnits: 0.5 } },
    ]);
    const first = await table.scan({ segment: 2, segments: 5, consistent: true }, signal);
    expect(first).toEqual({ items: [item], units: 12.5, next: { pk: { B: 'AQI=' } } });
    const after = JSON.parse(JSON.stringify(first.next));
    expect(await table.scan({ segment: 2, segments: 5, after, consistent: false }, signal)).toEqual({ items: [], units: 0.5 });
    expect(sent).toMatchObject([
      { TableName: ARN, Segment: 2, TotalSegments: 5, ConsistentRead: true, ReturnConsumedCapacity: 'TOTAL' },
      { ExclusiveStartKey: { pk: { B: Buffer.from([1, 2]) } }, ConsistentRead: false },
    ]);
  });

  it('tries again while the table is busy', async () => {
    const { table } = tableOf([errorOf('ProvisionedThroughputExceededException'), { Items: [] }]);
    expect(await table.scan({ segment: 0, segments: 1, consistent: true }, signal)).toEqual({ items: [], units: 0 });
  });

  it('gives up after a time, without the message of DynamoDB', async () => {
    const { table } = tableOf([errorOf('ThrottlingException')], 0);
    const scan = table.scan({ segment: 0, segments: 1, consistent: true }, signal);
    await expect(scan).rejects.toThrow(TableUnavailableError);
    await expect(scan).rejects.toThrow('table shop gives no answer (ThrottlingException): try later, or with fewer read units');
  });

  it.each([
    ['AccessDeniedException', /allow dynamodb:Scan on it/],
    ['ResourceNotFoundException', /it is not there/],
    ['ValidationException', /delete the checkpoint/],
    ['ExpiredTokenException', /the credentials are refused/],
  ])('does not repeat after %s', async (name, message) => {
    const { table, sent } = tableOf([errorOf(name)]);
    const scan = table.scan({ segment: 0, segments: 1, consistent: true }, signal);
    await expect(scan).rejects.toThrow(TableRefusalError);
    await expect(scan).rejects.toThrow(message);
    await expect(scan).rejects.not.toThrow(/secret/);
    expect(sent).toHaveLength(1);
  });
});

describe('reading', () => {
  it('reads items consistently, in order, and asks again for unprocessed keys', async () => {
    const [a, b] = [{ pk: { S: 'a' } }, { pk: { S: 'b' } }];
    const { table, sent } = tableOf([
      {
        Responses: { shop: [{ ...b, n: { N: '1' } }] },
        UnprocessedKeys: { [ARN]: { Keys: [a], ConsistentRead: true } },
        ConsumedCapacity: [{ CapacityUnits: 1 }],
      },
      { Responses: { shop: [] }, ConsumedCapacity: [{ CapacityUnits: 1 }] },
    ]);
    const read = await table.reading(signal);
    expect(await read([a, b])).toEqual({ answers: [{}, { item: { pk: 'b', n: 1 } }], units: 2 });
    expect(sent).toMatchObject([
      { RequestItems: { [ARN]: { Keys: [a, b], ConsistentRead: true } } },
      { RequestItems: { [ARN]: { Keys: [a] } } },
    ]);
  });

  it('refuses as a whole, where each key would be refused', async () => {
    const { table } = tableOf([errorOf('AccessDeniedException')]);
    const read = await table.reading(signal);
    await expect(read([{ pk: { S: 'a' } }])).rejects.toThrow(
      'table shop: it may not be read: allow dynamodb:BatchGetItem on it (AccessDeniedException)',
    );
  });

  it('asks nothing for no keys', async () => {
    const { table, sent } = tableOf([]);
    expect(await (await table.reading(signal))([])).toEqual({ answers: [], units: 0 });
    expect(sent).toEqual([]);
  });
});

describe('readBudget', () => {
  function budgetOf(unitsPerSecond: number) {
    const clock = { now: 0 };
    const sleep = async (ms: number) => {
      clock.now += ms;
    };
    return { clock, budget: readBudget(unitsPerSecond, { sleep, now: () => clock.now }) };
  }

  it('lets calls use the units of each second on average', async () => {
    const { clock, budget } = budgetOf(100);
    for (let call = 0; call < 10; call += 1) (await budget.take(50, signal))(50);
    expect(clock.now).toBe(4_500);
  });

  it('counts what was used, and not what was expected', async () => {
    const { clock, budget } = budgetOf(100);
    (await budget.take(0, signal))(300);
    (await budget.take(300, signal))(0);
    await budget.take(1, signal);
    expect(clock.now).toBe(3_000);
  });

  it('ends a wait with the signal', async () => {
    const { budget } = budgetOf(1);
    (await budget.take(0, signal))(100);
    await expect(budget.take(1, AbortSignal.abort(new Error('stopped')))).rejects.toThrow('stopped');
  });
});
