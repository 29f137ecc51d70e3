import { Logger } from '@aws-lambda-powertools/logger';
import { describe, expect, it, vi } from 'vitest';
import { memoryCache } from '../../../src/caches/memory.ts';
import type { BatchFacts } from '../../../src/handlers/batch-facts.ts';
import { streamHandler } from '../../../src/handlers/stream-handler.ts';
import { documentView } from '../../../src/view.ts';
import { views as shop } from '../../../src/views/index.ts';
import {
  ARN,
  bare,
  CANARY,
  downFor,
  faults,
  handlerOf,
  insert,
  type Line,
  letterBox,
  messagesOf,
  modify,
  NOW,
  orderViews,
  SEQUENCE,
  sad,
  useFixedTime,
  views,
} from './scene.ts';

/** All that a line could show, errors with their causes. */
const all = (value: unknown): string =>
  JSON.stringify(value, (_, part) =>
    part instanceof Error ? { ...part, name: part.name, message: part.message, stack: part.stack, cause: part.cause } : part,
  );

useFixedTime();

describe('the log of streamHandler', () => {
  it('logs one line a batch, with the counts, the duration and the ages of the newest and the oldest record', async () => {
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

  it('logs one line for an empty batch, without an age', async () => {
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

  it('counts a value that the cache rejects as rejected and not as poison', async () => {
    const { handle, lines } = handlerOf({ cache: memoryCache({ maxValueBytes: 100 }) });
    await handle(insert('a', SEQUENCE, { status: { S: 'x'.repeat(100) } }));
    expect(lines.at(-1)).toMatchObject({ message: 'batch', rejected: 4, poison: 0, applied: 0 });
  });

  it('logs the causes, the views, the keys and the sequence number of poison', async () => {
    const { handle, lines } = handlerOf();
    await handle(insert('a', '1'), modify('b', SEQUENCE, { numItems: { S: 'plenty' } }));
    const setAside = lines.filter(({ message }) => message === 'record set aside');
    expect(setAside).toMatchObject([
      {
        level: 'error',
        causes: orderViews.map((view) => ({ stage: 'view', view })),
        keys: { pk: 'order#b', sk: 'order' },
        sequenceNumber: SEQUENCE,
        eventId: 'event-of-b',
        index: 1,
      },
    ]);
    for (const [i, view] of orderViews.entries()) {
      expect(messagesOf(setAside[0])[i]).toContain(`view ${view.split('@')[0]} cannot project the new image of ["order#b","order"]`);
    }
    expect(lines.at(-1)).toMatchObject({ message: 'batch', poison: orderViews.length });
  });

  it('logs the cause, the place and the sequence number of a record that cannot be decoded', async () => {
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

  it('logs the view of a rejected value, but not the address, which may hold values of the item', async () => {
    const { handle, lines } = handlerOf({ views: [shop.detail], cache: memoryCache({ maxValueBytes: 100 }) });
    await handle(insert('a', SEQUENCE, { status: { S: 'x'.repeat(100) } }));
    expect(lines[0]).toMatchObject({
      causes: [{ stage: 'rejected', view: 'detail@1' }],
      keys: { pk: 'order#a' },
      sequenceNumber: SEQUENCE,
    });
  });

  describe('of values of items', () => {
    it.each(faults)('logs no values of the item when %s', async (_, record, options) => {
      const { handle, lines } = handlerOf({ cache: memoryCache(options) });
      await handle(record);
      expect(lines.length).toBeGreaterThan(0);
      expect(all(lines)).not.toContain(CANARY);
    });

    it('logs no values of the item when a view throws a message that quotes them', async () => {
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

    it('logs no values of the item when the cache gives no answer', async () => {
      const { handle, lines } = handlerOf({ cache: downFor('a') });
      await handle(insert('a', '1', { status: sad }));
      expect(lines).toHaveLength(1);
      expect(all(lines)).not.toContain(CANARY);
    });

    it('logs no values of items in the lines that Powertools writes, which are JSON', async () => {
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

describe('the log of streamHandler, when records wait for long', () => {
  const aged = (id: string, sequenceNumber: string, hours: number) => {
    const record = insert(id, sequenceNumber);
    return { ...record, dynamodb: { ...record.dynamodb, ApproximateCreationDateTime: NOW / 1_000 - hours * 3_600 } };
  };
  const warnings = (lines: readonly Line[]) => lines.filter(({ message }) => /^records /.test(String(message)));

  it('warns once that records wait, long before the stream trims them', async () => {
    const { handle, lines } = handlerOf();
    for (const hours of [1, 5.9, 6, 6.1, 10]) await handle(insert('new', '9'), aged('a', '1', hours));
    expect(warnings(lines)).toEqual([
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

  it('logs an error near the end of the retention: the stream, the lost period, and what to do', async () => {
    const { handle, lines } = handlerOf();
    await handle(insert('new', '1'));
    vi.setSystemTime(NOW + 25 * 3_600_000);
    await handle(aged('a', '77', -1.5));
    expect(warnings(lines)).toMatchObject([
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
    expect(warnings(first.lines)).toMatchObject([{ from: expect.stringContaining('unknown'), to: '2026-11-20T23:00:00.000Z' }]);
  });

  it('warns of waiting records that cannot be decoded too', async () => {
    const { handle, lines } = handlerOf();
    const { dynamodb, ...rest } = aged('a', '1', 8);
    await handle({ ...rest, dynamodb: { ...dynamodb, NewImage: undefined } });
    expect(warnings(lines)).toMatchObject([{ message: 'records wait for long' }]);
  });

  it('does not warn of saved events, nor where the warning is off', async () => {
    const { handle, lines } = handlerOf();
    await handle(aged('a', '1', 24 * 30));
    const deaf = handlerOf({ retention: false });
    await deaf.handle(aged('a', '1', 23.9));
    expect([...warnings(lines), ...warnings(deaf.lines)]).toEqual([]);
    const early = handlerOf({ retention: { warnMs: 60_000 } });
    await early.handle(insert('a', '1'));
    expect(warnings(early.lines)).toHaveLength(1);
  });
});

describe('the metrics of streamHandler', () => {
  it('gives the metrics the counts, the lags and the latencies of the batch', async () => {
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
        skipped: 0,
        poison: 1,
        setAside: 1,
        withheld: 0,
        retries: 0,
        failed: 1,
        sampled: 0,
        sampleFailed: 0,
        lagsMs: [60_000],
        cacheMs: [expect.any(Number), expect.any(Number), expect.any(Number)],
        headroom: { oldestAgeMs: 60_000, headroomMs: 86_340_000, state: 'in time', changed: false },
        milliseconds: 0,
        functionName: 'sync',
      },
    ]);
  });

  it('gives the metrics the withheld poison of a batch that it answers with an error', async () => {
    const figures: BatchFacts[] = [];
    const { handle } = handlerOf({ metrics: (facts) => void figures.push(facts), poisonRunLimit: 1 });
    await expect(handle(bare('a', '1'), bare('b', undefined), bare('c', '2'))).rejects.toThrow('nothing but poison');
    expect(figures).toMatchObject([{ records: 3, poison: 3, withheld: 2, failed: 2, setAside: 0 }]);
  });

  it('answers although the metrics throw', async () => {
    const { handle, lines } = handlerOf({
      metrics: () => {
        throw new Error('no room for figures');
      },
    });
    expect(await handle(insert('a', SEQUENCE))).toEqual({ batchItemFailures: [] });
    expect(lines.at(-1)).toMatchObject({
      level: 'warn',
      message: 'the metrics of a batch are missing',
      records: 1,
      applied: 4,
      error: { message: 'no room for figures' },
    });
  });
});
