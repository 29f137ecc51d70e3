import { createHash } from 'node:crypto';
import type { PlainCause } from '../cause.ts';
import { type StreamEvent, type StreamRecord, tableNameIn, writtenAt } from '../dynamodb/record.ts';
import { MalformedLetterError } from '../errors.ts';

/**
 * A dead letter: records that will not be applied, and why. Its text is the JSON that Lambda writes to an S3 on-failure destination of an event
 * source mapping. Letters that the worker writes have one more field, `millrace`. In a text that is read, every field but `payload` may be absent.
 */
export interface Letter {
  /** The event as Lambda gave it to the function. */
  readonly event: StreamEvent;
  /** `Poison` and `Rejected` are the worker's; Lambda has `RetryAttemptsExhausted`, `RecordAgeExceeded` and others. */
  readonly condition?: string;
  /** When the letter was written. */
  readonly at?: Date;
  readonly functionArn?: string;
  readonly streamArn?: string;
  /** Empty in Lambda's own letters, which have no causes. */
  readonly causes: readonly PlainCause[];
  /** Present if a redrive kept the letter. */
  readonly redrives?: Redrives;
  /** The parsed text. */
  readonly raw: Readonly<Record<string, unknown>>;
}

/** What redrives wrote into a letter that they kept. */
export interface Redrives {
  readonly count: number;
  /** When the last one was, ISO 8601. */
  readonly last: string;
  /** Why it kept the letter. It has no values of items. */
  readonly cause: string;
}

/** Records that are discarded, and what Lambda's on-failure message says of them. */
export interface OnFailureContent {
  readonly records: readonly StreamRecord[];
  readonly condition: string;
  /** When the message is written. */
  readonly at: Date;
  readonly requestId?: string;
  readonly functionArn?: string;
  readonly approximateInvokeCount?: number;
  readonly responseContext?: { readonly statusCode: number; readonly executedVersion: string; readonly functionError?: string };
  /** Default: `unknown`, because an event does not name its shard. */
  readonly shardId?: string;
}

export interface LetterContent extends OnFailureContent {
  readonly causes?: readonly PlainCause[];
}

/**
 * The message that Lambda sends to an SQS or SNS on-failure destination. An object in an S3 destination has the same fields, and the event
 * as its `payload` (AWS Lambda Developer Guide, "Using AWS Lambda with Amazon DynamoDB", "Retaining discarded records").
 */
export function onFailureMessage(content: OnFailureContent) {
  const { records, condition, at, requestId, functionArn, approximateInvokeCount, responseContext, shardId = 'unknown' } = content;
  const [first, last] = [records[0], records.at(-1)];
  return {
    requestContext: { requestId, functionArn, condition, approximateInvokeCount },
    responseContext,
    version: '1.0',
    timestamp: at.toISOString(),
    DDBStreamBatchInfo: {
      shardId,
      startSequenceNumber: first?.dynamodb?.SequenceNumber,
      endSequenceNumber: last?.dynamodb?.SequenceNumber,
      approximateArrivalOfFirstRecord: isoOf(first),
      approximateArrivalOfLastRecord: isoOf(last),
      batchSize: records.length,
      streamArn: first?.eventSourceARN,
    },
  };
}

/** The text of a dead letter: Lambda's message with its payload, and the worker's `causes` in the field `millrace`. */
export function letterText(content: LetterContent): string {
  const { records, causes } = content;
  return JSON.stringify({
    ...onFailureMessage(content),
    payload: JSON.stringify({ Records: records }, inEventForm),
    ...(causes && { millrace: { causes } }),
  });
}

/** The text of a letter that a redrive kept: the same text with `redrives`. */
export function redrivenText({ raw }: Letter, redrives: Redrives): string {
  const millrace = isObject(raw.millrace) ? raw.millrace : {};
  return JSON.stringify({ ...raw, millrace: { ...millrace, redrives } });
}

/**
 * The name of a record's letter. A record has the same name each time it is set aside, so a retry replaces its letter and never adds a second one.
 * The name tells the table, the time and the sequence number, as far as the record has them, and a hash of the whole record.
 */
export function letterName(record: StreamRecord): string {
  const table = tableNameIn(record?.eventSourceARN) ?? 'unknown-table';
  const number: unknown = record?.dynamodb?.SequenceNumber;
  const sequenceNumber = /^\d{1,64}$/.exec(typeof number === 'object' ? '' : String(number))?.[0] ?? 'unnumbered';
  const hash = createHash('sha256').update(canonicalText(record)).digest('hex').slice(0, 16);
  const [day, time] = isoOf(record)?.split('T') ?? [];
  const at = day && time ? `${day.replaceAll('-', '/')}/${day}T${time.slice(0, 8).replaceAll(':', '.')}` : 'undated/undated';
  return `millrace/${table}/${at}-${sequenceNumber}-${hash}.json`;
}

/** Lambda's largest event has 6 MB, and at most twice of that as text within text. So nothing larger is a letter. */
export const MAXIMUM_LETTER_BYTES = 16_000_000;
/** Lambda's largest batch (Lambda Developer Guide, "Lambda parameters for Amazon DynamoDB event source mappings"). */
const MAXIMUM_RECORDS = 10_000;

/**
 * Parses a text that anybody may have written: it is measured first, so that no text takes more memory than Lambda's largest letters do.
 *
 * @throws MalformedLetterError that says what is wrong with the text.
 */
export function parseLetter(text: string): Letter {
  // A character has at least one byte, and at most three.
  if (text.length * 3 > MAXIMUM_LETTER_BYTES) refuseLarge(Buffer.byteLength(text));
  const raw = jsonOf(text, 'it');
  if (!isObject(raw)) throw new MalformedLetterError('not a dead letter: it is no JSON object');
  if (raw.payload === undefined) {
    throw new MalformedLetterError(
      'not a dead letter with records: it has no payload. The letters of SQS and SNS destinations have none; make the on-failure destination an S3 bucket',
    );
  }
  const event = typeof raw.payload === 'string' ? jsonOf(raw.payload, 'its payload') : raw.payload;
  if (!isObject(event) || !Array.isArray(event.Records)) throw new MalformedLetterError('not a dead letter: its payload has no Records');
  if (event.Records.length > MAXIMUM_RECORDS) {
    throw new MalformedLetterError(
      `not a dead letter: it has ${event.Records.length} records, and no batch has more than ${MAXIMUM_RECORDS}: remove it`,
    );
  }
  const { requestContext, DDBStreamBatchInfo: batch, timestamp, millrace } = raw;
  const at = typeof timestamp === 'string' ? new Date(timestamp) : undefined;
  return {
    event: event as unknown as StreamEvent,
    condition: textIn(requestContext, 'condition'),
    at: at && !Number.isNaN(at.getTime()) ? at : undefined,
    functionArn: textIn(requestContext, 'functionArn'),
    streamArn: textIn(batch, 'streamArn') ?? textIn(event.Records[0], 'eventSourceARN'),
    causes: isObject(millrace) && Array.isArray(millrace.causes) ? (millrace.causes.filter(isCause) as PlainCause[]) : [],
    redrives: isObject(millrace) && isRedrives(millrace.redrives) ? millrace.redrives : undefined,
    raw,
  };
}

/** Equal records have equal texts. A record that is nested too deep for JSON has none, and DynamoDB has no such record. */
function canonicalText(record: StreamRecord): string {
  try {
    return JSON.stringify(record, sorted) ?? '';
  } catch {
    return '';
  }
}

/** @throws MalformedLetterError when a text of this size cannot be a letter. A store that knows the size calls this before it loads the text. */
export function refuseLarge(bytes: number, maximum = MAXIMUM_LETTER_BYTES): void {
  if (bytes <= maximum) return;
  throw new MalformedLetterError(
    `not a dead letter: it has ${bytes} bytes, and no letter has more than ${maximum}: look at it, and remove it`,
  );
}

/** The parser's own message would quote the text, and so values of items. */
function jsonOf(text: string, name: string): unknown {
  const fault = excessOf(text);
  if (fault !== undefined) throw new MalformedLetterError(`not a dead letter: ${name} ${fault}: remove it`);
  try {
    return JSON.parse(text);
  } catch {
    throw new MalformedLetterError(`not a dead letter: ${name} is not JSON`);
  }
}

/** Deeper than any event is: DynamoDB nests attributes 32 levels deep, and each level is two objects. */
const MAXIMUM_DEPTH = 200;
/** More than 6 MB of a real event can have. */
const MAXIMUM_VALUES = 3_000_000;

/** What a JSON text would take too much memory by, found without parsing it. A text that is not JSON may pass. */
function excessOf(text: string): string | undefined {
  let [depth, values, isText] = [0, 0, false];
  for (let i = 0; i < text.length; i += 1) {
    const code = text.charCodeAt(i);
    if (isText) {
      if (code === BACKSLASH) i += 1;
      else if (code === QUOTE) isText = false;
    } else if (code === QUOTE) isText = true;
    else if (code === OPEN_BRACE || code === OPEN_BRACKET) {
      depth += 1;
      values += 1;
      if (depth > MAXIMUM_DEPTH) return `is nested more than ${MAXIMUM_DEPTH} levels deep`;
    } else if (code === CLOSE_BRACE || code === CLOSE_BRACKET) depth -= 1;
    else if (code === COMMA) values += 1;
    if (values > MAXIMUM_VALUES) return `has more than ${MAXIMUM_VALUES} values`;
  }
  return undefined;
}

const [QUOTE, BACKSLASH, COMMA] = [0x22, 0x5c, 0x2c];
const [OPEN_BRACE, CLOSE_BRACE, OPEN_BRACKET, CLOSE_BRACKET] = [0x7b, 0x7d, 0x5b, 0x5d];

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function textIn(holder: unknown, name: string): string | undefined {
  const value = isObject(holder) ? holder[name] : undefined;
  return typeof value === 'string' ? value : undefined;
}

function isCause(value: unknown): boolean {
  if (!isObject(value) || !isObject(value.error)) return false;
  const { stage, view, error } = value;
  const isStage = stage === 'decode' || stage === 'view' || stage === 'rejected';
  return isStage && (view === undefined || typeof view === 'string') && textIn(error, 'message') !== undefined;
}

function isRedrives(value: unknown): value is Redrives {
  return isObject(value) && typeof value.count === 'number' && textIn(value, 'last') !== undefined && textIn(value, 'cause') !== undefined;
}

/** The time of a record to the second, as Lambda writes it. */
function isoOf(record: StreamRecord | undefined): string | undefined {
  const date = new Date(writtenAt(record) ?? Number.NaN);
  return Number.isNaN(date.getTime()) ? undefined : date.toISOString().replace(/\.\d{3}Z$/, 'Z');
}

/** A record of `GetRecords` has Dates and bytes where an event has seconds and base64. */
function inEventForm(this: unknown, name: string, value: unknown): unknown {
  const original = (this as Record<string, unknown>)[name];
  if (original instanceof Date) return original.getTime() / 1_000;
  if (original instanceof Uint8Array) return Buffer.from(original).toString('base64');
  return value;
}

/** The order of names in an object means nothing, and it differs between two deliveries of a record. */
function sorted(this: unknown, name: string, value: unknown): unknown {
  const plain = inEventForm.call(this, name, value);
  if (!isObject(plain)) return plain;
  return Object.fromEntries(Object.entries(plain).sort(([a], [b]) => (a < b ? -1 : 1)));
}
