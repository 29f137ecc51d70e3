import { marshall, unmarshall } from '@aws-sdk/util-dynamodb';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { itemOf } from '../../src/change.ts';
import { decodeRecord, hintOf, type StreamRecord, tableNameIn, writtenAt } from '../../src/dynamodb/record.ts';
import { MalformedRecordError } from '../../src/errors.ts';
import { FLOOR, VERSION_LENGTH } from '../../src/version.ts';

const LABEL = '2026-11-01T09:00:00.123';
const ARN = `arn:aws:dynamodb:eu-west-1:123456789012:table/shop/stream/${LABEL}`;

type Body = NonNullable<StreamRecord['dynamodb']>;

const keys = { pk: { S: 'order#7' }, sk: { S: 'order' } };
const image = (attributes: Body['Keys'] = {}): Body['Keys'] => ({ ...keys, ...attributes });

function record(body: Partial<Body> = {}, more: Partial<StreamRecord> = {}): StreamRecord {
  return {
    eventID: '0123456789abcdef0123456789abcdef',
    eventName: 'INSERT',
    eventSource: 'aws:dynamodb',
    eventSourceARN: ARN,
    dynamodb: { Keys: keys, NewImage: image(), SequenceNumber: '418800000000000004200117', StreamViewType: 'NEW_AND_OLD_IMAGES', ...body },
    ...more,
  };
}

const decoded = (attribute: unknown): unknown => decodeRecord(record({ NewImage: image({ it: attribute }) }), 0).after?.it;

describe('decodeRecord, of images', () => {
  it('gives an INSERT only the new image', () => {
    const change = decodeRecord(record({ NewImage: image({ status: { S: 'placed' } }) }), 0);
    expect(change).toMatchObject({ table: 'shop', keys: { pk: 'order#7', sk: 'order' }, after: { status: 'placed' }, expired: false });
    expect(change).not.toHaveProperty('before');
  });

  it('gives a MODIFY both images', () => {
    const images = { OldImage: image({ status: { S: 'placed' } }), NewImage: image({ status: { S: 'baking' } }) };
    const { before, after } = decodeRecord(record(images, { eventName: 'MODIFY' }), 0);
    expect([before?.status, after?.status]).toEqual(['placed', 'baking']);
  });

  it('gives a REMOVE only the old image', () => {
    const change = decodeRecord(record({ OldImage: image(), NewImage: undefined }, { eventName: 'REMOVE' }), 0);
    expect(change.before).toEqual({ pk: 'order#7', sk: 'order' });
    expect(change).not.toHaveProperty('after');
  });

  it('names an item by its key values in the order of their names, however the record sorts them', () => {
    expect(decodeRecord(record(), 0).item).toBe('["order#7","order"]');
    expect(itemOf({ sk: 'order', pk: 'order#7' })).toBe(itemOf({ pk: 'order#7', sk: 'order' }));
    expect(itemOf({ pk: 'a', sk: 'b,c' })).not.toBe(itemOf({ pk: 'a,b', sk: 'c' }));
  });
});

describe('decodeRecord, of attributes', () => {
  it.each([
    ['0', 0],
    ['-7', -7],
    ['42.50', 42.5],
    ['1E+2', 100],
    ['1e2', 100],
    ['15E-1', 1.5],
    ['-0.001', -0.001],
    ['9007199254740991', 9007199254740991],
    ['1E+22', 1e22],
    ['1E+125', 1e125],
    ['0.1', 0.1],
  ])('makes a number of %s, which a double holds exactly', (text, number) => {
    expect(decoded({ N: text })).toBe(number);
  });

  it.each([
    '9007199254740993',
    '-9007199254740993',
    '12345678901234567890123456789012345678',
    '-12345678901234567890123456789012345678',
    '0.1000000000000000000000000000000000001',
    '1.0000000000000000000001',
    '123456789012345678.5',
    '9.9999999999999999999999999999999999999E+125',
    '1.0000000000000000000001E-130',
  ])('leaves the number %s as text, because a double cannot hold it', (text) => {
    expect(decoded({ N: text })).toBe(text);
  });

  it('makes arrays of sets, whose numbers are as exact as others', () => {
    expect(decoded({ SS: ['ham', 'basil'] })).toEqual(['ham', 'basil']);
    expect(decoded({ NS: ['6', '8.5', '9007199254740993'] })).toEqual([6, 8.5, '9007199254740993']);
  });

  it.each([
    ['of an event: base64 text', 'AP8Q', ['aG90', 'AA==']],
    ['of GetRecords: bytes', new Uint8Array([0, 255, 16]), [new Uint8Array(Buffer.from('hot')), new Uint8Array([0])]],
  ])('makes base64 of binary %s, in sets too', (_, B, BS) => {
    expect(decoded({ B })).toBe('AP8Q');
    expect(decoded({ BS })).toEqual(['aG90', 'AA==']);
    expect(decoded({ M: { in: { L: [{ B }] } } })).toEqual({ in: ['AP8Q'] });
  });

  it('takes only the window of bytes that are part of a larger buffer', () => {
    expect(decoded({ B: new Uint8Array([9, 0, 255, 16, 9]).subarray(1, 4) })).toBe('AP8Q');
  });

  it('keeps the shape of maps and lists, and makes their contents plain', () => {
    const nested = {
      M: { layers: { L: [{ S: 'dough' }, { M: { grams: { N: '125' }, aged: { BOOL: false } } }, { L: [{ NULL: true }] }] } },
    };
    expect(decoded(nested)).toEqual({ layers: ['dough', { grams: 125, aged: false }, [null]] });
    expect(decoded({ M: {} })).toEqual({});
    expect(decoded({ L: [] })).toEqual([]);
    expect(decoded({ S: '' })).toBe('');
  });

  it('takes an attribute called __proto__ for an attribute like others', () => {
    const { after } = decodeRecord(record({ NewImage: JSON.parse('{"pk":{"S":"x"},"__proto__":{"M":{"admin":{"BOOL":true}}}}') }), 0);
    expect(JSON.stringify(after)).toBe('{"pk":"x","__proto__":{"admin":true}}');
    expect((after as { admin?: unknown }).admin).toBeUndefined();
    expect(({} as { admin?: unknown }).admin).toBeUndefined();
  });
});

describe('decodeRecord, of the version', () => {
  const versionOf = (SequenceNumber: string, eventSourceARN = ARN) =>
    decodeRecord(record({ SequenceNumber }, { eventSourceARN }), 0).version;

  it('gives versions that sort as text where numbers or unpadded text would not', () => {
    expect(versionOf('418800000000000004200118') > versionOf('418800000000000004200117')).toBe(true);
    expect(Number('418800000000000004200118') > Number('418800000000000004200117')).toBe(false);
    expect(versionOf('1000000000000000000000') > versionOf('999999999999999999999')).toBe(true);
    expect(versionOf('9'.repeat(40)) > versionOf('9'.repeat(39))).toBe(true);
  });

  it('gives a sequence number with leading zeros the version of the plain one', () => {
    expect(versionOf('000000000000000000007')).toBe(versionOf('7'));
  });

  it('gives newer versions to a younger stream, whatever its sequence numbers', () => {
    expect(versionOf('1', ARN.replace('2026-11-01', '2026-11-02')) > versionOf('9'.repeat(40))).toBe(true);
  });

  it('gives versions that are newer than FLOOR, and as long', () => {
    expect(versionOf('0') > FLOOR).toBe(true);
    expect(versionOf('7')).toHaveLength(VERSION_LENGTH);
    expect(FLOOR).toHaveLength(VERSION_LENGTH);
  });
});

describe('decodeRecord, of the time', () => {
  it.each([
    ['the seconds of an event', 1_795_204_800, 1_795_204_800_000],
    ['a Date of GetRecords', new Date(1_795_204_800_000), 1_795_204_800_000],
    ['no time of a record without one', undefined, undefined],
  ])('reads %s', (_, ApproximateCreationDateTime, at) => {
    expect(decodeRecord(record({ ApproximateCreationDateTime }), 0).at).toBe(at);
  });
});

describe('decodeRecord, of a delete by time-to-live', () => {
  const removed = (userIdentity: unknown, eventName = 'REMOVE') =>
    decodeRecord(record({ OldImage: image(), NewImage: image() }, { eventName, userIdentity }), 0).expired;

  it('marks the change as expired, in the spelling of events and in that of GetRecords', () => {
    expect(removed({ type: 'Service', principalId: 'dynamodb.amazonaws.com' })).toBe(true);
    expect(removed({ Type: 'Service', PrincipalId: 'dynamodb.amazonaws.com' })).toBe(true);
  });

  it('does not mark the delete of a user, nor another change, as expired', () => {
    expect(removed(undefined)).toBe(false);
    expect(removed(null)).toBe(false);
    expect(removed({ type: 'User', principalId: 'dynamodb.amazonaws.com' })).toBe(false);
    expect(removed({ type: 'Service', principalId: 'replication.dynamodb.amazonaws.com' })).toBe(false);
    expect(removed({ type: 'Service', principalId: 'dynamodb.amazonaws.com' }, 'MODIFY')).toBe(false);
  });
});

describe('decodeRecord, of GetRecords', () => {
  const { eventSourceARN: _, ...bare } = record();

  it('decodes a record of GetRecords as one of an event, when the caller gives the stream', () => {
    expect(decodeRecord(bare, 0, ARN)).toEqual(decodeRecord(record(), 0));
  });

  it('takes the stream of the caller and not that of the record', () => {
    expect(decodeRecord(record(), 0, ARN.replace('shop', 'shop-2')).table).toBe('shop-2');
  });
});

describe('decodeRecord, of malformed records', () => {
  const refusal = (of: unknown, index = 3): string => {
    try {
      decodeRecord(of as StreamRecord, index);
    } catch (error) {
      expect(error).toBeInstanceOf(MalformedRecordError);
      return (error as Error).message;
    }
    throw new Error('it was not refused');
  };

  it('names the refused record by its place, its kind and its sequence number', () => {
    expect(refusal(record({ NewImage: undefined }))).toMatch(/^record 3 \(INSERT, SequenceNumber 418800000000000004200117\): /);
  });

  it.each<[string, unknown, RegExp]>([
    ['no SequenceNumber', record({ SequenceNumber: undefined }), /\(INSERT, eventID 0123456789abcdef.*\): it has no SequenceNumber/],
    ['an empty SequenceNumber', record({ SequenceNumber: '' }), /it has no SequenceNumber/],
    ['a SequenceNumber that is none', record({ SequenceNumber: '12x' }), /SequenceNumber "12x" is not a decimal number/],
    ['a SequenceNumber of 41 digits', record({ SequenceNumber: '1'.repeat(41) }), /of 1 to 40 digits/],
    ['no Keys', record({ Keys: undefined }), /it has no Keys/],
    ['empty Keys', record({ Keys: {} }), /it has no Keys/],
    ['no stream ARN', record({}, { eventSourceARN: undefined }), /stream ARN is absent/],
    ['an ARN that is none', record({}, { eventSourceARN: 'eventsource_arn' }), /stream ARN "eventsource_arn": without its label/],
    ["a table's ARN", record({}, { eventSourceARN: ARN.replace(/\/stream.*/, '') }), /without its label/],
    ['a label that is no time', record({}, { eventSourceARN: ARN.replace(LABEL, 'latest') }), /stream label "latest" is not a timestamp/],
    [
      'an INSERT without its image',
      record({ NewImage: undefined, StreamViewType: 'KEYS_ONLY' }),
      /without NewImage \(the stream is KEYS_ONLY\).*must be NEW_AND_OLD_IMAGES/,
    ],
    [
      'a MODIFY without the old image',
      record({ StreamViewType: 'NEW_IMAGE' }, { eventName: 'MODIFY' }),
      /MODIFY without OldImage \(the stream is NEW_IMAGE\)/,
    ],
    [
      'a MODIFY without the new image',
      record({ OldImage: image(), NewImage: undefined }, { eventName: 'MODIFY' }),
      /MODIFY without NewImage/,
    ],
    ['a REMOVE without the old image', record({}, { eventName: 'REMOVE' }), /REMOVE without OldImage/],
    ['an unknown eventName', record({}, { eventName: 'UPSERT' }), /eventName "UPSERT" is none of INSERT, MODIFY, REMOVE/],
    ['no eventName', record({}, { eventName: undefined }), /\(no eventName, .*none of INSERT, MODIFY, REMOVE/],
    ['no dynamodb part', record({}, { dynamodb: undefined }), /no "dynamodb" part/],
    ['a Kinesis record', { kinesis: { data: 'e30=' }, eventSource: 'aws:kinesis' }, /Kinesis/],
    [
      'a change that came through Kinesis',
      { ...record({ SequenceNumber: undefined }), recordFormat: 'application/json', tableName: 'shop' },
      /Kinesis/,
    ],
    ['an SQS message', { messageId: '1', body: '{}', eventSource: 'aws:sqs' }, /none of INSERT, MODIFY, REMOVE/],
    ['an attribute of no known type', record({ NewImage: image({ it: { X: '1' } }) }), /attribute "it" is of type "X"/],
    ['an attribute without a value', record({ NewImage: image({ it: {} }) }), /attribute "it" has no value/],
    ['null', null, /^record 3 \(not an object\): a record is an object/],
    ['text', 'INSERT', /^record 3 \(not an object\): a record is an object/],
  ])('refuses %s', (_, of, message) => {
    expect(refusal(of)).toMatch(message);
  });
});

describe('hintOf', () => {
  it('gives the item, the key in its own form, the ARN of the table, the version and both images', () => {
    const images = { OldImage: image({ n: { N: '1' } }), NewImage: image({ n: { N: '2' } }) };
    expect(hintOf(record(images, { eventName: 'MODIFY' }), 0)).toEqual({
      table: 'shop',
      tableArn: 'arn:aws:dynamodb:eu-west-1:123456789012:table/shop',
      key: keys,
      item: '["order#7","order"]',
      version: decodeRecord(record(), 0).version,
      before: { attributes: { pk: 'order#7', sk: 'order', n: 1 } },
      after: { attributes: { pk: 'order#7', sk: 'order', n: 2 } },
    });
  });

  it('gives an empty image where the kind of the record has none', () => {
    expect(hintOf(record(), 0).before).toEqual({});
    expect(hintOf(record({ OldImage: image(), NewImage: undefined }, { eventName: 'REMOVE' }), 0).after).toEqual({});
  });

  it('gives an image that the kind of the record should not have', () => {
    expect(hintOf(record({ OldImage: image() }), 0).before).toEqual({ attributes: { pk: 'order#7', sk: 'order' } });
  });

  it('gives an error for an image that is missing or cannot be read, and the other image beside it', () => {
    const missing = hintOf(record({ StreamViewType: 'NEW_IMAGE' }, { eventName: 'MODIFY' }), 0);
    expect(missing).toMatchObject({
      before: { error: { message: expect.stringMatching(/^MODIFY without OldImage/) } },
      after: { attributes: {} },
    });
    const odd = hintOf(record({ NewImage: image({ it: { X: '1' } }) }), 0);
    expect(odd).toMatchObject({ after: { error: { message: expect.stringContaining('attribute "it" is of type "X"') } } });
  });

  it('takes the stream of the record, and that of the caller only for a record without one', () => {
    const other = ARN.replace('shop', 'shop-2');
    expect(hintOf(record(), 0, other).table).toBe('shop');
    expect(hintOf(record({}, { eventSourceARN: undefined }), 0, other).table).toBe('shop-2');
  });

  it.each<[string, unknown, RegExp]>([
    ['without Keys', record({ Keys: undefined }), /^record 3 \(INSERT, SequenceNumber \d+\): it has no Keys/],
    ['without a SequenceNumber', record({ SequenceNumber: undefined }), /^record 3 \(INSERT, eventID \w+\): it has no SequenceNumber/],
    ['that is null', null, /^record 3 \(not an object\): a record is an object/],
  ])('refuses a record %s', (_, of, message) => {
    expect(() => hintOf(of as StreamRecord, 3)).toThrow(message);
    expect(() => hintOf(of as StreamRecord, 3)).toThrow(MalformedRecordError);
  });
});

describe('writtenAt', () => {
  it('gives the time of a record in ms, and nothing where the record has no time', () => {
    expect(writtenAt(record({ ApproximateCreationDateTime: 1_795_204_800 }))).toBe(1_795_204_800_000);
    expect(writtenAt(record({ ApproximateCreationDateTime: new Date(1_795_204_800_000) }))).toBe(1_795_204_800_000);
    expect([writtenAt(record()), writtenAt(undefined), writtenAt({})]).toEqual([undefined, undefined, undefined]);
    expect(writtenAt(record({ ApproximateCreationDateTime: 'soon' as unknown as number }))).toBeUndefined();
  });
});

describe('tableNameIn', () => {
  it.each([
    [ARN, 'shop'],
    ['arn:aws:dynamodb:eu-west-1:123456789012:table/shop', 'shop'],
    ['arn:aws-cn:dynamodb:cn-north-1:123456789012:table/a.b_c-1/stream/x', 'a.b_c-1'],
    ['arn:aws:dynamodb:ddblocal:000000000000:table/shop/stream/x', 'shop'],
  ])('finds the name of the table in %s', (arn, name) => {
    expect(tableNameIn(arn)).toBe(name);
  });

  it.each([
    undefined,
    '',
    'shop',
    'arn:aws:dynamodb:eu-west-1:123456789012:table/ab',
    'arn:aws:dynamodb:eu-west-1:123456789012:table/../x',
    'arn:aws:kinesis:eu-west-1:123456789012:table/shop',
    'x arn:aws:dynamodb:eu-west-1:123456789012:table/shop',
    `arn:aws:dynamodb:eu-west-1:123456789012:table/${'n'.repeat(256)}`,
  ])('finds no name of a table in %s', (arn) => {
    expect(tableNameIn(arn)).toBeUndefined();
  });
});

describe('decodeRecord, beside the SDK', () => {
  const leaf = fc.oneof(fc.string(), fc.boolean(), fc.constant(null), fc.integer(), fc.double({ noNaN: true, min: -1e15, max: 1e15 }));
  const { value } = fc.letrec<{ value: unknown }>((tie) => ({
    value: fc.oneof(
      { depthSize: 'small' },
      leaf,
      fc.uint8Array({ minLength: 1, maxLength: 8 }),
      fc.uniqueArray(fc.string({ minLength: 1 }), { minLength: 1 }).map((texts) => new Set(texts)),
      fc.array(tie('value'), { maxLength: 4 }),
      // The SDK takes attributes of these names for the object's class and prototype.
      fc.dictionary(
        fc.string({ minLength: 1 }).filter((name) => name !== 'constructor' && name !== '__proto__'),
        tie('value'),
        { maxKeys: 4, noNullPrototype: true },
      ),
    ),
  }));
  /** What `Attributes` promises of what `unmarshall` gives. */
  const plain = (of: unknown): unknown => {
    if (of instanceof Uint8Array) return Buffer.from(of).toString('base64');
    if (of instanceof Set || Array.isArray(of)) return [...of].map(plain);
    if (typeof of !== 'object' || of === null) return of;
    return Object.fromEntries(Object.entries(of).map(([name, part]) => [name, plain(part)]));
  };

  it('decodes what `marshall` wrote as `unmarshall` does', () => {
    fc.assert(
      fc.property(value, (it) => {
        const marshalled = marshall({ it }, { convertEmptyValues: false, allowImpreciseNumbers: true });
        expect(decoded(marshalled.it)).toEqual(plain(unmarshall(marshalled).it));
      }),
      { numRuns: 1_000 },
    );
  });
});
