import { type DynamoDBClient, QueryCommand, type QueryCommandInput, type QueryCommandOutput } from '@aws-sdk/client-dynamodb';
import type { Attributes } from '../change.ts';
import { asError, ReadBudgetError, TableRefusalError, TableUnavailableError } from '../errors.ts';
import type { TableAnswer } from '../table.ts';
import type { KeyAttributes, ListQuery } from '../view.ts';
import { attributesOf } from './attributes.ts';
import { tableReader } from './table-reader.ts';

export interface MeteredTableOptions {
  readonly client: Pick<DynamoDBClient, 'send'>;
  readonly name: string;
  /** The read units that may be used a second, on average; up to one second's units at once. Default: no limit. */
  readonly readUnitsPerSecond?: number;
}

/** Where a query begins: at the sort key of this score, the items with that sort key included. Default: at the greatest. */
interface QueryStart {
  readonly score?: number;
  /** The most items of one page. Default: what DynamoDB gives, up to 1 MB. */
  readonly limit?: number;
}

/** One page of a query, and what gives the next. */
export interface QueryPage {
  readonly items: readonly Attributes[];
  /** Absent on the last page. */
  next?(): Promise<QueryPage>;
}

export interface MeteredTable {
  /** Calls and read units so far. */
  readonly used: { readonly calls: number; readonly units: number };
  /**
   * Reads items consistently, one answer per key, in the order of the keys.
   *
   * @throws TableUnavailableError when the table gives no answer; ReadBudgetError when the read units are used up
   */
  items(keys: readonly KeyAttributes[], signal: AbortSignal): Promise<readonly TableAnswer[]>;
  /**
   * Reads the first page of a query, greatest sort key first; consistently, unless the query is of a global index.
   *
   * @throws as `items`
   */
  query(query: ListQuery, start: QueryStart, signal: AbortSignal): Promise<QueryPage>;
}

/** How often an answer with unprocessed keys only is repeated. */
const RETRIES = 3;

/** A table whose reads are counted and limited. */
export function meteredTable({ client, name, readUnitsPerSecond = Infinity }: MeteredTableOptions): MeteredTable {
  const used = { calls: 0, units: 0 };
  let balance = readUnitsPerSecond;
  let balancedAt = performance.now();

  /** @param what for messages: the table, or an index of it */
  const metered = (what: string, signal: AbortSignal): Pick<DynamoDBClient, 'send'> => ({
    async send(command: Parameters<DynamoDBClient['send']>[0]) {
      const now = performance.now();
      balance = Math.min(readUnitsPerSecond, balance + ((now - balancedAt) / 1_000) * readUnitsPerSecond);
      balancedAt = now;
      if (balance <= 0) {
        throw new ReadBudgetError(
          `table ${name}: the reader has used its ${readUnitsPerSecond} read units a second: try later, or raise readUnitsPerSecond`,
        );
      }
      used.calls += 1;
      const answer = await client.send(command, { abortSignal: signal }).catch((error: Error) => {
        const wayOut = WAYS_OUT[error.name];
        throw wayOut === undefined ? error : new TableRefusalError(`${what}: ${wayOut} (${error.name})`);
      });
      const { ConsumedCapacity: consumed } = answer as { ConsumedCapacity?: Capacity | readonly Capacity[] };
      const units = [consumed ?? []].flat().reduce((sum, { CapacityUnits = 0 }) => sum + CapacityUnits, 0);
      used.units += units;
      balance -= units;
      return answer;
    },
  });

  const queryPage = async (input: QueryCommandInput, signal: AbortSignal): Promise<QueryPage> => {
    const what = input.IndexName === undefined ? `table ${name}` : `index ${input.IndexName} of table ${name}`;
    const read = async () => (await metered(what, signal).send(new QueryCommand(input))) as QueryCommandOutput;
    const { Items = [], LastEvaluatedKey: last } = await answered(what, signal, read);
    const items = Items.map((item) => attributesOf(item));
    return last ? { items, next: () => queryPage({ ...input, ExclusiveStartKey: last }, signal) } : { items };
  };

  return {
    used,
    async items(keys, signal) {
      const what = `table ${name}`;
      const reader = tableReader({ client: metered(what, signal), readUnitsPerSecond: Infinity, retries: RETRIES });
      const answers = await answered(what, signal, () => reader.read(name, keys.map(marshalled), signal));
      return answers.map((answer) => ('error' in answer ? { error: new TableRefusalError(answer.error.message) } : answer));
    },
    async query({ partition, sort, index, trust }, { score, limit }, signal) {
      const from = score === undefined ? undefined : sort?.valueAt?.(score);
      const conditions = ['#p = :p'];
      if (sort && from !== undefined) conditions.push(sort.beginsWith === undefined ? '#s <= :from' : '#s BETWEEN :begin AND :from');
      else if (sort?.beginsWith !== undefined) conditions.push('begins_with(#s, :begin)');
      const isSorted = conditions.length > 1;
      const input: QueryCommandInput = {
        TableName: name,
        ...(index !== undefined && { IndexName: index }),
        KeyConditionExpression: conditions.join(' AND '),
        ExpressionAttributeNames: { '#p': partition.name, ...(isSorted && { '#s': sort?.name ?? '' }) },
        ExpressionAttributeValues: {
          ':p': typed(partition.value),
          ...(isSorted && sort?.beginsWith !== undefined && { ':begin': typed(sort.beginsWith) }),
          ...(from !== undefined && { ':from': typed(from) }),
        },
        ScanIndexForward: false,
        ConsistentRead: trust !== 'index',
        ReturnConsumedCapacity: 'TOTAL',
        ...(limit !== undefined && { Limit: limit }),
      };
      return await queryPage(input, signal);
    },
  };
}

interface Capacity {
  readonly CapacityUnits?: number;
}

function typed(value: string | number): { S: string } | { N: string } {
  return typeof value === 'string' ? { S: value } : { N: String(value) };
}

function marshalled(key: KeyAttributes): Readonly<Record<string, { S: string } | { N: string }>> {
  return Object.fromEntries(Object.entries(key).map(([name, value]) => [name, typed(value)]));
}

/** What a later read may mend becomes a TableUnavailableError. */
async function answered<T>(what: string, signal: AbortSignal, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (thrown) {
    signal.throwIfAborted();
    const error = asError(thrown);
    if (error instanceof ReadBudgetError || error instanceof TableRefusalError) throw error;
    // DynamoDB's own message may quote the value of a key.
    if (error.name === 'ValidationException') {
      throw new TableRefusalError(
        `${what}: it refuses the query: compare from(list) of the view with the key attributes of the table and of the index (${error.name})`,
      );
    }
    throw new TableUnavailableError(`${what} gives no answer (${error.name}): try later`, { cause: error });
  }
}

/** Refusals of all reads. A ValidationException is of one key or one query. */
const WAYS_OUT: Readonly<Record<string, string>> = {
  AccessDeniedException: 'allow dynamodb:BatchGetItem on the table, and dynamodb:Query on the table and on its index',
  ResourceNotFoundException: 'there is no such table, or no such index, in this account and Region: correct the name',
  UnrecognizedClientException: 'the credentials are refused: see the credentials of the client',
};
