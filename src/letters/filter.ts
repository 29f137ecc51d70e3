import { tableNameIn } from '../dynamodb/record.ts';
import type { Letter } from './letter.ts';

/** Which letters to take. A field that is absent takes all. */
export interface LetterFilter {
  /** Letters whose name tells this time or a later one; see `oldestFirst`. */
  readonly since?: Date;
  /** Letters whose name tells an earlier time; see `oldestFirst`. */
  readonly until?: Date;
  /** A stage of the worker's causes (`decode`, `view`, `rejected`), or Lambda's condition (`RetryAttemptsExhausted`, `RecordAgeExceeded`, …). */
  readonly cause?: string;
  readonly table?: string;
}

/**
 * Whether a letter has the cause and the table of a filter. A letter without a table matches every table. `undefined` stands for a text that
 * is not a letter: it may be of any table, and it has no cause.
 */
export function matches({ cause, table }: Pick<LetterFilter, 'cause' | 'table'>, letter: Letter | undefined): boolean {
  if (!letter) return cause === undefined;
  const letterTable = tableNameIn(letter.streamArn);
  if (table !== undefined && letterTable !== undefined && letterTable !== table) return false;
  return cause === undefined || letter.condition === cause || letter.causes.some(({ stage }) => stage === cause);
}
