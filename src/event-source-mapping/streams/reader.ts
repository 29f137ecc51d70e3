import type { StreamRecord } from '../../dynamodb/record.ts';

/**
 * What an event source mapping needs of a stream. Any error but the two below is taken for a passing one: the call is made again,
 * later and later.
 */
export interface StreamReader {
  /** All shards that the stream has now, in any order. */
  shards(): Promise<readonly Shard[]>;

  /** Where to read from. Throws TrimmedError when that place, or the whole shard, is gone. */
  iterator(shardId: string, position: Position): Promise<string>;

  /**
   * Up to `limit` records, in the shape of Lambda's event, in the order of the shard. Throws TrimmedError when records from there on are
   * gone, ExpiredIteratorError when the iterator is too old.
   */
  records(iterator: string, limit: number): Promise<RecordPage>;
}

export interface Shard {
  readonly id: string;
  /** Its records come before this shard's. It may no longer be there. */
  readonly parent?: string;
  /** No record will be added. */
  readonly closed: boolean;
  /** The first sequence number. */
  readonly start?: string;
  /** The last one. */
  readonly end?: string;
}

export type Position = { readonly type: 'TRIM_HORIZON' | 'LATEST' } | { readonly type: 'AT' | 'AFTER'; readonly sequenceNumber: string };

export interface RecordPage {
  readonly records: readonly StreamRecord[];
  /** Absent: the shard is closed, and this was its end. */
  readonly next?: string;
}

/** How long DynamoDB keeps a record, ms (DynamoDB Developer Guide, "Change data capture for DynamoDB Streams"). */
export const RETENTION_MS = 86_400_000;

/** The place in the stream is gone; see `RETENTION_MS`. */
export class TrimmedError extends Error {
  override readonly name = 'TrimmedError';
}

/** An iterator that was given too long ago; a new one for the same place will do. */
export class ExpiredIteratorError extends Error {
  override readonly name = 'ExpiredIteratorError';
}
