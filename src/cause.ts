/**
 * Where a record, an item or a dead letter failed.
 *
 * - `decode`: a record, or an item of the table, cannot be read.
 * - `view`: a view cannot project the item.
 * - `rejected`: the cache will never take the value.
 * - `changing`: the item changed between every two reads.
 * - `table`, `cache`: the service gave no answer, or none that helps.
 * - `letter`: the text is not a dead letter, or the letter has no records.
 * - `store`: the letter could not be read, written or removed.
 */
export type Stage = 'decode' | 'view' | 'rejected' | 'changing' | 'table' | 'cache' | 'letter' | 'store';

/** Why a record, an item or a dead letter failed. */
export interface Cause {
  readonly stage: Stage;
  /** The view as its keys begin: `detail@1`. Present where the failure concerns one view. */
  readonly view?: string;
  /** The key, or the list, whose value the cache rejected. It may hold values of the item, so it never goes into a log. */
  readonly address?: string;
  /** The letter that this cause keeps. Absent: the cause keeps every letter of the item. */
  readonly letter?: string;
  /** Its message has no values of the item, so it is fit for a log. */
  readonly error: Error;
}

/** A cause as logs and letters have it. The address is left out, because it may hold values of the item. */
export interface PlainCause {
  readonly stage: Stage;
  readonly view?: string;
  readonly error: { readonly name: string; readonly message: string };
}

export function plainCause({ stage, view, error }: Cause): PlainCause {
  return { stage, view, error: { name: error.name, message: error.message } };
}
