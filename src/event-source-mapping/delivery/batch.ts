import { type StreamRecord, writtenAt } from '../../dynamodb/record.ts';

/** A record that was read from a shard and waits to be done: by the function, by a filter, or by being discarded. */
export interface QueuedRecord {
  readonly record: StreamRecord;
  readonly sequenceNumber: string;
  /** When DynamoDB wrote the record, ms since the epoch, rounded down to a second. */
  readonly writtenAt: number | undefined;
  /** When the mapping read the record, ms since the epoch. */
  readonly readAt: number;
  /** The record as JSON. */
  readonly json: string;
  /** Length of `json`, bytes. */
  readonly bytes: number;
}

export function queuedRecordOf(record: StreamRecord, readAt: number): QueuedRecord {
  const json = JSON.stringify(record);
  const sequenceNumber = record.dynamodb?.SequenceNumber ?? '';
  return { record, sequenceNumber, writtenAt: writtenAt(record), readAt, json, bytes: Buffer.byteLength(json) };
}

export function numbersOf(records: readonly QueuedRecord[]): string[] {
  return records.map(({ sequenceNumber }) => sequenceNumber);
}

/** Records of one lane, in order, that go to the function together. */
export interface RecordBatch {
  readonly records: readonly QueuedRecord[];
  /** Number of retries so far. The parts of a split batch inherit it. */
  readonly retries: number;
  /** Number of invocations of the function with these records. */
  readonly invocations: number;
  /** Number of consecutive attempts that did not invoke the function. */
  readonly refusals: number;
  /** Delay before the next attempt, ms. */
  readonly delayMs: number;
  /** The last invocation of the function with these records. */
  readonly last?: InvocationResult;
}

/** One invocation of the function, after its end. */
export interface InvocationResult {
  readonly requestId: string;
  readonly functionArn: string;
  /** Duration, ms. */
  readonly milliseconds: number;
  /** Ms since the epoch. */
  readonly endedAt: number;
  readonly outcome: InvocationOutcome;
}

export type InvocationOutcome =
  | { readonly type: 'answered'; readonly answer: unknown }
  | { readonly type: 'error' | 'timeout' | 'not-invoked'; readonly error: Error };

/** Largest event that Lambda passes to a function, bytes: 6 MB (Lambda Developer Guide, "Batching behavior", "payload limit"). */
export const MAXIMUM_EVENT_BYTES = 6 * 1_024 * 1_024;

const [HEAD, TAIL] = ['{"Records":[', ']}'];

/** The event with these records, as JSON. */
export function eventText(records: readonly QueuedRecord[]): string {
  return `${HEAD}${records.map(({ json }) => json).join(',')}${TAIL}`;
}

/**
 * Finds the largest batch that can be taken from the front of a queue. `full` says that no further record would fit. A record that is
 * larger than the limit makes a batch of its own.
 */
export function largestBatch(queue: readonly QueuedRecord[], batchSize: number): { readonly count: number; readonly full: boolean } {
  let bytes = HEAD.length + TAIL.length;
  for (let count = 0; count < queue.length; count += 1) {
    if (count === batchSize) return { count, full: true };
    bytes += (queue[count] as QueuedRecord).bytes + 1;
    if (bytes - 1 > MAXIMUM_EVENT_BYTES && count > 0) return { count, full: true };
  }
  return { count: queue.length, full: queue.length === batchSize };
}
