import { marshall } from '@aws-sdk/util-dynamodb';
import type { StreamEvent, StreamRecord } from '../dynamodb/record.ts';

/** An item in plain JavaScript. A `Set` becomes a DynamoDB set, a `Uint8Array` becomes binary, and `undefined` is omitted. */
export type PlainItem = Readonly<Record<string, unknown>>;

export interface EventOptions {
  /** Name of the table. Default: `TestTable`. */
  readonly table?: string;
  /**
   * Creation time of the stream, which is part of its ARN. A later label is a newer stream of the table. Default:
   * `2026-01-01T00:00:00.000`.
   */
  readonly label?: string;
  /** Names of the key attributes. Default: `pk` and `sk`. */
  readonly keys?: readonly string[];
  /**
   * Sequence number of the first record; that of each further record is greater by 1. Default: greater than in any earlier event without
   * this option.
   */
  readonly sequenceNumber?: string | bigint;
  /** When DynamoDB wrote the records. Default: now. */
  readonly at?: Date;
}

/** A change of one item, which `streamEvent` turns into a record. */
export type Step = (options: StepOptions) => StreamRecord;

interface StepOptions {
  readonly arn: string;
  readonly keys: readonly string[];
  readonly sequenceNumber: string;
  readonly at: Date;
}

const FIRST = 100_000_000_000_000_000_000n;

/**
 * The event that Lambda passes to a stream function for these changes, in their order. The records of later events are newer.
 *
 *     await handler(streamEvent([insert(order), modify(order, { ...order, status: 'baked' }), remove(order)]));
 *
 * @throws TypeError if an item lacks a key attribute, or `modify` changes one.
 */
export function streamEvent(steps: readonly Step[], options: EventOptions = {}): StreamEvent {
  const { table = 'TestTable', label = '2026-01-01T00:00:00.000', keys = ['pk', 'sk'], at = new Date() } = options;
  const arn = `arn:aws:dynamodb:eu-west-1:123456789012:table/${table}/stream/${label}`;
  const first = options.sequenceNumber === undefined ? take(steps.length) : BigInt(options.sequenceNumber);
  return { Records: steps.map((step, i) => step({ arn, keys, sequenceNumber: String(first + BigInt(i)), at })) };
}

/** An item that is new. */
export function insert(item: PlainItem): Step {
  return (options) => record('INSERT', undefined, item, options);
}

/** A change of an existing item. Its key attributes must be the same before and after. */
export function modify(before: PlainItem, after: PlainItem): Step {
  return (options) => {
    for (const key of options.keys) {
      const [was, is] = [before[key], after[key]];
      if (JSON.stringify(was) !== JSON.stringify(is)) throw new TypeError(`modify changes the key attribute "${key}": ${was} to ${is}`);
    }
    return record('MODIFY', before, after, options);
  };
}

/** The deletion of an item. `expired`: DynamoDB's time-to-live deleted the item. Default: a user did. */
export function remove(item: PlainItem, { expired = false }: { expired?: boolean } = {}): Step {
  const userIdentity = { type: 'Service', principalId: 'dynamodb.amazonaws.com' };
  return (options) => ({ ...record('REMOVE', item, undefined, options), ...(expired && { userIdentity }) });
}

function record(eventName: string, before: PlainItem | undefined, after: PlainItem | undefined, options: StepOptions): StreamRecord {
  const { arn, keys, sequenceNumber, at } = options;
  const item = after ?? before ?? {};
  const absent = keys.filter((key) => item[key] === undefined);
  if (absent.length > 0)
    throw new TypeError(`the item lacks the key attribute "${absent.join('", "')}": name the keys by the option "keys"`);
  return {
    eventID: sequenceNumber,
    eventName,
    eventSource: 'aws:dynamodb',
    eventSourceARN: arn,
    dynamodb: {
      ApproximateCreationDateTime: Math.floor(at.getTime() / 1000),
      Keys: image(Object.fromEntries(keys.map((key) => [key, item[key]]))),
      ...(before && { OldImage: image(before) }),
      ...(after && { NewImage: image(after) }),
      SequenceNumber: sequenceNumber,
      StreamViewType: 'NEW_AND_OLD_IMAGES',
    },
  };
}

/** The image in the form of an event, with binary as base64. */
function image(item: PlainItem): Record<string, unknown> {
  const marshalled = marshall(item, { removeUndefinedValues: true });
  return JSON.parse(
    JSON.stringify(marshalled, (_, value) => (value instanceof Uint8Array ? Buffer.from(value).toString('base64') : value)),
  );
}

let next = FIRST;

function take(count: number): bigint {
  const first = next;
  next += BigInt(count);
  return first;
}
