import { existsSync, mkdtempSync, readdirSync, writeFileSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  CreateBucketCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import { type AwsClientStub, mockClient } from 'aws-sdk-client-mock';
import fc from 'fast-check';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import type { StreamRecord } from '../../src/dynamodb/record.ts';
import { MalformedLetterError } from '../../src/errors.ts';
import { folderStore } from '../../src/letters/folder.ts';
import { letterName, letterText, parseLetter, redrivenText } from '../../src/letters/letter.ts';
import { s3Store } from '../../src/letters/s3.ts';
import type { LetterStore } from '../../src/letters/store.ts';
import { HOW_TO_GET_MOTO, type MotoServer, motoAvailable, startMoto } from '../servers/moto.ts';
import { missing } from '../servers/requires.ts';

const ARN = 'arn:aws:dynamodb:eu-west-1:123456789012:table/shop/stream/2026-11-01T09:00:00.123';
const AT = new Date('2026-11-20T21:30:07.250Z');

const record: StreamRecord = {
  eventID: 'e1',
  eventName: 'INSERT',
  eventSourceARN: ARN,
  dynamodb: {
    ApproximateCreationDateTime: Date.parse('2026-11-20T21:29:07Z') / 1_000,
    Keys: { pk: { S: 'order#1' }, sk: { S: 'order' } },
    NewImage: { pk: { S: 'order#1' }, sk: { S: 'order' }, note: { S: 'sauce "extra"\n\u2028 \ud83c\udf55 ü' }, n: { N: '0.10' } },
    SequenceNumber: '418800000000000004200117',
    StreamViewType: 'NEW_AND_OLD_IMAGES',
  },
};
const without = <T extends object>(from: T, ...names: (keyof T)[]): T =>
  Object.fromEntries(Object.entries(from).filter(([name]) => !names.includes(name as keyof T))) as T;

async function all<T>(from: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const one of from) found.push(one);
  return found;
}

describe('letterText', () => {
  it('writes what Lambda writes to an S3 destination, and the causes of the worker', () => {
    const causes = [{ stage: 'view', view: 'detail', error: { name: 'ViewError', message: 'it threw' } }] as const;
    const text = letterText({
      records: [record],
      condition: 'Poison',
      at: AT,
      causes,
      requestId: '316aa6d0-8154-4b1a-9af7-85d5f4a6bc81',
      functionArn: 'arn:aws:lambda:eu-west-1:123456789012:function:sync',
    });
    expect(JSON.parse(text)).toEqual({
      requestContext: {
        requestId: '316aa6d0-8154-4b1a-9af7-85d5f4a6bc81',
        functionArn: 'arn:aws:lambda:eu-west-1:123456789012:function:sync',
        condition: 'Poison',
      },
      version: '1.0',
      timestamp: '2026-11-20T21:30:07.250Z',
      DDBStreamBatchInfo: {
        shardId: 'unknown',
        startSequenceNumber: '418800000000000004200117',
        endSequenceNumber: '418800000000000004200117',
        approximateArrivalOfFirstRecord: '2026-11-20T21:29:07Z',
        approximateArrivalOfLastRecord: '2026-11-20T21:29:07Z',
        batchSize: 1,
        streamArn: ARN,
      },
      payload: JSON.stringify({ Records: [record] }),
      millrace: { causes },
    });
  });

  it('writes where a batch begins and ends, and no field of the worker without causes', () => {
    const second = { ...record, dynamodb: { ...record.dynamodb, SequenceNumber: '9', ApproximateCreationDateTime: 1_795_000_000 } };
    const letter = JSON.parse(
      letterText({
        records: [record, second],
        condition: 'RetryAttemptsExhausted',
        at: AT,
        shardId: 'shardId-1',
        approximateInvokeCount: 3,
        responseContext: { statusCode: 200, executedVersion: '$LATEST', functionError: 'Unhandled' },
      }),
    );
    expect(letter).toMatchObject({
      requestContext: { condition: 'RetryAttemptsExhausted', approximateInvokeCount: 3 },
      responseContext: { statusCode: 200, executedVersion: '$LATEST', functionError: 'Unhandled' },
      DDBStreamBatchInfo: {
        shardId: 'shardId-1',
        startSequenceNumber: '418800000000000004200117',
        endSequenceNumber: '9',
        approximateArrivalOfLastRecord: new Date(1_795_000_000_000).toISOString().replace('.000', ''),
        batchSize: 2,
      },
    });
    expect(letter).not.toHaveProperty('millrace');
  });

  it('writes a payload that is exactly the event, whatever texts are in it', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.json(), (text, json) => {
        const event = { Records: [{ ...record, dynamodb: { ...record.dynamodb, NewImage: { text: { S: text }, json: { S: json } } } }] };
        const { raw, event: read } = parseLetter(letterText({ records: event.Records, condition: 'Poison', at: AT }));
        expect(raw.payload).toBe(JSON.stringify(event));
        expect(read).toEqual(event);
      }),
    );
  });

  it('writes dates and bytes of GetRecords in the form of an event', () => {
    const fetched = {
      ...record,
      dynamodb: {
        ...record.dynamodb,
        ApproximateCreationDateTime: new Date(1_795_000_000_000),
        NewImage: { one: { B: new Uint8Array([1, 2, 255]) }, some: { BS: [Buffer.from('a'), Buffer.from('b')] } },
      },
    };
    const { event } = parseLetter(letterText({ records: [fetched], condition: 'Poison', at: AT }));
    expect(event.Records[0]?.dynamodb).toMatchObject({
      ApproximateCreationDateTime: 1_795_000_000,
      NewImage: { one: { B: 'AQL/' }, some: { BS: ['YQ==', 'Yg=='] } },
    });
  });

  it.each<[string, unknown]>([
    ['null', null],
    ['a text', 'gibberish'],
    ['empty', {}],
    ['of another service', { messageId: '1', body: '{}' }],
    ['without a number', { ...record, dynamodb: without(record.dynamodb ?? {}, 'SequenceNumber') }],
    ['with a strange date', { ...record, dynamodb: { ...record.dynamodb, ApproximateCreationDateTime: 'soon' } }],
    ['with a date beyond all', { ...record, dynamodb: { ...record.dynamodb, ApproximateCreationDateTime: 1e300 } }],
  ])('takes any record, also one that is %s', (_, odd) => {
    const text = letterText({ records: [odd as StreamRecord], condition: 'Poison', at: AT });
    expect(parseLetter(text).event.Records).toEqual([odd]);
    expect(letterName(odd as StreamRecord)).toMatch(/^millrace\/(shop|unknown-table)\/[\w./-]+-[\da-f]{16}\.json$/);
  });
});

describe('letterName', () => {
  const HASH = '[\\da-f]{16}';

  it('tells the table, the time and the sequence number of the record', () => {
    expect(letterName(record)).toMatch(
      new RegExp(`^millrace/shop/2026/11/20/2026-11-20T21\\.29\\.07-418800000000000004200117-${HASH}\\.json$`),
    );
  });

  it('gives the same name to each delivery of a record, in whatever order its fields come', () => {
    const backwards = (value: unknown): unknown =>
      Array.isArray(value)
        ? value.map(backwards)
        : typeof value === 'object' && value !== null
          ? Object.fromEntries(
              Object.entries(value)
                .reverse()
                .map(([name, of]) => [name, backwards(of)]),
            )
          : value;
    expect(JSON.stringify(backwards(record))).not.toBe(JSON.stringify(record));
    expect(letterName(backwards(record) as StreamRecord)).toBe(letterName(record));
    expect(letterName(JSON.parse(JSON.stringify(record)))).toBe(letterName(record));
  });

  it('gives another name to every other record', () => {
    const { dynamodb = {} } = record;
    const others = [
      { ...record, eventID: 'e2' },
      { ...record, eventSourceARN: `${ARN}4` },
      { ...record, dynamodb: { ...dynamodb, SequenceNumber: '418800000000000004200118' } },
      { ...record, dynamodb: { ...dynamodb, NewImage: { pk: { S: 'order#2' } } } },
      { ...record, dynamodb: { ...dynamodb, NewImage: { l: { L: [{ N: '1' }, { N: '2' }] } } } },
      { ...record, dynamodb: { ...dynamodb, NewImage: { l: { L: [{ N: '2' }, { N: '1' }] } } } },
    ];
    expect(new Set([record, ...others].map(letterName)).size).toBe(1 + others.length);
  });

  it('stays in its folder, whatever a record contains', () => {
    const arns = ['table/../stream/x', 'table/../../etc/stream/x', 'table/a b/stream/x', 'table/', 'table/x/stream', 'table/%2e%2e/s'];
    for (const arn of arns) {
      const name = letterName({ ...record, eventSourceARN: `arn:aws:dynamodb:eu-west-1:1:${arn}` });
      expect(name).toMatch(/^millrace\/unknown-table\//);
    }
    const name = letterName({ ...record, dynamodb: { SequenceNumber: '../../1', ApproximateCreationDateTime: '../..' as never } });
    expect(name).toMatch(new RegExp(`^millrace/shop/undated/undated-unnumbered-${HASH}\\.json$`));
  });
});

describe('parseLetter', () => {
  it('gives back what `letterText` wrote', () => {
    const causes = [
      { stage: 'decode', error: { name: 'MalformedRecordError', message: 'no' } },
      { stage: 'rejected', view: 'detail@1', error: { name: 'Error', message: 'too large' } },
    ] as const;
    const text = letterText({ records: [record], condition: 'Poison', at: AT, causes, functionArn: 'arn:f' });
    expect(parseLetter(text)).toEqual({
      event: { Records: [record] },
      condition: 'Poison',
      at: AT,
      functionArn: 'arn:f',
      streamArn: ARN,
      causes,
      redrives: undefined,
      raw: JSON.parse(text),
    });
  });

  it("reads one of Lambda's own letters", () => {
    const letter = parseLetter(
      JSON.stringify({
        requestContext: {
          requestId: 'c9b8fa9f-5a7f-xmpl-af9c-0c604cde93a5',
          functionArn: 'arn:aws:lambda:us-east-2:123456789012:function:sync',
          condition: 'RetryAttemptsExhausted',
          approximateInvokeCount: 1,
        },
        responseContext: { statusCode: 200, executedVersion: '$LATEST', functionError: 'Unhandled' },
        version: '1.0',
        timestamp: '2026-11-14T00:38:06.021Z',
        DDBStreamBatchInfo: { shardId: 'shardId-1', startSequenceNumber: '1', endSequenceNumber: '2', batchSize: 2, streamArn: ARN },
        payload: JSON.stringify({ Records: [record, record] }),
      }),
    );
    expect(letter).toMatchObject({
      event: { Records: [record, record] },
      condition: 'RetryAttemptsExhausted',
      at: new Date('2026-11-14T00:38:06.021Z'),
      functionArn: 'arn:aws:lambda:us-east-2:123456789012:function:sync',
      streamArn: ARN,
      causes: [],
    });
  });

  it('needs no more than a payload, whose record tells the stream', () => {
    const payload = JSON.stringify({ Records: [record] });
    expect(parseLetter(JSON.stringify({ payload }))).toMatchObject({ event: { Records: [record] }, streamArn: ARN, causes: [] });
    expect(parseLetter(JSON.stringify({ payload: { Records: [] } }))).toMatchObject({ event: { Records: [] }, streamArn: undefined });
    const odd = { payload, timestamp: 'then', requestContext: 7, DDBStreamBatchInfo: [], millrace: { causes: [1, {}], redrives: 'two' } };
    expect(parseLetter(JSON.stringify(odd))).toMatchObject({ at: undefined, condition: undefined, causes: [], redrives: undefined });
  });

  it('reads the redrives that `redrivenText` writes, which changes nothing else', () => {
    const text = letterText({ records: [record], condition: 'Poison', at: AT, causes: [] });
    const once = redrivenText(parseLetter(text), { count: 1, last: '2026-11-21T00:00:00Z', cause: 'the table gave no answer' });
    expect(parseLetter(once).redrives).toEqual({ count: 1, last: '2026-11-21T00:00:00Z', cause: 'the table gave no answer' });
    const twice = redrivenText(parseLetter(once), { count: 2, last: '2026-11-22T00:00:00Z', cause: 'again' });
    const { millrace, ...rest } = JSON.parse(twice);
    expect({ ...rest, millrace: { causes: [] } }).toEqual(JSON.parse(text));
    expect(millrace).toEqual({ causes: [], redrives: { count: 2, last: '2026-11-22T00:00:00Z', cause: 'again' } });
  });

  it.each([
    ['', 'it is not JSON'],
    ['{"payload": "s3cret', 'it is not JSON'],
    ['null', 'it is no JSON object'],
    ['[]', 'it is no JSON object'],
    ['{"version":"1.0"}', 'it has no payload. The letters of SQS and SNS destinations have none'],
    ['{"payload":"{\\"Records\\": s3cret"}', 'its payload is not JSON'],
    ['{"payload":"{}"}', 'its payload has no Records'],
    ['{"payload":"{\\"Records\\":{}}"}', 'its payload has no Records'],
    ['{"payload":7}', 'its payload has no Records'],
  ])('refuses the text %s, and never quotes it', (text, why) => {
    try {
      parseLetter(text);
    } catch (error) {
      expect(error).toBeInstanceOf(MalformedLetterError);
      expect((error as Error).message).toContain(why);
      expect((error as Error).message).not.toContain('s3cret');
      return;
    }
    throw new Error('it was not refused');
  });
});

const noMoto = missing(motoAvailable(), HOW_TO_GET_MOTO);
let moto: MotoServer;
let admin: S3Client;
const folders: string[] = [];

function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-letters-'));
  folders.push(folder);
  return folder;
}

beforeAll(async () => {
  if (noMoto) return;
  moto = await startMoto();
  admin = new S3Client(moto.settings);
});
afterAll(async () => {
  admin?.destroy();
  await moto?.close();
  await Promise.all(folders.map((folder) => rm(folder, { recursive: true, force: true })));
});

let buckets = 0;
async function newBucket(): Promise<string> {
  buckets += 1;
  const Bucket = `letters-${buckets}`;
  await admin.send(new CreateBucketCommand({ Bucket }));
  return Bucket;
}

const stores: readonly [name: string, absent: boolean, open: () => Promise<LetterStore>][] = [
  ['a folder', false, async () => folderStore(join(newFolder(), 'of', 'letters'))],
  ['a bucket', noMoto, async () => s3Store({ bucket: await newBucket(), client: admin })],
  ['a bucket, under a prefix', noMoto, async () => s3Store({ bucket: await newBucket(), prefix: 'cache/dead/', client: admin })],
];

describe.each(stores)('a store of letters in %s', (_, absent, open) => {
  describe.skipIf(absent)('', () => {
    let store: LetterStore;
    beforeEach(async () => {
      store = await open();
    });
    afterEach(() => store.close());

    it('gives back what was put, byte for byte', async () => {
      // The SDK warns of an empty body, as of a stream without a length.
      const warn = vi.spyOn(console, 'warn').mockReturnValue();
      onTestFinished(() => warn.mockRestore());
      const texts = ['', '{}', 'ü \u2028 \ud83c\udf55 \r\n\0', JSON.stringify(record), 'x'.repeat(3_000_000)];
      for (const [i, text] of texts.entries()) await store.put(`millrace/shop/${i}.json`, text);
      for (const [i, text] of texts.entries()) expect(await store.get(`millrace/shop/${i}.json`)).toBe(text);
    });

    it('replaces a letter of the same name', async () => {
      await store.put('a/b.json', 'first');
      await store.put('a/b.json', 'second');
      expect(await store.get('a/b.json')).toBe('second');
      expect(await all(store.names())).toEqual(['a/b.json']);
    });

    it('has no letter that was not put, that was deleted, or that lies below another one', async () => {
      expect(await store.get('a/b.json')).toBeUndefined();
      await store.put('a/b.json', 'text');
      expect([await store.get('a'), await store.get('a/b.json/c'), await store.get('a/b')].map((it) => it ?? 'none')).toEqual(
        Array(3).fill('none'),
      );
      await store.delete('a/b.json');
      expect(await store.get('a/b.json')).toBeUndefined();
      expect(await all(store.names())).toEqual([]);
    });

    it('deletes an absent letter without an error', async () => {
      await store.delete('a/b.json');
      await store.put('a/b.json', 'text');
      await store.delete('a/b.json/c');
      await store.delete('a/b.json');
      await store.delete('a/b.json');
      expect(await all(store.names())).toEqual([]);
    });

    it('lists names in the order of their bytes, all or those of a prefix', async () => {
      const names = ['b', 'a/b', 'a-b', 'a.b/c', 'a/B', 'a/b-c', 'A', 'a/\uffe5', 'a/\ud83c\udf55', 'aws/lambda/1/2'];
      for (const name of names) await store.put(name, name);
      const inOrder = [...names].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
      expect(await all(store.names())).toEqual(inOrder);
      expect(await all(store.names(''))).toEqual(inOrder);
      expect(await all(store.names('a/'))).toEqual(inOrder.filter((name) => name.startsWith('a/')));
      expect(await all(store.names('a/b'))).toEqual(['a/b', 'a/b-c']);
      expect(await all(store.names('none'))).toEqual([]);
    });

    it('lists no names of an empty store', async () => {
      expect(await all(store.names())).toEqual([]);
      expect(await all(store.names('millrace/'))).toEqual([]);
    });

    it('takes letters that are put concurrently, also under one name', async () => {
      const names = Array.from({ length: 40 }, (_, i) => `many/${i % 20}`);
      await Promise.all(names.map((name) => store.put(name, name)));
      expect((await all(store.names())).length).toBe(20);
      expect(await Promise.all(names.map((name) => store.get(name)))).toEqual(names);
    });
  });
});

describe('folderStore', () => {
  it.each(['../a', 'a/../../b', '/etc/a', '', 'a//b', './a', 'a\\b', 'a\0b', 'a/..'])(
    'refuses the name %j, which leads out of the folder',
    async (name) => {
      const store = folderStore(newFolder());
      for (const call of [() => store.put(name, 'x'), () => store.get(name), () => store.delete(name)]) {
        await expect(call()).rejects.toThrow(`letter name ${JSON.stringify(name)}`);
      }
    },
  );

  it('lists no letter that is half written, and leaves none behind when a write fails', async () => {
    const folder = newFolder();
    const store = folderStore(folder);
    await mkdir(join(folder, 'taken', 'by a folder'), { recursive: true });
    await expect(store.put('taken', 'x')).rejects.toThrow();
    expect(readdirSync(folder)).toEqual(['taken']);
    writeFileSync(join(folder, '.2f1c4f0e-64b1-4a39-8a92-b5f1c5a9d6aa.tmp'), 'half a');
    await store.put('a', 'x');
    expect(await all(store.names())).toEqual(['a']);
  });

  it('gives a reader the old letter or the new one, and never a part of one', async () => {
    const store = folderStore(newFolder());
    const texts = ['a', 'b'].map((letter) => letter.repeat(2_000_000));
    await store.put('x', texts[0] as string);
    let writing = true;
    const write = async () => {
      for (let i = 1; i <= 30; i += 1) await store.put('x', texts[i % 2] as string);
      writing = false;
    };
    const read = async () => {
      let reads = 0;
      for (; writing; reads += 1) if (!texts.includes((await store.get('x')) ?? 'none')) throw new Error('half a letter was read');
      return reads;
    };
    const [, reads] = await Promise.all([write(), read()]);
    expect(reads).toBeGreaterThan(5);
  });

  it('throws when the folder cannot be written', async () => {
    const folder = newFolder();
    writeFileSync(join(folder, 'file'), '');
    await expect(folderStore(join(folder, 'file')).put('a', 'x')).rejects.toThrow(/ENOTDIR|EEXIST/);
    expect(existsSync(join(folder, 'file', 'a'))).toBe(false);
  });
});

describe.skipIf(noMoto)('s3Store', () => {
  it('lists more names than one answer of S3 has', async () => {
    const bucket = await newBucket();
    const names = Array.from({ length: 1_050 }, (_, i) => `n/${String(i).padStart(5, '0')}`);
    for (let i = 0; i < names.length; i += 50) {
      const some = names.slice(i, i + 50);
      await Promise.all(some.map((Key) => admin.send(new PutObjectCommand({ Bucket: bucket, Key: `p/${Key}`, Body: '{}' }))));
    }
    expect(await all(s3Store({ bucket, prefix: 'p/', client: admin }).names())).toEqual(names);
  });

  it('keeps to its prefix, and stores a letter as JSON', async () => {
    const bucket = await newBucket();
    const store = s3Store({ bucket, prefix: 'cache/', client: admin });
    await admin.send(new PutObjectCommand({ Bucket: bucket, Key: 'cached', Body: 'of others' }));
    await store.put('a', '{}');
    const { ContentType } = await admin.send(new HeadObjectCommand({ Bucket: bucket, Key: 'cache/a' }));
    expect(ContentType).toBe('application/json');
    expect(await all(store.names())).toEqual(['a']);
    await store.delete('d');
    expect((await admin.send(new ListObjectsV2Command({ Bucket: bucket }))).KeyCount).toBe(2);
  });

  it('throws where there is no such bucket, which is not an absent letter', async () => {
    const store = s3Store({ bucket: 'nobodys-bucket', client: admin });
    await expect(store.put('a', 'x')).rejects.toThrow(/bucket/i);
    await expect(store.get('a')).rejects.toThrow(/bucket/i);
    await expect(all(store.names())).rejects.toThrow(/bucket/i);
  });
});

describe('s3Store, of a stub', () => {
  let s3: AwsClientStub<S3Client>;
  beforeEach(() => {
    s3 = mockClient(S3Client);
  });
  afterEach(() => s3.restore());

  it('throws at every call when access is denied', async () => {
    s3.rejects(Object.assign(new Error('Access Denied'), { name: 'AccessDenied' }));
    const store = s3Store({ bucket: 'b' });
    await expect(store.put('a', 'x')).rejects.toThrow('Access Denied');
    await expect(store.get('a')).rejects.toThrow('Access Denied');
    await expect(store.delete('a')).rejects.toThrow('Access Denied');
    await expect(all(store.names())).rejects.toThrow('Access Denied');
    await store.close();
  });

  it('sends the expected owner of the bucket with every call', async () => {
    s3.on(ListObjectsV2Command).resolves({ Contents: [] });
    s3.on(GetObjectCommand).resolves({});
    s3.on(PutObjectCommand).resolves({});
    s3.on(DeleteObjectCommand).resolves({});
    const store = s3Store({ bucket: 'b', prefix: 'p/', owner: '123456789012' });
    await store.put('a', 'x');
    await store.get('a');
    await store.delete('a');
    await all(store.names());
    expect(s3.calls()).toHaveLength(4);
    for (const { args } of s3.calls()) expect(args[0].input).toMatchObject({ Bucket: 'b', ExpectedBucketOwner: '123456789012' });
    await store.close();
  });
});
