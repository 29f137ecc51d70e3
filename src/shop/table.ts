import type { DynamoDBClient } from '@aws-sdk/client-dynamodb';

/** The shop's table: `pk` and `sk`. */
export interface ShopTable {
  readonly client: DynamoDBClient;
  readonly tableName: string;
}
