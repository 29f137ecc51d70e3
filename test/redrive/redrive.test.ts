import { marshall } from '@aws-sdk/util-dynamodb';
import { beforeEach, describe, expect, it } from 'vitest';
import type { CacheClient } from '../../src/cache.ts';
import { type MemoryCache, memoryCache } from '../../src/caches/memory.ts';
import { type Attributes, itemOf } from '../../src/change.ts';
import { attributesOf, type StreamEvent, type StreamRecord } from '../../src/dynamodb/record.ts';
import { CacheUnavailableError } from '../../src/errors.ts';
import { streamHandler } from '../../src/handlers/stream-handler.ts';
import { type RedriveInput, redrive } from '../../src/redrive/redrive.ts';
import type { TableReader } from '../../src/table.ts';
import { insert, modify, type PlainItem, remove, streamEvent } from '../../src/testing/events.ts';
import { documentView, entity, listView, type View } from '../../src/view.ts';
import { lambdaLetter, lambdaName, type MemoryStore, memoryStore } from '../letters/letters.ts';

const ARN = 'arn:aws:dynamodb:eu-west-1:123456789012:table/TestTable';
const SILENT = { info() {}, warn() {}, error() {} };

interface Thing {
  readonly pk: string;
  readonly at: string;
  readonly rank: number;
  readonly value: string;
}
const thing = entity<Thing>({ name: 'thing', owns: () => true, schema: { parse: (item) => item as Thing } });
const CURSED = 'cursed';

/** A document that moves, and a short list. */
const place = documentView({ name: 'place', revision: 1, entity: thing, project: ({ at, value }) => [{ key: at, value }] });
const latest = listView({
  name: 'latest',
  revision: 1,
  keep: 2,
  entity: thing,
  project: ({ at, rank, value }) => [{ list: at, score: rank, value }],
});
const moody = documentView({
  name: 'moody',
  revision: 1,
  entity: thing,
  project({ pk, value }) {
    if (value === CURSED) throw new Error(`not "${value}"`);
    return [{ key: pk, value }];
  },
});
const views: readonly View[] = [place, latest, moody];

const item = (pk: string, value: string, more: Partial<Thing> = {}): Thing & PlainItem => ({ pk, at: 'home', rank: 1, value, ...more });
/** Events of one history: sequence numbers grow. */
const event = (...steps: Parameters<typeof streamEvent>[0]) => streamEvent(steps, { keys: ['pk'] });
const only = ({ Records: [record] }: StreamEvent) => record as StreamRecord;

let table: Map<string, Attributes>;
let reads: { readonly arn: string; readonly items: readonly string[] }[];
let cache: MemoryCache;
let store: MemoryStore;

const has = (...items: readonly Thing[]) => {
  for (const one of items) table.set(itemOf({ pk: one.pk }), { ...one });
};
const current: TableReader = {
  async read(arn, keys) {
    const items = keys.map((key) => itemOf(attributesOf(key)));
    reads.push({ arn, items });
    return items.map((name) => ({ item: table.get(name) }));
  },
};

beforeEach(() => {
  table = new Map();
  reads = [];
  cache = memoryCache();
  store = memoryStore();
});

const deliver = async (some: StreamEvent, into: CacheClient = cache) => {
  const handler = streamHandler({ views, cache: into, letters: store, logger: SILENT, retries: { forMs: 0 }, poisonRunLimit: 0 });
  return await handler(some);
};
const putLetter = (n: number, ...events: readonly StreamEvent[]) =>
  store.texts.set(lambdaName(n), lambdaLetter(events.flatMap(({ Records }) => Records)));

async function run(more: Partial<RedriveInput> = {}) {
  const { letters, stopped, next } = await redrive({ views, cache, table: current, store, filter: {}, ...more });
  const reported = letters.map(({ status, causes }) => [status, ...causes.map(({ stage }) => stage)].join(' '));
  return { reported, letters, stopped, next, reasons: letters.flatMap(({ causes }) => causes.map(({ error }) => error.message)) };
}

const found = async (key: string) => {
  const lookup = await cache.get(key);
  return lookup.type === 'hit' ? lookup.value : lookup.type;
};
const members = async (list: string) => (await cache.list(`latest@1:${list}`, { limit: 9 })).members.map(({ value }) => value);
const parsed = (name: string) => JSON.parse(store.texts.get(name) ?? 'null');
const onlyName = () => [...store.texts.keys()][0] as string;

/** What an on-failure destination gets (AWS Lambda Developer Guide, "Using AWS Lambda with Amazon DynamoDB"). */
const DOCUMENTED = {
  requestContext: {
    requestId: '316aa6d0-8154-xmpl-9af7-85d5f4a6bc81',
    functionArn: 'arn:aws:lambda:us-east-2:123456789012:function:myfunction',
    condition: 'RetryAttemptsExhausted',
    approximateInvokeCount: 1,
  },
  responseContext: { statusCode: 200, executedVersion: '$LATEST', functionError: 'Unhandled' },
  version: '1.0',
  timestamp: '2019-11-14T00:13:49.717Z',
  DDBStreamBatchInfo: {
    shardId: 'shardId-00000001573689847184-864758bb',
    startSequenceNumber: '800000000003126276362',
    endSequenceNumber: '800000000003126276362',
    approximateArrivalOfFirstRecord: '2019-11-14T00:13:19Z',
    approximateArrivalOfLastRecord: '2019-11-14T00:13:19Z',
    batchSize: 1,
    streamArn: 'arn:aws:dynamodb:us-east-2:123456789012:table/mytable/stream/2019-11-14T00:04:06.388',
  },
};

describe("redrive, of Lambda's own letters", () => {
  const payload = {
    Records: [
      {
        eventID: '1',
        eventName: 'INSERT',
        eventVersion: '1.1',
        eventSource: 'aws:dynamodb',
        awsRegion: 'us-east-2',
        dynamodb: {
          ApproximateCreationDateTime: 1_573_690_399,
          Keys: { pk: { S: 'a' } },
          NewImage: marshall(item('a', 'then')),
          SequenceNumber: '800000000003126276362',
          SizeBytes: 26,
          StreamViewType: 'NEW_AND_OLD_IMAGES',
        },
        eventSourceARN: DOCUMENTED.DDBStreamBatchInfo.streamArn,
      },
    ],
  };

  it('writes the item of a letter in a bucket as it is now, at the version of the letter', async () => {
    has(item('a', 'now'));
    store.texts.set(lambdaName(1), JSON.stringify({ ...DOCUMENTED, payload: JSON.stringify(payload) }));
    expect((await run()).reported).toEqual(['removed']);
    expect(await cache.get('place@1:home')).toEqual({
      type: 'hit',
      value: 'now',
      version: '2019-11-14T00:04:06.388/0000000000000000000800000000003126276362',
    });
    expect(reads[0]).toEqual({ arn: 'arn:aws:dynamodb:us-east-2:123456789012:table/mytable', items: ['["a"]'] });
    expect(store.texts.size).toBe(0);
  });

  it('needs no more of a letter than its payload, and the ARN of the stream anywhere', async () => {
    has(item('a', 'now'));
    store.texts.set(lambdaName(1), JSON.stringify({ payload: JSON.stringify(payload) }, null, 2));
    const { eventSourceARN: _, ...record } = payload.Records[0] as StreamRecord;
    store.texts.set(lambdaName(2), JSON.stringify({ ...DOCUMENTED, payload: JSON.stringify({ Records: [record] }) }));
    expect((await run()).reported).toEqual(['removed', 'removed']);
  });

  it('keeps a letter of a queue unchanged, because it has no records, and says what to do', async () => {
    const text = JSON.stringify(DOCUMENTED);
    store.texts.set(lambdaName(1), text);
    for (let i = 0; i < 3; i += 1) expect((await run()).reported).toEqual(['kept letter']);
    expect((await run()).reasons).toEqual([expect.stringMatching(/no payload.*S3 bucket/)]);
    expect(store.texts).toEqual(new Map([[lambdaName(1), text]]));
  });

  it.each(['', '{', '[]', '"letter"', 'null', '{"payload":"{"}', '{"payload":"{}"}'])(
    'keeps a letter unchanged whose text is %j',
    async (text) => {
      store.texts.set(lambdaName(1), text);
      expect((await run()).reported).toEqual(['kept letter']);
      expect(store.texts.get(lambdaName(1))).toBe(text);
    },
  );

  it('keeps a letter without a record in its payload', async () => {
    putLetter(1, { Records: [] });
    expect((await run()).reported).toEqual(['kept letter']);
    expect(store.texts.size).toBe(1);
  });
});

describe('redrive, of an item', () => {
  it('serves an item again that was mended in the table', async () => {
    await deliver(event(insert(item('a', CURSED))));
    has(item('a', CURSED));
    expect([await found('moody@1:a'), store.texts.size]).toEqual(['miss', 1]);
    expect((await run()).reported).toEqual(['kept view']);
    has(item('a', 'mended'));
    expect((await run()).reported).toEqual(['removed']);
    // The record of the change that mended the item writes the addresses that no letter mentions.
    expect(await found('place@1:home')).toBe('mended');
    await deliver(event(modify(item('a', CURSED), item('a', 'mended'))));
    expect(await found('moody@1:a')).toBe('mended');
    // Another deployment may have projected the old image of that change.
    expect((await run()).reported).toEqual(['kept view']);
    expect(await found('moody@1:a')).toBe('mended');
  });

  it('removes a deleted item that every view threw at after the code is rolled back, and not before', async () => {
    const throws = (view: View): View => ({ ...view, project: () => fail() }) as View;
    const fail = () => {
      throw new Error('a bad deployment');
    };
    const bad = [place, latest, moody].map(throws);
    await deliver(event(insert(item('a', 'x'))));
    putLetter(1, event(remove(item('a', 'x'))));
    expect((await run({ views: bad })).reported).toEqual(['kept view view view']);
    expect(await found('moody@1:a')).toBe('x');
    expect((await run()).reported).toEqual(['removed']);
    expect([await found('moody@1:a'), await found('place@1:home')]).toEqual(['gone', 'gone']);
  });

  it('serves an item again after its view was mended', async () => {
    has(item('a', CURSED));
    await deliver(event(insert(item('a', CURSED))));
    const mended: readonly View[] = [place, latest, { ...moody, project: ({ pk, value }) => [{ key: pk, value }] } as View];
    expect((await run({ views: mended })).reported).toEqual(['removed']);
    expect(await found('moody@1:a')).toBe(CURSED);
  });

  it('keeps the letter of a view that was rolled back for the code that has the view', async () => {
    const mended = documentView({ name: 'moody', revision: 2, entity: thing, project: ({ pk, value }) => [{ key: pk, value }] });
    const throwing = {
      ...mended,
      project: (): [] => {
        throw new Error('not yet');
      },
    };
    const handler = streamHandler({ views: [throwing], cache, letters: store, logger: SILENT, poisonRunLimit: 0 });
    const it_ = item('a', 'work');
    has(it_);
    await handler(event(insert(it_)));
    expect(parsed(onlyName()).millrace.causes).toMatchObject([{ stage: 'view', view: 'moody@2' }]);
    // The revision before, and code that does not have the view at all.
    for (const others of [views, [place]]) {
      const { reported, reasons } = await run({ views: others });
      expect(reported).toEqual(['kept view']);
      expect(reasons[0]).toMatch(
        /^view moody@2, which the letter is about, is not in this code: redrive the letter by the code that has that view/,
      );
    }
    expect((await run({ views: [mended] })).reported).toEqual(['removed']);
    expect(await found('moody@2:a')).toEqual({ ...it_ }.value);
  });

  it('removes a letter whose view has a later revision', async () => {
    has(item('a', 'work'));
    await deliver(event(insert(item('a', CURSED))));
    const later = documentView({ name: 'moody', revision: 2, entity: thing, project: ({ pk, value }) => [{ key: pk, value }] });
    expect((await run({ views: [place, latest, later] })).reported).toEqual(['removed']);
    expect(await found('moody@2:a')).toBe('work');
  });

  it('keeps only the letter of the change whose old image no view can project', async () => {
    const [bad, good] = [item('a', CURSED), item('a', 'good')];
    has(good);
    await deliver(event(insert(bad), modify(bad, good)));
    expect(store.texts.size).toBe(2);
    const [first, second] = [...store.texts.keys()].sort() as [string, string];
    const { letters } = await run();
    expect(letters.map(({ name, status }) => [name, status])).toEqual([
      [first, 'removed'],
      [second, 'kept'],
    ]);
    expect(await found('moody@1:a')).toBe('good');
  });

  it('serves a changed item as it is now, although the newer entry was evicted', async () => {
    const [first, second] = [event(insert(item('a', 'old'))), event(modify(item('a', 'old'), item('a', 'new')))];
    putLetter(1, first);
    has(item('a', 'new'));
    await deliver(second);
    cache.flush();
    expect((await run()).reported).toEqual(['removed']);
    expect([await found('place@1:home'), await members('home'), await found('moody@1:a')]).toEqual(['new', ['new'], 'new']);
  });

  it('does not bring a deleted item back', async () => {
    putLetter(1, event(insert(item('a', 'old'))));
    await deliver(event(remove(item('a', 'old'))));
    cache.flush();
    expect((await run()).reported).toEqual(['removed']);
    expect([await found('place@1:home'), await members('home'), await found('moody@1:a')]).toEqual(['gone', [], 'gone']);
  });

  it('deletes the addresses that an item has left, and those of its letters', async () => {
    await deliver(event(insert(item('a', 'v'))));
    putLetter(1, event(modify(item('a', 'v'), item('a', 'v', { at: 'work' }))));
    putLetter(2, event(modify(item('a', 'v', { at: 'work' }), item('a', 'v', { at: 'beach' }))));
    has(item('a', 'v', { at: 'beach' }));
    expect((await run()).reported).toEqual(['removed', 'removed']);
    const at = ['home', 'work', 'beach'];
    expect(await Promise.all(at.map((key) => found(`place@1:${key}`)))).toEqual(['gone', 'gone', 'v']);
    expect(await Promise.all(at.map(members))).toEqual([[], [], ['v']]);
  });

  it('does not write addresses that no letter mentions', async () => {
    putLetter(1, event(insert(item('a', 'v'))));
    has(item('a', 'v', { at: 'beach' }));
    expect((await run()).reported).toEqual(['removed']);
    // A run that ends between the write and the second read would leave an entry that the next run does not know.
    expect([await found('place@1:home'), await found('place@1:beach'), await members('beach')]).toEqual(['gone', 'miss', []]);
    await deliver(event(modify(item('a', 'v'), item('a', 'v', { at: 'beach' }))));
    expect([await found('place@1:beach'), await members('beach')]).toEqual(['v', ['v']]);
  });

  it('does not overwrite a newer entry of the cache', async () => {
    const first = event(insert(item('a', 'old')));
    has(item('a', 'read'));
    await deliver(event(modify(item('a', 'old'), item('a', 'newer'))));
    putLetter(1, first);
    expect((await run()).reported).toEqual(['removed']);
    expect([await found('place@1:home'), await members('home'), await found('moody@1:a')]).toEqual(['newer', ['newer'], 'newer']);
    // Nothing was written, so nothing is read again.
    expect(reads).toHaveLength(1);
  });

  it('does not block a later change of the stream', async () => {
    putLetter(1, event(insert(item('a', 'old'))));
    has(item('a', 'new'));
    await run();
    await deliver(event(modify(item('a', 'old'), item('a', 'newest'))));
    expect(await found('place@1:home')).toBe('newest');
  });

  it.each([[[1, 2]], [[2, 1]]])(
    'reads an item with two letters once, and settles it equally in the order %j',
    async ([first = 0, second = 0]) => {
      await deliver(event(insert(item('a', 'v'))));
      putLetter(first, event(modify(item('a', 'v'), item('a', 'v', { at: 'work' }))));
      putLetter(second, event(modify(item('a', 'v', { at: 'work' }), item('a', 'v2'))));
      has(item('a', 'v2'));
      expect((await run()).reported).toEqual(['removed', 'removed']);
      expect(reads.map(({ items }) => items)).toEqual([['["a"]'], ['["a"]']]);
      expect([await found('place@1:home'), await found('place@1:work'), await members('work')]).toEqual(['v2', 'gone', []]);
    },
  );

  it('settles an item equally when a run takes its newer letter first', async () => {
    await deliver(event(insert(item('a', 'v'))));
    putLetter(2, event(modify(item('a', 'v'), item('a', 'v', { at: 'work' }))));
    putLetter(1, event(modify(item('a', 'v', { at: 'work' }), item('a', 'v2'))));
    has(item('a', 'v2'));
    expect((await run({ limit: 1 })).reported).toEqual(['removed']);
    expect((await run()).reported).toEqual(['removed']);
    expect([await found('place@1:home'), await found('place@1:work'), await members('work')]).toEqual(['v2', 'gone', []]);
  });

  it('keeps older versions out of a list at every score that the member is known to have had', async () => {
    const high = event(insert(item('a', 'a', { rank: 9 })));
    putLetter(1, event(modify(item('a', 'a', { rank: 9 }), item('a', 'a', { rank: 0 }))));
    await deliver(event(insert(item('b', 'b', { rank: 5 })), insert(item('c', 'c', { rank: 6 })), insert(item('d', 'd', { rank: 4 }))));
    has(item('a', 'a', { rank: 0 }));
    await run();
    // The stream is replayed from an older record.
    await deliver(high);
    expect(await members('home')).toEqual(['c', 'b']);
  });

  it('reads and writes an item again whose change came between read and write, and was evicted', async () => {
    putLetter(1, event(insert(item('a', 'old'))));
    has(item('a', 'old'));
    const change = event(modify(item('a', 'old'), item('a', 'new')));
    let isFirst = true;
    const slow: TableReader = {
      async read(arn, keys) {
        const answer = await current.read(arn, keys);
        if (isFirst) {
          isFirst = false;
          has(item('a', 'new'));
          await deliver(change);
          cache.flush();
        }
        return answer;
      },
    };
    expect((await run({ table: slow })).reported).toEqual(['removed']);
    expect([await found('place@1:home'), await members('home')]).toEqual(['new', ['new']]);
  });

  it('keeps the letter of an item that changes as fast as it is read', async () => {
    putLetter(1, event(insert(item('a', 'old'))));
    let n = 0;
    const restless: TableReader = { read: async () => [{ item: { ...item('a', `v${n++}`) } }] };
    expect((await run({ table: restless })).reported).toEqual(['kept changing']);
    expect(n).toBeLessThan(10);
    has(item('a', 'v'));
    expect((await run()).reported).toEqual(['removed']);
  });
});

describe('redrive, of a letter that fails again', () => {
  it('writes the count and the cause into a letter that it keeps, beside all that Lambda wrote', async () => {
    putLetter(1, event(insert(item('a', CURSED))));
    const before = parsed(onlyName());
    has(item('a', CURSED));
    await run({ now: () => new Date('2026-11-22T04:00:00Z') } as object);
    expect((await run()).reported).toEqual(['kept view']);
    const cause = 'view: view moody cannot project ["a"] as it is now: it threw Error';
    expect(parsed(onlyName())).toEqual({ ...before, millrace: { redrives: { count: 2, last: expect.stringMatching(/Z$/), cause } } });
  });

  it('leaves what the worker wrote in a letter that it keeps', async () => {
    await deliver(event(insert(item('a', CURSED))));
    const before = parsed(onlyName());
    has(item('a', CURSED));
    await run();
    const { causes } = before.millrace;
    expect(causes).toHaveLength(1);
    expect(parsed(onlyName())).toMatchObject({ ...before, millrace: { causes, redrives: { count: 1 } } });
  });

  it('applies the other views, and no longer serves the entry of the view that fails', async () => {
    await deliver(event(insert(item('a', 'v'))));
    putLetter(1, event(modify(item('a', 'v'), item('a', CURSED))));
    has(item('a', CURSED));
    expect((await run()).reported).toEqual(['kept view']);
    expect([await found('place@1:home'), await found('moody@1:a')]).toEqual([CURSED, 'miss']);
  });

  it('keeps a letter whose value is too large until the value fits', async () => {
    const small = memoryCache({ maxValueBytes: 20 });
    const large = 'x'.repeat(50);
    await deliver(event(insert(item('a', large))), small);
    has(item('a', large));
    expect((await run({ cache: small })).reported).toEqual(['kept rejected rejected rejected']);
    expect(parsed(onlyName()).millrace.redrives).toMatchObject({
      count: 1,
      cause: expect.stringMatching(/^rejected: place@1: .*; and 2 more$/),
    });
    expect(JSON.stringify(parsed(onlyName()).millrace)).not.toContain('xxx');
    has(item('a', 'fits'));
    expect((await run({ cache: small })).reported).toEqual(['removed']);
    expect(await small.get('place@1:home')).toMatchObject({ type: 'hit', value: 'fits' });
  });

  it('removes a letter with many records only after all of them are settled', async () => {
    const things = Array.from({ length: 250 }, (_, i) => item(`i${i}`, i === 120 ? CURSED : `v${i}`, { at: `at${i}` }));
    putLetter(1, event(...things.map((one) => insert(one))));
    has(...things);
    expect((await run()).reported).toEqual(['kept view']);
    expect([await found('place@1:at0'), await found('place@1:at249')]).toEqual(['v0', 'v249']);
    has(item('i120', 'mended', { at: 'at120' }));
    expect((await run()).reported).toEqual(['removed']);
    expect(await found('place@1:at120')).toBe('mended');
  });

  it('removes other letters beside those that it keeps', async () => {
    putLetter(1, event(insert(item('a', CURSED))));
    store.texts.set(lambdaName(2), 'no letter');
    putLetter(3, event(insert(item('b', 'v'))));
    has(item('a', CURSED), item('b', 'v'));
    expect((await run()).reported).toEqual(['kept view', 'kept letter', 'removed']);
  });
});

describe('redrive, of a record that cannot be decoded', () => {
  const keysOnly = (some: StreamEvent): StreamEvent => ({
    Records: some.Records.map(({ dynamodb: { NewImage: _, OldImage: __, ...dynamodb } = {}, ...record }) => ({
      ...record,
      dynamodb: { ...dynamodb, StreamViewType: 'KEYS_ONLY' },
    })),
  });

  it('settles a new item, which had no address before', async () => {
    await deliver(keysOnly(event(insert(item('a', 'then')))));
    has(item('a', 'now'));
    expect((await run()).reported).toEqual(['removed']);
    expect([await found('place@1:home'), await members('home'), await found('moody@1:a')]).toEqual(['now', ['now'], 'now']);
  });

  it.each([
    ['a changed item', modify(item('a', 'v'), item('a', 'v', { at: 'work' }))],
    ['a deleted item', remove(item('a', 'v'))],
  ])('settles %s as it is now, and keeps its letter, because its old addresses are not known', async (_, change) => {
    await deliver(event(insert(item('a', 'v'))));
    await deliver(keysOnly(event(change)));
    has(item('a', 'v', { at: 'work' }));
    const { reported, reasons } = await run();
    expect(reported).toEqual(['kept decode']);
    expect(reasons).toEqual([
      expect.stringMatching(/without OldImage \(the stream is KEYS_ONLY\).*where \["a"\] was before is not known.*resync/),
    ]);
    expect([await found('place@1:work'), await members('work')]).toEqual(['v', ['v']]);
  });

  it('writes an item again that moves between read and write', async () => {
    const unreadable = keysOnly(event(insert(item('a', 'v'))));
    const move = event(modify(item('a', 'v'), item('a', 'v', { at: 'work' })));
    putLetter(1, unreadable);
    has(item('a', 'v'));
    let isFirst = true;
    const slow: TableReader = {
      async read(arn, keys) {
        const answer = await current.read(arn, keys);
        if (!isFirst) return answer;
        isFirst = false;
        has(item('a', 'v', { at: 'work' }));
        await deliver(move);
        cache.flush();
        return answer;
      },
    };
    expect((await run({ table: slow })).reported).toEqual(['removed']);
    expect([await found('place@1:home'), await members('home'), await found('place@1:work')]).toEqual(['gone', [], 'v']);
  });

  it('goes by the old image of a record whose new image cannot be read', async () => {
    await deliver(event(insert(item('a', 'v'))));
    const change = only(event(modify(item('a', 'v'), item('a', 'v', { at: 'work' }))));
    const broken = { ...change, dynamodb: { ...change.dynamodb, NewImage: { pk: { S: 'a' }, at: { X: 'work' } } } };
    await deliver({ Records: [broken] });
    has(item('a', 'v', { at: 'work' }));
    expect((await run()).reported).toEqual(['removed']);
    expect([await found('place@1:home'), await members('home'), await found('place@1:work')]).toEqual(['gone', [], 'v']);
  });

  it.each([
    ['sequence number', (record: StreamRecord) => ({ ...record, dynamodb: { ...record.dynamodb, SequenceNumber: undefined } })],
    ['keys', (record: StreamRecord) => ({ ...record, dynamodb: { ...record.dynamodb, Keys: undefined } })],
    ['ARN', (record: StreamRecord) => ({ ...record, eventSourceARN: undefined })],
    ['kind', (record: StreamRecord) => ({ ...record, eventName: 'UPSERT' })],
  ])('keeps a letter with a record that has no %s, and settles its other records', async (_, broken) => {
    const record = only(event(insert(item('a', 'v'))));
    // The ARN of another record in the letter does not count.
    const others = event(insert(item('b', 'v', { at: 'work' })));
    putLetter(1, { Records: [broken(record), ...others.Records] });
    has(item('a', 'v'), item('b', 'v', { at: 'work' }));
    expect((await run()).reported).toEqual(['kept decode']);
    expect([await found('place@1:home'), await found('place@1:work')]).toEqual(['miss', 'v']);
  });
});

describe('redrive', () => {
  const many = (n: number) => Array.from({ length: n }, (_, i) => item(`i${i}`, `v${i}`, { at: `at${i}` }));
  const putEach = (things: readonly Thing[]) => {
    for (const [i, one] of things.entries()) putLetter(i, event(insert({ ...one })));
  };

  it('reads each item once, and a written item once more', async () => {
    const things = many(30);
    putEach(things);
    putLetter(50, event(...things.map((one) => modify(one, { ...one, rank: 2 }))));
    has(...things);
    await run();
    expect(reads.map(({ items }) => items.length)).toEqual([30, 30]);
    expect(store.texts.size).toBe(0);
  });

  it('reads each table by its own ARN', async () => {
    const [a, b] = ['one', 'two'].map((name) => streamEvent([insert(item('a', name, { at: name }))], { keys: ['pk'], table: name }));
    putLetter(1, a as StreamEvent);
    putLetter(2, b as StreamEvent);
    const tables = new Map([['one', item('a', 'one now', { at: 'one' })]]);
    const both: TableReader = {
      read: async (arn, keys) => keys.map(() => ({ item: tables.get(arn.split('/')[1] ?? '') as Attributes | undefined })),
    };
    expect((await run({ table: both })).reported).toEqual(['removed', 'removed']);
    expect([await found('place@1:one'), await found('place@1:two')]).toEqual(['one now', 'gone']);
  });

  it('goes by the ARN of a record and not by that of its letter', async () => {
    const { Records: records } = streamEvent([insert(item('a', 'v'))], { keys: ['pk'], table: 'one' });
    const letter = JSON.parse(lambdaLetter(records));
    letter.DDBStreamBatchInfo.streamArn = 'arn:aws:dynamodb:eu-west-1:123456789012:table/two/stream/2026-01-01T00:00:00.000';
    store.texts.set(lambdaName(1), JSON.stringify(letter));
    await run();
    expect(new Set(reads.map(({ arn }) => arn))).toEqual(new Set(['arn:aws:dynamodb:eu-west-1:123456789012:table/one']));
  });

  it('keeps the letters of a table that is not there, and removes those of others', async () => {
    const things = many(2);
    putEach(things);
    has(...things);
    const partial: TableReader = {
      async read(arn, keys) {
        const answers = await current.read(arn, keys);
        return answers.map((answer, i) =>
          itemOf(attributesOf(keys[i] ?? {})) === '["i0"]' ? { error: new Error('no such table') } : answer,
        );
      },
    };
    const { reported, reasons } = await run({ table: partial });
    expect([reported, reasons]).toEqual([['kept table', 'removed'], ['no such table']]);
  });

  it('keeps the letters for which the cache gave no answer, and removes the others', async () => {
    const things = many(40);
    putEach(things);
    has(...things);
    const flaky: CacheClient = {
      ...cache,
      apply: async (mutations) => {
        if (mutations.some((mutation) => mutation.kind === 'document' && mutation.key.endsWith('3')))
          throw new CacheUnavailableError('away');
        return cache.apply(mutations);
      },
    };
    const { reported } = await run({ cache: flaky });
    expect(reported.filter((one) => one === 'kept cache')).toHaveLength(4);
    expect([...store.texts.keys()]).toEqual([3, 13, 23, 33].map((n) => lambdaName(n)));
    expect((await run()).reported).toEqual(Array(4).fill('removed'));
    expect(await found('place@1:at23')).toBe('v23');
  });

  it('ends in an outage of the cache, and leaves the letters unchanged that it did not try', async () => {
    const things = many(300);
    putEach(things);
    has(...things);
    const before = new Map(store.texts);
    let calls = 0;
    const away: CacheClient = {
      ...cache,
      async apply() {
        calls += 1;
        throw new CacheUnavailableError('away');
      },
    };
    const { reported, stopped, next } = await run({ cache: away });
    expect(stopped).toBe('unavailable');
    expect(calls).toBeLessThan(40);
    expect(new Set(reported)).toEqual(new Set(['kept cache']));
    expect(next).toBe(lambdaName(reported.length));
    expect(store.texts.size).toBe(300);
    for (const [name, text] of [...before].slice(reported.length)) expect(store.texts.get(name)).toBe(text);
    expect((await run()).reported).toHaveLength(300);
    expect(store.texts.size).toBe(0);
  });

  it('keeps every letter in an outage of the table, and changes nothing in the cache', async () => {
    putEach(many(30));
    const away: TableReader = {
      async read() {
        throw new Error('the table is away');
      },
    };
    expect(await run({ table: away })).toMatchObject({ reported: Array(30).fill('kept table') });
    expect([store.texts.size, await found('place@1:at1')]).toEqual([30, 'miss']);
  });

  it('keeps a letter that it cannot remove, and is harmless to repeat', async () => {
    putLetter(1, event(insert(item('a', 'v'))));
    has(item('a', 'v'));
    const failing = { ...store, delete: () => Promise.reject(new Error('the bucket is away')) };
    expect((await run({ store: failing })).reported).toEqual(['kept store']);
    expect([await found('place@1:home'), store.texts.size]).toEqual(['v', 1]);
    expect((await run()).reported).toEqual(['removed']);
    expect(await found('place@1:home')).toBe('v');
  });

  it('leaves the letter when it is ended after a write, and the next run corrects the entry', async () => {
    putLetter(1, event(insert(item('a', 'old'))));
    has(item('a', 'old'));
    const ended = new AbortController();
    const last: CacheClient = {
      ...cache,
      apply: async (mutations) => {
        ended.abort();
        return cache.apply(mutations);
      },
    };
    const before = new Map(store.texts);
    expect(await run({ cache: last, signal: ended.signal })).toMatchObject({ reported: [], stopped: 'aborted', next: lambdaName(1) });
    expect(store.texts).toEqual(before);
    expect(await found('place@1:home')).toBe('old');
    has(item('a', 'new'));
    expect((await run()).reported).toEqual(['removed']);
    expect(await found('place@1:home')).toBe('new');
  });

  it('begins nothing after its signal is aborted', async () => {
    putEach(many(3));
    expect(await run({ signal: AbortSignal.abort() })).toMatchObject({ reported: [], stopped: 'aborted', next: lambdaName(0) });
    expect(reads).toEqual([]);
  });

  it('tries at most `limit` letters, and does not count those that the filter leaves out', async () => {
    const things = many(20);
    putEach(things);
    has(...things);
    const odd = (n: number) => streamEvent([insert(item('x', 'x'))], { keys: ['pk'], table: `other${n}` });
    for (let n = 0; n < 5; n += 1) store.texts.set(lambdaName(n), lambdaLetter(odd(n).Records));
    const { reported, stopped } = await run({ limit: 7, filter: { table: 'TestTable' } });
    expect([reported, stopped]).toEqual([Array(7).fill('removed'), 'limit']);
    expect(store.texts.size).toBe(13);
  });

  it('takes the oldest letters first, of every kind of name', async () => {
    store.texts.set('millrace/TestTable/2026/11/22/2026-11-22T03.00.05-100-ab.json', lambdaLetter(event(insert(item('b', 'v'))).Records));
    putLetter(9, event(insert(item('c', 'v'))));
    putLetter(1, event(insert(item('a', 'v'))));
    store.texts.set('millrace/unknown-table/undated/undated-unnumbered-ab.json', 'no letter');
    store.texts.set('notes/2026.txt', 'something else');
    const { letters } = await run();
    expect(letters.map(({ name }) => name)).toEqual([
      'millrace/unknown-table/undated/undated-unnumbered-ab.json',
      lambdaName(1),
      'millrace/TestTable/2026/11/22/2026-11-22T03.00.05-100-ab.json',
      lambdaName(9),
    ]);
    expect(store.texts.get('notes/2026.txt')).toBe('something else');
  });

  it('reads few large letters before it settles their items', async () => {
    const calls: string[] = [];
    for (let n = 0; n < 8; n += 1) putLetter(n, event(insert(item(`i${n}`, 'x'.repeat(2_500_000)))));
    const { letters } = await run({
      store: {
        ...store,
        async get(name) {
          calls.push('get');
          return await store.get(name);
        },
      },
      table: {
        async read(arn, keys) {
          calls.push(`settle ${keys.length}`);
          return await current.read(arn, keys);
        },
      },
    });
    expect(letters.map(({ status }) => status)).toEqual(Array(8).fill('removed'));
    expect(calls.slice(0, 5)).toEqual(['get', 'get', 'get', 'get', 'settle 1']);
  });

  it('passes by a letter that another run has removed', async () => {
    putEach(many(3));
    const racing = { ...store, get: async (name: string) => (name === lambdaName(1) ? undefined : store.get(name)) };
    expect((await run({ store: racing })).reported).toEqual(['removed', 'removed']);
  });

  it.each([
    ['since', { since: new Date('2026-11-22T03:00:02Z') }, [2, 3]],
    ['until', { until: new Date('2026-11-22T03:00:02Z') }, [0, 1]],
    ['a condition', { cause: 'RecordAgeExceeded' }, [3]],
    ['a stage', { cause: 'view' }, []],
    ['a table', { table: 'TestTable' }, [0, 1, 3]],
  ])('takes only the letters that the filter asks for: %s', async (_, filter, meant) => {
    putLetter(0, event(insert(item('a', 'v'))));
    putLetter(1, event(insert(item('b', 'v'))));
    store.texts.set(lambdaName(2), lambdaLetter(streamEvent([insert(item('c', 'v'))], { keys: ['pk'], table: 'other' }).Records));
    store.texts.set(lambdaName(3), lambdaLetter(event(insert(item('d', 'v'))).Records, 'RecordAgeExceeded'));
    const { letters } = await run({ filter });
    expect(letters.map(({ name }) => name)).toEqual(meant.map((n) => lambdaName(n)));
    expect(store.texts.size).toBe(4 - meant.length);
  });

  it('takes the letters of a stage of the worker', async () => {
    await deliver(event(insert(item('a', CURSED))));
    putLetter(1, event(insert(item('b', 'v'))));
    expect((await run({ filter: { cause: 'view' } })).letters).toHaveLength(1);
  });

  it('reports without a cache what would be done, and changes nothing', async () => {
    putLetter(1, event(insert(item('a', 'v'))));
    putLetter(2, event(insert(item('b', CURSED))));
    store.texts.set(lambdaName(3), 'no letter');
    has(item('a', 'v'), item('b', CURSED));
    const before = new Map(store.texts);
    expect((await run({ cache: undefined })).reported).toEqual(['removed', 'kept view', 'kept letter']);
    expect(store.texts).toEqual(before);
  });

  it('reports and writes no values of items', async () => {
    const secret = 'the secret sauce';
    const reveals: View = {
      ...moody,
      project({ value }: Thing) {
        throw new Error(`cannot bake ${value}`);
      },
    } as View;
    await deliver(event(insert(item('a', secret))));
    putLetter(1, event(modify(item('a', secret), item('a', `${secret} two`))));
    has(item('a', secret));
    const tiny = memoryCache({ maxValueBytes: 3 });
    const { reasons } = await run({ views: [reveals, place, latest], cache: tiny });
    expect(reasons.length).toBeGreaterThan(0);
    expect(reasons.join()).not.toContain(secret);
    expect(JSON.stringify(parsed(onlyName()).millrace)).not.toContain(secret);
  });
});

describe('redrive, without a table', () => {
  const withoutTable = { table: undefined };

  it.each([[[1, 2]], [[2, 1]]])(
    'applies the images of the letters, the newest of an item last, in the order %j',
    async ([first = 0, second = 0]) => {
      await deliver(event(insert(item('a', 'v1'))));
      putLetter(first, event(modify(item('a', 'v1'), item('a', 'v2', { at: 'work' }))));
      putLetter(second, event(modify(item('a', 'v2', { at: 'work' }), item('a', 'v3'))));
      putLetter(3, event(remove(item('b', 'v', { at: 'beach' }))));
      expect((await run(withoutTable)).reported).toEqual(['removed', 'removed', 'removed']);
      expect([await found('place@1:home'), await found('place@1:work'), await found('place@1:beach')]).toEqual(['v3', 'gone', 'gone']);
      expect([await members('home'), await members('work')]).toEqual([['v3'], []]);
      expect(reads).toEqual([]);
    },
  );

  it('does not overwrite a newer entry of the cache by an image of a letter', async () => {
    putLetter(1, event(insert(item('a', 'old'))));
    await deliver(event(modify(item('a', 'old'), item('a', 'new'))));
    expect((await run(withoutTable)).reported).toEqual(['removed']);
    expect(await found('place@1:home')).toBe('new');
  });

  it('brings an old value back where the newer one was evicted, which it does not with the table', async () => {
    const past = async () => {
      putLetter(1, event(insert(item('a', 'old'))));
      await deliver(event(modify(item('a', 'old'), item('a', 'new'))));
      cache.flush();
    };
    has(item('a', 'new'));
    await past();
    await run(withoutTable);
    expect(await found('place@1:home')).toBe('old');
    cache.flush();
    await past();
    await run();
    expect(await found('place@1:home')).toBe('new');
  });

  it('keeps letters that do not tell what became of the item', async () => {
    const change = only(event(insert(item('a', 'v'))));
    putLetter(1, { Records: [{ ...change, dynamodb: { ...change.dynamodb, NewImage: undefined } }] });
    expect((await run(withoutTable)).reported).toEqual(['kept decode']);
    expect([await found('place@1:home'), store.texts.size]).toEqual(['miss', 1]);
  });
});

it('redrives events whose stream is the stream of the table', () => {
  expect(only(event(insert(item('a', 'v')))).eventSourceARN).toMatch(`${ARN}/stream/`);
});
