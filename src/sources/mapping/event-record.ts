import type { StreamRecord } from '../stream.ts';

/** A record of `GetRecords`, as the SDK gives it. */
interface SdkRecord extends Omit<StreamRecord, 'userIdentity'> {
  readonly userIdentity?: { readonly PrincipalId?: string; readonly Type?: string };
}

/**
 * A record of `GetRecords` as Lambda's event has it: seconds for dates, base64 for binary, `{type, principalId}` for who did it, and the
 * stream's ARN. Properties that are `undefined` are left out.
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
  return JSON.parse(JSON.stringify(event, plain));
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
