import { describe, expect, it } from 'vitest';
import { eventRecord } from '../../../src/testing/index.ts';

describe('eventRecord', () => {
  const arn = 'arn:aws:dynamodb:eu-west-1:123456789012:table/T/stream/2026-01-01T00:00:00.000';

  it('converts dates, bytes and the user identity, and adds the ARN', () => {
    const record = {
      eventID: '1',
      eventName: 'REMOVE' as const,
      userIdentity: { PrincipalId: 'dynamodb.amazonaws.com', Type: 'Service' },
      dynamodb: {
        ApproximateCreationDateTime: new Date(1_700_000_000_999),
        Keys: { pk: { B: Buffer.from([1]), $unknown: undefined } },
        OldImage: { views: { BS: [new Uint8Array([2]), Buffer.from([3])] }, flag: { BOOL: true }, none: { NULL: true } },
        SequenceNumber: '7',
      },
    };
    expect(eventRecord(record, arn)).toEqual({
      eventID: '1',
      eventName: 'REMOVE',
      userIdentity: { type: 'Service', principalId: 'dynamodb.amazonaws.com' },
      dynamodb: {
        ApproximateCreationDateTime: 1_700_000_000,
        Keys: { pk: { B: 'AQ==' } },
        OldImage: { views: { BS: ['Ag==', 'Aw=='] }, flag: { BOOL: true }, none: { NULL: true } },
        SequenceNumber: '7',
      },
      eventSourceARN: arn,
    });
  });

  it('restores empty maps of DynamoDB Local, and keeps attributes that are named like a type', () => {
    const image = { M: {}, L: { L: [{}, { M: { deep: {} } }, { L: [] }] }, none: { NULL: true } };
    const record = {
      eventName: 'MODIFY',
      dynamodb: { SequenceNumber: '7', OldImage: image, NewImage: JSON.parse('{"__proto__": {}}') },
    } as const;
    const { dynamodb } = eventRecord(record as never, arn);
    expect(dynamodb?.OldImage).toEqual({
      M: { M: {} },
      L: { L: [{ M: {} }, { M: { deep: { M: {} } } }, { L: [] }] },
      none: { NULL: true },
    });
    expect(JSON.stringify(dynamodb?.NewImage)).toBe('{"__proto__":{"M":{}}}');
  });

  it('adds no user and no date that the record does not have', () => {
    expect(eventRecord({ eventName: 'INSERT', dynamodb: { SequenceNumber: '7' } }, arn)).toEqual({
      eventName: 'INSERT',
      dynamodb: { SequenceNumber: '7' },
      eventSourceARN: arn,
    });
  });
});
