import { describe, expect, it } from 'vitest';
import { attributesOf, keyOnly } from '../../src/dynamodb/attributes.ts';
import { decodeRecord, hintOf, type StreamRecord, writtenAt } from '../../src/dynamodb/record.ts';
import { MalformedRecordError } from '../../src/errors.ts';

const ARN = 'arn:aws:dynamodb:eu-west-1:123456789012:table/shop/stream/2026-11-01T09:00:00.123';

/** What is decoded of an attribute; for a refusal its message. */
const read = (attribute: unknown): unknown => {
  try {
    return attributesOf({ it: attribute }).it;
  } catch (error) {
    expect(error).toBeInstanceOf(MalformedRecordError);
    return (error as Error).message;
  }
};
const NET = {
  B: null,
  BS: [],
  L: [],
  IsLSet: false,
  M: {},
  IsMSet: false,
  N: null,
  NS: [],
  NULL: false,
  SS: [],
  BOOL: false,
  IsBOOLSet: false,
};

describe('an attribute with several types', () => {
  it.each<[string, unknown, unknown]>([
    ['a null type after the value', { S: 'order', NULL: null }, 'order'],
    ['a null type before the value', { NULL: null, S: 'order' }, 'order'],
    ['false for NULL', { NULL: false, S: 'order' }, 'order'],
    ['undefined types', { S: undefined, N: '5', NULL: undefined }, 5],
    ['every type of the SDK for .NET', { ...NET, S: 'order' }, 'order'],
    ['a number of the SDK for .NET', { ...NET, S: null, N: '12.50' }, 12.5],
    ['an empty list that the SDK for .NET says was set', { ...NET, S: null, IsLSet: true }, []],
    ['an empty map that the SDK for .NET says was set', { ...NET, S: null, IsMSet: true }, {}],
    ['false that the SDK for .NET says was set', { ...NET, S: null, IsBOOLSet: true }, false],
    [
      'a list beside empty sets',
      {
        ...NET,
        S: null,
        L: [
          { ...NET, S: 'a' },
          { NULL: true, S: null },
        ],
      },
      ['a', null],
    ],
    ['a map beside an empty list', { L: [], M: { a: { N: '1', S: '' } } }, { a: 1 }],
    ['true for NULL beside fillers', { NULL: true, S: '', L: [], BOOL: false }, null],
    ['true beside fillers', { BOOL: true, S: '', NULL: false }, true],
    ['an empty text beside null types', { S: '', N: null, M: null }, ''],
    ['an empty map beside null types', { M: {}, L: null, NULL: null }, {}],
    ['bytes beside an empty text', { B: new Uint8Array([1, 2]), S: '' }, 'AQI='],
  ])('is read by the type that is meant: %s', (_, attribute, expected) => {
    expect(read(attribute)).toEqual(expected);
  });

  it.each<[string, unknown, string]>([
    ['two values', { S: 'a', N: '5' }, 'attribute "it" has values of the types "S" and "N": an attribute has one type'],
    ['a value and NULL', { S: 'a', NULL: true }, 'attribute "it" has values of the types "S" and "NULL": an attribute has one type'],
    ['only fillers', { L: [], M: {} }, 'attribute "it" has values of the types "L" and "M": an attribute has one type'],
    [
      'only fillers of the SDK for .NET',
      { ...NET, S: null },
      'attribute "it" has values of the types "BS" and "L" and "M" and "NS" and "NULL" and "SS" and "BOOL": an attribute has one type',
    ],
    [
      'a set type that contradicts the value',
      { ...NET, S: 'a', IsLSet: true },
      'attribute "it" has values of the types "BS" and "L" and "M" and "NS" and "NULL" and "SS" and "BOOL" and "S": an attribute has one type',
    ],
    ['nothing but null', { S: null, NULL: null }, 'attribute "it" has no value'],
    ['null for NULL', { NULL: null }, 'attribute "it" has no value'],
    ['false for NULL', { NULL: false }, 'attribute "it" of type "NULL" has a boolean where true belongs'],
    ['no type', {}, 'attribute "it" has no value'],
    ['a strange type beside a value', { S: 'a', X: 'b' }, 'attribute "it" is of type "X", which DynamoDB does not have'],
    ['a type in lower case', { s: 'a' }, 'attribute "it" is of type "s", which DynamoDB does not have'],
    [
      'two values in a list',
      { L: [{ S: 'a', N: '5' }] },
      'a part of attribute "it" has values of the types "S" and "N": an attribute has one type',
    ],
    [
      'fillers in a map of a list',
      { L: [{ M: { secret: { L: [], M: {} } } }] },
      'a part of attribute "it" has values of the types "L" and "M": an attribute has one type',
    ],
  ])('is refused by name where no type is certain: %s', (_, attribute, expected) => {
    expect(read(attribute)).toBe(expected);
  });
});

describe('a value of another JSON type', () => {
  it.each<[unknown, string]>([
    [{ N: 5.5 }, 'attribute "it" of type "N" has a number where a string belongs'],
    [{ N: '' }, 'attribute "it" of type "N" is not a decimal number'],
    [{ N: 'NaN' }, 'attribute "it" of type "N" is not a decimal number'],
    [{ N: '0x10' }, 'attribute "it" of type "N" is not a decimal number'],
    [{ N: true }, 'attribute "it" of type "N" has a boolean where a string belongs'],
    [{ S: 5 }, 'attribute "it" of type "S" has a number where a string belongs'],
    [{ S: { S: 'a' } }, 'attribute "it" of type "S" has an object where a string belongs'],
    [{ SS: 'abc' }, 'attribute "it" of type "SS" has a string where a list belongs'],
    [{ SS: ['a', 5] }, 'attribute "it" of type "SS" has a number where a string belongs'],
    [{ NS: ['1', 2] }, 'attribute "it" of type "N" has a number where a string belongs'],
    [{ NS: { 0: '1' } }, 'attribute "it" of type "NS" has an object where a list belongs'],
    [{ BS: 'AQI=' }, 'attribute "it" of type "BS" has a string where a list belongs'],
    [{ BS: [null] }, 'attribute "it" of type "BS" has null where base64 or bytes belongs'],
    [{ B: [1, 2] }, 'attribute "it" of type "B" has a list where base64 or bytes belongs'],
    [{ BOOL: 'true' }, 'attribute "it" of type "BOOL" has a string where true or false belongs'],
    [{ BOOL: 1 }, 'attribute "it" of type "BOOL" has a number where true or false belongs'],
    [{ NULL: 'true' }, 'attribute "it" of type "NULL" has a string where true belongs'],
    [{ M: [] }, 'attribute "it" of type "M" has a list where an object belongs'],
    [{ M: 'x' }, 'attribute "it" of type "M" has a string where an object belongs'],
    [{ L: {} }, 'attribute "it" of type "L" has an object where a list belongs'],
    [{ L: ['a'] }, 'a part of attribute "it" is a string where an object with a type belongs, such as {"S": "text"}'],
    [{ M: { a: null } }, 'a part of attribute "it" is null where an object with a type belongs, such as {"S": "text"}'],
    ['order#1', 'attribute "it" is a string where an object with a type belongs, such as {"S": "text"}'],
    [7, 'attribute "it" is a number where an object with a type belongs, such as {"S": "text"}'],
    [null, 'attribute "it" is null where an object with a type belongs, such as {"S": "text"}'],
    [[{ S: 'a' }], 'attribute "it" is a list where an object with a type belongs, such as {"S": "text"}'],
  ])('is refused by name, without the value: %j', (attribute, expected) => {
    expect(read(attribute)).toBe(expected);
  });

  it.each([[['a']], ['text'], [5], [null], [undefined]])('is refused for all attributes at once: %j', (attributes) => {
    expect(() => attributesOf(attributes as never)).toThrow(/^attributes are .* where an object belongs$/);
  });
});

describe('a number', () => {
  it('is refused beyond 130 characters, before anything looks at its digits', () => {
    const started = performance.now();
    expect(read({ N: '1'.repeat(80_000) })).toBe('attribute "it" has a number of 80000 characters: DynamoDB\'s have at most 130');
    expect(read({ NS: ['1', '1'.repeat(131)] })).toBe('attribute "it" has a number of 131 characters: DynamoDB\'s have at most 130');
    expect(performance.now() - started).toBeLessThan(1_000);
  });

  it('is exact up to 130 characters', () => {
    expect(read({ N: `1${'0'.repeat(125)}` })).toBe(1e125);
    expect(read({ N: '123456789012345.678' })).toBe('123456789012345.678');
    expect(read({ N: '-1E-130' })).toBe(-1e-130);
    expect(read({ N: '.5' })).toBe(0.5);
    expect(read({ N: '5.' })).toBe(5);
  });
});

function record(dynamodb: object, more: object = {}): StreamRecord {
  return {
    eventName: 'INSERT',
    eventSourceARN: ARN,
    dynamodb: { Keys: { pk: { S: 'a' } }, NewImage: { pk: { S: 'a' } }, SequenceNumber: '100000000000000000001', ...dynamodb },
    ...more,
  } as StreamRecord;
}
const refusal = (of: StreamRecord) => {
  try {
    return decodeRecord(of, 0);
  } catch (error) {
    expect(error).toBeInstanceOf(MalformedRecordError);
    return (error as Error).message.replace(/^record 0 \(.*?\): /, '');
  }
};

describe('a record', () => {
  it('has the item of its key, whatever else a serialiser wrote beside the key', () => {
    const Keys = { pk: { ...NET, S: 'order' }, sk: { NULL: null, N: '7' } };
    const change = decodeRecord(record({ Keys, NewImage: { ...Keys, v: { S: 'x', NULL: null } } }), 0);
    expect(change).toMatchObject({ item: '["order",7]', keys: { pk: 'order', sk: 7 }, after: { pk: 'order', sk: 7, v: 'x' } });
    expect(hintOf(record({ Keys }), 0).key).toEqual({ pk: { S: 'order' }, sk: { N: '7' } });
  });

  it.each<[string, object, object, string]>([
    ['a number as SequenceNumber', { SequenceNumber: 111 }, {}, 'its SequenceNumber is a number, which loses digits: give it as a string'],
    ['0 as SequenceNumber', { SequenceNumber: 0 }, {}, 'its SequenceNumber is a number, which loses digits: give it as a string'],
    ['a list as SequenceNumber', { SequenceNumber: ['111'] }, {}, 'its SequenceNumber is a list: give it as a string'],
    ['an object as SequenceNumber', { SequenceNumber: { N: '111' } }, {}, 'its SequenceNumber is an object: give it as a string'],
    ['null as SequenceNumber', { SequenceNumber: null }, {}, 'it has no SequenceNumber, so its order is not known'],
    ['an eventName that is null', {}, { eventName: null }, 'eventName is absent: it is none of INSERT, MODIFY, REMOVE'],
    [
      'a plain key',
      { Keys: { pk: 'order#1' } },
      {},
      'Keys: attribute "pk" is a string where an object with a type belongs, such as {"S": "text"}',
    ],
    ['keys that are a string', { Keys: 'order#1' }, {}, 'Keys: a key is a string where an object belongs'],
    [
      'a key of several types',
      { Keys: { pk: { S: 'a', N: '1' } } },
      {},
      'Keys: attribute "pk" has values of the types "S" and "N": an attribute has one type',
    ],
    ['a key that is null', { Keys: { pk: { NULL: true } } }, {}, 'Keys: key attribute "pk" is of type "NULL": a key is S, N or B'],
    ['a key that is a map', { Keys: { pk: { M: {} } } }, {}, 'Keys: key attribute "pk" is of type "M": a key is S, N or B'],
    ['an image that is a string', { NewImage: 'x' }, {}, 'NewImage: attributes are a string where an object belongs'],
    ['an image that is a list', { NewImage: [] }, {}, 'NewImage: attributes are a list where an object belongs'],
    [
      'a number in an image',
      { NewImage: { price: { N: 5.5 } } },
      {},
      'NewImage: attribute "price" of type "N" has a number where a string belongs',
    ],
    ['a body that is a string', {}, { dynamodb: 'x' }, 'it has no "dynamodb" part: this is no DynamoDB Streams record'],
    [
      'an ARN that is a number',
      {},
      { eventSourceARN: 7 },
      'stream ARN "7": without its label (arn:aws:dynamodb:REGION:ACCOUNT:table/NAME/stream/LABEL) versions cannot be compared',
    ],
    ['an eventName that is a number', {}, { eventName: 7 }, 'eventName "7" is none of INSERT, MODIFY, REMOVE'],
  ])('is refused with the attribute and the reason: %s', (_, dynamodb, more, expected) => {
    expect(refusal(record(dynamodb, more))).toBe(expected);
    expect(() => hintOf(record(dynamodb, more), 0)).not.toThrow(TypeError);
  });
});

it('refuses a list in place of a record', () => {
  expect(() => decodeRecord([record({})] as never, 0)).toThrow('record 0 (not an object): a record is an object');
  expect(() => hintOf([record({})] as never, 0)).toThrow('record 0 (not an object): a record is an object');
});

it('keeps only the meant type of a key', () => {
  expect(keyOnly({ pk: { B: new Uint8Array([1]), S: '' } })).toEqual({ pk: { B: new Uint8Array([1]) } });
});

describe('the time of a record', () => {
  const at = (ApproximateCreationDateTime: unknown) => writtenAt(record({ ApproximateCreationDateTime }));
  it.each<[string, unknown, number | undefined]>([
    ['seconds', 1_762_000_000, 1_762_000_000_000],
    ['seconds with a fraction', 1_762_000_000.5, 1_762_000_000_500],
    ['milliseconds', 1_762_000_000_000, 1_762_000_000_000],
    ['a Date', new Date(1_762_000_000_000), 1_762_000_000_000],
    ['ISO 8601', '2025-11-01T12:26:40Z', 1_762_000_000_000],
    ['ISO 8601 with milliseconds and an offset', '2025-11-01T13:26:40.000+01:00', 1_762_000_000_000],
    ['seconds as text', '1762000000', 1_762_000_000_000],
    ['milliseconds as text', '1762000000000', 1_762_000_000_000],
    ['null', null, undefined],
    ['nothing', undefined, undefined],
    ['a text that is no time', 'yesterday', undefined],
    ['an invalid Date', new Date(Number.NaN), undefined],
    ['not a number', Number.NaN, undefined],
    ['infinity', Infinity, undefined],
    ['a time before the epoch', -5, undefined],
    ['0, which serialisers write for no time', 0, undefined],
    ['0 as text', '0', undefined],
    ['the epoch as ISO 8601', '1970-01-01T00:00:00Z', undefined],
    ['the epoch as a Date', new Date(0), undefined],
    ['minutes since the epoch', 29_366_666, undefined],
    ['an object of seconds, as protocol buffers have it', { seconds: 1_762_000_000, nanos: 0 }, undefined],
    ['microseconds', 1_762_000_000_000_000, undefined],
    ['an object', {}, undefined],
  ])('is read from %s', (_, time, expected) => {
    expect(at(time)).toBe(expected);
  });
});
