import type { Checkpoint } from './checkpoints/checkpoints.ts';
import type { Position } from './streams/reader.ts';

/**
 * What a mapping did. `onEvent` receives each event when it happens. Events name records by sequence number and contain no values of items,
 * so that they can be logged.
 */
export type MappingEvent =
  | { readonly type: 'shard-started'; readonly shardId: string; readonly position: Position }
  /** Every record of the shard is done. Its children may start. */
  | { readonly type: 'shard-ended'; readonly shardId: string }
  /** A page of this many records was read. */
  | { readonly type: 'polled'; readonly shardId: string; readonly records: number }
  /** The records match no filter. The function does not receive them. */
  | ({ readonly type: 'filtered' } & Records)
  /** The handler is called next. The result is an event `succeeded`, `failed` or `not-invoked`. */
  | ({ readonly type: 'invoked'; readonly requestId: string } & Records)
  /** The function succeeded with the batch. `iteratorAgeMs` is the age of the last record, as in Lambda's metric `IteratorAge`. */
  | ({ readonly type: 'succeeded'; readonly requestId: string; readonly milliseconds: number; readonly iteratorAgeMs?: number } & Records)
  /** The function failed with these records. With the reason `partial`, it succeeded with the records before them. */
  | ({ readonly type: 'failed'; readonly requestId: string; readonly reason: FailureReason; readonly error: Error } & Records)
  /** The function was not invoked; see NotInvokedError. The batch is attempted again after `delayMs`. */
  | ({ readonly type: 'not-invoked'; readonly error: Error; readonly delayMs: number } & Records)
  /** The batch was split in two. The second part starts `at` this sequence number. */
  | ({ readonly type: 'split'; readonly at: string } & Records)
  /** The batch is retried after `delayMs`. `retry` counts from 1. */
  | ({ readonly type: 'retried'; readonly retry: number; readonly delayMs: number } & Records)
  /** The records were discarded, without an on-failure destination. */
  | ({ readonly type: 'dropped'; readonly condition: Condition } & Records)
  /** The records were discarded, and the on-failure destination has their letter. `name`: of the letter, if it has one. */
  | ({ readonly type: 'delivered'; readonly condition: Condition; readonly name?: string } & Records)
  /** The on-failure destination did not accept the letter. It is sent again after `delayMs`. */
  | ({ readonly type: 'delivery-failed'; readonly error: Error; readonly delayMs: number } & Records)
  /** The checkpoint was saved. */
  | { readonly type: 'checkpoint'; readonly shardId: string; readonly checkpoint: Checkpoint }
  /** The checkpoint was not saved. It is saved again, with a delay. */
  | { readonly type: 'checkpoint-failed'; readonly shardId: string; readonly error: Error }
  | Gap
  /** A call of the stream reader failed. It is repeated after `delayMs`. Without `shardId`, the call listed the shards. */
  | { readonly type: 'read-failed'; readonly shardId?: string; readonly error: Error; readonly delayMs: number };

interface Records {
  readonly shardId: string;
  readonly sequenceNumbers: readonly string[];
}

/** How an invocation failed: the handler threw, ran out of time, reported failed records, or gave an answer that fails the whole batch. */
export type FailureReason = 'error' | 'timeout' | 'partial' | 'answer';

/** Why records were discarded, in Lambda's words. */
export type Condition = 'RetryAttemptsExhausted' | 'RecordAgeExceeded';

/**
 * Records may be lost: the stream removed them before the function received them.
 *
 * - `trimmed`: DynamoDB removed the records at the mapping's place. The mapping continues with the first record that remains.
 * - `vanished`: DynamoDB removed the whole shard before the mapping saw its end. Shards between it and the known shards may be lost too;
 *   no event reports them.
 * - `expired`: the records were retried until they were 24 hours old, when DynamoDB removes them.
 *
 * `expired` covers all records from `from` to `to`, both included. `trimmed` and `vanished` are reported when the place is lost; how many
 * records were there, or whether any was, cannot be known. Lost records lie between `from`, which may be lost itself, and `to`, which is
 * not. `to` is absent if no later record was found.
 */
export interface Gap {
  readonly type: 'gap';
  readonly shardId: string;
  readonly reason: 'trimmed' | 'vanished' | 'expired';
  readonly from: StreamPlace;
  readonly to?: StreamPlace;
}

/** A place in a shard. */
export interface StreamPlace {
  readonly sequenceNumber?: string;
  /** Ms since the epoch. For a record, when it was written, rounded down to a second; for a checkpoint, when it was made. */
  readonly at?: number;
}

/** Numbers of records, as in Lambda's metrics of the group `EventCount` (`PolledEventCount` and so on). */
export interface EventCounts {
  readonly polled: number;
  readonly filteredOut: number;
  readonly invoked: number;
  readonly failedInvoke: number;
  /** Discarded without an on-failure destination, so lost without a trace. Records that expired in the stream do not count. */
  readonly dropped: number;
  readonly onFailureDestinationDelivered: number;
}

export const NO_EVENTS: EventCounts = {
  polled: 0,
  filteredOut: 0,
  invoked: 0,
  failedInvoke: 0,
  dropped: 0,
  onFailureDestinationDelivered: 0,
};

/** Adds an event to counts. Each retry of a record counts as one more invocation, and as one more failure if it fails. */
export function counted(counts: EventCounts, event: MappingEvent): EventCounts {
  switch (event.type) {
    case 'polled':
      return { ...counts, polled: counts.polled + event.records };
    case 'filtered':
      return { ...counts, filteredOut: counts.filteredOut + event.sequenceNumbers.length };
    case 'invoked':
      return { ...counts, invoked: counts.invoked + event.sequenceNumbers.length };
    case 'failed':
      return { ...counts, failedInvoke: counts.failedInvoke + event.sequenceNumbers.length };
    case 'not-invoked': {
      const { length } = event.sequenceNumbers;
      return { ...counts, invoked: counts.invoked - length, failedInvoke: counts.failedInvoke + length };
    }
    case 'dropped':
      return { ...counts, dropped: counts.dropped + event.sequenceNumbers.length };
    case 'delivered':
      return { ...counts, onFailureDestinationDelivered: counts.onFailureDestinationDelivered + event.sequenceNumbers.length };
    default:
      return counts;
  }
}
