import { type Attributes, type Change, itemOf } from '../change.ts';
import { MalformedRecordError } from '../errors.ts';
import { type Version, versionOf } from '../version.ts';

/** The parts that Millrace reads of a record: of a Lambda event, or of `GetRecords` (with Dates, Uint8Arrays and no ARN). */
export interface StreamRecord {
  readonly eventID?: string;
  readonly eventName?: string;
  readonly eventSource?: string;
  readonly eventSourceARN?: string;
  readonly userIdentity?: unknown;
  readonly dynamodb?: {
    readonly ApproximateCreationDateTime?: number | Date;
    readonly Keys?: Marshalled;
    readonly NewImage?: Marshalled;
    readonly OldImage?: Marshalled;
    readonly SequenceNumber?: string;
    readonly StreamViewType?: string;
  };
}

export type Marshalled = { readonly [name: string]: unknown };

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
    if (!needed && !body[name]) return {};
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
  if (typeof record !== 'object' || record === null) return 'not an object';
  const sequenceNumber = record.dynamodb?.SequenceNumber;
  return [
    record.eventName ?? 'no eventName',
    sequenceNumber ? `SequenceNumber ${sequenceNumber}` : `eventID ${record.eventID ?? 'unknown'}`,
  ].join(', ');
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
  if (typeof record !== 'object' || record === null) throw new MalformedRecordError('a record is an object');
  refuseKinesis(record);
  const kind = record.eventName;
  if (kind !== 'INSERT' && kind !== 'MODIFY' && kind !== 'REMOVE') {
    throw new MalformedRecordError(`eventName "${kind}" is none of INSERT, MODIFY, REMOVE`);
  }
  const body = record.dynamodb;
  if (!body) throw new MalformedRecordError('it has no "dynamodb" part: this is no DynamoDB Streams record');
  const source = parseArn(arn);
  if (!body.SequenceNumber) throw new MalformedRecordError('it has no SequenceNumber, so its order is not known');
  const version = versionOf(source.label, body.SequenceNumber);
  if (!body.Keys || Object.keys(body.Keys).length === 0) throw new MalformedRecordError('it has no Keys, so its item is not known');
  return { kind, source, version, key: body.Keys, keys: attributesOf(body.Keys), body } as const;
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

function parseArn(arn: string | undefined): Source {
  if (lastSource && lastSource.arn === arn) return lastSource;
  const table = tableNameIn(arn);
  const label = arn?.match(/\/stream\/(.+)$/)?.[1];
  if (arn && table && label) {
    lastSource = { arn, table, label };
    return lastSource;
  }
  throw new MalformedRecordError(
    `stream ARN ${arn === undefined ? 'is absent' : `"${arn}"`}: without its label (arn:aws:dynamodb:REGION:ACCOUNT:table/NAME/stream/LABEL) versions cannot be compared`,
  );
}

function image(image: Marshalled | undefined, name: 'OldImage' | 'NewImage', kind: string, viewType: string | undefined): Attributes {
  if (image) return attributesOf(image);
  throw new MalformedRecordError(
    `${kind} without ${name}${viewType ? ` (the stream is ${viewType})` : ''}: the table's stream must be NEW_AND_OLD_IMAGES`,
  );
}

/** Decodes an image, or an item as the table gives it. `Attributes` says what numbers, sets and binary become. */
export function attributesOf(marshalled: Marshalled): Attributes {
  const attributes: Record<string, unknown> = {};
  for (const name in marshalled) {
    const value = attributeOf(marshalled[name], name);
    // An attribute may have this name. Assigning it would set the prototype and not a property.
    if (name === '__proto__') Object.defineProperty(attributes, name, { value, enumerable: true });
    else attributes[name] = value;
  }
  return attributes;
}

/** Decodes in one pass. `unmarshall` of @aws-sdk/util-dynamodb and a second pass for sets and binary took three times as long. */
function attributeOf(marshalled: unknown, name: string): unknown {
  for (const type in marshalled as object) {
    const value = (marshalled as Record<string, unknown>)[type];
    // Some versions of the SDK give a property for each type, all but one undefined.
    if (value === undefined) continue;
    switch (type) {
      case 'S':
      case 'BOOL':
        return value;
      case 'N':
        return exactNumber(value as string);
      case 'NULL':
        return null;
      case 'M':
        return attributesOf(value as Marshalled);
      case 'L':
        return (value as unknown[]).map((element) => attributeOf(element, name));
      case 'SS':
        return [...(value as string[])];
      case 'NS':
        return (value as string[]).map(exactNumber);
      case 'B':
        return base64(value as string | Uint8Array);
      case 'BS':
        return (value as (string | Uint8Array)[]).map(base64);
      default:
        throw new MalformedRecordError(`attribute "${name}" is of type "${type}", which DynamoDB does not have`);
    }
  }
  throw new MalformedRecordError(`attribute "${name}" has no value`);
}

function base64(binary: string | Uint8Array): string {
  return typeof binary === 'string' ? binary : Buffer.from(binary).toString('base64');
}

const PLAIN_INTEGER = /^-?\d{1,15}$/;

/** DynamoDB's numbers have up to 38 digits. A number that a double cannot hold exactly stays text. */
function exactNumber(text: string): number | string {
  const number = Number(text);
  if (PLAIN_INTEGER.test(text)) return number;
  const exact = decimal(text);
  return Number.isFinite(number) && exact === decimal(String(number)) ? number : text;
}

/** A decimal number as sign, digits and exponent, so that 1.50, 15E-1 and 1.5 are equal. */
function decimal(text: string): string {
  const [, sign, whole = '', fraction = '', exponent = '0'] = text.match(/^([-+]?)(\d*)\.?(\d*)(?:e([-+]?\d+))?$/i) ?? [];
  if (whole + fraction === '') throw new MalformedRecordError('an attribute of type "N" is not a decimal number');
  const digits = (whole + fraction).replace(/^0+/, '');
  const significant = digits.replace(/0+$/, '');
  if (significant === '') return '0';
  const scale = Number(exponent) - fraction.length + (digits.length - significant.length);
  return `${sign === '-' ? '-' : ''}${significant}e${scale}`;
}

/** When DynamoDB wrote the record, ms since the epoch, rounded down to a second. `undefined`: the record does not say. */
export function writtenAt(record: StreamRecord | undefined): number | undefined {
  const at = record?.dynamodb?.ApproximateCreationDateTime;
  if (at instanceof Date) return at.getTime();
  return typeof at === 'number' ? at * 1_000 : undefined;
}

/** The table's name in the ARN of a table or of its stream. */
export function tableNameIn(arn: string | undefined): string | undefined {
  return arn?.match(/^arn:[^:]+:dynamodb:[^:]*:[^:]*:table\/([\w.-]{3,255})(?:\/|$)/)?.[1];
}

/** An event has `type`, `GetRecords` has `Type` (DynamoDB Developer Guide, "Streams and Time to Live"). */
function isTimeToLive(identity: unknown): boolean {
  if (typeof identity !== 'object' || identity === null) return false;
  const { type, Type, principalId, PrincipalId } = identity as Record<string, unknown>;
  return (type ?? Type) === 'Service' && (principalId ?? PrincipalId) === 'dynamodb.amazonaws.com';
}
