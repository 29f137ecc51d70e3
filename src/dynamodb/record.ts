import { type Attributes, type Change, itemOf } from '../change.ts';
import { asError, MalformedRecordError, quoted } from '../errors.ts';
import { type Version, versionOf } from '../version.ts';
import { attributesOf, keyOnly, type Marshalled, shapeOf } from './attributes.ts';

export { attributesOf, type Marshalled };

/** The parts that Millrace reads of a record: of a Lambda event, or of `GetRecords` (with Dates, Uint8Arrays and no ARN). */
export interface StreamRecord {
  readonly eventID?: string | undefined;
  readonly eventName?: string | undefined;
  readonly eventSource?: string | undefined;
  readonly eventSourceARN?: string | undefined;
  readonly userIdentity?: unknown;
  readonly dynamodb?:
    | {
        /** See `writtenAt`. */
        readonly ApproximateCreationDateTime?: number | Date | undefined;
        readonly Keys?: Marshalled | undefined;
        readonly NewImage?: Marshalled | undefined;
        readonly OldImage?: Marshalled | undefined;
        readonly SequenceNumber?: string | undefined;
        readonly StreamViewType?: string | undefined;
      }
    | undefined;
}

export interface StreamEvent {
  readonly Records: readonly StreamRecord[];
}

/** What a record tells although `decodeRecord` may refuse it: its item, its version, and each image by itself. */
export interface Hint {
  readonly table: string;
  readonly tableArn: string;
  /** The item's key in the table's form: each attribute with its type. */
  readonly key: Marshalled;
  readonly item: string;
  readonly version: Version;
  readonly before: Image;
  readonly after: Image;
}

/** An image of an item. `attributes` are absent where there was no item; `error` says why the image cannot be read. */
type Image = { readonly attributes?: Attributes } | { readonly error: Error };

/** The images of each kind of event on a NEW_AND_OLD_IMAGES stream (DynamoDB Developer Guide, "Change data capture"). */
const IMAGES = {
  INSERT: { old: false, new: true },
  MODIFY: { old: true, new: true },
  REMOVE: { old: true, new: false },
} as const;

/**
 * Decodes a record.
 *
 * @param index the record's place in its batch, for the error message
 * @param streamArn the stream's ARN. Default: the record's own; records of `GetRecords` have none
 * @throws MalformedRecordError that names the record and says what is wrong with it.
 */
export function decodeRecord(record: StreamRecord, index: number, streamArn?: string): Change {
  try {
    return decode(record, streamArn);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new MalformedRecordError(`record ${index} (${label(record)}): ${reason}`);
  }
}

/**
 * Reads what a record tells, even if `decodeRecord` refuses the record. A missing image that the kind of event should have is an error of that image.
 *
 * @param streamArn the stream's ARN, for records that have none
 * @throws MalformedRecordError when the record tells no item, or no version.
 */
export function hintOf(record: StreamRecord, index: number, streamArn?: string): Hint {
  try {
    return hint(record, streamArn);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new MalformedRecordError(`record ${index} (${label(record)}): ${reason}`);
  }
}

function hint(record: StreamRecord, streamArn: string | undefined): Hint {
  const { kind, source, version, key, keys, body } = identify(record, record?.eventSourceARN ?? streamArn);
  const needs = IMAGES[kind];
  const imageOf = (name: 'OldImage' | 'NewImage', needed: boolean): Image => {
    if (!needed && isAbsent(body[name])) return {};
    try {
      return { attributes: image(body[name], name, kind, body.StreamViewType) };
    } catch (error) {
      return { error: error as Error };
    }
  };
  return {
    table: source.table,
    tableArn: source.arn.slice(0, source.arn.lastIndexOf('/stream/')),
    key,
    item: itemOf(keys),
    version,
    before: imageOf('OldImage', needs.old),
    after: imageOf('NewImage', needs.new),
  };
}

/** What people find a record by. */
function label(record: StreamRecord): string {
  if (isNoObject(record)) return 'not an object';
  const sequenceNumber: unknown = record.dynamodb?.SequenceNumber;
  return [
    record.eventName === undefined ? 'no eventName' : bare(record.eventName),
    sequenceNumber ? `SequenceNumber ${bare(sequenceNumber)}` : `eventID ${bare(record.eventID ?? 'unknown')}`,
  ].join(', ');
}

function isNoObject(record: unknown): boolean {
  return typeof record !== 'object' || record === null || Array.isArray(record);
}

/** Quotes only a value that would be misread without quotes. */
function bare(value: unknown): string {
  return /^[\w-]{1,60}$/.test(String(typeof value === 'object' ? '' : value)) ? String(value) : quoted(value);
}

function decode(record: StreamRecord, arn: string | undefined): Change {
  const { kind, source, version, keys, body } = identify(record, arn ?? record?.eventSourceARN);
  const needs = IMAGES[kind];
  return {
    table: source.table,
    keys,
    item: itemOf(keys),
    ...(needs.old && { before: image(body.OldImage, 'OldImage', kind, body.StreamViewType) }),
    ...(needs.new && { after: image(body.NewImage, 'NewImage', kind, body.StreamViewType) }),
    version,
    at: writtenAt(record),
    expired: kind === 'REMOVE' && isTimeToLive(record.userIdentity),
  };
}

/** The item and the version of a record. */
function identify(record: StreamRecord, arn: string | undefined) {
  if (isNoObject(record)) throw new MalformedRecordError('a record is an object');
  refuseKinesis(record);
  const kind = record.eventName;
  if (kind !== 'INSERT' && kind !== 'MODIFY' && kind !== 'REMOVE') {
    const found = kind === undefined || kind === null ? 'is absent: it' : quoted(kind);
    throw new MalformedRecordError(`eventName ${found} is none of INSERT, MODIFY, REMOVE`);
  }
  const body = record.dynamodb;
  if (typeof body !== 'object' || body === null)
    throw new MalformedRecordError('it has no "dynamodb" part: this is no DynamoDB Streams record');
  const source = parseArn(arn);
  const { SequenceNumber: sequenceNumber, Keys: keys } = body;
  if (sequenceNumber === undefined || sequenceNumber === null || sequenceNumber === '')
    throw new MalformedRecordError('it has no SequenceNumber, so its order is not known');
  if (typeof sequenceNumber !== 'string') {
    const loss = typeof sequenceNumber === 'number' ? ', which loses digits' : '';
    throw new MalformedRecordError(`its SequenceNumber is ${shapeOf(sequenceNumber)}${loss}: give it as a string`);
  }
  const version = versionOf(source.label, sequenceNumber);
  if (!keys || Object.keys(keys).length === 0) throw new MalformedRecordError('it has no Keys, so its item is not known');
  const key = decodedPart('Keys', () => keyOnly(keys));
  return { kind, source, version, key, keys: attributesOf(key), body } as const;
}

function refuseKinesis(record: object): void {
  if (!('kinesis' in record) && !('recordFormat' in record)) return;
  throw new MalformedRecordError(
    'it came through Kinesis Data Streams, which repeats and reorders changes and has no SequenceNumber of the item: connect the DynamoDB stream itself',
  );
}

interface Source {
  readonly arn: string;
  readonly table: string;
  readonly label: string;
}

/** All records of a batch come from one stream. */
let lastSource: Source | undefined;

/** Longer than the ARN of any stream. */
const MOST_ARN_CHARACTERS = 1_000;
const STREAM = '/stream/';

function parseArn(arn: unknown): Source {
  if (lastSource && lastSource.arn === arn) return lastSource;
  if (typeof arn === 'string' && arn.length <= MOST_ARN_CHARACTERS) {
    const table = tableNameIn(arn);
    const at = arn.indexOf(STREAM);
    const label = at === -1 ? '' : arn.slice(at + STREAM.length);
    if (table && label) {
      checkLabel(label);
      lastSource = { arn, table, label };
      return lastSource;
    }
  }
  throw new MalformedRecordError(
    `stream ARN ${arn === undefined ? 'is absent' : quoted(arn)}: without its label (arn:aws:dynamodb:REGION:ACCOUNT:table/NAME/stream/LABEL) versions cannot be compared`,
  );
}

/** How far the label of a stream may be ahead of this clock, ms: a day covers every clock skew and time zone. */
const LABEL_AHEAD_MS = 86_400_000;

/**
 * A label is the time at which the stream was created, and the first part of each version. A label in the future would make its items newer than
 * all that is to come, and so freeze them.
 */
function checkLabel(label: string): void {
  // Any sequence number does: only the form of the label is of interest.
  versionOf(label, '0');
  const created = Date.parse(`${label}Z`);
  if (Number.isNaN(created)) throw new MalformedRecordError(`stream label ${quoted(label)} is not a time`);
  if (created > Date.now() + LABEL_AHEAD_MS) {
    throw new MalformedRecordError(
      `stream label ${quoted(label)} is in the future: no stream was created then, so the record is forged or broken, or this machine's clock is slow`,
    );
  }
}

const FULL_VIEW = 'NEW_AND_OLD_IMAGES';

function image(image: Marshalled | undefined, name: 'OldImage' | 'NewImage', kind: string, viewType: unknown): Attributes {
  if (!isAbsent(image)) return decodedPart(name, () => attributesOf(image as Marshalled));
  const what = `${kind} without ${name}`;
  if (viewType !== FULL_VIEW) {
    const said = viewType === undefined || viewType === null ? '' : ` (the stream is ${bare(viewType)})`;
    throw new MalformedRecordError(`${what}${said}: the table's stream must be ${FULL_VIEW}`);
  }
  const reason =
    kind === 'REMOVE'
      ? 'if two deletes of the item raced in DynamoDB Local, the item was gone already, and there is nothing to do; otherwise the image was lost on its way here, and entries of the item may be outdated'
      : 'the image was lost on its way here: deliver the record as the stream has it';
  throw new MalformedRecordError(`${what}, although the stream is ${FULL_VIEW}: ${reason}`);
}

/** An item has its key at least, so an image without attributes is the filler of a serialiser. */
function isAbsent(image: unknown): boolean {
  if (!image) return true;
  if (typeof image !== 'object' || Array.isArray(image)) return false;
  for (const _ in image) return false;
  return true;
}

/** Says which part of the record an attribute's fault is in. */
function decodedPart<T>(name: 'Keys' | 'OldImage' | 'NewImage', decode: () => T): T {
  try {
    return decode();
  } catch (error) {
    throw new MalformedRecordError(`${name}: ${asError(error).message}`);
  }
}

/** From here on a number is a time in milliseconds: as seconds it would be the year 5138. */
const FIRST_MILLISECONDS = 1e11;
/** DynamoDB Streams began in 2014. An earlier time is what a serialiser writes for none, such as 0. */
const FIRST_RECORD = Date.UTC(2014, 0);
const ISO_8601 = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:?\d{2})$/;

/**
 * When DynamoDB wrote the record, ms since the epoch, rounded down to a second. Reads seconds (events), Dates (`GetRecords`), and the milliseconds
 * and ISO 8601 of copies that other programs made. `undefined`: the record has no time, or none that can be read.
 */
export function writtenAt(record: StreamRecord | undefined): number | undefined {
  const at: unknown = record?.dynamodb?.ApproximateCreationDateTime;
  const ms = at instanceof Date ? at.getTime() : typeof at === 'number' ? msOf(at) : typeof at === 'string' ? msIn(at) : Number.NaN;
  return ms >= FIRST_RECORD && ms < FIRST_MILLISECONDS * 1_000 ? ms : undefined;
}

function msIn(text: string): number {
  return ISO_8601.test(text) ? Date.parse(text) : /^\d{1,14}(\.\d{1,9})?$/.test(text) ? msOf(Number(text)) : Number.NaN;
}

function msOf(time: number): number {
  return time < FIRST_MILLISECONDS ? time * 1_000 : time;
}

/** The table's name in the ARN of a table or of its stream. */
export function tableNameIn(arn: unknown): string | undefined {
  if (typeof arn !== 'string') return undefined;
  return arn.match(/^arn:[^:]+:dynamodb:[^:]*:[^:]*:table\/([\w.-]{3,255})(?:\/|$)/)?.[1];
}

/** An event has `type`, `GetRecords` has `Type` (DynamoDB Developer Guide, "Streams and Time to Live"). */
function isTimeToLive(identity: unknown): boolean {
  if (typeof identity !== 'object' || identity === null) return false;
  const { type, Type, principalId, PrincipalId } = identity as Record<string, unknown>;
  return (type ?? Type) === 'Service' && (principalId ?? PrincipalId) === 'dynamodb.amazonaws.com';
}
