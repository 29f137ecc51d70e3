import { DescribeTableCommand, type DynamoDBClient, type TableDescription } from '@aws-sdk/client-dynamodb';

/**
 * The description of a table with a stream that a worker can follow.
 *
 * @throws Error if the table is absent, has no stream, or has a stream without both images; what the client throws
 */
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
