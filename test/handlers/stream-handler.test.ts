import { Logger } from '@aws-lambda-powertools/logger';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { CacheClient } from '../../src/cache.ts';
import { type MemoryOptions, memoryCache } from '../../src/caches/memory.ts';
import type { StreamEvent, StreamRecord } from '../../src/dynamodb/record.ts';
import { CacheUnavailableError } from '../../src/errors.ts';
import type { BatchFacts } from '../../src/handlers/batch-facts.ts';
import { type StreamHandlerOptions, streamHandler } from '../../src/handlers/stream-handler.ts';
import { letterName, parseLetter } from '../../src/letters/letter.ts';
import type { LetterStore } from '../../src/letters/store.ts';
import type { SetAside } from '../../src/sync/sync.ts';
import { documentView, type View } from '../../src/view.ts';
import { views as shop } from '../../src/views/index.ts';

const views: readonly View[] = Object.values(shop);
const ARN = 'arn:aws:dynamodb:eu-west-1:123456789012:table/shop/stream/2026-11-01T09:00:00.123';
const NOW = Date.parse('2026-11-20T21:30:00Z');
const SEQUENCE = '418800000000000004200117';

type Image = NonNullable<NonNullable<StreamRecord['dynamodb']>['Keys']>;

const order = (id: string, more: Image = {}): Image => ({
  pk: { S: `order#${id}` },
  sk: { S: 'order' },
  id: { S: id },
  createdAt: { S: '2026-11-20T21:00:00Z' },
  status: { S: 'placed' },
  numItems: { N: '0' },
  items: { L: [] },
  creator: { S: 'olive' },
  ...more,
});

function insert(id: string, sequenceNumber: string | undefined, more: Image = {}): StreamRecord {
  const image = order(id, more);
  return {
    eventID: `event-of-${id}`,
    eventName: 'INSERT',
    eventSourceARN: ARN,
    dynamodb: {
      ApproximateCreationDateTime: NOW / 1_000 - 60,
      Keys: { pk: image.pk, sk: image.sk },
      NewImage: image,
      SequenceNumber: sequenceNumber,
      StreamViewType: 'NEW_AND_OLD_IMAGES',
    },
  };
}

const modify = (id: string, sequenceNumber: string, more: Image): StreamRecord => {
  const { dynamodb, ...rest } = insert(id, sequenceNumber, more);
  return { ...rest, eventName: 'MODIFY', dynamodb: { ...dynamodb, OldImage: order(id) } };
};

/** Cannot be decoded: its image is missing. */
const bare = (id: string, sequenceNumber: string | undefined): StreamRecord => {
  const { dynamodb, ...rest } = insert(id, sequenceNumber);
  return { ...rest, dynamodb: { ...dynamodb, NewImage: undefined } };
};

interface Line {
  readonly level: 'info' | 'warn' | 'error';
  readonly message: unknown;
  readonly [key: string]: unknown;
}

const messagesOf = (line: Line | undefined): string[] =>
  (line?.causes as { error: Error }[] | undefined)?.map(({ error }) => error.message) ?? [];

function logbook() {
  const lines: Line[] = [];
  const at =
    (level: Line['level']) =>
    (message: unknown, ...extra: unknown[]) =>
      void lines.push(Object.assign({ level, message }, ...extra));
  return { lines, logger: { info: at('info'), warn: at('warn'), error: at('error') } };
}

/** Fails for the orders that are named. */
function downFor(...ids: string[]): CacheClient {
  const sound = memoryCache();
  return {
    ...sound,
    async apply(mutations) {
      if (mutations.some((mutation) => mutation.kind === 'document' && ids.some((id) => mutation.key.endsWith(`:${id}`)))) {
        throw new CacheUnavailableError('no answer within 2000 ms');
      }
      return sound.apply(mutations);
    },
  };
}

const CANARY = 'canary-tweets';
const sad = { S: CANARY };

/** Faults whose messages could quote the item. */
const faults: readonly [string, StreamRecord, MemoryOptions?][] = [
  ['all is well', modify('a', '1', { status: sad, note: sad })],
  ['the schema refuses the new image', modify('a', '1', { numItems: sad, note: sad })],
  ['the schema refuses a date', modify('a', '1', { createdAt: sad })],
  ['the schema refuses something nested', modify('a', '1', { items: { L: [{ M: { size: { N: '1' }, [CANARY]: sad } }] } })],
  ['an attribute has an unknown type', modify('a', '1', { status: { X: CANARY } })],
  ['an attribute is no object', modify('a', '1', { status: CANARY })],
  [
    'an image is missing',
    { ...modify('a', '1', { status: sad }), eventName: 'REMOVE', dynamodb: { ...insert('a', '1', { status: sad }).dynamodb } },
  ],
  ['the cache rejects the value', modify('a', '1', { status: sad }), { maxValueBytes: 50 }],
];

/** All that a line could show, errors with their causes. */
const all = (value: unknown): string =>
  JSON.stringify(value, (_, part) =>
    part instanceof Error ? { ...part, name: part.name, message: part.message, stack: part.stack, cause: part.cause } : part,
  );

function handlerOf({ cache = memoryCache(), ...options }: Partial<StreamHandlerOptions> & { readonly cache?: CacheClient } = {}) {
  const { lines, logger } = logbook();
  const handler = streamHandler({ views, logger, retries: { forMs: 0 }, ...options, cache });
  return { cache, lines, handle: (...Records: StreamRecord[]) => handler({ Records }), handler };
}

beforeEach(() => {
  vi.useFakeTimers({ now: NOW, toFake: ['Date'] });
});
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

describe('the answer', () => {
  it('is an empty list if all went well, and has no other fields', async () => {
    const { handle } = handlerOf();
    expect(await handle(insert('a', SEQUENCE))).toEqual({ batchItemFailures: [] });
    expect(await handle()).toEqual({ batchItemFailures: [] });
  });

  it('is one sequence number, the lowest that failed, compared as integers', async () => {
    const { handle } = handlerOf({ cache: downFor('a', 'b', 'c') });
    const answer = await handle(
      insert('a', '1000000000000000000003'),
      insert('fine', '999999999999999999990'),
      insert('b', '999999999999999999998'),
      insert('c', '9999999999999999999999'),
    );
    expect(answer).toEqual({ batchItemFailures: [{ itemIdentifier: '999999999999999999998' }] });
  });

  it('tells neighbours apart that are one as doubles', async () => {
    const { handle } = handlerOf({ cache: downFor('a', 'b') });
    const answer = await handle(insert('b', '418800000000000004200118'), insert('a', '418800000000000004200117'));
    expect(answer.batchItemFailures).toEqual([{ itemIdentifier: '418800000000000004200117' }]);
  });

  it('names the sequence number as the record spells it, leading zeros and all', async () => {
    const { handle } = handlerOf({ cache: downFor('a') });
    expect((await handle(insert('a', '000000000000000000007'))).batchItemFailures).toEqual([{ itemIdentifier: '000000000000000000007' }]);
  });

  it('does not count poison as a failure: it would fail for ever', async () => {
    const { handle } = handlerOf();
    expect(await handle(bare('a', SEQUENCE), insert('b', SEQUENCE, { numItems: { S: 'plenty' } }))).toEqual({ batchItemFailures: [] });
  });

  it('holds the record whose poison found no safe place', async () => {
    const { handle, lines } = handlerOf({ setAside: () => Promise.reject(new Error('the queue is full')) });
    expect((await handle(bare('a', SEQUENCE))).batchItemFailures).toEqual([{ itemIdentifier: SEQUENCE }]);
    expect(lines).toMatchObject([{ level: 'warn', failed: 1, error: { message: 'the queue is full' } }]);
  });

  it.each([undefined, '', 'seven'])(
    'is an error, never an identifier that Lambda cannot use, if the record that failed has the sequence number %j',
    async (sequenceNumber) => {
      const { handle } = handlerOf({ setAside: () => Promise.reject(new Error('the queue is full')) });
      await expect(handle(insert('fine', SEQUENCE), bare('a', sequenceNumber))).rejects.toThrow('the queue is full');
    },
  );

  it.each([undefined, null, {}, [], { Records: null }, { Records: {} }, { records: [] }, 'Records', { detail: {} }])(
    'is an error for %j, which is no event of a stream: an empty answer would mean success',
    async (event) => {
      const { handler, lines } = handlerOf();
      await expect(handler(event as unknown as StreamEvent)).rejects.toThrow('the event has no Records');
      expect(lines).toEqual([]);
    },
  );

  it('for records of something else is that they were set aside', async () => {
    const { handle, lines } = handlerOf();
    expect(await handle({ messageId: '1', body: '{}', eventSource: 'aws:sqs' } as StreamRecord)).toEqual({ batchItemFailures: [] });
    expect(lines[0]).toMatchObject({ message: 'record set aside', causes: [{ stage: 'decode' }] });
  });
});

describe('time', () => {
  it('that is nearly up begins no further record, and asks for them again', async () => {
    const { handler, cache } = handlerOf({ cache: waiting(memoryCache(), 20), marginMs: 500 });
    const context = { getRemainingTimeInMillis: () => 500 };
    const answer = await handler({ Records: [insert('a', '1'), modify('a', '2', { status: { S: 'baking' } })] }, context);
    expect(answer.batchItemFailures).toEqual([{ itemIdentifier: '2' }]);
    expect(await cache.get('detail@1:a')).toMatchObject({ type: 'hit', value: { status: 'placed' } });
  });

  it('that is plenty is no matter', async () => {
    const { handler } = handlerOf();
    expect((await handler({ Records: [insert('a', '1')] }, { getRemainingTimeInMillis: () => 60_000 })).batchItemFailures).toEqual([]);
  });

  it('is not asked of a context that has none', async () => {
    const { handler } = handlerOf();
    expect((await handler({ Records: [insert('a', '1')] }, {})).batchItemFailures).toEqual([]);
  });
});

function waiting(cache: CacheClient, ms: number): CacheClient {
  return {
    ...cache,
    async apply(mutations) {
      await new Promise((resolve) => setTimeout(resolve, ms));
      return cache.apply(mutations);
    },
  };
}

describe('the log', () => {
  it('has one line a batch, with its counts, its time and the ages of its newest and oldest records', async () => {
    const { handle, lines } = handlerOf();
    const older = insert('a', '2');
    await handle(
      insert('a', '3'),
      { ...older, dynamodb: { ...older.dynamodb, ApproximateCreationDateTime: NOW / 1_000 - 3_600 } },
      insert('b', '4'),
    );
    expect(lines).toEqual([
      {
        level: 'info',
        message: 'batch',
        records: 3,
        applied: 8,
        stale: 4,
        rejected: 0,
        poison: 0,
        setAside: 0,
        retries: 0,
        failed: 0,
        newestAgeMs: 60_000,
        oldestAgeMs: 3_600_000,
        milliseconds: 0,
      },
    ]);
  });

  it('has one line for an empty batch, and no age', async () => {
    const { handle, lines } = handlerOf();
    await handle();
    expect(lines).toMatchObject([{ message: 'batch', records: 0, applied: 0, newestAgeMs: undefined, oldestAgeMs: undefined }]);
  });

  it('warns of a batch that failed in part, with the first error', async () => {
    const { handle, lines } = handlerOf({ cache: downFor('a') });
    await handle(insert('a', '1'), insert('b', '2'), modify('a', '3', {}));
    expect(lines).toMatchObject([
      {
        level: 'warn',
        message: 'batch failed in part',
        records: 3,
        applied: 4,
        failed: 2,
        error: { name: 'CacheUnavailableError', message: 'no answer within 2000 ms' },
      },
    ]);
  });

  it('counts what the cache will never take as rejected, not as poison', async () => {
    const { handle, lines } = handlerOf({ cache: memoryCache({ maxValueBytes: 100 }) });
    await handle(insert('a', SEQUENCE, { status: { S: 'x'.repeat(100) } }));
    expect(lines.at(-1)).toMatchObject({ message: 'batch', rejected: 4, poison: 0, applied: 0 });
  });

  it('tells of poison its cause, view, keys and sequence number', async () => {
    const { handle, lines } = handlerOf();
    await handle(insert('a', '1'), modify('b', SEQUENCE, { numItems: { S: 'plenty' } }));
    const told = lines.filter(({ message }) => message === 'record set aside');
    const ofOrders = views.filter(({ entity }) => entity === shop.detail.entity).map(({ name, revision }) => `${name}@${revision}`);
    expect(told).toMatchObject([
      {
        level: 'error',
        causes: ofOrders.map((view) => ({ stage: 'view', view })),
        keys: { pk: 'order#b', sk: 'order' },
        sequenceNumber: SEQUENCE,
        eventId: 'event-of-b',
        index: 1,
      },
    ]);
    for (const [i, view] of ofOrders.entries()) {
      expect(messagesOf(told[0])[i]).toContain(`view ${view.split('@')[0]} cannot project the new image of ["order#b","order"]`);
    }
    expect(lines.at(-1)).toMatchObject({ message: 'batch', poison: ofOrders.length });
  });

  it('tells of a record that cannot be decoded its cause, place and sequence number', async () => {
    const { handle, lines } = handlerOf();
    await handle(insert('a', '1'), bare('b', SEQUENCE));
    expect(lines[0]).toMatchObject({
      level: 'error',
      message: 'record set aside',
      causes: [{ stage: 'decode' }],
      sequenceNumber: SEQUENCE,
      eventId: 'event-of-b',
      index: 1,
    });
    expect(messagesOf(lines[0])).toEqual([expect.stringMatching(/without NewImage/)]);
  });

  it('tells of what the cache rejected its view, not the address, which may hold a value', async () => {
    const { handle, lines } = handlerOf({ views: [shop.detail], cache: memoryCache({ maxValueBytes: 100 }) });
    await handle(insert('a', SEQUENCE, { status: { S: 'x'.repeat(100) } }));
    expect(lines[0]).toMatchObject({
      causes: [{ stage: 'rejected', view: 'detail@1' }],
      keys: { pk: 'order#a' },
      sequenceNumber: SEQUENCE,
    });
  });

  describe('never holds values of items', () => {
    it.each(faults)('when %s', async (_, record, options) => {
      const { handle, lines } = handlerOf({ cache: memoryCache(options) });
      await handle(record);
      expect(lines.length).toBeGreaterThan(0);
      expect(all(lines)).not.toContain(CANARY);
    });

    it('when a view throws a message that quotes its item', async () => {
      const quoting = documentView({
        ...shop.detail,
        project: ({ status }) => {
          throw new Error(`I do not like ${status}`);
        },
      });
      const { handle, lines } = handlerOf({ views: [quoting] });
      await handle(modify('a', '1', { status: sad }));
      expect(messagesOf(lines[0])).toEqual([expect.stringContaining('it threw Error')]);
      expect(all(lines)).not.toContain(CANARY);
    });

    it('when the cache gives no answer', async () => {
      const { handle, lines } = handlerOf({ cache: downFor('a') });
      await handle(insert('a', '1', { status: sad }));
      expect(lines).toHaveLength(1);
      expect(all(lines)).not.toContain(CANARY);
    });

    it('in the lines that are really written, which are JSON', async () => {
      const written: string[] = [];
      for (const stream of [process.stdout, process.stderr]) {
        vi.spyOn(stream, 'write').mockImplementation((chunk) => {
          written.push(String(chunk));
          return true;
        });
      }
      for (const [, record, options] of faults) {
        await streamHandler({ views, cache: memoryCache(options), logger: new Logger({ serviceName: 'millrace' }) })({ Records: [record] });
      }
      vi.restoreAllMocks();
      const lines = written.join('').trim().split('\n');
      expect(lines.length).toBeGreaterThan(faults.length);
      expect(lines.map((line) => JSON.parse(line).message)).toContain('record set aside');
      expect(lines.join()).not.toContain(CANARY);
    });
  });
});

describe('the seams', () => {
  it('setAside gets the whole record with its cause, to put it where it lasts', async () => {
    const letters: SetAside<StreamRecord>[] = [];
    const { handle } = handlerOf({ setAside: async (letter) => void letters.push(letter) });
    const poison = bare('a', SEQUENCE);
    await handle(insert('b', '1'), poison);
    expect(letters).toEqual([{ record: poison, index: 1, change: undefined, causes: [{ stage: 'decode', error: expect.any(Error) }] }]);
  });

  it('a record that could not be set aside is not logged as set aside', async () => {
    const { handle, lines } = handlerOf({ setAside: () => Promise.reject(new Error('the queue is full')) });
    await handle(bare('a', SEQUENCE));
    expect(lines.map(({ message }) => message)).not.toContain('record set aside');
  });

  it('onReport gets what became of each record', async () => {
    const reports: unknown[] = [];
    const { handle } = handlerOf({ onReport: (report) => void reports.push(report) });
    await handle(insert('a', '1'), bare('b', '2'));
    expect(reports).toMatchObject([
      {
        records: [
          { status: 'done', applied: 4 },
          { status: 'done', causes: [{ stage: 'decode' }] },
        ],
      },
    ]);
  });
});

/** Letters in memory; fails so many times first. */
function letterBox(failures = 0) {
  const texts = new Map<string, string>();
  let [calls, left] = [0, failures];
  const store: LetterStore = {
    async put(name, text) {
      calls += 1;
      await undefined;
      left -= 1;
      if (left >= 0) throw new Error('the bucket is away');
      texts.set(name, text);
    },
    async *names() {
      yield* texts.keys();
    },
    get: async (name) => texts.get(name),
    delete: async (name) => void texts.delete(name),
    close: async () => {},
  };
  return { store, texts, calls: () => calls, letters: () => [...texts.values()].map(parseLetter) };
}

describe('a dead letter', () => {
  it('holds the record, byte for byte, and all causes', async () => {
    const { store, texts } = letterBox();
    const { handler, lines } = handlerOf({ letters: store });
    const poison = modify('a', SEQUENCE, { numItems: sad, note: { S: 'a "ü" \ud83c\udf55\n' } });
    const context = { awsRequestId: 'request-1', invokedFunctionArn: 'arn:aws:lambda:eu-west-1:123456789012:function:sync' };
    expect(await handler({ Records: [insert('b', '1'), poison] }, context)).toEqual({ batchItemFailures: [] });
    const ofOrders = views.filter(({ entity }) => entity === shop.detail.entity).map(({ name, revision }) => `${name}@${revision}`);
    const [[name, text] = ['', '']] = texts;
    expect(texts.size).toBe(1);
    expect(name).toBe(letterName(poison));
    expect(JSON.parse(text)).toMatchObject({
      requestContext: { requestId: 'request-1', functionArn: context.invokedFunctionArn, condition: 'Poison' },
      timestamp: new Date(NOW).toISOString(),
      DDBStreamBatchInfo: { startSequenceNumber: SEQUENCE, endSequenceNumber: SEQUENCE, batchSize: 1, streamArn: ARN },
      payload: JSON.stringify({ Records: [poison] }),
      millrace: { causes: ofOrders.map((view) => ({ stage: 'view', view, error: { name: 'ViewError' } })) },
    });
    expect(lines).toMatchObject([
      { message: 'record set aside', letter: name },
      { message: 'batch', setAside: 1 },
    ]);
  });

  it('is there before its record is done', async () => {
    let open = () => {};
    const gate = new Promise<void>((resolve) => {
      open = resolve;
    });
    const { store, texts } = letterBox();
    const { handle } = handlerOf({ letters: { ...store, put: (...letter) => gate.then(() => store.put(...letter)) } });
    let answered = false;
    const answer = handle(bare('a', SEQUENCE)).then((given) => {
      answered = true;
      return given;
    });
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect([answered, texts.size]).toEqual([false, 0]);
    open();
    expect([await answer, texts.size]).toEqual([{ batchItemFailures: [] }, 1]);
  });

  it('tells poison from what the cache rejected, which is poison too if any of it is', async () => {
    const moody = documentView({ ...shop.detail, name: 'moody', project: () => [{ key: '', value: 1 }] });
    const large = { status: { S: 'x'.repeat(100) } };
    for (const [of, condition, stages] of [
      [[shop.detail], 'Rejected', ['rejected']],
      [[shop.detail, moody], 'Poison', ['view', 'rejected']],
    ] as const) {
      const { store, letters } = letterBox();
      await handlerOf({ views: of, letters: store, cache: memoryCache({ maxValueBytes: 100 }) }).handle(insert('a', SEQUENCE, large));
      expect(letters()).toMatchObject([{ condition, causes: stages.map((stage) => ({ stage })) }]);
    }
  });

  it.each([undefined, '', 'seven'])('is written for a record with the sequence number %j, too', async (sequenceNumber) => {
    const { store, letters } = letterBox();
    const odd = insert('a', sequenceNumber);
    expect(await handlerOf({ letters: store }).handle(insert('b', '1'), odd)).toEqual({ batchItemFailures: [] });
    expect(letters()).toMatchObject([{ event: { Records: [JSON.parse(JSON.stringify(odd))] }, causes: [{ stage: 'decode' }] }]);
  });

  it('that cannot be written makes its record be retried, and that of a retry is the same one', async () => {
    const { store, letters } = letterBox(1);
    const { handle, lines } = handlerOf({ letters: store });
    const batch = [insert('a', '1'), bare('b', '2'), insert('c', '3'), bare('d', '4')];
    expect((await handle(...batch)).batchItemFailures).toEqual([{ itemIdentifier: '2' }]);
    expect(letters()).toMatchObject([{ event: { Records: [{ eventID: 'event-of-d' }] } }]);
    expect(lines.filter(({ message }) => message === 'record set aside')).toMatchObject([{ index: 3 }]);
    expect(lines.at(-1)).toMatchObject({ level: 'warn', setAside: 1, failed: 1, error: { message: 'the bucket is away' } });
    expect(await handle(...batch.slice(1))).toEqual({ batchItemFailures: [] });
    expect(letters().map(({ event }) => event.Records[0]?.eventID)).toEqual(['event-of-d', 'event-of-b']);
  });

  it('that cannot be written, of a record without a number, makes the whole batch be retried', async () => {
    const { store } = letterBox(1);
    await expect(handlerOf({ letters: store }).handle(insert('a', '1'), bare('b', undefined))).rejects.toThrow('the bucket is away');
  });

  it('is written besides what setAside does, and counts for nothing if that fails', async () => {
    const { store, texts } = letterBox();
    const told: unknown[] = [];
    await handlerOf({ letters: store, setAside: async ({ index }) => void told.push(index) }).handle(bare('a', SEQUENCE));
    expect([told, texts.size]).toEqual([[0], 1]);
    const { handle } = handlerOf({ letters: store, setAside: () => Promise.reject(new Error('the queue is full')) });
    expect((await handle(bare('a', SEQUENCE))).batchItemFailures).toEqual([{ itemIdentifier: SEQUENCE }]);
  });

  it.each(faults)('holds values of its item in the payload alone, when %s', async (_, record, options) => {
    const { store, texts } = letterBox();
    await handlerOf({ letters: store, cache: memoryCache(options) }).handle(record);
    for (const [name, text] of texts) {
      const { payload, ...rest } = JSON.parse(text);
      expect(payload).toContain(CANARY);
      expect(name + JSON.stringify(rest)).not.toContain(CANARY);
    }
    expect(texts.size).toBe(_ === 'all is well' ? 0 : 1);
  });

  it('does not repeat what a view says of an item that it throws at', async () => {
    const quoting = documentView({
      ...shop.detail,
      project: ({ status }) => {
        throw new Error(`I do not like ${status}`);
      },
    });
    const { store, letters } = letterBox();
    await handlerOf({ views: [quoting], letters: store }).handle(modify('a', '1', { status: sad }));
    expect(letters()).toMatchObject([{ causes: [{ error: { message: expect.stringContaining('it threw Error') } }] }]);
    expect(JSON.stringify(letters().map(({ causes }) => causes))).not.toContain(CANARY);
  });

  it('is the end of poison and of nothing else, whatever fails how often', async () => {
    const kind = fc.constantFrom('good', 'poison', 'undecodable', 'large');
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ item: fc.constantFrom('a', 'b', 'c', 'd'), kind }), { minLength: 1, maxLength: 30 }),
        fc.array(fc.boolean(), { maxLength: 40 }),
        fc.integer({ min: 1, max: 10 }),
        async (history, outages, size) => {
          const fails = () => outages.shift() === true;
          const sound = memoryCache({ maxValueBytes: 1_000 });
          const box = letterBox();
          const { handler } = handlerOf({
            poisonRunLimit: 0,
            letters: { ...box.store, put: async (...letter) => (fails() ? Promise.reject(new Error('away')) : box.store.put(...letter)) },
            cache: { ...sound, apply: async (all) => (fails() ? Promise.reject(new CacheUnavailableError('away')) : sound.apply(all)) },
          });
          const records = history.map(({ item, kind }, i) => {
            const more: Record<typeof kind, Image> = {
              good: {},
              poison: { numItems: { S: 'x' } },
              undecodable: {},
              large: { status: { S: 'x'.repeat(2_000) } },
            };
            const record = modify(item, String(i + 1), { status: { S: `state ${i}` }, ...more[kind] });
            return kind === 'undecodable' ? { ...record, dynamodb: { ...record.dynamodb, NewImage: undefined } } : record;
          });
          for (let [at, attempts] = [0, 0]; at < records.length; attempts += 1) {
            if (attempts > 200) throw new Error(`record ${at} is never done`);
            const batch = records.slice(at, at + size);
            const [failure] = (await handler({ Records: batch })).batchItemFailures;
            at = failure ? Number(failure.itemIdentifier) - 1 : at + batch.length;
          }
          const dead = records.filter((_, i) => history[i]?.kind !== 'good');
          expect([...box.texts.keys()].sort()).toEqual(dead.map(letterName).sort());
          expect(
            box
              .letters()
              .map(({ raw }) => raw.payload)
              .sort(),
          ).toEqual(dead.map((record) => JSON.stringify({ Records: [record] })).sort());
          for (const item of new Set(history.map(({ item }) => item))) {
            const last = history.findLastIndex((it) => it.item === item && it.kind !== 'undecodable');
            const found = await sound.get(`detail@1:${item}`);
            if (last >= 0 && history[last]?.kind === 'good')
              expect(found).toMatchObject({ type: 'hit', value: { status: `state ${last}` } });
            else expect(found.type).toBe('miss');
          }
        },
      ),
    );
  });
});

describe('a fault that passes', () => {
  /** A function's clock, which sleeping moves; and a cache that is down for so many calls. */
  function invocation(limitMs: number, failures: number, error: Error = new CacheUnavailableError('no answer within 2000 ms')) {
    const sound = memoryCache();
    const calls: string[] = [];
    let now = 0;
    const cache: CacheClient = {
      ...sound,
      async apply(mutations) {
        calls.push(String(mutations[0]?.version).slice(-3));
        if (calls.length <= failures) throw error;
        return sound.apply(mutations);
      },
    };
    const sleep = async (ms: number) => {
      now += ms;
    };
    const context = { getRemainingTimeInMillis: () => limitMs - now };
    return { cache, calls, context, elapsed: () => now, retries: { sleep, random: () => 1 } };
  }

  it('is waited for within the invocation, and the order of an item is kept', async () => {
    const { cache, calls, context, retries, elapsed } = invocation(30_000, 4);
    const { handler, lines } = handlerOf({ cache, retries });
    const Records = [insert('a', '001'), modify('a', '002', { status: { S: 'baking' } }), modify('a', '003', { status: { S: 'ready' } })];
    expect(await handler({ Records }, context)).toEqual({ batchItemFailures: [] });
    expect(calls).toEqual(['001', '001', '001', '001', '001', '002', '003']);
    expect(elapsed()).toBe(100 + 200 + 400 + 800);
    expect(lines).toMatchObject([{ level: 'info', message: 'batch', retries: 4, failed: 0 }]);
    expect(await cache.get('detail@1:a')).toMatchObject({ value: { status: 'ready' } });
  });

  it('is waited for until a call could not end in time any more', async () => {
    const { cache, context, retries, elapsed, calls } = invocation(30_000, Infinity);
    const { handler } = handlerOf({ cache, retries, marginMs: 5_500 });
    expect((await handler({ Records: [insert('a', '001')] }, context)).batchItemFailures).toEqual([{ itemIdentifier: '001' }]);
    // 100, 200 and so on to 3,200, then 5,000 each: one more would end past 24,500.
    expect([elapsed(), calls.length]).toEqual([21_300, 10]);
  });

  it('is none if it is no outage: what is wrong with a call will not pass', async () => {
    const { cache, context, retries, calls } = invocation(30_000, 3, new TypeError('that is no list'));
    const { handler } = handlerOf({ cache, retries });
    expect((await handler({ Records: [insert('a', '001')] }, context)).batchItemFailures).toEqual([{ itemIdentifier: '001' }]);
    expect(calls).toHaveLength(1);
  });

  it('is waited for two seconds, or as long as one is told, by a caller without a limit', async () => {
    let now = 0;
    vi.spyOn(performance, 'now').mockImplementation(() => now);
    const sleep = async (ms: number) => {
      now += ms;
    };
    for (const [forMs, waited] of [
      [undefined, 1_500],
      [10_000, 6_300],
      [0, 0],
    ]) {
      now = 0;
      const { cache } = invocation(0, Infinity);
      const { handle } = handlerOf({ cache, retries: { sleep, random: () => 1, ...(forMs !== undefined && { forMs }) } });
      expect((await handle(insert('a', '001'))).batchItemFailures).toHaveLength(1);
      expect(now).toBe(waited);
    }
  });

  it('is waited for when a letter is written, too', async () => {
    const { store, texts, calls } = letterBox(3);
    const { context, retries } = invocation(30_000, 0);
    const { handler, lines } = handlerOf({ letters: store, retries });
    expect(await handler({ Records: [insert('b', '1'), bare('a', SEQUENCE)] }, context)).toEqual({ batchItemFailures: [] });
    expect([texts.size, calls()]).toEqual([1, 4]);
    expect(lines.at(-1)).toMatchObject({ setAside: 1, retries: 3 });
  });

  it('may take two hours: nothing is lost, and there are no letters', async () => {
    const HOUR = 3_600_000;
    const sound = memoryCache();
    const cache: CacheClient = {
      ...sound,
      async apply(mutations) {
        if (Date.now() < NOW + 2 * HOUR) throw new CacheUnavailableError('connection refused');
        return sound.apply(mutations);
      },
    };
    const { store, texts } = letterBox();
    const sleep = async (ms: number) => void vi.setSystemTime(Date.now() + ms);
    const { handler, lines } = handlerOf({ cache, letters: store, retries: { sleep } });
    const records = Array.from({ length: 60 }, (_, i) =>
      i < 20 ? insert(`o${i}`, String(i + 1)) : modify(`o${i % 20}`, String(i + 1), { status: { S: `state ${i}` } }),
    );
    let invocations = 0;
    for (let at = 0; at < records.length; invocations += 1) {
      if (invocations > 1_000) throw new Error(`record ${at} is never done`);
      const end = Date.now() + 30_000;
      const answer = await handler({ Records: records.slice(at, at + 25) }, { getRemainingTimeInMillis: () => end - Date.now() });
      const [failure] = answer.batchItemFailures;
      at = failure ? Number(failure.itemIdentifier) - 1 : Math.min(at + 25, records.length);
      // The mapping waits between its attempts.
      vi.setSystemTime(Date.now() + (failure ? 30_000 : 0));
    }
    expect(invocations).toBeGreaterThan(100);
    expect(texts.size).toBe(0);
    for (let i = 40; i < 60; i += 1)
      expect(await sound.get(`detail@1:o${i % 20}`)).toMatchObject({ type: 'hit', value: { status: `state ${i}` } });
    expect(lines.filter(({ level }) => level === 'error')).toEqual([]);
  });
});

describe('a run of poison', () => {
  const many = (from: number, count: number) => Array.from({ length: count }, (_, i) => bare(`p${from + i}`, String(from + i)));
  const failureOf = async (answer: Promise<{ batchItemFailures: readonly { itemIdentifier: string }[] }>) =>
    (await answer).batchItemFailures[0]?.itemIdentifier;

  it('of single records is set aside ten times, then held: those records are retried, until one is sound', async () => {
    const { store, texts } = letterBox();
    const { handle, lines } = handlerOf({ letters: store });
    for (const record of many(1, 10)) expect(await handle(record)).toEqual({ batchItemFailures: [] });
    for (let i = 0; i < 3; i += 1) expect(await failureOf(handle(...many(11, 1)))).toBe('11');
    expect(texts.size).toBe(10);
    expect(lines.filter(({ message }) => message === 'poison is not set aside')).toMatchObject(
      Array(3).fill({
        level: 'error',
        answer: expect.stringMatching(/roll it back or mend it.*raise POISON_RUN_LIMIT/),
        poison: 1,
        poisonRunLimit: 10,
        causes: [{ stage: 'decode', error: { message: expect.stringContaining('without NewImage') } }],
        sequenceNumber: '11',
      }),
    );
    expect(lines.at(-1)).toMatchObject({ message: 'batch failed in part', failed: 1, setAside: 0 });
    await handle(insert('good', '900'));
    expect(await failureOf(handle(...many(11, 1)))).toBeUndefined();
    expect(texts.size).toBe(11);
  });

  it.each([1, 3, 4, 10, 11, 1_000])('in batches of %d is set aside ten times, and the next record is the one that failed', async (size) => {
    const { store, texts, calls } = letterBox();
    const { handle, lines } = handlerOf({ letters: store });
    const records = many(1, 2_000);
    let held: string | undefined;
    for (let at = 0; held === undefined && at < records.length; at += size) held = await failureOf(handle(...records.slice(at, at + size)));
    expect([texts.size, held]).toEqual([10, '11']);
    const rest = size - (10 % size);
    const told = lines.filter(({ message }) => message === 'poison is not set aside');
    expect(told).toMatchObject([{ poison: rest, sequenceNumber: '11' }]);
    expect(lines.at(-1)).toMatchObject({
      message: 'batch failed in part',
      failed: rest,
      error: { message: expect.stringContaining('nothing but poison') },
    });
    // What is left of it again, whole, then halved down to single records, as the mapping may do: nothing more is set aside.
    for (let part = size; part >= 1; part = Math.floor(part / 2))
      expect(await failureOf(handle(...records.slice(10, 10 + part)))).toBe('11');
    expect([texts.size, calls()]).toEqual([10, 10]);
  });

  it('gets on by the limit in each environment, whatever the size of its batches', async () => {
    const { store, texts, calls } = letterBox();
    const records = many(1, 25);
    for (const held of ['11', '21', undefined]) {
      const { handle } = handlerOf({ letters: store });
      expect(await failureOf(handle(...records.slice(texts.size)))).toBe(held);
    }
    expect([texts.size, calls()]).toEqual([25, 25]);
  });

  it.each(['letters', 'cache'])('beside a sound record is no run when it is retried without that: a fault of the %s', async (what) => {
    const bad = Array.from({ length: 11 }, (_, i) => modify(`p${i}`, String(i + 2), { numItems: { S: 'plenty' } }));
    const world = () => {
      const { store, texts } = letterBox(what === 'letters' ? 11 : 0);
      const sound = memoryCache();
      let calls = 0;
      const apply: CacheClient['apply'] = async (mutations) => {
        calls += 1;
        if (what === 'cache' && calls > 1 && calls <= 12) throw new CacheUnavailableError('one blip');
        return sound.apply(mutations);
      };
      return { letters: store, texts, cache: { ...sound, apply } };
    };
    const { texts, ...same } = world();
    const { handle } = handlerOf(same);
    expect(await failureOf(handle(insert('good', '1'), ...bad))).toBe('2');
    // The function serves other shards, too: one that is sound, and one that fills a row.
    expect(await failureOf(handle(insert('other', '500')))).toBeUndefined();
    expect(await failureOf(handle(...many(600, 11)))).toBe('610');
    expect(texts.size).toBe(10);
    expect(await failureOf(handle(...bad))).toBeUndefined();
    expect(texts.size).toBe(21);
    // A new environment does not know, and admits as many as it may.
    const { texts: others, ...another } = world();
    expect(await failureOf(handlerOf(another).handle(insert('good', '1'), ...bad))).toBe('2');
    expect(await failureOf(handlerOf(another).handle(...bad))).toBe('12');
    expect(await failureOf(handlerOf(another).handle(...bad.slice(10)))).toBeUndefined();
    expect(others.size).toBe(11);
  });

  it('makes no more letters than the limit, whatever is asked for again and whatever fails how often', async () => {
    const place = fc.integer({ min: 0, max: 29 });
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 5 }),
        fc.array(fc.uniqueArray(place, { minLength: 1, maxLength: 12 }), { minLength: 1, maxLength: 12 }),
        fc.array(fc.boolean(), { maxLength: 60 }),
        async (poisonRunLimit, batches, outages) => {
          const fails = () => outages.shift() === true;
          const { store, texts } = letterBox();
          const sound = memoryCache();
          const { handle } = handlerOf({
            poisonRunLimit,
            letters: { ...store, put: async (...letter) => (fails() ? Promise.reject(new Error('away')) : store.put(...letter)) },
            cache: { ...sound, apply: async (all) => (fails() ? Promise.reject(new CacheUnavailableError('away')) : sound.apply(all)) },
          });
          const bad = (n: number) => (n % 2 ? bare(`p${n}`, String(n)) : modify(`p${n}`, String(n), { numItems: { S: 'plenty' } }));
          for (const batch of batches) {
            batch.sort((a, b) => a - b);
            const failure = await failureOf(handle(...batch.map(bad)));
            expect(texts.size).toBeLessThanOrEqual(poisonRunLimit);
            // What is before the answer is safe.
            for (const n of batch) if (failure === undefined || n < Number(failure)) expect(texts.has(letterName(bad(n)))).toBe(true);
          }
        },
      ),
    );
  });

  it('never is what has a sound record in its batch, whatever fails how often', async () => {
    const batch = fc.record({ size: fc.integer({ min: 1, max: 8 }), sound: fc.nat() });
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 3 }),
        fc.array(batch, { minLength: 1, maxLength: 6 }),
        fc.array(fc.boolean(), { maxLength: 60 }),
        async (poisonRunLimit, batches, outages) => {
          const fails = () => outages.shift() === true;
          const { store, texts } = letterBox();
          const cache = memoryCache();
          const { handle } = handlerOf({
            poisonRunLimit,
            letters: { ...store, put: async (...letter) => (fails() ? Promise.reject(new Error('away')) : store.put(...letter)) },
            cache: { ...cache, apply: async (all) => (fails() ? Promise.reject(new CacheUnavailableError('away')) : cache.apply(all)) },
          });
          let [n, dead] = [1, 0];
          for (const { size, sound } of batches) {
            let left = Array.from({ length: size }, (_, i) => {
              n += 1;
              if (i === sound % size) return insert(`good${n}`, String(n));
              dead += 1;
              return n % 2 ? bare(`p${n}`, String(n)) : modify(`p${n}`, String(n), { numItems: { S: 'plenty' } });
            });
            for (let attempts = 0; left.length > 0; attempts += 1) {
              if (attempts > 100) throw new Error(`record ${left[0]?.dynamodb?.SequenceNumber} is never done`);
              const failure = await failureOf(handle(...left));
              left = failure === undefined ? [] : left.slice(left.findIndex(({ dynamodb }) => dynamodb?.SequenceNumber === failure));
            }
          }
          expect(texts.size).toBe(dead);
        },
      ),
    );
  });

  it('is none where the batch has one sound record, wherever it stands', async () => {
    for (const at of [0, 50, 100]) {
      const { store, texts } = letterBox();
      const { handle } = handlerOf({ letters: store });
      const batch: StreamRecord[] = many(1, 100);
      batch.splice(at, 0, insert('good', '900'));
      expect(await handle(...batch)).toEqual({ batchItemFailures: [] });
      expect(texts.size).toBe(100);
    }
  });

  it('of views is one, too, and a record that no view wants does not end it', async () => {
    const { store, texts } = letterBox();
    const { handle } = handlerOf({ letters: store, poisonRunLimit: 2 });
    const stranger = insert('x', '500');
    const unknown = { ...stranger, dynamodb: { ...stranger.dynamodb, NewImage: { pk: { S: 'note#x' }, sk: { S: 'note' } } } };
    const bad = (n: number) => insert(`b${n}`, String(n), { numItems: { S: 'plenty' } });
    expect(await failureOf(handle(bad(1), unknown, bad(2)))).toBeUndefined();
    expect(await failureOf(handle(unknown))).toBeUndefined();
    expect(await failureOf(handle(unknown, bad(3)))).toBe('3');
    expect(texts.size).toBe(2);
  });

  it('is not what the cache rejects, nor what it gives no answer for', async () => {
    const large = (n: number) => insert(`l${n}`, String(n), { status: { S: 'x'.repeat(100) } });
    const { store, texts } = letterBox();
    const { handle } = handlerOf({ letters: store, poisonRunLimit: 1, cache: memoryCache({ maxValueBytes: 100 }) });
    for (let n = 1; n <= 20; n += 1) expect(await failureOf(handle(large(n)))).toBeUndefined();
    expect(texts.size).toBe(20);
    const down = handlerOf({ letters: letterBox().store, poisonRunLimit: 1, cache: downFor('a') });
    for (let n = 1; n <= 5; n += 1) {
      expect(await failureOf(down.handle(insert('a', '1')))).toBe('1');
      expect(await failureOf(down.handle(bare(`p${n}`, '2')))).toBeUndefined();
    }
  });

  it('has room for a retry of what it has room for, though its letters could not be written at first', async () => {
    const { store, texts } = letterBox(30);
    const { handle } = handlerOf({ letters: store, poisonRunLimit: 5 });
    for (let i = 0; i < 6; i += 1) expect(await failureOf(handle(...many(1, 5)))).toBe('1');
    expect(await failureOf(handle(...many(1, 5)))).toBeUndefined();
    expect(texts.size).toBe(5);
  });

  it('is forgotten by a new environment, and unknown without a limit', async () => {
    const { store, texts } = letterBox();
    for (const from of [1, 11, 21]) expect(await failureOf(handlerOf({ letters: store }).handle(...many(from, 10)))).toBeUndefined();
    expect(await failureOf(handlerOf({ letters: store, poisonRunLimit: 0 }).handle(...many(31, 500)))).toBeUndefined();
    expect(texts.size).toBe(530);
  });

  it('is retried whole if its records have no numbers', async () => {
    const { handle } = handlerOf({ letters: letterBox().store, poisonRunLimit: 1 });
    await expect(handle(bare('a', undefined), bare('b', undefined))).rejects.toThrow(
      'there is nothing but poison, and more of it in a row than may be set aside',
    );
  });
});

describe('records that wait for long', () => {
  const aged = (id: string, sequenceNumber: string, hours: number) => {
    const record = insert(id, sequenceNumber);
    return { ...record, dynamodb: { ...record.dynamodb, ApproximateCreationDateTime: NOW / 1_000 - hours * 3_600 } };
  };
  const told = (lines: readonly Line[]) => lines.filter(({ message }) => /^records /.test(String(message)));

  it('are warned of once, well before the stream trims them', async () => {
    const { handle, lines } = handlerOf();
    for (const hours of [1, 5.9, 6, 6.1, 10]) await handle(insert('new', '9'), aged('a', '1', hours));
    expect(told(lines)).toEqual([
      {
        level: 'warn',
        message: 'records wait for long',
        answer: expect.stringContaining('see what holds them up'),
        stream: ARN,
        shard: 'unknown: an event does not name it',
        sequenceNumber: '9',
        oldestAgeMs: 6 * 3_600_000,
        headroomMs: 18 * 3_600_000,
      },
    ]);
  });

  it('at the edge of retention are an error: which stream, from when to when, and what to do', async () => {
    const { handle, lines } = handlerOf();
    await handle(insert('new', '1'));
    vi.setSystemTime(NOW + 25 * 3_600_000);
    await handle(aged('a', '77', -1.5));
    expect(told(lines)).toMatchObject([
      {
        level: 'error',
        message: 'records may be lost',
        answer: expect.stringContaining('resync the table'),
        from: '2026-11-20T21:29:00.000Z',
        to: '2026-11-20T23:00:00.000Z',
        stream: ARN,
        sequenceNumber: '77',
      },
    ]);
    const first = handlerOf();
    await first.handle(aged('a', '77', -1.5));
    expect(told(first.lines)).toMatchObject([{ from: expect.stringContaining('unknown'), to: '2026-11-20T23:00:00.000Z' }]);
  });

  it('are seen though they cannot be decoded', async () => {
    const { handle, lines } = handlerOf();
    const { dynamodb, ...rest } = aged('a', '1', 8);
    await handle({ ...rest, dynamodb: { ...dynamodb, NewImage: undefined } });
    expect(told(lines)).toMatchObject([{ message: 'records wait for long' }]);
  });

  it('are no matter where they were saved, or where nobody wants to know', async () => {
    const { handle, lines } = handlerOf();
    await handle(aged('a', '1', 24 * 30));
    const deaf = handlerOf({ retention: false });
    await deaf.handle(aged('a', '1', 23.9));
    expect([...told(lines), ...told(deaf.lines)]).toEqual([]);
    const early = handlerOf({ retention: { warnMs: 60_000 } });
    await early.handle(insert('a', '1'));
    expect(told(early.lines)).toHaveLength(1);
  });
});

describe('the figures of a batch', () => {
  it('are counts, lags and latencies', async () => {
    const figures: BatchFacts[] = [];
    const { store } = letterBox();
    const { handler } = handlerOf({ metrics: (facts) => void figures.push(facts), letters: store, cache: downFor('c') });
    const older = modify('a', '1', {});
    await handler({ Records: [insert('a', '3'), older, bare('b', '4'), insert('c', '5')] }, { functionName: 'sync' });
    expect(figures).toEqual([
      {
        records: 4,
        applied: 4,
        stale: 4,
        rejected: 0,
        poison: 1,
        setAside: 1,
        withheld: 0,
        retries: 0,
        failed: 1,
        lagsMs: [60_000],
        cacheMs: [expect.any(Number), expect.any(Number), expect.any(Number)],
        headroom: { oldestAgeMs: 60_000, headroomMs: 86_340_000, state: 'in time', changed: false },
        functionName: 'sync',
      },
    ]);
  });

  it('are told of a batch that is answered with an error, too, and tell of poison that was withheld', async () => {
    const figures: BatchFacts[] = [];
    const { handle } = handlerOf({ metrics: (facts) => void figures.push(facts), poisonRunLimit: 1 });
    await expect(handle(bare('a', '1'), bare('b', undefined), bare('c', '2'))).rejects.toThrow('nothing but poison');
    expect(figures).toMatchObject([{ records: 3, poison: 3, withheld: 2, failed: 2, setAside: 0 }]);
  });

  it('may fail without harm', async () => {
    const { handle, lines } = handlerOf({
      metrics: () => {
        throw new Error('no room for figures');
      },
    });
    expect(await handle(insert('a', SEQUENCE))).toEqual({ batchItemFailures: [] });
    expect(lines.at(-1)).toMatchObject({
      level: 'warn',
      message: 'the metrics of a batch are missing',
      error: { message: 'no room for figures' },
    });
  });
});
