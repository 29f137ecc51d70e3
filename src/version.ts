import { MalformedRecordError } from './errors.ts';

/**
 * When an item changed: the birth of its stream, then the record's place in that stream. Versions of one item sort by `<` as plain
 * strings, in JavaScript and in Lua, whatever the locale: all have the same length, and digits stand opposite digits.
 *
 * The birth matters because a new stream (disabled and enabled, a restored table, a restarted DynamoDB Local) may number from 1 again.
 */
export type Version = string & { readonly [brand]: 'Version' };
declare const brand: unique symbol;

const LABEL = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}$/;
const SEQUENCE_NUMBER = /^\d{1,40}$/;
/** DynamoDB Streams API reference: a SequenceNumber has 21 to 40 digits. */
const SEQUENCE_DIGITS = 40;

/** Characters of every `Version`. */
export const VERSION_LENGTH = 64;

/** Older than any version of any stream: what was read from the table, not from the stream. */
export const FLOOR = `0000-00-00T00:00:00.000/${'0'.repeat(SEQUENCE_DIGITS)}` as Version;

/** @throws MalformedRecordError when either part is not what DynamoDB Streams writes. */
export function versionOf(streamLabel: string, sequenceNumber: string): Version {
  if (!LABEL.test(streamLabel)) {
    throw new MalformedRecordError(`stream label "${streamLabel}" is not a timestamp like 2026-11-22T03:01:52.091`);
  }
  if (!SEQUENCE_NUMBER.test(sequenceNumber)) {
    throw new MalformedRecordError(`SequenceNumber "${sequenceNumber}" is not a decimal number of 1 to ${SEQUENCE_DIGITS} digits`);
  }
  return `${streamLabel}/${sequenceNumber.padStart(SEQUENCE_DIGITS, '0')}` as Version;
}
