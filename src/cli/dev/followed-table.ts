import { CreateTableCommand, DescribeTableCommand, type DynamoDBClient, waitUntilTableExists } from '@aws-sdk/client-dynamodb';

/** What the sample's table is called where none is named. */
export const SAMPLE_TABLE = 'pizza-shop';

/**
 * The ARN of a table's stream. `make`: makes the sample's table if it is not there.
 *
 * @throws Error that says what is wrong with the table: absent, no stream, or a stream without both images.
 */
export async function streamOf(client: DynamoDBClient, tableName: string, make: boolean): Promise<string> {
  if (make) await makeTable(client, tableName);
  const { Table } = await client.send(new DescribeTableCommand({ TableName: tableName })).catch((error: Error) => {
    if (error.name === 'ResourceNotFoundException')
      throw new Error(`there is no table ${tableName} at this endpoint, for these credentials`);
    throw error;
  });
  const { StreamEnabled: enabled, StreamViewType: view } = Table?.StreamSpecification ?? {};
  if (!enabled || !Table?.LatestStreamArn) {
    throw new Error(`table ${tableName} has no stream: enable one with StreamViewType NEW_AND_OLD_IMAGES`);
  }
  if (view !== 'NEW_AND_OLD_IMAGES') {
    throw new Error(
      `the stream of table ${tableName} has ${view}: a cache needs NEW_AND_OLD_IMAGES, so disable the stream and enable it anew`,
    );
  }
  return Table.LatestStreamArn;
}

async function makeTable(client: DynamoDBClient, tableName: string): Promise<void> {
  try {
    await client.send(
      new CreateTableCommand({
        TableName: tableName,
        AttributeDefinitions: [
          { AttributeName: 'pk', AttributeType: 'S' },
          { AttributeName: 'sk', AttributeType: 'S' },
        ],
        KeySchema: [
          { AttributeName: 'pk', KeyType: 'HASH' },
          { AttributeName: 'sk', KeyType: 'RANGE' },
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
