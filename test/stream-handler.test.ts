import { Logger } from '@aws-lambda-powertools/logger';
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { CacheClient } from '../src/cache.ts';
import { type MemoryOptions, memoryCache } from '../src/caches/memory.ts';
import { CacheUnavailableError } from '../src/errors.ts';
import { type StreamHandlerOptions, streamHandler } from '../src/handlers/stream-handler.ts';
import type { StreamEvent, StreamRecord } from '../src/sources/stream.ts';
import type { Letter } from '../src/sync.ts';
import { documentView, type View } from '../src/view.ts';
import { views as shop } from '../src/views/index.ts';

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

const messageOf = (line: Line | undefined): string => (line?.error as { message?: string } | undefined)?.message ?? '';

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

function handlerOf(options: Partial<StreamHandlerOptions> = {}) {
  const { lines, logger } = logbook();
  const cache = options.cache ?? memoryCache();
  const handler = streamHandler({ views, logger, ...options, cache });
  return { cache, lines, handle: (...Records: StreamRecord[]) => handler({ Records }), handler };
}

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
    expect(lines[0]).toMatchObject({ message: 'record set aside', stage: 'decode' });
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
  it('has one line a batch, with its counts, its time and the age of its newest record', async () => {
    vi.useFakeTimers({ now: NOW, toFake: ['Date'] });
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
        failed: 0,
        newestAgeMs: 60_000,
        milliseconds: 0,
      },
    ]);
  });

  it('has one line for an empty batch, and no age', async () => {
    const { handle, lines } = handlerOf();
    await handle();
    expect(lines).toMatchObject([{ message: 'batch', records: 0, applied: 0, newestAgeMs: undefined }]);
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
    const ofOrders = views.filter(({ entity }) => entity === shop.detail.entity).map(({ name }) => name);
    expect(told).toHaveLength(ofOrders.length);
    for (const [i, view] of ofOrders.entries()) {
      expect(told[i]).toMatchObject({
        level: 'error',
        stage: 'view',
        view,
        keys: { pk: 'order#b', sk: 'order' },
        sequenceNumber: SEQUENCE,
        eventId: 'event-of-b',
        index: 1,
      });
      expect(messageOf(told[i])).toContain(`view ${view} cannot project the new image of ["order#b","order"]`);
    }
    expect(lines.at(-1)).toMatchObject({ message: 'batch', poison: ofOrders.length });
  });

  it('tells of a record that cannot be decoded its cause, place and sequence number', async () => {
    const { handle, lines } = handlerOf();
    await handle(insert('a', '1'), bare('b', SEQUENCE));
    expect(lines[0]).toMatchObject({
      level: 'error',
      message: 'record set aside',
      stage: 'decode',
      sequenceNumber: SEQUENCE,
      eventId: 'event-of-b',
      index: 1,
    });
    expect(messageOf(lines[0])).toMatch(/without NewImage/);
  });

  it('tells of what the cache rejected its view, not the address, which may hold a value', async () => {
    const { handle, lines } = handlerOf({ views: [shop.detail], cache: memoryCache({ maxValueBytes: 100 }) });
    await handle(insert('a', SEQUENCE, { status: { S: 'x'.repeat(100) } }));
    expect(lines[0]).toMatchObject({ stage: 'rejected', view: 'detail@1', keys: { pk: 'order#a' }, sequenceNumber: SEQUENCE });
  });

  describe('never holds values of items', () => {
    const CANARY = 'canary-tweets';
    const sad = { S: CANARY };
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
      expect(messageOf(lines[0])).toContain('it threw Error');
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
    const letters: Letter<StreamRecord>[] = [];
    const { handle } = handlerOf({ setAside: async (letter) => void letters.push(letter) });
    const poison = bare('a', SEQUENCE);
    await handle(insert('b', '1'), poison);
    expect(letters).toEqual([{ record: poison, index: 1, change: undefined, cause: { stage: 'decode', error: expect.any(Error) } }]);
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
