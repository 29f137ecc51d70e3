import { DynamoDBClient } from '@aws-sdk/client-dynamodb';

/** The shop's table, with the key attributes `pk` and `sk`. */
export interface ShopTable {
  readonly client: DynamoDBClient;
  readonly tableName: string;
}

/** A client with short timeouts: a hanging connection must not use up the time of an API function. */
export function dynamoDb(): DynamoDBClient {
  return new DynamoDBClient({
    maxAttempts: 2,
    requestHandler: { connectionTimeout: 500, requestTimeout: 1_000, throwOnRequestTimeout: true },
  });
}
