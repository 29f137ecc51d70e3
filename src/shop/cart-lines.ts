import { type AttributeValue, QueryCommand, type QueryCommandInput, type QueryCommandOutput } from '@aws-sdk/client-dynamodb';
import { attributesOf } from '../dynamodb/attributes.ts';
import { retried } from './calls.ts';
import type { ShopTable } from './table.ts';

/**
 * An item with `pk` `cart#<cartId>` or `user#<sub>` and `sk` `product#<productId>`, in DynamoDB's form, which keeps all digits of numbers.
 */
export type CartLine = Readonly<Record<string, AttributeValue>>;

export interface Product {
  readonly productId: string;
  /** Text if a double cannot hold the number exactly. */
  readonly quantity: number | string;
  readonly productDetail?: unknown;
}

const LINE = 'product#';

/** DynamoDB's time-to-live ignores times that are more than five years ago (DynamoDB Developer Guide, "Using time to live"). */
const FIVE_YEARS_SECONDS = 5 * 365 * 86_400;

/** Expiry times, s since the epoch, of lines that have expired. DynamoDB may delete such a line days later; it counts as absent at once. */
export function expiredNow(): { readonly from: number; readonly to: number } {
  const to = Math.floor(Date.now() / 1_000);
  return { from: to - FIVE_YEARS_SECONDS, to };
}

export function isExpired({ expiresAt }: CartLine): boolean {
  const at = Number(expiresAt?.N ?? Number.NaN);
  const { from, to } = expiredNow();
  return at >= from && at <= to;
}

/** All lines of a cart that have not expired, by consistent reads. Reads a page when the page before has been processed. */
export async function* linePages({ client, tableName }: ShopTable, owner: string, signal?: AbortSignal): AsyncGenerator<CartLine[]> {
  let after: QueryCommandInput['ExclusiveStartKey'];
  do {
    const command = new QueryCommand({ ...linesOf(tableName, owner), ExclusiveStartKey: after });
    const page: QueryCommandOutput = await retried(() => client.send(command), signal);
    yield (page.Items ?? []).filter((line) => !isExpired(line));
    after = page.LastEvaluatedKey;
  } while (after !== undefined);
}

/** Whether a cart has lines that have not expired, by consistent reads. */
export async function hasLines(table: ShopTable, owner: string, signal?: AbortSignal): Promise<boolean> {
  for await (const lines of linePages(table, owner, signal)) if (lines.length > 0) return true;
  return false;
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

/** Decodes a line as the views do, so that the answer has the same numbers as the cache: exact, as text where a double would round. */
function productOf(line: CartLine): Product[] {
  if (line.quantity?.N === undefined) return [];
  const { sk, quantity, productDetail } = attributesOf(line);
  return [{ productId: String(sk).slice(LINE.length), quantity: quantity as number | string, productDetail }];
}
