import { type AttributeValue, QueryCommand, type QueryCommandInput, type QueryCommandOutput } from '@aws-sdk/client-dynamodb';
import { unmarshall } from '@aws-sdk/util-dynamodb';
import { retried } from './calls.ts';
import type { ShopTable } from './table.ts';

/**
 * An item with `pk` `cart#<cartId>` or `user#<sub>` and `sk` `product#<productId>`, in DynamoDB's form, which keeps all digits of numbers.
 */
export type CartLine = Readonly<Record<string, AttributeValue>>;

export interface Product {
  readonly productId: string;
  readonly quantity: number;
  readonly productDetail?: unknown;
}

const LINE = 'product#';

/** All lines of a cart, by consistent reads. Reads a page when the page before has been processed. */
export async function* linePages({ client, tableName }: ShopTable, owner: string, signal?: AbortSignal): AsyncGenerator<CartLine[]> {
  let after: QueryCommandInput['ExclusiveStartKey'];
  do {
    const command = new QueryCommand({ ...linesOf(tableName, owner), ExclusiveStartKey: after });
    const page: QueryCommandOutput = await retried(() => client.send(command), signal);
    yield page.Items ?? [];
    after = page.LastEvaluatedKey;
  } while (after !== undefined);
}

/** Whether a cart has lines, by a consistent read. */
export async function hasLines({ client, tableName }: ShopTable, owner: string, signal?: AbortSignal): Promise<boolean> {
  const command = new QueryCommand({ ...linesOf(tableName, owner), Limit: 1, Select: 'COUNT' });
  return ((await retried(() => client.send(command), signal)).Count ?? 0) > 0;
}

/** All products of a cart, in the order of their ids, by consistent reads. */
export async function productsOf(table: ShopTable, owner: string, signal?: AbortSignal): Promise<Product[]> {
  const products: Product[] = [];
  for await (const lines of linePages(table, owner, signal)) products.push(...lines.flatMap(productOf));
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

/** Leaves an integer that a double cannot represent as text, such as an article number. The views do the same. */
function numberOf(text: string): number | string {
  const number = Number(text);
  return Number.isInteger(number) && !Number.isSafeInteger(number) ? text : number;
}
