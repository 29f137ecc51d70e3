import { DynamoDBClient } from '@aws-sdk/client-dynamodb';

/** The shop's table: `pk` and `sk`. */
export interface ShopTable {
  readonly client: DynamoDBClient;
  readonly tableName: string;
}

/** For a function that somebody waits for: without these times a connection that hangs would take all of the function's. */
export function dynamoDb(): DynamoDBClient {
  return new DynamoDBClient({
    maxAttempts: 2,
    requestHandler: { connectionTimeout: 500, requestTimeout: 1_000, throwOnRequestTimeout: true },
  });
}
