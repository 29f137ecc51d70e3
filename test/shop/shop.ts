import {
  CreateTableCommand,
  DynamoDBClient,
  PutItemCommand,
  QueryCommand,
  ScanCommand,
  UpdateItemCommand,
  waitUntilTableExists,
} from '@aws-sdk/client-dynamodb';
import { marshall, unmarshall } from '@aws-sdk/util-dynamodb';
import type { ApiRequest, ApiResponse } from '../../src/shop/api.ts';
import type { IdempotencyOptions } from '../../src/shop/idempotency.ts';
import { createShopTable, type DynamoDbLocal } from '../servers/dynamodb-local.ts';
import { throughProcesses } from './shop-process.ts';

export const IDEMPOTENCY: IdempotencyOptions = {
  tableName: 'idempotency',
  keyAttribute: 'id',
  expiryAttribute: 'expiration',
  inProgressExpiryAttribute: 'in_progress_expiration',
  statusAttribute: 'status',
  dataAttribute: 'data',
  validationAttribute: 'validation',
  expiresAfterSeconds: 3_600,
};

/** Records log lines and metrics. */
export function witness() {
  const lines: { level: string; message: unknown; fields: unknown }[] = [];
  const measured: Record<string, number> = {};
  const log = (level: string) => (message: unknown, fields: unknown) => {
    lines.push({ level, message, fields });
  };
  const metrics = {
    addMetric(name: string, _: unknown, value: number) {
      measured[name] = (measured[name] ?? 0) + value;
      return metrics;
    },
    publishStoredMetrics() {},
  };
  return { lines, measured, logger: { info: log('info'), warn: log('warn'), error: log('error') }, metrics };
}

export type Witness = ReturnType<typeof witness>;

/** The witness in the types of Powertools. */
export function watched({ logger, metrics }: Witness) {
  return { logger, metrics } as unknown as { logger: import('@aws-lambda-powertools/logger').Logger; metrics: never };
}

export function invocation(remainingMs = 29_000) {
  const end = Date.now() + remainingMs;
  return { getRemainingTimeInMillis: () => Math.max(0, end - Date.now()) };
}

interface Sent {
  readonly route?: string;
  readonly id?: string;
  readonly cursor?: string;
  readonly scope?: string;
  readonly sub?: string;
  readonly cartId?: string;
  readonly cookies?: readonly string[];
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | null;
}

export function request({ route, id, cursor, scope, sub, cartId, cookies, headers = {}, body }: Sent): ApiRequest {
  const claims = { ...(sub !== undefined && { sub }), ...(scope !== undefined && { scope }) };
  return {
    ...(route !== undefined && { routeKey: route }),
    ...(id !== undefined && { pathParameters: { id } }),
    ...(cursor !== undefined && { queryStringParameters: { cursor } }),
    headers: { ...headers, ...(cartId !== undefined && { cartid: cartId }) },
    cookies,
    body,
    requestContext: Object.keys(claims).length === 0 ? {} : { authorizer: { jwt: { claims } } },
  };
}

/** The shop's tables in DynamoDB Local, and a client whose calls a `Process` can make fail. */
export class ShopDatabase {
  readonly client: DynamoDBClient;
  readonly tableName: string;
  readonly streamArn: string;

  private constructor(client: DynamoDBClient, tableName: string, streamArn: string) {
    this.client = client;
    this.tableName = tableName;
    this.streamArn = streamArn;
  }

  static async create(local: DynamoDbLocal, tableName = 'shop'): Promise<ShopDatabase> {
    const credentials = { accessKeyId: 'local', secretAccessKey: 'local' };
    const client = new DynamoDBClient({ endpoint: local.endpoint, region: 'us-east-1', credentials });
    throughProcesses(client);
    const { streamArn } = await createShopTable(local.client, tableName);
    return new ShopDatabase(client, tableName, streamArn);
  }

  /** Creates the table of idempotency records, with a sort key if the options name one. */
  async createRecords({ tableName, keyAttribute, sortKeyAttribute }: IdempotencyOptions): Promise<void> {
    const keys = [keyAttribute, ...(sortKeyAttribute ? [sortKeyAttribute] : [])];
    await this.client.send(
      new CreateTableCommand({
        TableName: tableName,
        AttributeDefinitions: keys.map((AttributeName) => ({ AttributeName, AttributeType: 'S' })),
        KeySchema: keys.map((AttributeName, i) => ({ AttributeName, KeyType: i === 0 ? 'HASH' : 'RANGE' })),
        BillingMode: 'PAY_PER_REQUEST',
      }),
    );
    await waitUntilTableExists({ client: this.client, maxWaitTime: 30, minDelay: 1 }, { TableName: tableName });
  }

  async put(item: Readonly<Record<string, unknown>>): Promise<void> {
    await this.client.send(new PutItemCommand({ TableName: this.tableName, Item: marshall(item) }));
  }

  putLine(owner: string, productId: string, quantity: unknown, more: object = {}): Promise<void> {
    return this.put({ pk: owner, sk: `product#${productId}`, quantity, productDetail: { name: productId, price: 1.5 }, ...more });
  }

  /** Adds to the quantity of a line, like a customer. */
  async addTo(owner: string, productId: string, quantity: number): Promise<void> {
    await this.client.send(
      new UpdateItemCommand({
        TableName: this.tableName,
        Key: marshall({ pk: owner, sk: `product#${productId}` }),
        UpdateExpression: 'ADD quantity :quantity SET productDetail = :detail',
        ExpressionAttributeValues: marshall({ ':quantity': quantity, ':detail': { name: productId, price: 1.5 } }),
      }),
    );
  }

  async lines(owner: string): Promise<Record<string, unknown>[]> {
    const { Items = [] } = await this.client.send(
      new QueryCommand({
        TableName: this.tableName,
        ConsistentRead: true,
        KeyConditionExpression: 'pk = :owner',
        ExpressionAttributeValues: { ':owner': { S: owner } },
      }),
    );
    return Items.map((item) => unmarshall(item));
  }

  async quantities(owner: string): Promise<Record<string, number>> {
    return Object.fromEntries((await this.lines(owner)).map(({ sk, quantity }) => [String(sk).replace('product#', ''), Number(quantity)]));
  }

  async records(tableName = IDEMPOTENCY.tableName): Promise<Record<string, unknown>[]> {
    const { Items = [] } = await this.client.send(new ScanCommand({ TableName: tableName, ConsistentRead: true }));
    return Items.map((item) => unmarshall(item));
  }
}

export function bodyOf({ body }: ApiResponse) {
  return JSON.parse(body);
}

/** The quantities in an answer. */
export function quantitiesIn(response: ApiResponse): Record<string, number> {
  const { products } = bodyOf(response) as { products: { productId: string; quantity: number }[] };
  return Object.fromEntries(products.map(({ productId, quantity }) => [productId, quantity]));
}
