import type { StreamEvent, StreamRecord } from '../../dynamodb/record.ts';
import { eventSourceMapping, type LambdaHandler, memoryCheckpoints, sdkStreamReader } from '../../event-source-mapping/index.ts';
import type { DynamoDbClientSettings } from '../options/dynamodb.ts';

export interface Following {
  stop(): Promise<void>;
}

/** Follows a stream from now on, without any effect on others that follow it. Prints on stderr, once, if the stream cannot be read. */
export async function followStream(
  settings: DynamoDbClientSettings,
  streamArn: string,
  saw: (record: StreamRecord, streamArn: string) => void,
): Promise<Following> {
  const { DynamoDBStreamsClient } = await import('@aws-sdk/client-dynamodb-streams');
  const client = new DynamoDBStreamsClient(settings);
  const handler = async ({ Records }: StreamEvent): Promise<void> => {
    for (const record of Records) saw(record, streamArn);
  };
  let hasFailed = false;
  const mapping = eventSourceMapping({
    reader: sdkStreamReader({ client, streamArn }),
    handler: handler as LambdaHandler,
    startingPosition: 'LATEST',
    batchSize: 1_000,
    pollIntervalMs: 1_000,
    functionTimeoutMs: 30_000,
    checkpoints: memoryCheckpoints(),
    onEvent(event) {
      if (event.type !== 'read-failed' || hasFailed) return;
      hasFailed = true;
      process.stderr.write(`millrace: the stream cannot be read (${event.error.message}): the probe stream waits until it can\n`);
    },
  });
  await mapping.start();
  return {
    async stop() {
      await mapping.stop();
      client.destroy();
    },
  };
}
