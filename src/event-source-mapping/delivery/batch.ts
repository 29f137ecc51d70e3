import { type StreamRecord, writtenAt } from '../../dynamodb/record.ts';

/** A record that was read, on its way. */
export interface QueuedRecord {
  readonly record: StreamRecord;
  readonly sequenceNumber: string;
  /** When it was written, epoch ms, to the second. */
  readonly at: number | undefined;
  /** When it was read. */
  readonly readAt: number;
  /** As JSON. */
  readonly text: string;
  /** Of the text. */
  readonly bytes: number;
  /** Dealt with, in one way or another. */
  done: boolean;
}

export function queuedRecordOf(record: StreamRecord, readAt: number): QueuedRecord {
  const text = JSON.stringify(record);
  const sequenceNumber = record.dynamodb?.SequenceNumber ?? '';
  return { record, sequenceNumber, at: writtenAt(record), readAt, text, bytes: Buffer.byteLength(text), done: false };
}

export interface InvocationResult {
  readonly requestId: string;
  readonly functionArn: string;
  readonly milliseconds: number;
  /** Epoch ms. */
  readonly endedAt: number;
  readonly outcome: InvocationOutcome;
}

export type InvocationOutcome =
  | { readonly type: 'answered'; readonly answer: unknown }
  | { readonly type: 'error' | 'timeout' | 'not-invoked'; readonly error: Error };

/** Records of one shard, in order, that are to go to the function together. */
export interface RecordBatch {
  readonly entries: readonly QueuedRecord[];
  /** How often it was retried. What it is split into goes on from there. */
  readonly retries: number;
  /** How often the function was invoked with these records. */
  readonly invocations: number;
  /** How often in a row no invocation came about. */
  readonly refusals: number;
  /** How long to wait first. */
  readonly delayMs: number;
  /** The last invocation with these records. */
  readonly last?: InvocationResult;
}

/** "Lambda payload limit": 6 MB. */
export const MAXIMUM_EVENT_BYTES = 6 * 1_024 * 1_024;

const [HEAD, TAIL] = ['{"Records":[', ']}'];

/** The event's JSON. */
export function eventText(entries: readonly QueuedRecord[]): string {
  return `${HEAD}${entries.map(({ text }) => text).join(',')}${TAIL}`;
}

/** How many of the entries, from the first on, make the largest batch; `full` if no further record could be added. */
export function largestBatch(entries: readonly QueuedRecord[], batchSize: number): { readonly count: number; readonly full: boolean } {
  let bytes = HEAD.length + TAIL.length;
  for (let count = 0; count < entries.length; count += 1) {
    if (count === batchSize) return { count, full: true };
    bytes += (entries[count] as QueuedRecord).bytes + 1;
    // A record alone is always let through.
    if (bytes - 1 > MAXIMUM_EVENT_BYTES && count > 0) return { count, full: true };
  }
  return { count: entries.length, full: entries.length === batchSize };
}

export function numbersOf(entries: readonly QueuedRecord[]): string[] {
  return entries.map(({ sequenceNumber }) => sequenceNumber);
}
