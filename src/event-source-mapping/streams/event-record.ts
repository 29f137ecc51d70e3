import type { StreamRecord } from '../../dynamodb/record.ts';

/** A record of `GetRecords`, as the SDK gives it. */
interface SdkRecord extends Omit<StreamRecord, 'userIdentity'> {
  readonly userIdentity?: { readonly PrincipalId?: string; readonly Type?: string };
}

/**
 * A record of `GetRecords` as Lambda's event has it: seconds for dates, base64 for binary, `{type, principalId}` for who did it, and the
 * stream's ARN. Properties that are `undefined` are left out. An empty map, which DynamoDB Local's streams give as `{}`, is `{"M": {}}` again.
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
  const { dynamodb: parts, ...other } = JSON.parse(JSON.stringify(event, plain));
  for (const image of ['OldImage', 'NewImage']) if (parts[image]) parts[image] = withEmptyMaps(parts[image]);
  return { ...other, dynamodb: parts };
}

type Marshalled = Readonly<Record<string, { readonly M?: Marshalled; readonly L?: readonly Marshalled[string][] }>>;

function withEmptyMaps(image: Marshalled): Marshalled {
  return Object.fromEntries(Object.entries(image).map(([name, value]) => [name, withEmptyMap(value)]));
}

function withEmptyMap(value: Marshalled[string]): Marshalled[string] {
  if (value.M) return { M: withEmptyMaps(value.M) };
  if (value.L) return { L: value.L.map(withEmptyMap) };
  return Object.keys(value).length === 0 ? { M: {} } : value;
}

/** A Buffer has made itself an object by the time it comes as `value`. */
function plain(this: Readonly<Record<string, unknown>>, name: string, value: unknown): unknown {
  const original = this[name];
  return ArrayBuffer.isView(original) ? base64(original) : value;
}

function secondsOf(at: number | Date): number {
  return at instanceof Date ? Math.floor(at.getTime() / 1_000) : at;
}

function base64({ buffer, byteOffset, byteLength }: ArrayBufferView): string {
  return Buffer.from(buffer as ArrayBuffer, byteOffset, byteLength).toString('base64');
}
