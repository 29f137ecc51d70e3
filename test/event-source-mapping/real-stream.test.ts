import { mkdtempSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DeleteItemCommand, PutItemCommand, UpdateTableCommand } from '@aws-sdk/client-dynamodb';
import { DescribeStreamCommand, DynamoDBStreamsClient, GetRecordsCommand, GetShardIteratorCommand } from '@aws-sdk/client-dynamodb-streams';
import { marshall, unmarshall } from '@aws-sdk/util-dynamodb';
import { mockClient } from 'aws-sdk-client-mock';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { decodeRecord, type StreamRecord } from '../../src/dynamodb/record.ts';
import {
  ExpiredIteratorError,
  eventRecord,
  eventSourceMapping,
  fileCheckpoints,
  type MappingEvent,
  type MappingOptions,
  sdkStreamReader,
  TrimmedError,
} from '../../src/testing/index.ts';
import { createShopTable, type DynamoDbLocal, HOW_TO_GET_JAVA, javaAvailable, startDynamoDbLocal } from '../servers/dynamodb-local.ts';
import { until } from '../servers/processes.ts';
import { missing } from '../servers/requires.ts';
import { numberOf } from './mapping.ts';

interface Item {
  readonly pk: string;
  readonly sk: string;
  readonly n: number;
}

/** `a2`: the second version of item a. `a-`: its end. */
function nameOf({ dynamodb }: StreamRecord): string {
  const { pk } = unmarshall(dynamodb?.Keys as never);
  return `${pk}${dynamodb?.NewImage ? (unmarshall(dynamodb.NewImage as never) as Item).n : '-'}`;
}

describe.skipIf(missing(javaAvailable(), HOW_TO_GET_JAVA))('an event source mapping of a real stream', { timeout: 60_000 }, () => {
  let local: DynamoDbLocal;
  let folder: string;
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'millrace-mapping-'));
    local = await startDynamoDbLocal();
  }, 60_000);
  afterAll(async () => {
    await local?.close();
    await rm(folder, { recursive: true, force: true });
  });

  const put = (TableName: string, pk: string, n: number, more = {}) =>
    local.client.send(new PutItemCommand({ TableName, Item: marshall({ pk, sk: 'item', n, ...more }) }));
  const remove = (TableName: string, pk: string) =>
    local.client.send(new DeleteItemCommand({ TableName, Key: marshall({ pk, sk: 'item' }) }));

  it('brings each change, in order, to a handler that fails in part, and goes on from a file after a restart', async () => {
    const { tableName, streamArn } = await createShopTable(local.client, 'mapped');
    const settings = (handler: MappingOptions['handler']): MappingOptions => ({
      reader: sdkStreamReader({ client: local.streams, streamArn }),
      checkpoints: fileCheckpoints(join(folder, 'mapped.json')),
      batchSize: 4,
      functionResponseTypes: ['ReportBatchItemFailures'],
      bisectBatchOnFunctionError: true,
      backoffMs: () => 10,
      handler,
    });
    for (const pk of ['a', 'b', 'c']) await put(tableName, pk, 1);
    for (const n of [2, 3]) await put(tableName, 'a', n);
    await remove(tableName, 'b');

    const batches: string[][] = [];
    const seen: StreamRecord[] = [];
    const bad = new Map([
      ['c1', 2],
      ['b-', 1],
    ]);
    const events: MappingEvent[] = [];
    const first = eventSourceMapping({
      ...settings(async ({ Records }, context) => {
        expect(context.getRemainingTimeInMillis()).toBeGreaterThan(0);
        batches.push(Records.map(nameOf));
        for (const record of Records) {
          const left = bad.get(nameOf(record)) ?? 0;
          if (left > 0) {
            bad.set(nameOf(record), left - 1);
            return { batchItemFailures: [{ itemIdentifier: numberOf(record) }] };
          }
          seen.push(record);
        }
        return { batchItemFailures: [] };
      }),
      onEvent: (event) => events.push(event),
    });
    await first.start();
    await first.drained();
    expect(batches).toEqual([['a1', 'b1', 'c1', 'a2'], ['c1', 'a2'], ['c1', 'a2'], ['a3', 'b-'], ['b-']]);
    expect(seen.map(nameOf)).toEqual(['a1', 'b1', 'c1', 'a2', 'a3', 'b-']);
    // What the worker reads of a record is there.
    expect(seen.map((record, i) => decodeRecord(record, i).version).sort()).toEqual(
      seen.map((record, i) => decodeRecord(record, i).version),
    );
    await put(tableName, 'd', 1);
    await until('the change that comes while it runs', () => seen.map(nameOf).includes('d1'));
    await first.drained();
    first.kill();
    expect(events.filter(({ type }) => type === 'split')).toHaveLength(2);

    await put(tableName, 'e', 1, { nothing: {}, within: [{}, []] });
    await put(tableName, 'd', 2);
    const after: string[] = [];
    const images: unknown[] = [];
    const second = eventSourceMapping(
      settings(async ({ Records }) => {
        after.push(...Records.map(nameOf));
        images.push(...Records.map((record, i) => decodeRecord(record, i).after));
      }),
    );
    await second.start();
    await second.drained();
    await second.stop();
    expect(after).toEqual(['e1', 'd2']);
    // DynamoDB Local's streams give an empty map without its type.
    expect(images[0]).toMatchObject({ nothing: {}, within: [{}, []] });
  });

  it('begins at LATEST, and sees the end of a stream that is disabled', async () => {
    const { tableName, streamArn } = await createShopTable(local.client, 'latest');
    await put(tableName, 'a', 1);
    const seen: string[] = [];
    const ended: string[] = [];
    const mapping = eventSourceMapping({
      reader: sdkStreamReader({ client: local.streams, streamArn }),
      startingPosition: 'LATEST',
      handler: async ({ Records }) => void seen.push(...Records.map(nameOf)),
      onEvent: (event) => {
        if (event.type === 'shard-ended') ended.push(event.shardId);
      },
    });
    await mapping.start();
    await mapping.drained();
    await put(tableName, 'a', 2);
    await mapping.drained();
    expect(seen).toEqual(['a2']);
    await local.client.send(new UpdateTableCommand({ TableName: tableName, StreamSpecification: { StreamEnabled: false } }));
    await until('the end of the shard', () => ended.length === 1);
    await mapping.stop();
  });

  it('gives records as Lambda does', async () => {
    const { tableName, streamArn } = await createShopTable(local.client, 'shapes');
    await put(tableName, 'a', 1, {
      bytes: new Uint8Array([1, 2, 255]),
      set: new Set([new Uint8Array([3])]),
      deep: [{ b: new Uint8Array([4]) }],
      big: 2n ** 70n,
    });
    const records: StreamRecord[] = [];
    const mapping = eventSourceMapping({
      reader: sdkStreamReader({ client: local.streams, streamArn }),
      handler: async ({ Records }) => void records.push(...Records),
    });
    await mapping.start();
    await mapping.drained();
    await mapping.stop();
    expect(records).toEqual([
      {
        eventID: expect.any(String),
        eventName: 'INSERT',
        eventVersion: '1.1',
        eventSource: 'aws:dynamodb',
        awsRegion: 'ddblocal',
        dynamodb: {
          ApproximateCreationDateTime: expect.any(Number),
          Keys: { pk: { S: 'a' }, sk: { S: 'item' } },
          NewImage: {
            pk: { S: 'a' },
            sk: { S: 'item' },
            n: { N: '1' },
            bytes: { B: 'AQL/' },
            set: { BS: ['Aw=='] },
            deep: { L: [{ M: { b: { B: 'BA==' } } }] },
            big: { N: '1180591620717411303424' },
          },
          SequenceNumber: expect.stringMatching(/^\d{21}$/),
          SizeBytes: expect.any(Number),
          StreamViewType: 'NEW_AND_OLD_IMAGES',
        },
        eventSourceARN: streamArn,
      },
    ]);
    const at = records[0]?.dynamodb?.ApproximateCreationDateTime as number;
    expect(Number.isInteger(at)).toBe(true);
    // DynamoDB Local tells the minute.
    expect(Math.abs(at * 1_000 - Date.now())).toBeLessThan(120_000);
  });

  it('refuses a stream that is not there', async () => {
    const reader = sdkStreamReader({
      client: local.streams,
      streamArn: 'arn:aws:dynamodb:ddblocal:000000000000:table/none/stream/2026-01-01T00:00:00.000',
    });
    const mapping = eventSourceMapping({ reader, handler: () => {} });
    await expect(mapping.start()).rejects.toThrow(/not found/i);
  });
});

describe('a record of GetRecords', () => {
  const arn = 'arn:aws:dynamodb:eu-west-1:123456789012:table/T/stream/2026-01-01T00:00:00.000';

  it('becomes one of an event: whole seconds, base64, who deleted it, and the ARN', () => {
    const record = {
      eventID: '1',
      eventName: 'REMOVE' as const,
      userIdentity: { PrincipalId: 'dynamodb.amazonaws.com', Type: 'Service' },
      dynamodb: {
        ApproximateCreationDateTime: new Date(1_700_000_000_999),
        Keys: { pk: { B: Buffer.from([1]), $unknown: undefined } },
        OldImage: { views: { BS: [new Uint8Array([2]), Buffer.from([3])] }, flag: { BOOL: true }, none: { NULL: true } },
        SequenceNumber: '7',
      },
    };
    expect(eventRecord(record, arn)).toEqual({
      eventID: '1',
      eventName: 'REMOVE',
      userIdentity: { type: 'Service', principalId: 'dynamodb.amazonaws.com' },
      dynamodb: {
        ApproximateCreationDateTime: 1_700_000_000,
        Keys: { pk: { B: 'AQ==' } },
        OldImage: { views: { BS: ['Ag==', 'Aw=='] }, flag: { BOOL: true }, none: { NULL: true } },
        SequenceNumber: '7',
      },
      eventSourceARN: arn,
    });
  });

  it('has the empty maps that DynamoDB Local leaves out, and what is named like a type', () => {
    const image = { M: {}, L: { L: [{}, { M: { deep: {} } }, { L: [] }] }, none: { NULL: true } };
    const record = {
      eventName: 'MODIFY',
      dynamodb: { SequenceNumber: '7', OldImage: image, NewImage: JSON.parse('{"__proto__": {}}') },
    } as const;
    const { dynamodb } = eventRecord(record as never, arn);
    expect(dynamodb?.OldImage).toEqual({
      M: { M: {} },
      L: { L: [{ M: {} }, { M: { deep: { M: {} } } }, { L: [] }] },
      none: { NULL: true },
    });
    expect(JSON.stringify(dynamodb?.NewImage)).toBe('{"__proto__":{"M":{}}}');
  });

  it('without a user or a date has none', () => {
    expect(eventRecord({ eventName: 'INSERT', dynamodb: { SequenceNumber: '7' } }, arn)).toEqual({
      eventName: 'INSERT',
      dynamodb: { SequenceNumber: '7' },
      eventSourceARN: arn,
    });
  });
});

describe("what the SDK's client says", () => {
  const streamArn = 'arn:aws:dynamodb:eu-west-1:123456789012:table/T/stream/2026-01-01T00:00:00.000';
  const client = new DynamoDBStreamsClient({ region: 'eu-west-1', credentials: { accessKeyId: 'x', secretAccessKey: 'x' } });
  const named = (name: string) => Object.assign(new Error(`it says ${name}`), { name });

  it('is read in full, page by page of shards', async () => {
    const mock = mockClient(client);
    const range = (StartingSequenceNumber: string, EndingSequenceNumber?: string) => ({ StartingSequenceNumber, EndingSequenceNumber });
    mock
      .on(DescribeStreamCommand, { StreamArn: streamArn })
      .resolves({ StreamDescription: { Shards: [{ ShardId: 's1', SequenceNumberRange: range('1', '5') }], LastEvaluatedShardId: 's1' } })
      .on(DescribeStreamCommand, { StreamArn: streamArn, ExclusiveStartShardId: 's1' })
      .resolves({ StreamDescription: { Shards: [{ ShardId: 's2', ParentShardId: 's1', SequenceNumberRange: range('6') }] } })
      .on(GetShardIteratorCommand)
      .resolves({ ShardIterator: 'here' })
      .on(GetRecordsCommand)
      .resolves({ Records: [], NextShardIterator: 'there' });
    const reader = sdkStreamReader({ client, streamArn });
    expect(await reader.shards()).toEqual([
      { id: 's1', closed: true },
      { id: 's2', parent: 's1', closed: false },
    ]);
    expect(await reader.iterator('s1', { type: 'AFTER', sequenceNumber: '3' })).toBe('here');
    await reader.iterator('s1', { type: 'AT', sequenceNumber: '3' });
    await reader.iterator('s1', { type: 'LATEST' });
    expect(mock.commandCalls(GetShardIteratorCommand).map(({ args: [{ input }] }) => input)).toEqual([
      { StreamArn: streamArn, ShardId: 's1', ShardIteratorType: 'AFTER_SEQUENCE_NUMBER', SequenceNumber: '3' },
      { StreamArn: streamArn, ShardId: 's1', ShardIteratorType: 'AT_SEQUENCE_NUMBER', SequenceNumber: '3' },
      { StreamArn: streamArn, ShardId: 's1', ShardIteratorType: 'LATEST' },
    ]);
    expect(await reader.records('here', 1_000)).toEqual({ records: [], next: 'there' });
    mock.on(GetRecordsCommand).resolves({});
    expect(await reader.records('here', 1_000)).toEqual({ records: [] });
    expect(mock.commandCalls(GetRecordsCommand)[0]?.args[0].input).toEqual({ ShardIterator: 'here', Limit: 1_000 });
    mock.restore();
  });

  it.each([
    ['TrimmedDataAccessException', TrimmedError],
    ['ResourceNotFoundException', TrimmedError],
    ['ExpiredIteratorException', ExpiredIteratorError],
  ])('%s has its meaning', async (name, type) => {
    const mock = mockClient(client);
    mock.rejects(named(name));
    const reader = sdkStreamReader({ client, streamArn });
    await expect(reader.iterator('s1', { type: 'TRIM_HORIZON' })).rejects.toThrow(type);
    await expect(reader.records('here', 10)).rejects.toThrow(type);
    mock.restore();
  });

  it('of other kinds is told as it is', async () => {
    const mock = mockClient(client);
    mock.rejects(named('LimitExceededException'));
    const reader = sdkStreamReader({ client, streamArn });
    await expect(reader.records('here', 10)).rejects.toThrow('it says LimitExceededException');
    await expect(reader.shards()).rejects.toThrow('it says LimitExceededException');
    mock.restore();
  });
});
