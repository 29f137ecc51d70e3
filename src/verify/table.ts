import type { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import type { Attributes } from '../change.ts';
import { meteredTable, type QueryPage } from '../dynamodb/metered-table.ts';
import type { ReadBudget } from '../dynamodb/read-budget.ts';
import { type ScannedTable, scannedTable } from '../dynamodb/scanned-table.ts';
import type { ListQuery } from '../view.ts';

/** A table that is scanned, read by key, and queried, within a budget of read units. */
export interface VerifiedTable extends ScannedTable {
  /**
   * Reads all items of a query, consistently; the greatest sort key first.
   *
   * @param query with trust `table`
   * @throws TableUnavailableError, TableRefusalError, or the signal's reason
   */
  query(query: ListQuery, signal: AbortSignal): Promise<{ readonly items: readonly Attributes[]; readonly units: number }>;
}

export interface VerifiedTableOptions {
  /** Needs `dynamodb:Scan`, `dynamodb:BatchGetItem` and `dynamodb:Query`. */
  readonly client: Pick<DynamoDBClient, 'send'>;
  /** Names the table in calls. */
  readonly arn: string;
  /** The names of the key attributes. */
  readonly keys: readonly string[];
  readonly budget: ReadBudget;
  /** For how long a scan is tried again while the table is busy or away, ms. Default: 60,000. */
  readonly retryForMs?: number;
}

export function verifiedTable(options: VerifiedTableOptions): VerifiedTable {
  const { client, arn, budget } = options;
  const metered = meteredTable({ client, name: arn });
  return {
    ...scannedTable(options),
    async query(query, signal) {
      const items: Attributes[] = [];
      const start = metered.used.units;
      let expected = 0;
      let next: (() => Promise<QueryPage>) | undefined = () => metered.query(query, {}, signal);
      while (next) {
        const pay = await budget.take(expected, signal);
        const before = metered.used.units;
        const page: QueryPage = await next().finally(() => pay(metered.used.units - before));
        expected = metered.used.units - before;
        items.push(...page.items);
        next = page.next;
      }
      return { items, units: metered.used.units - start };
    },
  };
}
