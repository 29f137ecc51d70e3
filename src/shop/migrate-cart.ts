import type { Backoff } from './backoff.ts';
import { linePages } from './cart-lines.ts';
import { each } from './each.ts';
import { type Moved, moveLine } from './move-line.ts';
import type { ShopTable } from './table.ts';

/** How many lines of a cart are moved at once, unless told otherwise. */
export const LINES_AT_ONCE = 8;

export interface MigrateOptions extends Backoff {
  readonly linesAtOnce?: number;
}

/**
 * Moves every line of one cart to another owner; see `moveLine`. All lines that are there when it begins are moved; one that arrives
 * meanwhile is moved or stays. It may be cut short anywhere and repeated at any time.
 *
 * @returns how many lines came to which end.
 * @throws when a line could not be moved, after the others have been; see `moveLine`.
 */
export async function migrateCart(
  table: ShopTable,
  from: string,
  to: string,
  { linesAtOnce = LINES_AT_ONCE, ...backoff }: MigrateOptions = {},
): Promise<Readonly<Record<Moved, number>>> {
  const count = { moved: 0, gone: 0, left: 0 };
  const failures: unknown[] = [];
  for await (const lines of linePages(table, from, backoff)) {
    const page = each(lines, linesAtOnce, async (line) => {
      count[await moveLine(table, line, to, backoff)] += 1;
    });
    await page.catch((error: unknown) => failures.push(error));
  }
  if (failures.length > 0) throw failures[0];
  return count;
}
