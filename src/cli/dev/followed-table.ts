import {
  CreateTableCommand,
  DescribeTableCommand,
  type DynamoDBClient,
  type TableDescription,
  waitUntilTableExists,
} from '@aws-sdk/client-dynamodb';

/** The name of the sample's table. */
export const SAMPLE_TABLE = 'pizza-shop';

/**
 * The ARN of a table's stream.
 *
 * @param make whether to create an absent table, with the keys, the index and the stream of the sample's table.
 * @throws Error if the table is absent, has no stream, or has a stream without both images.
 */
export async function streamOf(client: DynamoDBClient, tableName: string, make: boolean): Promise<string> {
  if (make) await makeTable(client, tableName);
  return (await followable(client, tableName)).LatestStreamArn;
}

/** The description of a table with a stream that a worker can follow. @throws Error as `streamOf` does */
export async function followable(
  client: Pick<DynamoDBClient, 'send'>,
  tableName: string,
): Promise<TableDescription & { readonly LatestStreamArn: string }> {
  const { Table } = await client.send(new DescribeTableCommand({ TableName: tableName })).catch((error: Error) => {
    if (error.name === 'ResourceNotFoundException')
      throw new Error(`there is no table ${tableName} at this endpoint, for these credentials`);
    throw error;
  });
  const { StreamEnabled: enabled, StreamViewType: view } = Table?.StreamSpecification ?? {};
  const { LatestStreamArn } = Table ?? {};
  if (!enabled || !LatestStreamArn) {
    throw new Error(`table ${tableName} has no stream: enable one with StreamViewType NEW_AND_OLD_IMAGES`);
  }
  if (view !== 'NEW_AND_OLD_IMAGES') {
    throw new Error(
      `the stream of table ${tableName} has ${view}: a cache needs NEW_AND_OLD_IMAGES, so disable the stream and enable it again`,
    );
  }
  return { ...Table, LatestStreamArn };
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
