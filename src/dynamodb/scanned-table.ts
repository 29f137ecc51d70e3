import { type AttributeValue, type DynamoDBClient, ScanCommand, type ScanCommandOutput } from '@aws-sdk/client-dynamodb';
import { retry } from '../backoff.ts';
import { asError, TableRefusalError, TableUnavailableError } from '../errors.ts';
import type { TableAnswer } from '../table.ts';
import type { Marshalled } from './attributes.ts';
import type { ReadBudget } from './read-budget.ts';
import { sdkKey, tableReader } from './table-reader.ts';

/** A place in a scan, and how to read there. */
export interface ScanPlace {
  /** From 0 to below `segments`. */
  readonly segment: number;
  readonly segments: number;
  /** The key of the item before the page: the `next` of the page before. Absent: the segment's beginning. */
  readonly after?: Marshalled | undefined;
  readonly consistent: boolean;
}

export interface ScanPage {
  /** As DynamoDB has them: each attribute with its type. */
  readonly items: readonly Marshalled[];
  /** Where the next page begins, in a form that JSON keeps: binary is base64. Absent on the last page. */
  readonly next?: Marshalled;
  /** Read units that the page took. */
  readonly units: number;
}

/** Items that were read by key, and the read units that this took. */
interface ItemsRead {
  readonly answers: readonly TableAnswer[];
  readonly units: number;
}

/** A table that is read from its beginning to its end, within a budget of read units. */
export interface ScannedTable {
  /** The names of the key attributes. */
  readonly keys: readonly string[];
  /**
   * Reads a page of up to 1 MB.
   *
   * @throws TableUnavailableError when the table gives no answer for a minute; TableRefusalError when it refuses; the signal's reason
   */
  scan(place: ScanPlace, signal: AbortSignal): Promise<ScanPage>;
  /**
   * Waits until the budget allows to read items by key. Returns what reads them (`ConsistentRead`) without a further wait, so that a lease which is
   * taken between the two does not get old. Call it once, without keys if nothing is to be read.
   *
   * @throws as `scan`
   */
  reading(signal: AbortSignal): Promise<(keys: readonly Marshalled[]) => Promise<ItemsRead>>;
}

export interface ScannedTableOptions {
  /** Needs `dynamodb:Scan` and `dynamodb:BatchGetItem`. */
  readonly client: Pick<DynamoDBClient, 'send'>;
  /** Names the table in calls: a name would be that of the client's account and Region. */
  readonly arn: string;
  /** The names of the key attributes. */
  readonly keys: readonly string[];
  readonly budget: ReadBudget;
  /** For how long a scan is tried again while the table is busy or away, ms. Default: 60,000. */
  readonly retryForMs?: number;
}

export function scannedTable({ client, arn, keys, budget, retryForMs = 60_000 }: ScannedTableOptions): ScannedTable {
  const name = arn.slice(arn.lastIndexOf('/') + 1);
  /** What the last call took is what the next one is expected to take. */
  const last = { scan: 0, read: 0 };

  const refusalOf = (error: Error, action: string): TableRefusalError | undefined => {
    const wayOut = wayOutOf(error, action);
    // DynamoDB's own message may quote the value of a key.
    return wayOut === undefined ? undefined : new TableRefusalError(`table ${name}: ${wayOut} (${error.name})`);
  };
  const answered = async <T>(signal: AbortSignal, read: () => Promise<T>): Promise<T> => {
    try {
      return await read();
    } catch (thrown) {
      signal.throwIfAborted();
      const error = asError(thrown);
      if (error instanceof TableRefusalError) throw error;
      throw new TableUnavailableError(`table ${name} gives no answer (${error.name}): try later, or with fewer read units`, {
        cause: error,
      });
    }
  };

  return {
    keys,
    async scan({ segment, segments, after, consistent }, signal) {
      const command = new ScanCommand({
        TableName: arn,
        Segment: segment,
        TotalSegments: segments,
        ...(after && { ExclusiveStartKey: sdkKey(after) }),
        ConsistentRead: consistent,
        ReturnConsumedCapacity: 'TOTAL',
      });
      const until = performance.now() + retryForMs;
      return await answered(signal, () =>
        retry(
          async () => {
            const pay = await budget.take(last.scan, signal);
            const answer = await client.send(command, { abortSignal: signal }).catch((error) => {
              pay(0);
              throw refusalOf(asError(error), 'dynamodb:Scan') ?? error;
            });
            const { Items: items = [], LastEvaluatedKey: next, ConsumedCapacity: consumed } = answer as ScanCommandOutput;
            const units = consumed?.CapacityUnits ?? 0;
            pay(units);
            last.scan = units;
            return { items, units, ...(next && { next: inJson(next) }) };
          },
          {
            isTransient: (error) => !signal.aborted && !(error instanceof TableRefusalError),
            remainingMs: () => until - performance.now(),
          },
        ),
      );
    },
    async reading(signal) {
      const pay = await budget.take(last.read, signal);
      return async (wanted) => {
        let units = 0;
        try {
          if (wanted.length === 0) return { answers: [], units };
          const metered = {
            async send(command: Parameters<DynamoDBClient['send']>[0]) {
              // Else the reader would take a refusal for the answer to each key.
              const answer = await client.send(command, { abortSignal: signal }).catch((error) => {
                throw refusalOf(asError(error), 'dynamodb:BatchGetItem') ?? error;
              });
              const { ConsumedCapacity: consumed = [] } = answer as { ConsumedCapacity?: readonly { CapacityUnits?: number }[] };
              units += consumed.reduce((sum, { CapacityUnits = 0 }) => sum + CapacityUnits, 0);
              return answer;
            },
          } as Pick<DynamoDBClient, 'send'>;
          const reader = tableReader({ client: metered, readUnitsPerSecond: Infinity });
          const answers = await answered(signal, () => reader.read(arn, wanted, signal));
          return { answers, units };
        } finally {
          pay(units);
          last.read = units;
        }
      };
    },
  };
}

/** Errors that a later call would meet again, each with its way out. */
function wayOutOf(error: Error, action: string): string | undefined {
  switch (error.name) {
    case 'AccessDeniedException':
      return `it may not be read: allow ${action} on it`;
    case 'ResourceNotFoundException':
      return 'it is not there: was it deleted?';
    case 'UnrecognizedClientException':
    case 'CredentialsProviderError':
    case 'ExpiredTokenException':
      return 'the credentials are refused: see the credentials of your environment';
    case 'ValidationException':
      return 'it refuses the scan: the place in the checkpoint may be of another table, so delete the checkpoint';
    default:
      return undefined;
  }
}

function inJson(key: Readonly<Record<string, AttributeValue>>): Marshalled {
  const entries = Object.entries(key).map(([name, value]) => [
    name,
    value.B === undefined ? value : { B: Buffer.from(value.B).toString('base64') },
  ]);
  return Object.fromEntries(entries);
}
