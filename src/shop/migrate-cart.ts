import { forEachConcurrently } from './calls.ts';
import { linePages } from './cart-lines.ts';
import { type Moved, moveLine } from './move-line.ts';
import type { ShopTable } from './table.ts';

export interface MigrateOptions {
  /** The greatest number of lines that are moved at the same time. */
  readonly linesAtOnce: number;
  /** Ends the migration early. */
  readonly signal?: AbortSignal;
}

/**
 * Moves every line of one cart to another owner by `moveLine`. A line that is added during the migration is moved or stays. The migration
 * may end at any point and be repeated at any time.
 *
 * @returns how many lines `moveLine` reported as moved, gone or left.
 * @throws the first failure of `moveLine`, after it was tried for the other lines.
 */
export async function migrateCart(
  table: ShopTable,
  from: string,
  to: string,
  { linesAtOnce, signal }: MigrateOptions,
): Promise<Readonly<Record<Moved, number>>> {
  const count = { moved: 0, gone: 0, left: 0 };
  const failures: unknown[] = [];
  for await (const lines of linePages(table, from, signal)) {
    const page = forEachConcurrently(lines, linesAtOnce, async (line) => {
      count[await moveLine(table, line, to, signal)] += 1;
    });
    await page.catch((error: unknown) => failures.push(error));
  }
  if (failures.length > 0) throw failures[0];
  return count;
}
