import type { DynamoDBStreamsClient, Shard as SdkShard } from '@aws-sdk/client-dynamodb-streams';
import { eventRecord } from './event-record.ts';
import { ExpiredIteratorError, type StreamReader, TrimmedError } from './reader.ts';

export interface SdkStreamReaderOptions {
  /** A `DynamoDBStreamsClient` of @aws-sdk/client-dynamodb-streams. The reader does not destroy it. */
  readonly client: StreamsClient;
  readonly streamArn: string;
}

/** The part of the client that the reader uses. Its type does not need the package. */
interface StreamsClient {
  send(command: never): Promise<unknown>;
}

/** Reads a stream of AWS or of DynamoDB Local. Needs the package @aws-sdk/client-dynamodb-streams. */
export function sdkStreamReader({ client, streamArn: StreamArn }: SdkStreamReaderOptions): StreamReader {
  const streams = client as unknown as DynamoDBStreamsClient;
  return {
    async shards() {
      const { DescribeStreamCommand } = await sdk();
      const shards: SdkShard[] = [];
      let after: string | undefined;
      do {
        const { StreamDescription } = await streams.send(new DescribeStreamCommand({ StreamArn, ExclusiveStartShardId: after }));
        shards.push(...(StreamDescription?.Shards ?? []));
        after = StreamDescription?.LastEvaluatedShardId;
      } while (after !== undefined);
      return shards.map(({ ShardId: id = '', ParentShardId: parent, SequenceNumberRange: range }) => ({
        id,
        ...(parent !== undefined && { parent }),
        closed: range?.EndingSequenceNumber !== undefined,
      }));
    },

    async iterator(ShardId, position) {
      const { GetShardIteratorCommand } = await sdk();
      const place =
        position.type === 'AT' || position.type === 'AFTER'
          ? ({ ShardIteratorType: `${position.type}_SEQUENCE_NUMBER`, SequenceNumber: position.sequenceNumber } as const)
          : { ShardIteratorType: position.type };
      const { ShardIterator } = await translated(() => streams.send(new GetShardIteratorCommand({ StreamArn, ShardId, ...place })));
      if (!ShardIterator) throw new Error(`DynamoDB returned no iterator of shard ${ShardId}`);
      return ShardIterator;
    },

    async records(ShardIterator, Limit) {
      const { GetRecordsCommand } = await sdk();
      const { Records = [], NextShardIterator: next } = await translated(() =>
        streams.send(new GetRecordsCommand({ ShardIterator, Limit })),
      );
      return { records: Records.map((record) => eventRecord(record, StreamArn)), ...(next && { next }) };
    },
  };
}

async function sdk() {
  try {
    return await import('@aws-sdk/client-dynamodb-streams');
  } catch (error) {
    throw new Error('sdkStreamReader needs a package that is not installed: npm install @aws-sdk/client-dynamodb-streams', {
      cause: error,
    });
  }
}

/** Turns the SDK's errors into those of `StreamReader`. DynamoDB answers ResourceNotFoundException for a shard that it has removed. */
async function translated<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (error) {
    const { name, message } = error as Error;
    if (name === 'TrimmedDataAccessException' || name === 'ResourceNotFoundException') throw new TrimmedError(message, { cause: error });
    if (name === 'ExpiredIteratorException') throw new ExpiredIteratorError(message, { cause: error });
    throw error;
  }
}
