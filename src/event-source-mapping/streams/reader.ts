import type { StreamRecord } from '../../dynamodb/record.ts';

/**
 * The stream that an event source mapping follows. A call that rejects with any error other than TrimmedError and ExpiredIteratorError is
 * repeated, with growing delays.
 */
export interface StreamReader {
  /** Lists all shards that the stream has now, in any order. */
  shards(): Promise<readonly Shard[]>;

  /** Returns an iterator at a position of a shard. Rejects with TrimmedError when the position, or the whole shard, no longer exists. */
  iterator(shardId: string, position: Position): Promise<string>;

  /**
   * Returns at most `limit` records in the shape of Lambda's event, in the order of the shard. Rejects with TrimmedError when the records
   * at the iterator no longer exist, and with ExpiredIteratorError when the iterator is too old.
   */
  records(iterator: string, limit: number): Promise<RecordPage>;
}

export interface Shard {
  readonly id: string;
  /** The shard whose records come before this shard's records. It may no longer be in the stream. */
  readonly parent?: string;
  /** Whether no record will be added. */
  readonly closed: boolean;
}

export type Position = { readonly type: 'TRIM_HORIZON' | 'LATEST' } | { readonly type: 'AT' | 'AFTER'; readonly sequenceNumber: string };

export interface RecordPage {
  readonly records: readonly StreamRecord[];
  /**
   * Iterator of the next page. Absent at the end of a closed shard. DynamoDB has also left it out for open shards, so the mapping asks `shards`
   * before it takes a shard as ended.
   */
  readonly next?: string;
}

/** How long DynamoDB keeps a record, ms (DynamoDB Developer Guide, "Change data capture for DynamoDB Streams"). */
export const RETENTION_MS = 86_400_000;

/** The requested place in the stream no longer exists; see `RETENTION_MS`. */
export class TrimmedError extends Error {
  override readonly name = 'TrimmedError';
}

/** The iterator is too old. A new iterator at the same place works. */
export class ExpiredIteratorError extends Error {
  override readonly name = 'ExpiredIteratorError';
}
