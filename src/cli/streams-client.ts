import type { StreamsClient } from '../sources/mapping/index.ts';

export async function streamsClient(settings: object): Promise<StreamsClient> {
  try {
    const { DynamoDBStreamsClient } = await import('@aws-sdk/client-dynamodb-streams');
    return new DynamoDBStreamsClient(settings) as unknown as StreamsClient;
  } catch (error) {
    if ((error as { code?: unknown }).code !== 'ERR_MODULE_NOT_FOUND') throw error;
    throw new Error('millrace dev needs a package that is not installed: npm install --save-dev @aws-sdk/client-dynamodb-streams', {
      cause: error,
    });
  }
}
