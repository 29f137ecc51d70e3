import { DeleteItemCommand, PutItemCommand } from '@aws-sdk/client-dynamodb';
import { marshall } from '@aws-sdk/util-dynamodb';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { memoryCache } from '../../src/caches/memory.ts';
import { decodeRecord, hintOf, type StreamRecord } from '../../src/dynamodb/record.ts';
import { MalformedRecordError } from '../../src/errors.ts';
import { eventRecord } from '../../src/event-source-mapping/index.ts';
import { streamHandler } from '../../src/handlers/stream-handler.ts';
import { redrive } from '../../src/redrive/redrive.ts';
import { insert, modify, remove, streamEvent } from '../../src/testing/events.ts';
import { keyOf } from '../../src/view.ts';
import { views as shopViews } from '../../src/views/index.ts';
import { memoryStore } from '../letters/letters.ts';
import {
  createShopTable,
  type DynamoDbLocal,
  HOW_TO_GET_JAVA,
  javaAvailable,
  readStream,
  startDynamoDbLocal,
} from '../servers/dynamodb-local.ts';
import { missing } from '../servers/requires.ts';

const item = { pk: 'order#1', sk: 'order', n: 1 };
const record = (step: Parameters<typeof streamEvent>[0][number], body: object = {}): StreamRecord => {
  const [{ dynamodb, ...rest }] = streamEvent([step]).Records as [StreamRecord];
  return { ...rest, dynamodb: { ...dynamodb, ...body } };
};
const refusal = (of: StreamRecord): string => {
  try {
    decodeRecord(of, 0);
  } catch (error) {
    expect(error).toBeInstanceOf(MalformedRecordError);
    return (error as Error).message.replace(/^record 0 \(.*?\): /, '');
  }
  throw new Error('it was not refused');
};

/** What stands for an image that is absent, in events and in copies of them. */
const ABSENT = [undefined, null, {}];
const WAY_OUT = {
  INSERT: 'the image was lost on its way here: deliver the record as the stream has it',
  MODIFY: 'the image was lost on its way here: deliver the record as the stream has it',
  REMOVE:
    'if two deletes of the item raced in DynamoDB Local, the item was gone already, and there is nothing to do; otherwise the image was lost on its way here, and entries of the item may be outdated',
};

describe('a record without an image that its kind has', () => {
  it.each(
    ABSENT.flatMap((image) => [
      ['INSERT', 'NewImage', record(insert(item), { NewImage: image })] as const,
      ['MODIFY', 'OldImage', record(modify(item, item), { OldImage: image })] as const,
      ['MODIFY', 'NewImage', record(modify(item, item), { NewImage: image })] as const,
      ['REMOVE', 'OldImage', record(remove(item), { OldImage: image })] as const,
    ]),
  )('does not blame the view type of a stream that is NEW_AND_OLD_IMAGES: %s without %s', (kind, name, of) => {
    expect(refusal(of)).toBe(`${kind} without ${name}, although the stream is NEW_AND_OLD_IMAGES: ${WAY_OUT[kind]}`);
  });

  it.each(['KEYS_ONLY', 'NEW_IMAGE', 'OLD_IMAGE', 'SOMETHING_NEW'])('blames the view type %s', (StreamViewType) => {
    expect(refusal(record(remove(item), { OldImage: undefined, StreamViewType }))).toBe(
      `REMOVE without OldImage (the stream is ${StreamViewType}): the table's stream must be NEW_AND_OLD_IMAGES`,
    );
  });

  it.each([undefined, null])('asks for the view type when the record does not tell it: %j', (StreamViewType) => {
    expect(refusal(record(remove(item), { OldImage: undefined, StreamViewType }))).toBe(
      "REMOVE without OldImage: the table's stream must be NEW_AND_OLD_IMAGES",
    );
  });

  it.each([7, ['NEW_AND_OLD_IMAGES'], {}, `x${'y'.repeat(100_000)}`])(
    'quotes no more of a strange view type than a few characters',
    (StreamViewType) => {
      expect(refusal(record(remove(item), { OldImage: undefined, StreamViewType })).length).toBeLessThan(200);
    },
  );
});

describe('an image that its kind does not have', () => {
  it.each(ABSENT)('is no unknown past when a serialiser fills it with %j', (image) => {
    const hint = hintOf(record(insert(item), { OldImage: image }), 0);
    expect([hint.before, hint.after]).toEqual([{}, { attributes: item }]);
    expect(decodeRecord(record(remove(item), { NewImage: image }), 0)).toMatchObject({ before: item });
  });
});

describe.skipIf(missing(javaAvailable(), HOW_TO_GET_JAVA))('racing deletes in DynamoDB Local', { timeout: 60_000 }, () => {
  let local: DynamoDbLocal;
  beforeAll(async () => {
    local = await startDynamoDbLocal();
  }, 60_000);
  afterAll(() => local?.close());

  it('make records without an image, whose letters say that there is nothing to do; the item stays deleted', async () => {
    const { tableName: TableName, streamArn } = await createShopTable(local.client, 'raced');
    const Key = marshall({ pk: 'order#7', sk: 'order' });
    const order = {
      pk: 'order#7',
      sk: 'order',
      id: '7',
      createdAt: '2026-11-22T12:00:00.000Z',
      status: 'new',
      numItems: 0,
      items: [],
      creator: 'ann',
    };
    const reader = readStream(local.streams, streamArn);
    const records: StreamRecord[] = [];
    const isRaced = ({ eventName, dynamodb }: StreamRecord) => eventName === 'REMOVE' && dynamodb?.OldImage === undefined;
    for (let tries = 0; tries < 100 && !records.some(isRaced); tries += 1) {
      await local.client.send(new PutItemCommand({ TableName, Item: marshall(order) }));
      await Promise.all([1, 2, 3, 4].map(() => local.client.send(new DeleteItemCommand({ TableName, Key }))));
      records.push(...(await reader.readNew()).map((one) => eventRecord(one, streamArn)));
    }
    const raced = records.filter(isRaced);
    expect(raced.length).toBeGreaterThan(0);

    const views = Object.values(shopViews);
    const [cache, store] = [memoryCache(), memoryStore()];
    const handler = streamHandler({ views, cache, letters: store, logger: { info() {}, warn() {}, error() {} }, poisonRunLimit: 0 });
    expect(await handler({ Records: records })).toEqual({ batchItemFailures: [] });
    expect(store.texts.size).toBe(raced.length);
    for (const text of store.texts.values()) {
      const { millrace } = JSON.parse(text);
      expect(millrace.causes).toMatchObject([{ stage: 'decode', error: { message: expect.stringContaining(WAY_OUT.REMOVE) } }]);
      expect(text).not.toContain('must be NEW_AND_OLD_IMAGES');
    }
    expect(await cache.get(keyOf(shopViews.detail, '7'))).toMatchObject({ type: 'gone' });

    // The redrive cannot know where an older deployment had put the item, so it keeps the letter, and says so.
    const { letters } = await redrive({ views, cache, store, filter: {}, table: { read: async (_, keys) => keys.map(() => ({})) } });
    expect(letters.map(({ status }) => status)).toEqual(raced.map(() => 'kept'));
    for (const { causes } of letters) expect(causes[0]?.error.message).toMatch(/there is nothing to do; .*remove the letter$/);
    expect(await cache.get(keyOf(shopViews.detail, '7'))).toMatchObject({ type: 'gone' });
  });
});
