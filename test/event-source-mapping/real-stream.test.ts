import { mkdtempSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DeleteItemCommand, PutItemCommand, UpdateTableCommand } from '@aws-sdk/client-dynamodb';
import { marshall, unmarshall } from '@aws-sdk/util-dynamodb';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { decodeRecord, type StreamRecord } from '../../src/dynamodb/record.ts';
import { eventSourceMapping, fileCheckpoints, type MappingEvent, type MappingOptions, sdkStreamReader } from '../../src/testing/index.ts';
import { createShopTable, type DynamoDbLocal, HOW_TO_GET_JAVA, javaAvailable, startDynamoDbLocal } from '../servers/dynamodb-local.ts';
import { until } from '../servers/processes.ts';
import { missing } from '../servers/requires.ts';
import { numberOf } from './mapping-world.ts';

interface Item {
  readonly pk: string;
  readonly sk: string;
  readonly n: number;
}

/** The name of a record in these tests: `a2` wrote the second version of item a, `a-` deleted it. */
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

  it('delivers each record in order to a handler that fails in part, and resumes from a checkpoint file', async () => {
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
    // The worker can decode the records.
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
    // DynamoDB Local returns an empty map without its type.
    expect(images[0]).toMatchObject({ nothing: {}, within: [{}, []] });
  });

  it('starts at LATEST, and sees the end of a stream that is disabled', async () => {
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

  it('delivers records in the shape of Lambda', async () => {
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
    // DynamoDB Local rounds to the minute.
    expect(Math.abs(at * 1_000 - Date.now())).toBeLessThan(120_000);
  });

  it('fails to start on a stream that does not exist', async () => {
    const reader = sdkStreamReader({
      client: local.streams,
      streamArn: 'arn:aws:dynamodb:ddblocal:000000000000:table/none/stream/2026-01-01T00:00:00.000',
    });
    const mapping = eventSourceMapping({ reader, handler: () => {} });
    await expect(mapping.start()).rejects.toThrow(/not found/i);
  });
});
