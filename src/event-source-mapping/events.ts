import type { Checkpoint } from './checkpoints/checkpoints.ts';
import type { Position } from './streams/reader.ts';

/** What a mapping did, told as it happens. Records are told by sequence number; their values stay out, so that events can be logged. */
export type MappingEvent =
  | { readonly type: 'shard-started'; readonly shardId: string; readonly position: Position }
  /** Every record of it is done: its children may begin. */
  | { readonly type: 'shard-ended'; readonly shardId: string }
  | { readonly type: 'polled'; readonly shardId: string; readonly records: number }
  /** No filter let them pass: the function will not see them. */
  | ({ readonly type: 'filtered' } & Records)
  /** The handler is about to be called. `succeeded`, `failed` or `not-invoked` will tell what came of it. */
  | ({ readonly type: 'invoked'; readonly requestId: string } & Records)
  /** `iteratorAgeMs`: of the last record, as Lambda's metric `IteratorAge`. */
  | ({ readonly type: 'succeeded'; readonly requestId: string; readonly milliseconds: number; readonly iteratorAgeMs?: number } & Records)
  /** `partial`: the function's answer names the record from which to retry. The records are those that failed. */
  | ({ readonly type: 'failed'; readonly requestId: string; readonly reason: FailureReason; readonly error: Error } & Records)
  /** The invocation did not come about; see NotInvokedError. */
  | ({ readonly type: 'not-invoked'; readonly error: Error; readonly delayMs: number } & Records)
  /** In two parts: the second begins `at` this sequence number. */
  | ({ readonly type: 'split'; readonly at: string } & Records)
  /** They will be, after a delay. `retry` counts from 1. */
  | ({ readonly type: 'retried'; readonly retry: number; readonly delayMs: number } & Records)
  /** Given up, and there was no on-failure destination. */
  | ({ readonly type: 'dropped'; readonly condition: Condition } & Records)
  /** Given up, and their letter is at the on-failure destination. `name`: of the letter, where it has one. */
  | ({ readonly type: 'delivered'; readonly condition: Condition; readonly name?: string } & Records)
  /** The on-failure destination did not take the letter: it will be asked again. */
  | ({ readonly type: 'delivery-failed'; readonly error: Error; readonly delayMs: number } & Records)
  | { readonly type: 'checkpoint'; readonly shardId: string; readonly checkpoint: Checkpoint }
  | { readonly type: 'checkpoint-failed'; readonly shardId: string; readonly error: Error }
  | Gap
  /** The stream gave no answer: it will be asked again. No `shardId`: it was asked for its shards. */
  | { readonly type: 'read-failed'; readonly shardId?: string; readonly error: Error; readonly delayMs: number };

interface Records {
  readonly shardId: string;
  readonly sequenceNumbers: readonly string[];
}

export type FailureReason = 'error' | 'timeout' | 'partial' | 'answer';

/** Why Lambda gave records up. */
export type Condition = 'RetryAttemptsExhausted' | 'RecordAgeExceeded';

/**
 * Records may be lost, unseen by the function.
 *
 * - `trimmed`: DynamoDB removed the place where the mapping was; it goes on with the first record that is still there;
 * - `vanished`: the whole shard was removed before its end was seen, and with it those between it and the shards that were known, of which
 *   nothing tells;
 * - `expired`: records were retried until the stream no longer had them (24 hours).
 *
 * What was lost lies between `from`, which may itself be among it, and `to`, which is not; `to` is absent if no record
 * was found behind it. For `expired` it is all from `from` to `to`. It is told when the place was lost: nothing can tell how many records
 * were there, and whether any.
 */
export interface Gap {
  readonly type: 'gap';
  readonly shardId: string;
  readonly reason: 'trimmed' | 'vanished' | 'expired';
  readonly from: StreamPlace;
  readonly to?: StreamPlace;
}

/** `at`, ms since the epoch: of a checkpoint, when it was made; of a record, when it was written, to the second. */
export interface StreamPlace {
  readonly sequenceNumber?: string;
  readonly at?: number;
}

/** Records, counted as Lambda's metrics of the group `EventCount` do (`PolledEventCount` and so on). */
export interface EventCounts {
  readonly polled: number;
  readonly filteredOut: number;
  readonly invoked: number;
  readonly failedInvoke: number;
  /** Without those that expired in the stream, and without those of the next line: so the count of silent loss. */
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

/** The counts, and this event. A record that is retried is invoked, and maybe failed, once more. */
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
