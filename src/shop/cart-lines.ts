import { type AttributeValue, QueryCommand, type QueryCommandInput, type QueryCommandOutput } from '@aws-sdk/client-dynamodb';
import { unmarshall } from '@aws-sdk/util-dynamodb';
import { type Backoff, retried } from './backoff.ts';
import type { ShopTable } from './table.ts';

/** A row `cart#<cartId>` or `user#<sub>`, `product#<productId>`, as DynamoDB has it: its numbers keep all their digits. */
export type CartLine = Readonly<Record<string, AttributeValue>>;

export interface Product {
  readonly productId: string;
  readonly quantity: number;
  readonly productDetail?: unknown;
}

const LINE = 'product#';

/** All lines of a cart, read consistently, page by page: a page is read when the one before was taken. */
export async function* linePages({ client, tableName }: ShopTable, owner: string, backoff: Backoff): AsyncGenerator<CartLine[]> {
  let after: QueryCommandInput['ExclusiveStartKey'];
  do {
    const command = new QueryCommand({ ...linesOf(tableName, owner), ExclusiveStartKey: after });
    const page: QueryCommandOutput = await retried(() => client.send(command), backoff);
    yield page.Items ?? [];
    after = page.LastEvaluatedKey;
  } while (after !== undefined);
}

/** Read consistently. */
export async function hasLines({ client, tableName }: ShopTable, owner: string, backoff: Backoff): Promise<boolean> {
  const command = new QueryCommand({ ...linesOf(tableName, owner), Limit: 1, Select: 'COUNT' });
  return ((await retried(() => client.send(command), backoff)).Count ?? 0) > 0;
}

/** All products of a cart, in the order of their ids. */
export async function productsOf(table: ShopTable, owner: string, backoff: Backoff): Promise<Product[]> {
  const products: Product[] = [];
  for await (const lines of linePages(table, owner, backoff)) products.push(...lines.flatMap(productOf));
  return products;
}

function linesOf(tableName: string, owner: string): QueryCommandInput {
  return {
    TableName: tableName,
    ConsistentRead: true,
    KeyConditionExpression: 'pk = :owner AND begins_with(sk, :line)',
    ExpressionAttributeValues: { ':owner': { S: owner }, ':line': { S: LINE } },
  };
}

function productOf(line: CartLine): Product[] {
  const { sk, quantity, productDetail } = unmarshall({ ...line }, { wrapNumbers: numberOf });
  return line.quantity?.N === undefined ? [] : [{ productId: String(sk).slice(LINE.length), quantity, productDetail }];
}

/** As in the views: what a double cannot hold, an article number say, stays text. */
function numberOf(text: string): number | string {
  const number = Number(text);
  return Number.isInteger(number) && !Number.isSafeInteger(number) ? text : number;
}
