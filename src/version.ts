import { MalformedRecordError, quoted } from './errors.ts';

/**
 * When an item changed: the label of its stream (the time the stream was created), then the record's sequence number in that stream. Versions of
 * one item sort by `<` as plain strings, in JavaScript and in Lua, in every locale, because all have the same length and digits face digits.
 *
 * The label is needed because a new stream may number from 1 again: a stream that was disabled and enabled, a restored table, a restarted DynamoDB
 * Local.
 */
export type Version = string & { readonly [brand]: 'Version' };
declare const brand: unique symbol;

const LABEL = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}$/;
const SEQUENCE_NUMBER = /^\d{1,40}$/;
/** DynamoDB Streams API reference: a SequenceNumber has 21 to 40 digits. */
const SEQUENCE_DIGITS = 40;

/** The length of every `Version`, in characters. */
export const VERSION_LENGTH = 64;

/** Older than any version of any stream. A value that was read from the table has this version where the cache held none. */
export const FLOOR = `0000-00-00T00:00:00.000/${'0'.repeat(SEQUENCE_DIGITS)}` as Version;

const VERSION = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}\/\d{40}$/;

/** Whether `versionOf` made the text, or it is `FLOOR`. */
export function isVersion(text: unknown): text is Version {
  return typeof text === 'string' && VERSION.test(text);
}

/** @throws MalformedRecordError when a part does not have the form that DynamoDB Streams writes. */
export function versionOf(streamLabel: string, sequenceNumber: string): Version {
  if (!LABEL.test(streamLabel)) {
    throw new MalformedRecordError(`stream label ${quoted(streamLabel)} is not a timestamp like 2026-11-22T03:01:52.091`);
  }
  if (!SEQUENCE_NUMBER.test(sequenceNumber)) {
    throw new MalformedRecordError(`SequenceNumber ${quoted(sequenceNumber)} is not a decimal number of 1 to ${SEQUENCE_DIGITS} digits`);
  }
  return `${streamLabel}/${sequenceNumber.padStart(SEQUENCE_DIGITS, '0')}` as Version;
}
