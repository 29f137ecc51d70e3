import { CreateTableCommand, type DynamoDBClient, waitUntilTableExists } from '@aws-sdk/client-dynamodb';
import { followable } from '../../dynamodb/followable.ts';

/** The name of the sample's table. */
export const SAMPLE_TABLE = 'pizza-shop';

/**
 * The ARN of a table's stream, and the names of the table's key attributes.
 *
 * @param make whether to create an absent table, with the keys, the index and the stream of the sample's table.
 * @throws Error if the table is absent, has no stream, or has a stream without both images.
 */
export async function streamOf(
  client: DynamoDBClient,
  tableName: string,
  make: boolean,
): Promise<{ readonly streamArn: string; readonly keys: readonly string[] }> {
  if (make) await makeTable(client, tableName);
  const { LatestStreamArn: streamArn, KeySchema = [] } = await followable(client, tableName);
  return { streamArn, keys: KeySchema.flatMap(({ AttributeName: name }) => name ?? []) };
}

async function makeTable(client: DynamoDBClient, tableName: string): Promise<void> {
  try {
    await client.send(
      new CreateTableCommand({
        TableName: tableName,
        AttributeDefinitions: [
          { AttributeName: 'pk', AttributeType: 'S' },
          { AttributeName: 'sk', AttributeType: 'S' },
          { AttributeName: 'creator', AttributeType: 'S' },
          { AttributeName: 'createdAt', AttributeType: 'S' },
        ],
        KeySchema: [
          { AttributeName: 'pk', KeyType: 'HASH' },
          { AttributeName: 'sk', KeyType: 'RANGE' },
        ],
        GlobalSecondaryIndexes: [
          {
            IndexName: 'byCreator',
            KeySchema: [
              { AttributeName: 'creator', KeyType: 'HASH' },
              { AttributeName: 'createdAt', KeyType: 'RANGE' },
            ],
            Projection: { ProjectionType: 'ALL' },
          },
        ],
        BillingMode: 'PAY_PER_REQUEST',
        StreamSpecification: { StreamEnabled: true, StreamViewType: 'NEW_AND_OLD_IMAGES' },
      }),
    );
  } catch (error) {
    if ((error as Error).name !== 'ResourceInUseException') throw error;
  }
  await waitUntilTableExists({ client, maxWaitTime: 30, minDelay: 1 }, { TableName: tableName });
}
