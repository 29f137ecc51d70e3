import { randomUUID } from 'node:crypto';
import {
  type AttributeValue,
  GetItemCommand,
  type TransactWriteItem,
  TransactWriteItemsCommand,
  type TransactWriteItemsCommandInput,
} from '@aws-sdk/client-dynamodb';
import { backOff, isTransient, reasonsOf, retried, TRIES } from './calls.ts';
import { type CartLine, expiredNow, isExpired } from './cart-lines.ts';
import type { ShopTable } from './table.ts';

/**
 * The outcome for a line:
 * - `moved`: its quantity was added to the new owner's line, and the line was deleted.
 * - `gone`: the line has expired, or another call moved or deleted the line, or this one did and its answer was lost.
 * - `left`: the line cannot be moved, because a quantity is not a number or DynamoDB cannot represent the sum.
 */
export type Moved = 'moved' | 'gone' | 'left';

/**
 * How the line is added to the new owner's line. The later of the two expiry times remains, and none if one of the lines has none.
 * - `renew`: the new owner has no such line, or one that expires earlier, which takes over the expiry time;
 * - `keep`: the new owner's line expires later, and keeps its expiry time;
 * - `replace`: the new owner's line has expired. It counts as absent, so nothing of it remains.
 */
type Mode = 'renew' | 'keep' | 'replace';

/**
 * Moves one line to another owner. One transaction adds the quantity and deletes the line, on the condition that the line still has this
 * quantity. So repeated and concurrent calls neither lose a quantity nor count it twice. A line whose quantity changes meanwhile is read
 * again and moved with the new quantity. Attributes of the new owner's line stay as they are. An expired line of either owner counts as absent,
 * although DynamoDB may delete it later: it is neither moved nor added to.
 *
 * @throws the last transient error, the first other error, or the signal's reason. The line is then in one of the two carts.
 */
export async function moveLine(table: ShopTable, line: CartLine, to: string, signal?: AbortSignal): Promise<Moved> {
  let current = line;
  let mode: Mode = 'renew';
  let request = requestFor(table, current, to, mode);
  for (let attempt = 0; ; attempt += 1) {
    signal?.throwIfAborted();
    if (isExpired(current)) return 'gone';
    if (current.quantity?.N === undefined) return 'left';
    try {
      await table.client.send(new TransactWriteItemsCommand(request));
      return 'moved';
    } catch (error) {
      const [added, removed] = reasonsOf(error) ?? [];
      const existing = (error as { CancellationReasons?: readonly { Item?: CartLine }[] }).CancellationReasons?.[0]?.Item;
      if (added === 'ValidationError' || (error as Error).name === 'ValidationException') return 'left';
      const changed = removed === 'ConditionalCheckFailed';
      const otherMode = added === 'ConditionalCheckFailed';
      if (attempt + 1 >= TRIES || !(changed || otherMode || isTransient(error))) throw error;
      if (otherMode) mode = modeFor(current, existing);
      if (changed) {
        const found = await read(table, current, signal);
        if (!found) return 'gone';
        current = found;
      }
      if (changed || otherMode) request = requestFor(table, current, to, mode);
    }
    await backOff(attempt, signal);
  }
}

/**
 * A request with a token of its own. DynamoDB does not execute a repeated request again, and refuses another request with the same token. The
 * conditions contain the time, so a request is repeated as it is. A token derived from the line would be the same for an equal line that is
 * added later, which would then not be moved.
 */
function requestFor(table: ShopTable, line: CartLine, to: string, mode: Mode): TransactWriteItemsCommandInput {
  return { ClientRequestToken: randomUUID(), TransactItems: [add(table, line, to, mode), remove(table, line)] };
}

function modeFor(line: CartLine, existing: CartLine | undefined): Mode {
  if (!existing) return 'renew';
  if (isExpired(existing)) return 'replace';
  const [ends, existingEnds] = [line.expiresAt?.N, existing.expiresAt?.N];
  return ends === undefined || (existingEnds !== undefined && Number(existingEnds) < Number(ends)) ? 'renew' : 'keep';
}

/** Holds for a line without an expiry time, and for no line. */
const NOT_EXPIRED = 'NOT #expiresAt BETWEEN :expiredFrom AND :expiredTo';

function expiredValues(): Record<string, AttributeValue> {
  const { from, to } = expiredNow();
  return { ':expiredFrom': { N: String(from) }, ':expiredTo': { N: String(to) } };
}

function add({ tableName }: ShopTable, line: CartLine, to: string, mode: Mode): TransactWriteItem {
  const { pk: _, sk = { S: '' }, quantity = { N: '0' }, expiresAt, ...others } = line;
  if (mode === 'replace') {
    return {
      Put: {
        TableName: tableName,
        Item: { ...line, pk: { S: to } },
        ConditionExpression: '#expiresAt BETWEEN :expiredFrom AND :expiredTo',
        ExpressionAttributeNames: { '#expiresAt': 'expiresAt' },
        ExpressionAttributeValues: expiredValues(),
        ReturnValuesOnConditionCheckFailure: 'ALL_OLD',
      },
    };
  }
  const named = Object.entries(others).map(([name, value], i) => ({ name, value, alias: `a${i}` }));
  const sets = named.map(({ alias }) => `#${alias} = if_not_exists(#${alias}, :${alias})`);
  const ends = expiresAt?.N !== undefined;
  if (ends && mode === 'renew') sets.push('#expiresAt = :expiresAt');
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
      ConditionExpression: ends ? `(${conditions[mode]}) AND ${NOT_EXPIRED}` : NOT_EXPIRED,
      ExpressionAttributeNames: {
        '#quantity': 'quantity',
        '#expiresAt': 'expiresAt',
        ...Object.fromEntries(named.map(({ name, alias }) => [`#${alias}`, name])),
      },
      ExpressionAttributeValues: {
        ':quantity': quantity,
        ...(ends && { ':expiresAt': expiresAt }),
        ...expiredValues(),
        ...Object.fromEntries(named.map(({ value, alias }) => [`:${alias}`, value])),
      },
      ReturnValuesOnConditionCheckFailure: 'ALL_OLD',
    },
  };
}

function remove({ tableName }: ShopTable, line: CartLine): TransactWriteItem {
  const { quantity = { N: '0' } } = line;
  return {
    Delete: {
      TableName: tableName,
      Key: keyOf(line),
      ConditionExpression: `#quantity = :quantity AND ${NOT_EXPIRED}`,
      ExpressionAttributeNames: { '#quantity': 'quantity', '#expiresAt': 'expiresAt' },
      ExpressionAttributeValues: { ':quantity': quantity, ...expiredValues() },
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
