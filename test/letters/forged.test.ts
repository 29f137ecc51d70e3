import { afterEach, describe, expect, it, vi } from 'vitest';
import { memoryCache } from '../../src/caches/memory.ts';
import { playback } from '../../src/cli/replay/playback.ts';
import { decodeRecord, hintOf, type StreamEvent, type StreamRecord } from '../../src/dynamodb/record.ts';
import { streamHandler } from '../../src/handlers/stream-handler.ts';
import { parseLetter } from '../../src/letters/letter.ts';
import { redrive } from '../../src/redrive/redrive.ts';
import { insert, modify, streamEvent } from '../../src/testing/events.ts';
import { documentView, entity, keyOf, type View } from '../../src/view.ts';
import { views as shopViews } from '../../src/views/index.ts';
import { lambdaLetter, lambdaName, memoryStore } from './letters.ts';

const SILENT = { info() {}, warn() {}, error() {} };
const DAY = 86_400_000;
const thing = entity({ name: 'thing', owns: () => true, schema: { parse: (item) => item as { pk: string; value: string } } });
const plain = documentView({ name: 'plain', revision: 1, entity: thing, project: ({ pk, value }) => [{ key: pk, value }] });
const views = [plain];

const labelOf = (time: number) => new Date(time).toISOString().slice(0, -1);
const event = (label: string, value = 'forged'): StreamEvent => streamEvent([insert({ pk: 'a', value })], { label, keys: ['pk'] });
const only = ({ Records: [record] }: StreamEvent) => record as StreamRecord;

const FORGED: readonly [string, string, RegExp][] = [
  ['the year 9999', '9999-12-31T23:59:59.999', /stream label "9999-12-31T23:59:59.999" is in the future: .*forged or broken/],
  ['next year', labelOf(Date.now() + 365 * DAY), /is in the future/],
  ['more than a day ahead', labelOf(Date.now() + DAY + 60_000), /is in the future/],
  ['a month that is none', '2026-13-01T00:00:00.000', /stream label "2026-13-01T00:00:00.000" is not a time/],
  ['digits that are no time', '9999-99-99T99:99:99.999', /is not a time/],
  ['more digits', '12026-01-01T00:00:00.000', /is not a timestamp/],
  ['a sign', '+12026-01-01T00:00:00.000', /is not a timestamp/],
  ['letters, which sort after digits', 'latest', /is not a timestamp/],
];

describe('a version that is newer than all that is to come', () => {
  it.each(FORGED)('is refused by the decoder and in a hint: %s', (_, label, message) => {
    expect(() => decodeRecord(only(event(label)), 0)).toThrow(message);
    expect(() => hintOf(only(event(label)), 0)).toThrow(message);
    // A record of GetRecords has no ARN of its own.
    const { eventSourceARN: arn, ...record } = only(event(label));
    expect(() => decodeRecord(record, 0, arn)).toThrow(message);
    expect(() => hintOf(record, 0, arn)).toThrow(message);
  });

  it.each(FORGED)('does not freeze an item through the stream handler: %s', async (_, label, message) => {
    const [cache, store] = [memoryCache(), memoryStore()];
    const handler = streamHandler({ views, cache, letters: store, logger: SILENT });
    expect(await handler(event(label))).toEqual({ batchItemFailures: [] });
    expect([...store.texts.values()].map((text) => JSON.parse(text).millrace.causes[0].error.message)).toEqual([
      expect.stringMatching(message),
    ]);
    await handler(streamEvent([modify({ pk: 'a', value: 'old' }, { pk: 'a', value: 'new' })], { keys: ['pk'] }));
    expect(await cache.get('plain@1:a')).toMatchObject({ type: 'hit', value: 'new' });
  });

  it.each(FORGED)('does not freeze an item through a letter, which is kept: %s', async (_, label, message) => {
    const [cache, store] = [memoryCache(), memoryStore()];
    store.texts.set(lambdaName(1), lambdaLetter(event(label).Records));
    const table = { read: async () => [{ item: { pk: 'a', value: 'now' } }] };
    for (const trusted of [false, true]) {
      const { letters } = await redrive({ views, cache, store, filter: {}, ...(!trusted && { table }) });
      expect(letters).toMatchObject([
        { status: 'kept', causes: [{ stage: 'decode', error: { message: expect.stringMatching(message) } }] },
      ]);
    }
    await streamHandler({ views, cache, logger: SILENT })(event('2026-01-01T00:00:00.000', 'new'));
    expect(await cache.get('plain@1:a')).toMatchObject({ type: 'hit', value: 'new' });
  });

  it('does not freeze an item through the stream ARN of a letter whose record names none', async () => {
    const [cache, store] = [memoryCache(), memoryStore()];
    const { eventSourceARN: _, ...record } = only(event('2026-01-01T00:00:00.000'));
    const letter = JSON.parse(lambdaLetter([record]));
    letter.DDBStreamBatchInfo.streamArn = only(event('9999-01-01T00:00:00.000')).eventSourceARN;
    store.texts.set(lambdaName(1), JSON.stringify(letter));
    expect((await redrive({ views, cache, store, filter: {} })).letters).toMatchObject([{ status: 'kept', causes: [{ stage: 'decode' }] }]);
    expect(await cache.get('plain@1:a')).toMatchObject({ type: 'miss' });
  });

  it('does not freeze an item through a replayed event', async () => {
    const cache = memoryCache();
    const order = {
      pk: 'order#1',
      sk: 'order',
      id: '1',
      createdAt: '2026-11-22T12:00:00.000Z',
      status: 'new',
      numItems: 0,
      items: [],
      creator: 'ann',
    };
    const { play } = playback(cache, Object.values<View>(shopViews), SILENT);
    const { records } = await play(streamEvent([insert(order)], { label: '9999-12-31T23:59:59.999' }));
    expect(records).toMatchObject([{ applied: 0, setAside: [{ stage: 'decode', reason: expect.stringMatching(/is in the future/) }] }]);
    await play(streamEvent([insert({ ...order, status: 'baked' })]));
    expect(await cache.get(keyOf(shopViews.detail, '1'))).toMatchObject({ type: 'hit', value: { status: 'baked' } });
  });

  it('settles the sound records of a letter that has a forged one too', async () => {
    const [cache, store] = [memoryCache(), memoryStore()];
    const sound = streamEvent([insert({ pk: 'b', value: 'old' })], { keys: ['pk'] }).Records;
    store.texts.set(lambdaName(1), lambdaLetter([...event('9999-12-31T23:59:59.999').Records, ...sound]));
    const table = { read: async (_: string, keys: readonly unknown[]) => keys.map(() => ({ item: { pk: 'b', value: 'now' } })) };
    expect((await redrive({ views, cache, store, filter: {}, table })).letters).toMatchObject([{ status: 'kept', records: 2 }]);
    expect(await cache.get('plain@1:b')).toMatchObject({ type: 'hit', value: 'now' });
    expect(await cache.get('plain@1:a')).toMatchObject({ type: 'miss' });
  });
});

describe('a label that is a little ahead', () => {
  afterEach(() => void vi.useRealTimers());

  it.each([0, 1_000, 3_600_000, DAY - 60_000])('is taken: the clocks of two machines differ, by %i ms', (ahead) => {
    expect(decodeRecord(only(event(labelOf(Date.now() + ahead))), 0).version).toContain(labelOf(Date.now() + ahead).slice(0, 10));
  });

  it('is taken as soon as its time has come', () => {
    const record = only(event('2031-01-01T00:00:00.000'));
    vi.useFakeTimers({ now: Date.parse('2030-12-30T00:00:00Z'), toFake: ['Date'] });
    expect(() => decodeRecord(record, 0)).toThrow(/is in the future/);
    vi.setSystemTime(Date.parse('2030-12-31T00:00:01Z'));
    expect(decodeRecord(record, 0).keys).toEqual({ pk: 'a' });
  });
});

describe('a sequence number', () => {
  it.each(['1'.repeat(41), '9'.repeat(56), '1e40', '0x10', '-1', '1.5', ' 1', '٣'])(
    'is refused that DynamoDB cannot have written: %s',
    (SequenceNumber) => {
      const record = only(event('2026-01-01T00:00:00.000'));
      const forged = { ...record, dynamodb: { ...record.dynamodb, SequenceNumber } };
      expect(() => decodeRecord(forged, 0)).toThrow(/is not a decimal number of 1 to 40 digits/);
      expect(() => hintOf(forged, 0)).toThrow(/is not a decimal number of 1 to 40 digits/);
    },
  );
});

describe('what a letter says of its causes', () => {
  const error = { message: 'm' };
  it.each<[string, unknown]>([
    ['a view that is a number', { stage: 'view', view: 7, error }],
    ['a view that is an object', { stage: 'view', view: { split: 1 }, error }],
    ['a view that is a list', { stage: 'view', view: ['plain@1'], error }],
    ['a view that is null', { stage: 'view', view: null, error }],
    ['a stage that is a list', { stage: ['view'], error }],
    ['a message that is an object', { stage: 'view', view: 'foreign@1', error: { message: {} } }],
  ])('is passed over when its form is not that of a cause, and stops no redrive: %s', async (_, cause) => {
    const letter = JSON.parse(lambdaLetter(event('2026-01-01T00:00:00.000').Records));
    const text = JSON.stringify({ ...letter, millrace: { causes: [cause] } });
    expect(parseLetter(text).causes).toEqual([]);
    const [cache, store] = [memoryCache(), memoryStore({ [lambdaName(1)]: text, [lambdaName(2)]: JSON.stringify(letter) })];
    const table = { read: async (_: string, keys: readonly unknown[]) => keys.map(() => ({ item: { pk: 'a', value: 'now' } })) };
    const { letters } = await redrive({ views, cache, store, filter: {}, table });
    expect(letters).toMatchObject([
      { status: 'removed', causes: [] },
      { status: 'removed', causes: [] },
    ]);
  });
});
