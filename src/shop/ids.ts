import { type AttributeValue, PutItemCommand, TransactWriteItemsCommand } from '@aws-sdk/client-dynamodb';
import { v7 } from 'uuid';
import { backOff, isTransient, reasonsOf, TRIES } from './calls.ts';
import type { ShopTable } from './table.ts';

export interface IdMapOptions {
  /**
   * `put`: a conditional PutItem. `transaction`: a TransactWriteItems with this one put, for SDKs and endpoints whose PutItem does not
   * support `ReturnValuesOnConditionCheckFailure`. Default: `put`.
   */
  readonly by?: 'put' | 'transaction';
  /** Ends the pauses between the calls of a transaction. */
  readonly signal?: AbortSignal;
}

/** Returns the new id of a legacy id: the same for every caller, at any time. */
export type MapId = (legacyId: string) => Promise<string>;

/**
 * The map from legacy ids to new ids, in items with `pk` `legacy#<legacyId>` and `sk` `id`. New ids are UUIDv7, which sort by the time of
 * their creation. A call makes exactly one call of DynamoDB, whether or not the legacy id has a new id. The put of the first caller creates
 * the item. The puts of all others are refused, and DynamoDB returns the existing item.
 *
 * A call costs 1 write unit by `put` and 2 by `transaction`, even if it is refused, for items of up to 1 KB. The returned item costs no
 * read unit. DynamoDB may cancel one of two concurrent transactions for the same legacy id, which is then sent again.
 */
export function idMap({ client, tableName }: ShopTable, { by = 'put', signal }: IdMapOptions = {}): MapId {
  const putOf = (legacyId: string, id: string) => ({
    TableName: tableName,
    Item: { pk: { S: `legacy#${legacyId}` }, sk: { S: 'id' }, newId: { S: id } },
    ConditionExpression: 'attribute_not_exists(pk)',
    ReturnValuesOnConditionCheckFailure: 'ALL_OLD' as const,
  });
  const send = {
    put: (legacyId: string, id: string) => client.send(new PutItemCommand(putOf(legacyId, id))),
    transaction: (legacyId: string, id: string) =>
      client.send(new TransactWriteItemsCommand({ TransactItems: [{ Put: putOf(legacyId, id) }] })),
  }[by];

  return async (legacyId) => {
    if (legacyId === '') throw new RangeError('a legacy id must not be empty');
    const id = v7();
    for (let attempt = 0; ; attempt += 1) {
      try {
        await send(legacyId, id);
        return id;
      } catch (error) {
        const item = existingItem(error);
        if (item) return idIn(item);
        const conflict = reasonsOf(error) !== undefined && isTransient(error);
        if (!conflict || attempt + 1 >= TRIES) throw error;
      }
      await backOff(attempt, signal);
    }
  };
}

type Item = Readonly<Record<string, AttributeValue>>;

/** The item because of which a put was refused; undefined for other errors. */
function existingItem(error: unknown): Item | undefined {
  if (!(error instanceof Error)) return undefined;
  const { Item, CancellationReasons } = error as { Item?: Item; CancellationReasons?: readonly { Code?: string; Item?: Item }[] };
  if (error.name === 'ConditionalCheckFailedException') return Item ?? {};
  const refused = CancellationReasons?.find(({ Code }) => Code === 'ConditionalCheckFailed');
  return refused && (refused.Item ?? {});
}

function idIn({ newId }: Item): string {
  if (newId?.S) return newId.S;
  throw new Error(
    'the legacy id has an item, but the refusal contains no newId: does this endpoint support ReturnValuesOnConditionCheckFailure?',
  );
}
