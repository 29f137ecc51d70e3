import type { StreamRecord } from '../../dynamodb/record.ts';
import { writtenAt } from '../../dynamodb/record.ts';

/** A record that was read, on its way. */
export interface Entry {
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

export function entryOf(record: StreamRecord, readAt: number): Entry {
  const text = JSON.stringify(record);
  const sequenceNumber = record.dynamodb?.SequenceNumber ?? '';
  return { record, sequenceNumber, at: writtenAt(record), readAt, text, bytes: Buffer.byteLength(text), done: false };
}
