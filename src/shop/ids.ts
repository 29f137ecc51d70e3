import { type AttributeValue, PutItemCommand, TransactWriteItemsCommand } from '@aws-sdk/client-dynamodb';
import { v7 } from 'uuid';
import { type Backoff, isTransient, pause, reasonsOf } from './backoff.ts';
import type { ShopTable } from './table.ts';

export interface IdsOptions extends Backoff {
  /**
   * `put`: a conditional PutItem. `transaction`: a TransactWriteItems of that one put, for SDKs and endpoints whose PutItem does not know
   * `ReturnValuesOnConditionCheckFailure`.
   */
  readonly by?: 'put' | 'transaction';
  /** UUIDv7 unless told otherwise: such ids sort by the time they were made. */
  readonly newId?: () => string;
}

/** @returns the new id of a legacy id: the same for every caller, for ever. */
export type MapId = (legacyId: string) => Promise<string>;

/**
 * The map from legacy ids to new ones: rows `legacy#<legacyId>`, `id`. A call is exactly one call of DynamoDB, whether or not the legacy
 * id was mapped: the first caller's put makes the row, everyone else's is refused and answered with the row that is there.
 *
 * Price of a call: 1 write unit by `put`, 2 by `transaction`, refused or not, for rows of up to 1 KB; the row that a refusal tells costs
 * no read unit. `transaction` needs more calls when two of them meet on one legacy id, which DynamoDB may cancel.
 */
export function idMap({ client, tableName }: ShopTable, { by = 'put', newId = v7, ...backoff }: IdsOptions = {}): MapId {
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
    const id = newId();
    for (let attempt = 0; ; attempt += 1) {
      try {
        await send(legacyId, id);
        return id;
      } catch (error) {
        const row = refusedBy(error);
        if (row) return idIn(row);
        const conflict = reasonsOf(error) !== undefined && isTransient(error);
        if (!conflict || attempt + 1 >= (backoff.tries ?? 10)) throw error;
      }
      await pause(attempt, backoff);
    }
  };
}

type Row = Readonly<Record<string, AttributeValue>>;

/** The row because of which a put was refused. */
function refusedBy(error: unknown): Row | undefined {
  if (!(error instanceof Error)) return undefined;
  const { Item, CancellationReasons } = error as { Item?: Row; CancellationReasons?: readonly { Code?: string; Item?: Row }[] };
  if (error.name === 'ConditionalCheckFailedException') return Item ?? {};
  const refused = CancellationReasons?.find(({ Code }) => Code === 'ConditionalCheckFailed');
  return refused && (refused.Item ?? {});
}

function idIn({ newId }: Row): string {
  if (newId?.S) return newId.S;
  throw new Error(
    'the legacy id has a row, but no newId came with the refusal: does this endpoint know ReturnValuesOnConditionCheckFailure?',
  );
}
