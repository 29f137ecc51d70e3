import { BatchWriteItemCommand, DeleteItemCommand, ListTablesCommand, PutItemCommand, UpdateTableCommand } from '@aws-sdk/client-dynamodb';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  createShopTable,
  type DynamoDbLocal,
  HOW_TO_GET_JAVA,
  javaAvailable,
  parentsFirst,
  readStream,
  startDynamoDbLocal,
} from './dynamodb-local.ts';
import { missing } from './requires.ts';

describe.skipIf(missing(javaAvailable(), HOW_TO_GET_JAVA))('startDynamoDbLocal', { timeout: 30_000 }, () => {
  let local: DynamoDbLocal;
  beforeAll(async () => {
    local = await startDynamoDbLocal();
  }, 60_000);
  afterAll(async () => {
    const pid = local.pid as number;
    await local.close();
    expect(() => process.kill(pid, 0)).toThrow('ESRCH');
  });

  const put = (tableName: string, id: string, status: string) =>
    local.client.send(
      new PutItemCommand({ TableName: tableName, Item: { pk: { S: `order#${id}` }, sk: { S: 'order' }, status: { S: status } } }),
    );

  it('reads the records since its last call', async () => {
    const { tableName, streamArn } = await createShopTable(local.client, 'shop');
    const stream = readStream(local.streams, streamArn);
    expect(await stream.readNew()).toEqual([]);

    await put(tableName, '1', 'new');
    await put(tableName, '1', 'baked');
    const records = await stream.readNew();
    expect(records.map((it) => it.eventName)).toEqual(['INSERT', 'MODIFY']);
    expect(records[1]?.dynamodb?.OldImage?.status).toEqual({ S: 'new' });
    expect(records[1]?.dynamodb?.NewImage?.status).toEqual({ S: 'baked' });
    expect(await stream.readNew()).toEqual([]);

    await local.client.send(new DeleteItemCommand({ TableName: tableName, Key: { pk: { S: 'order#1' }, sk: { S: 'order' } } }));
    expect((await stream.readNew()).map((it) => it.eventName)).toEqual(['REMOVE']);
    expect(await readStream(local.streams, streamArn).readNew()).toHaveLength(3);
  });

  it('reads a stream of more than one page', async () => {
    const { tableName, streamArn } = await createShopTable(local.client, 'many');
    const ids = Array.from({ length: 1_100 }, (_, n) => String(n));
    for (let n = 0; n < ids.length; n += 25) {
      const requests = ids.slice(n, n + 25).map((id) => ({ PutRequest: { Item: { pk: { S: `order#${id}` }, sk: { S: 'order' } } } }));
      await local.client.send(new BatchWriteItemCommand({ RequestItems: { [tableName]: requests } }));
    }
    await put(tableName, '0', 'baked');
    const records = await readStream(local.streams, streamArn).readNew();
    expect(new Set(records.map((it) => it.dynamodb?.Keys?.pk?.S)).size).toBe(1_100);
    expect(records).toHaveLength(1_101);
    expect(records.at(-1)?.dynamodb?.NewImage?.status).toEqual({ S: 'baked' });
  });

  it('reads a closed stream to its end once', async () => {
    const { tableName, streamArn } = await createShopTable(local.client, 'closed');
    const stream = readStream(local.streams, streamArn);
    await put(tableName, '1', 'new');
    await local.client.send(new UpdateTableCommand({ TableName: tableName, StreamSpecification: { StreamEnabled: false } }));
    await put(tableName, '1', 'unseen');
    expect((await stream.readNew()).map((it) => it.eventName)).toEqual(['INSERT']);
    expect(await stream.readNew()).toEqual([]);
  });

  it('restarts on its port without tables', async () => {
    const { tableName, streamArn } = await createShopTable(local.client, 'restarted');
    await put(tableName, '1', 'new');
    const pid = local.pid;
    await local.restart();
    expect(local.pid).not.toBe(pid);
    expect((await local.client.send(new ListTablesCommand({}))).TableNames).toEqual([]);

    const again = await createShopTable(local.client, 'restarted');
    expect(again.streamArn).not.toBe(streamArn);
    await put(tableName, '1', 'new');
    const [record] = await readStream(local.streams, again.streamArn).readNew();
    expect(record?.dynamodb?.SequenceNumber).toBe('000000000000000000001');
  });
});

describe('parentsFirst', () => {
  it('puts a shard after its parent', () => {
    const shards = [
      { ShardId: 'grandchild', ParentShardId: 'child' },
      { ShardId: 'child', ParentShardId: 'parent' },
      { ShardId: 'orphan', ParentShardId: 'trimmed' },
      { ShardId: 'parent' },
    ];
    expect(parentsFirst(shards).map((it) => it.ShardId)).toEqual(['parent', 'child', 'grandchild', 'orphan']);
  });
});
