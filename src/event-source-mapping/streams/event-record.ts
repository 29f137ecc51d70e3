import type { StreamRecord } from '../../dynamodb/record.ts';

/** A record of `GetRecords`, as the SDK returns it. */
interface SdkRecord extends Omit<StreamRecord, 'userIdentity'> {
  readonly userIdentity?: { readonly PrincipalId?: string; readonly Type?: string };
}

/**
 * Converts a record of `GetRecords` to the shape of Lambda's event:
 *
 * - dates become seconds since the epoch, rounded down, and bytes become base64;
 * - `userIdentity` has the fields `type` and `principalId`;
 * - the stream's ARN is added, and properties that are `undefined` are left out;
 * - an empty map, which DynamoDB Local returns as `{}`, becomes `{"M": {}}`.
 */
export function eventRecord(record: SdkRecord, streamArn: string): StreamRecord {
  const { dynamodb, userIdentity, ...rest } = record;
  const { ApproximateCreationDateTime: at, ...body } = dynamodb ?? {};
  const identity = userIdentity && { type: userIdentity.Type, principalId: userIdentity.PrincipalId };
  const event = {
    ...rest,
    dynamodb: { ...(at !== undefined && { ApproximateCreationDateTime: secondsOf(at) }), ...body },
    ...(identity && { userIdentity: identity }),
    eventSourceARN: streamArn,
  };
  const { dynamodb: parts, ...other } = JSON.parse(JSON.stringify(event, bytesAsBase64));
  for (const image of ['OldImage', 'NewImage']) if (parts[image]) parts[image] = withEmptyMaps(parts[image]);
  return { ...other, dynamodb: parts };
}

type AttributeMap = Readonly<Record<string, AttributeValue>>;
interface AttributeValue {
  readonly M?: AttributeMap;
  readonly L?: readonly AttributeValue[];
}

function withEmptyMaps(image: AttributeMap): AttributeMap {
  return Object.fromEntries(Object.entries(image).map(([name, value]) => [name, withEmptyMap(value)]));
}

function withEmptyMap(value: AttributeValue): AttributeValue {
  if (value.M) return { M: withEmptyMaps(value.M) };
  if (value.L) return { L: value.L.map(withEmptyMap) };
  return Object.keys(value).length === 0 ? { M: {} } : value;
}

/** A replacer for JSON.stringify. It reads `this`, because a Buffer has already been replaced in `value` by its `toJSON`. */
function bytesAsBase64(this: Readonly<Record<string, unknown>>, name: string, value: unknown): unknown {
  const original = this[name];
  return ArrayBuffer.isView(original) ? base64(original) : value;
}

function secondsOf(at: number | Date): number {
  return at instanceof Date ? Math.floor(at.getTime() / 1_000) : at;
}

function base64({ buffer, byteOffset, byteLength }: ArrayBufferView): string {
  return Buffer.from(buffer as ArrayBuffer, byteOffset, byteLength).toString('base64');
}
