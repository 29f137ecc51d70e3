import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { GetObjectCommand, InvalidObjectState, S3Client } from '@aws-sdk/client-s3';
import { mockClient } from 'aws-sdk-client-mock';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { memoryCache } from '../../src/caches/memory.ts';
import { attributesOf, decodeRecord, hintOf, type StreamRecord } from '../../src/dynamodb/record.ts';
import { MalformedLetterError, MalformedRecordError } from '../../src/errors.ts';
import { folderStore } from '../../src/letters/folder.ts';
import { letterName, MAXIMUM_LETTER_BYTES, parseLetter } from '../../src/letters/letter.ts';
import { s3Store } from '../../src/letters/s3.ts';
import type { LetterStore } from '../../src/letters/store.ts';
import { redrive } from '../../src/redrive/redrive.ts';
import { insert, streamEvent } from '../../src/testing/events.ts';
import { documentView, entity } from '../../src/view.ts';
import { HOW_TO_GET_MOTO, type MotoServer, motoAvailable, startMoto } from '../servers/moto.ts';
import { missing } from '../servers/requires.ts';
import { lambdaLetter, lambdaName, memoryStore } from './letters.ts';

const thing = entity({ name: 'thing', owns: () => true, schema: { parse: (item) => item as { pk: string } } });
const plain = documentView({ name: 'plain', revision: 1, entity: thing, project: ({ pk }) => [{ key: pk, value: pk }] });
const sound = streamEvent([insert({ pk: 'a' })], { keys: ['pk'] }).Records[0] as StreamRecord;
const TOO_LARGE = MAXIMUM_LETTER_BYTES + 1;

const payload = (text: string) => JSON.stringify({ payload: text });
const run = (store: LetterStore) =>
  redrive({
    views: [plain],
    cache: memoryCache(),
    store,
    filter: {},
    table: { read: async (_, keys) => keys.map(() => ({ item: { pk: 'a' } })) },
  });

/** Letters that would take all memory or time, if they were parsed. */
const BOMBS: readonly [string, () => string, RegExp][] = [
  ['17 MB', () => ' '.repeat(17_000_000), /it has 17000000 bytes, and no letter has more than 16000000/],
  ['17 MB of two bytes a character', () => 'é'.repeat(8_500_000), /it has 17000000 bytes/],
  ['17 MB of a real letter', () => JSON.stringify({ payload: { Records: [sound] }, more: 'x'.repeat(17_000_000) }), /bytes/],
  ['lists in lists', () => '['.repeat(5_000_000), /it is nested more than 200 levels deep/],
  ['objects in objects', () => '{"a":'.repeat(1_000_000), /it is nested more than 200 levels deep/],
  ['lists in lists, well-formed', () => `${'['.repeat(1_000_000)}${']'.repeat(1_000_000)}`, /nested/],
  ['a deep payload', () => payload(`{"Records":${'['.repeat(1_000_000)}`), /its payload is nested more than 200 levels deep/],
  ['a deep payload that is no text', () => `{"payload":{"Records":[${'{"a":'.repeat(1_000)}1${'}'.repeat(1_000)}]}}`, /nested/],
  ['a deep field beside the payload', () => `{"payload":"{\\"Records\\":[]}","more":${'['.repeat(1_000)}${']'.repeat(1_000)}}`, /nested/],
  ['millions of records', () => payload(`{"Records":[${'{},'.repeat(3_500_000)}{}]}`), /its payload has more than 3000000 values/],
  ['millions of numbers', () => payload(`{"Records":[${'0,'.repeat(5_000_000)}0]}`), /values/],
  [
    'more records than a batch has',
    () => payload(`{"Records":[${'{},'.repeat(10_000)}{}]}`),
    /it has 10001 records, and no batch has more than 10000/,
  ],
];

describe('a letter that is a bomb', () => {
  it.each(BOMBS)('is refused before it is parsed: %s', (_, text, message) => {
    const started = performance.now();
    const parse = () => parseLetter(text());
    expect(parse).toThrow(expect.objectContaining({ name: 'MalformedLetterError', message: expect.stringMatching(message) }));
    expect(performance.now() - started).toBeLessThan(10_000);
  });

  it.each(BOMBS.filter(([what]) => /^17 MB$|^lists in lists$|batch/.test(what)))(
    'is kept with its cause, and stops no other: %s',
    async (_, text, message) => {
      const store = memoryStore({ [lambdaName(1)]: text(), [lambdaName(2)]: lambdaLetter([sound]) });
      const { letters, stopped } = await run(store);
      expect(stopped).toBeUndefined();
      expect(letters).toMatchObject([
        { name: lambdaName(1), status: 'kept', causes: [{ stage: 'letter', error: { message: expect.stringMatching(message) } }] },
        { name: lambdaName(2), status: 'removed' },
      ]);
      expect([...store.texts.keys()]).toEqual([lambdaName(1)]);
    },
  );

  it('does not stop the redrive by its number: forty of them count as answers of the store', async () => {
    const store = memoryStore();
    for (let n = 1; n <= 40; n += 1) store.texts.set(lambdaName(n), 'too large');
    store.texts.set(lambdaName(41), lambdaLetter([sound]));
    const sizes: (number | undefined)[] = [];
    const limited: LetterStore = {
      ...store,
      async get(name, maximumBytes) {
        sizes.push(maximumBytes);
        const text = store.texts.get(name);
        if (text === 'too large') throw new MalformedLetterError('it is too large');
        return text;
      },
    };
    const { letters, stopped } = await run(limited);
    expect([letters.length, stopped]).toEqual([41, undefined]);
    expect(letters.filter(({ causes }) => causes[0]?.stage === 'letter')).toHaveLength(40);
    expect(new Set(sizes)).toEqual(new Set([MAXIMUM_LETTER_BYTES]));
    expect(store.texts.has(lambdaName(41))).toBe(false);
  });

  it('is not one of Lambda’s largest batches: 10,000 records are settled', async () => {
    const count = 10_000;
    const store = memoryStore({ [lambdaName(1)]: payload(JSON.stringify({ Records: Array.from({ length: count }, () => sound) })) });
    expect((await run(store)).letters).toMatchObject([{ status: 'removed', records: count }]);
  });

  it('is not an event of 6 MB, whatever its records are', () => {
    const large = (value: unknown, count: number) => {
      const record = { ...sound, dynamodb: { ...sound.dynamodb, NewImage: { pk: { S: 'a' }, it: value } } };
      const text = JSON.stringify({ Records: Array.from({ length: count }, () => record) });
      expect(text.length).toBeGreaterThan(5_500_000);
      expect(text.length).toBeLessThan(6_291_456);
      return JSON.stringify({ payload: text });
    };
    for (const text of [
      large({ L: Array.from({ length: 60_000 }, () => ({ M: {} })) }, 11),
      large({ NS: Array.from({ length: 100_000 }, (_, n) => String(n % 10)) }, 15),
      large({ S: '"'.repeat(300_000) }, 10),
      large({ B: Buffer.alloc(300_000).toString('base64') }, 15),
    ]) {
      expect(parseLetter(text).event.Records.length).toBeGreaterThan(9);
    }
  });
});

describe('what a letter says', () => {
  const withBody = (body: object, more: object = {}): StreamRecord => ({ ...sound, ...more, dynamodb: { ...sound.dynamodb, ...body } });
  const deep = (levels: number): unknown => {
    let value: unknown = { S: 'x' };
    for (let i = 0; i < levels; i += 1) value = { M: { a: value } };
    return value;
  };
  const LONG = 'x'.repeat(1_000_000);

  it('may nest attributes as deep as DynamoDB does, and no deeper', () => {
    expect(decodeRecord(withBody({ NewImage: { pk: { S: 'a' }, it: deep(32) } }), 0).after).toBeDefined();
    expect(() => attributesOf({ it: deep(90) })).toThrow('a part of attribute "it" is nested deeper than attributes of DynamoDB are');
    expect(() => decodeRecord(withBody({ NewImage: { pk: { S: 'a' }, it: deep(4_000) } }), 0)).toThrow(MalformedRecordError);
  });

  it.each<[string, StreamRecord]>([
    ['eventName', withBody({}, { eventName: LONG })],
    ['eventID', withBody({ SequenceNumber: undefined }, { eventID: LONG })],
    ['SequenceNumber', withBody({ SequenceNumber: LONG })],
    ['SequenceNumber of digits', withBody({ SequenceNumber: '1'.repeat(1_000_000) })],
    ['eventSourceARN', withBody({}, { eventSourceARN: LONG })],
    ['label', withBody({}, { eventSourceARN: `arn:aws:dynamodb:eu-west-1:123456789012:table/shop/stream/${LONG}` })],
    [
      'many labels',
      withBody({}, { eventSourceARN: `arn:aws:dynamodb:eu-west-1:123456789012:table/shop${'/stream/x'.repeat(400_000)}\n\n` }),
    ],
    ['view type', withBody({ NewImage: undefined, StreamViewType: LONG })],
    ['attribute name', withBody({ NewImage: { [LONG]: { X: 1 } } })],
    ['attribute type', withBody({ NewImage: { a: { [LONG]: 1 } } })],
    ['key', withBody({ Keys: { pk: { S: LONG } } })],
    ['binary key', withBody({ Keys: { pk: { B: 'A'.repeat(1_000_000) } } })],
    ['key name', withBody({ Keys: { [LONG]: { S: 'a', N: '1' } } })],
    ['many keys', withBody({ Keys: Object.fromEntries(Array.from({ length: 10_000 }, (_, n) => [`k${n}`, { S: 'a' }])) })],
  ])('is never quoted at length, and takes no time: %s', (_, record) => {
    for (const read of [decodeRecord, hintOf]) {
      const started = performance.now();
      try {
        const hint = read(record, 0);
        expect((hint as { after: { error: Error } }).after.error.message.length).toBeLessThan(500);
      } catch (error) {
        expect(error).toBeInstanceOf(MalformedRecordError);
        expect((error as Error).message.length).toBeLessThan(500);
      }
      expect(performance.now() - started).toBeLessThan(2_000);
    }
  });

  it.each<unknown>([
    null,
    7,
    'text',
    [],
    {},
    { dynamodb: null },
    { dynamodb: 7 },
    { eventName: {}, dynamodb: {} },
    { eventName: { toString: 1 } },
    { eventSourceARN: { toString: 1 }, dynamodb: { SequenceNumber: { toString: 1 } } },
  ])('is refused as a record by name if it is none: %j', (record) => {
    expect(() => decodeRecord(record as StreamRecord, 3)).toThrow(MalformedRecordError);
    expect(() => hintOf(record as StreamRecord, 3)).toThrow(MalformedRecordError);
    expect(letterName(record as StreamRecord)).toMatch(/^millrace\//);
  });

  it('has a name, however deep it is', () => {
    expect(letterName(withBody({ NewImage: { it: deep(20_000) } }))).toMatch(/^millrace\/TestTable\//);
  });

  it.each(['__proto__', 'constructor', 'prototype', 'toString', 'hasOwnProperty'])(
    'changes no prototype by an attribute of the name %s',
    async (name) => {
      const image = JSON.parse(`{"pk":{"S":"a"},"${name}":{"M":{"${name}":{"S":"polluted"}}}}`);
      const keys = JSON.parse(`{"pk":{"S":"a"},"${name}":{"S":"k"}}`);
      const record = withBody({ Keys: keys, NewImage: { ...image, ...keys } });
      const change = decodeRecord(record, 0);
      expect(Object.keys(change.keys)).toEqual(Object.keys(keys));
      expect(change.item).toBe(
        JSON.stringify(
          Object.keys(keys)
            .sort()
            .map((key) => (key === 'pk' ? 'a' : 'k')),
        ),
      );
      const hint = hintOf(record, 0);
      expect(Object.keys(hint.key)).toEqual(Object.keys(keys));
      const text = lambdaLetter([record]).replace('"requestContext":{', `"requestContext":{"${name}":{"polluted":true},`);
      const store = memoryStore({
        [lambdaName(1)]: text.replace(/}$/, `,"millrace":{"${name}":{"polluted":true},"causes":[{"stage":"${name}"}]}}`),
      });
      expect((await run(store)).letters).toMatchObject([{ status: 'removed' }]);
      expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
      expect(Object.hasOwn(Object.prototype, 'polluted')).toBe(false);
    },
  );

  it('gives a bounded number of causes, which say how many more there are', async () => {
    const records = Array.from({ length: 10_000 }, () => ({}));
    const causes = Array.from({ length: 5_000 }, (_, n) => ({
      stage: 'view',
      view: `foreign${n}@1`,
      error: { name: 'E', message: LONG.slice(0, 100) },
    }));
    const store = memoryStore({
      [lambdaName(1)]: payload(JSON.stringify({ Records: records })),
      [lambdaName(2)]: JSON.stringify({ payload: { Records: [sound] }, millrace: { causes } }),
    });
    const { letters } = await run(store);
    expect(letters.map(({ causes }) => causes.length)).toEqual([101, 100]);
    expect(letters[0]?.causes.at(-1)?.error.message).toBe('9900 more records cannot be decoded');
  });

  it('does not grow with each redrive', async () => {
    const store = memoryStore({ [lambdaName(1)]: lambdaLetter([withBody({ SequenceNumber: 'x'.repeat(100_000) })]) });
    await run(store);
    const { length } = store.texts.get(lambdaName(1)) as string;
    for (let i = 0; i < 3; i += 1) await run(store);
    expect((store.texts.get(lambdaName(1)) as string).length).toBeLessThan(length + 10);
  });
});

describe('a store that knows the size', () => {
  const folder = () => {
    const path = mkdtempSync(join(tmpdir(), 'millrace-bounds-'));
    onTestFinished(() => rmSync(path, { recursive: true, force: true }));
    return path;
  };

  it('refuses a file that is too large without reading it', async () => {
    const path = folder();
    // A file of a terabyte, without content.
    writeFileSync(join(path, 'large'), '');
    truncateSync(join(path, 'large'), 1e12);
    writeFileSync(join(path, 'fits'), 'x'.repeat(10));
    const store = folderStore(path);
    await expect(store.get('large', MAXIMUM_LETTER_BYTES)).rejects.toThrow(MalformedLetterError);
    await expect(store.get('large', MAXIMUM_LETTER_BYTES)).rejects.toThrow(
      'it has 1000000000000 bytes, and no letter has more than 16000000',
    );
    expect(await store.get('fits', 10)).toBe('x'.repeat(10));
    await expect(store.get('fits', 9)).rejects.toThrow(MalformedLetterError);
    expect(await store.get('absent', 10)).toBeUndefined();
  });

  it('lists no file whose name it would refuse', async () => {
    const path = folder();
    for (const name of ['good', 'bad\\name']) writeFileSync(join(path, name), '');
    const names: string[] = [];
    for await (const name of folderStore(path).names()) names.push(name);
    expect(names).toEqual(['good']);
  });

  it('refuses an object that is too large, and ends the transfer', async () => {
    const client = new S3Client({ region: 'eu-west-1', credentials: { accessKeyId: 'x', secretAccessKey: 'x' } });
    const mock = mockClient(client);
    let read = 0;
    const body = new Readable({
      read() {
        read += 1;
        this.push(Buffer.alloc(65_536));
      },
    });
    mock.on(GetObjectCommand).resolves({ Body: body as never, ContentLength: TOO_LARGE });
    await expect(s3Store({ bucket: 'b', client }).get('large', MAXIMUM_LETTER_BYTES)).rejects.toThrow(MalformedLetterError);
    expect([body.destroyed, read]).toEqual([true, 0]);
  });

  it.each([
    new InvalidObjectState({ message: 'The operation is not valid for the object’s storage class', $metadata: {} }),
    Object.assign(new Error('The object was stored using a form of Server Side Encryption'), { name: 'InvalidRequest' }),
  ])('takes an object that S3 will never give for an answer: $name', async (error) => {
    const client = new S3Client({ region: 'eu-west-1', credentials: { accessKeyId: 'x', secretAccessKey: 'x' } });
    mockClient(client).on(GetObjectCommand).rejects(error);
    await expect(s3Store({ bucket: 'b', client }).get('letter')).rejects.toThrow(MalformedLetterError);
    await expect(s3Store({ bucket: 'b', client }).get('letter')).rejects.toThrow(`does not give this object (${error.name}`);
  });

  describe.skipIf(missing(motoAvailable(), HOW_TO_GET_MOTO))('on a real S3', { timeout: 60_000 }, () => {
    let moto: MotoServer;
    let client: S3Client;
    beforeAll(async () => {
      moto = await startMoto();
      client = new S3Client(moto.settings);
      const { CreateBucketCommand } = await import('@aws-sdk/client-s3');
      await client.send(new CreateBucketCommand({ Bucket: 'bounds' }));
    }, 60_000);
    afterAll(async () => {
      client?.destroy();
      await moto?.close();
    });

    it('refuses an object of one byte too much, and gives one that fits', async () => {
      const store = s3Store({ bucket: 'bounds', client });
      await store.put(lambdaName(1), 'x'.repeat(TOO_LARGE));
      await store.put(lambdaName(2), lambdaLetter([sound]));
      await expect(store.get(lambdaName(1), MAXIMUM_LETTER_BYTES)).rejects.toThrow(MalformedLetterError);
      expect((await store.get(lambdaName(1)))?.length).toBe(TOO_LARGE);
      expect((await run(store)).letters).toMatchObject([
        { status: 'kept', causes: [{ stage: 'letter' }] },
        { status: 'removed', causes: [] },
      ]);
    });
  });
});
