import { type Cause, plainCause } from '../cause.ts';
import type { Marshalled, StreamRecord } from '../dynamodb/record.ts';
import { letterName, letterText } from '../letters/letter.ts';
import type { LetterStore } from '../letters/store.ts';

/** Writes the letters of items that a backfill cannot fill in. */
export interface ItemLetters {
  /** Durable once it resolves. One item has one letter a backfill, unless it changes. @throws what the store throws */
  put(key: Marshalled, item: Marshalled, causes: readonly Cause[]): Promise<void>;
}

export interface ItemLettersOptions {
  readonly store: Pick<LetterStore, 'put'>;
  /** The ARN of the table's stream. */
  readonly streamArn: string;
  /** When the backfill began. The letters' names have this time. */
  readonly at: Date;
}

/**
 * Letters of items, in the form of letters of records, so that a redrive settles them. No record tells of such an item, so its letter has an insert with
 * the sequence number 0: that is older than every record of the stream, and a redrive then overwrites nothing that the stream wrote.
 */
export function itemLetters({ store, streamArn, at }: ItemLettersOptions): ItemLetters {
  return {
    async put(key, item, causes) {
      const record: StreamRecord = {
        eventName: 'INSERT',
        eventSource: 'aws:dynamodb',
        eventSourceARN: streamArn,
        dynamodb: {
          ApproximateCreationDateTime: Math.floor(at.getTime() / 1_000),
          Keys: key,
          NewImage: item,
          SequenceNumber: '0',
          StreamViewType: 'NEW_AND_OLD_IMAGES',
        },
      };
      await store.put(letterName(record), letterText({ records: [record], condition: 'Poison', at, causes: causes.map(plainCause) }));
    },
  };
}
