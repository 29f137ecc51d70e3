import type { Attributes } from './change.ts';
import type { Marshalled } from './dynamodb/record.ts';

/** A table from which items can be read by key. */
export interface TableReader {
  /**
   * Reads items as they are now (`ConsistentRead`), decoded as images of the stream are. Each key has the stream's form: attributes with their
   * types. Returns one answer a key, in the order of the keys. The table is named by its ARN, so that a table of another account or Region
   * cannot be mistaken for it.
   *
   * @throws the SDK's error when the table gives no answer (a later call may succeed), or the signal's reason when the signal ends a pause.
   */
  read(tableArn: string, keys: readonly Marshalled[], signal?: AbortSignal): Promise<readonly TableAnswer[]>;
}

/** What a table has at a key. `item` is absent where the table has no item. `error`: asking again gives the same error. */
export type TableAnswer = { readonly item?: Attributes } | { readonly error: Error };
