import { randomUUID } from 'node:crypto';
import { GetItemCommand, type TransactWriteItem, TransactWriteItemsCommand } from '@aws-sdk/client-dynamodb';
import { type Backoff, isTransient, pause, reasonsOf, retried } from './backoff.ts';
import type { CartLine } from './cart-lines.ts';
import type { ShopTable } from './table.ts';

/**
 * - `moved`: the quantity is the new owner's, and the line is gone.
 * - `gone`: somebody else moved or removed it, or this call did, whose answer was lost.
 * - `left`: it cannot be moved: its quantity, or that of the line it would join, is no number, or DynamoDB cannot hold what they make.
 */
export type Moved = 'moved' | 'gone' | 'left';

/** What becomes of the end of the new owner's line: the later of both stays, and a line that has no end keeps having none. */
type Expiry = 'renew' | 'keep';

/**
 * Moves one line to another owner. The quantity is added and the line deleted in one transaction, on the condition that the line still
 * has that quantity: however often this runs, alone or beside itself, nothing counts twice and nothing is lost. A line that grows
 * meanwhile is read again and moved as it is then. Attributes that the new owner's line has stay as they are.
 *
 * @throws what the last try threw, or the first error that will not pass, or the signal's reason; the line is then in one of both carts.
 */
export async function moveLine(table: ShopTable, line: CartLine, to: string, backoff: Backoff): Promise<Moved> {
  const { tries = 10, signal } = backoff;
  let current = line;
  let expiry: Expiry = 'renew';
  // One token for one request: DynamoDB takes a repeated one for done, and refuses a changed one under the same token. A token
  // derived from the line would take a line that came back for the one that was moved.
  let token = randomUUID();
  for (let attempt = 0; ; attempt += 1) {
    signal?.throwIfAborted();
    if (current.quantity?.N === undefined) return 'left';
    try {
      const TransactItems = [add(table, current, to, expiry), remove(table, current)];
      await table.client.send(new TransactWriteItemsCommand({ ClientRequestToken: token, TransactItems }));
      return 'moved';
    } catch (error) {
      const [added, removed] = reasonsOf(error) ?? [];
      if (added === 'ValidationError' || (error as Error).name === 'ValidationException') return 'left';
      const changed = removed === 'ConditionalCheckFailed';
      const otherwise = added === 'ConditionalCheckFailed';
      if (attempt + 1 >= tries || !(changed || otherwise || isTransient(error))) throw error;
      if (changed || otherwise) token = randomUUID();
      if (otherwise) expiry = expiry === 'renew' ? 'keep' : 'renew';
      if (changed) {
        const found = await read(table, current, backoff);
        if (!found) return 'gone';
        current = found;
      }
    }
    await pause(attempt, backoff);
  }
}

function add({ tableName }: ShopTable, line: CartLine, to: string, expiry: Expiry): TransactWriteItem {
  const { pk: _, sk = { S: '' }, quantity = { N: '0' }, expiresAt, ...others } = line;
  const named = Object.entries(others).map(([name, value], i) => ({ name, value, alias: `a${i}` }));
  const sets = named.map(({ alias }) => `#${alias} = if_not_exists(#${alias}, :${alias})`);
  const ends = expiresAt?.N !== undefined;
  if (ends && expiry === 'renew') sets.push('#expiresAt = :expiresAt');
  const conditions = {
    renew: 'attribute_not_exists(pk) OR #expiresAt < :expiresAt',
    keep: 'attribute_exists(pk) AND NOT #expiresAt < :expiresAt',
  };
  return {
    Update: {
      TableName: tableName,
      Key: { pk: { S: to }, sk },
      UpdateExpression: [
        'ADD #quantity :quantity',
        ...(sets.length > 0 ? [`SET ${sets.join(', ')}`] : []),
        ...(ends ? [] : ['REMOVE #expiresAt']),
      ].join(' '),
      ConditionExpression: ends ? conditions[expiry] : undefined,
      ExpressionAttributeNames: {
        '#quantity': 'quantity',
        '#expiresAt': 'expiresAt',
        ...Object.fromEntries(named.map(({ name, alias }) => [`#${alias}`, name])),
      },
      ExpressionAttributeValues: {
        ':quantity': quantity,
        ...(ends && { ':expiresAt': expiresAt }),
        ...Object.fromEntries(named.map(({ value, alias }) => [`:${alias}`, value])),
      },
    },
  };
}

function remove({ tableName }: ShopTable, line: CartLine): TransactWriteItem {
  const { quantity = { N: '0' } } = line;
  return {
    Delete: {
      TableName: tableName,
      Key: keyOf(line),
      ConditionExpression: '#quantity = :quantity',
      ExpressionAttributeNames: { '#quantity': 'quantity' },
      ExpressionAttributeValues: { ':quantity': quantity },
    },
  };
}

async function read({ client, tableName }: ShopTable, line: CartLine, backoff: Backoff): Promise<CartLine | undefined> {
  const command = new GetItemCommand({ TableName: tableName, Key: keyOf(line), ConsistentRead: true });
  return (await retried(() => client.send(command), backoff)).Item;
}

function keyOf({ pk = { S: '' }, sk = { S: '' } }: CartLine) {
  return { pk, sk };
}
