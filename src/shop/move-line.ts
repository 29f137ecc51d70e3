import { randomUUID } from 'node:crypto';
import { GetItemCommand, type TransactWriteItem, TransactWriteItemsCommand } from '@aws-sdk/client-dynamodb';
import { backOff, isTransient, reasonsOf, retried, TRIES } from './calls.ts';
import type { CartLine } from './cart-lines.ts';
import type { ShopTable } from './table.ts';

/**
 * The outcome for a line:
 * - `moved`: its quantity was added to the new owner's line, and the line was deleted.
 * - `gone`: another call moved or deleted the line, or this one did and its answer was lost.
 * - `left`: the line cannot be moved, because a quantity is not a number or DynamoDB cannot represent the sum.
 */
export type Moved = 'moved' | 'gone' | 'left';

/** Whether the new owner's line takes over the expiry time. The later of the two times remains, and none if one of the lines has none. */
type Expiry = 'renew' | 'keep';

/**
 * Moves one line to another owner. One transaction adds the quantity and deletes the line, on the condition that the line still has this
 * quantity. So repeated and concurrent calls neither lose a quantity nor count it twice. A line whose quantity changes meanwhile is read
 * again and moved with the new quantity. Attributes of the new owner's line stay as they are.
 *
 * @throws the last transient error, the first other error, or the signal's reason. The line is then in one of the two carts.
 */
export async function moveLine(table: ShopTable, line: CartLine, to: string, signal?: AbortSignal): Promise<Moved> {
  let current = line;
  let expiry: Expiry = 'renew';
  // One token per request: DynamoDB does not execute a repeated request again, and refuses a changed request with the same token. A token
  // derived from the line would be the same for an equal line that is added later, which would then not be moved.
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
      const otherExpiry = added === 'ConditionalCheckFailed';
      if (attempt + 1 >= TRIES || !(changed || otherExpiry || isTransient(error))) throw error;
      if (changed || otherExpiry) token = randomUUID();
      if (otherExpiry) expiry = expiry === 'renew' ? 'keep' : 'renew';
      if (changed) {
        const found = await read(table, current, signal);
        if (!found) return 'gone';
        current = found;
      }
    }
    await backOff(attempt, signal);
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

async function read({ client, tableName }: ShopTable, line: CartLine, signal?: AbortSignal): Promise<CartLine | undefined> {
  const command = new GetItemCommand({ TableName: tableName, Key: keyOf(line), ConsistentRead: true });
  return (await retried(() => client.send(command), signal)).Item;
}

function keyOf({ pk = { S: '' }, sk = { S: '' } }: CartLine) {
  return { pk, sk };
}
