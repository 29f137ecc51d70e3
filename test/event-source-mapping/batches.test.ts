import type { DynamoDBStreamHandler } from 'aws-lambda';
import { describe, expect, it } from 'vitest';
import * as z from 'zod/mini';
import { memoryCache } from '../../src/caches/memory.ts';
import { CacheUnavailableError } from '../../src/errors.ts';
import { streamHandler } from '../../src/handlers/stream-handler.ts';
import {
  eventSourceMapping,
  insert,
  type LambdaContext,
  memoryStream,
  remove,
  type StreamReader,
  streamEvent,
} from '../../src/testing/index.ts';
import { documentView, entity, keyOf } from '../../src/view.ts';
import { changeOf, mappingWorld } from './mapping.ts';

const SIX_MB = 6 * 1024 * 1024;

describe('a batch', () => {
  it('has as many records as there are, up to the batch size', async () => {
    const world = mappingWorld();
    world.write('a', 'b', 'c', 'd', 'e', 'f', 'g');
    await world.follow({ batchSize: 3 });
    expect(world.batches).toEqual([['a1', 'b2', 'c3'], ['d4', 'e5', 'f6'], ['g7']]);
  });

  it('has up to 100 unless told otherwise, and up to 10,000', async () => {
    const sizes = async (settings: { batchSize?: number }) => {
      const world = mappingWorld();
      world.write(...Array.from({ length: 10_002 }, () => 'a'));
      // Gathers, for a page of the stream has 1,000 records.
      await world.follow({ ...settings, maximumBatchingWindowInSeconds: 300 });
      return world.batches.map(({ length }) => length);
    };
    expect(await sizes({})).toEqual([...Array.from({ length: 100 }, () => 100), 2]);
    expect(await sizes({ batchSize: 10_000 })).toEqual([10_000, 2]);
  });

  it('is never more than 6 MB of JSON, and no more of them than needed', async () => {
    const world = mappingWorld();
    const text = 'é'.repeat(200_000);
    world.stream.append(...Array.from({ length: 40 }, (_, i) => changeOf('a', i, { text: { S: text } })));
    const bytes: number[] = [];
    await world.follow({ answer: (_names, _context, event) => void bytes.push(Buffer.byteLength(JSON.stringify(event))) });
    expect(world.batches.map(({ length }) => length)).toEqual([15, 15, 10]);
    const [first = 0, second = 0, last = 0] = bytes;
    expect(Math.max(first, second, last)).toBeLessThanOrEqual(SIX_MB);
    expect(first + last / 10).toBeGreaterThan(SIX_MB);
  });

  it('comes to the last byte of 6 MB', async () => {
    const sizes = async (tooMany: number) => {
      const world = mappingWorld();
      const [record] = world.stream.append(changeOf('a', 1, { text: { S: '' } }));
      const rest = SIX_MB / 2 - Buffer.byteLength(JSON.stringify(record)) - '{"Records":['.length / 2 - 1;
      world.stream.append(
        changeOf('a', 2, { text: { S: 'x'.repeat(rest) } }),
        changeOf('a', 3, { text: { S: 'x'.repeat(rest - 1 + tooMany) } }),
      );
      let most = 0;
      await world.follow({
        answer: (names, _context, event) => {
          if (names[0] === 'a2') most = Buffer.byteLength(JSON.stringify(event));
        },
        // The first is there to be measured.
        filterCriteria: { filters: [{ pattern: '{"dynamodb":{"NewImage":{"n":{"N":["2","3"]}}}}' }] },
      });
      return { most, batches: world.batches };
    };
    expect(await sizes(0)).toEqual({ most: SIX_MB, batches: [['a2', 'a3']] });
    expect((await sizes(1)).batches).toEqual([['a2'], ['a3']]);
  });

  it('of one record is let through however large it is', async () => {
    const world = mappingWorld();
    world.stream.append(changeOf('a', 1, { text: { S: 'x'.repeat(SIX_MB) } }));
    world.write('b');
    await world.follow();
    expect(world.batches).toEqual([['a1'], ['b1']]);
  });

  it('waits for more as long as the window is, from its first record on', async () => {
    const world = mappingWorld();
    const mapping = world.mapping({ batchSize: 3, maximumBatchingWindowInSeconds: 5 });
    await mapping.start();
    const started = world.clock.now();
    world.write('a');
    await world.clock.advance(3_000);
    world.write('b');
    await world.clock.advance(1_500);
    expect(world.batches).toEqual([]);
    await world.clock.advance(1_000);
    expect(world.batches).toEqual([['a1', 'b2']]);
    expect((world.deliveries[0]?.at ?? 0) - started).toBeGreaterThanOrEqual(5_000);
    world.write('c', 'd', 'e', 'f');
    await world.clock.advance(500);
    expect(world.batches.slice(1)).toEqual([['c3', 'd4', 'e5']]);
    await world.clock.advance(5_000);
    expect(world.batches.slice(2)).toEqual([['f6']]);
    await world.clock.run(mapping.stop());
  });

  it('does not wait for a window when the shard has ended', async () => {
    const world = mappingWorld();
    world.write('a');
    for (const shard of world.stream.open) world.stream.close(shard);
    const started = world.clock.now();
    await world.follow({ maximumBatchingWindowInSeconds: 300 });
    expect(world.deliveries).toEqual([{ records: ['a1'], at: started }]);
  });
});

describe('the starting position', () => {
  const from = async (startingPosition?: 'TRIM_HORIZON' | 'LATEST') => {
    const world = mappingWorld();
    world.write('a', 'b');
    const mapping = world.mapping(startingPosition ? { startingPosition } : {});
    await mapping.start();
    await world.clock.advance(1_000);
    world.write('c');
    await world.clock.run(mapping.drained());
    return world.batches.flat();
  };

  it('TRIM_HORIZON is the first record that is there, and what is taken unless told otherwise', async () => {
    expect(await from('TRIM_HORIZON')).toEqual(['a1', 'b2', 'c3']);
    expect(await from()).toEqual(['a1', 'b2', 'c3']);
  });

  it('LATEST is the first record that is written from then on', async () => {
    expect(await from('LATEST')).toEqual(['c3']);
  });

  it('LATEST is for the shards of the start alone: their children are read whole', async () => {
    const world = mappingWorld({ shards: 2 });
    const [closed = '', open = ''] = world.stream.open;
    world.write('a', 'b', 'c', 'd');
    world.stream.roll(closed);
    const mapping = world.mapping({ startingPosition: 'LATEST' });
    await mapping.start();
    await world.clock.advance(1_000);
    expect(world.batches).toEqual([]);
    // Before the mapping can know of the children.
    world.stream.split(open);
    world.write('a', 'b', 'c', 'd');
    await world.clock.run(mapping.drained());
    expect(world.batches.flat().sort()).toEqual(['a5', 'b6', 'c7', 'd8']);
  });
});

it('LATEST of a child is not put off by its parent, which had been closed', async () => {
  const world = mappingWorld();
  const [root = ''] = world.stream.open;
  world.write('a');
  world.stream.roll(root);
  const reader: StreamReader = {
    ...world.stream,
    async iterator(shardId, position) {
      const iterator = await world.stream.iterator(shardId, position);
      await world.clock.sleep(1_000);
      return iterator;
    },
  };
  const mapping = world.mapping({ reader, startingPosition: 'LATEST' });
  await mapping.start();
  await world.clock.advance(500);
  world.write('b');
  await world.clock.run(mapping.drained());
  expect(world.batches).toEqual([['b2']]);
  await world.clock.run(mapping.stop());
});

describe('the function', () => {
  it('gets an event as Lambda makes it, each time anew', async () => {
    const world = mappingWorld();
    const [record] = world.write('a');
    const seen: unknown[] = [];
    await world.follow({
      answer: (_names, _context, event) => {
        seen.push(structuredClone(event));
        for (const record of event.Records) Object.assign(record, { eventName: 'SPOILT', dynamodb: undefined });
        if (seen.length === 1) throw new Error('once more');
      },
    });
    expect(seen).toEqual([{ Records: [record] }, { Records: [record] }]);
    expect(Object.keys(seen[0] as object)).toEqual(['Records']);
    expect(record).toMatchObject({
      eventSource: 'aws:dynamodb',
      eventSourceARN: world.stream.arn,
      awsRegion: 'eu-west-1',
      eventVersion: '1.1',
    });
  });

  it("gets Lambda's context, with the time that it has left", async () => {
    const world = mappingWorld();
    world.write('a');
    const contexts: LambdaContext[] = [];
    const left: number[] = [];
    await world.follow({
      functionTimeoutMs: 10_000,
      functionName: 'sync',
      answer: async (_names, context) => {
        contexts.push(context);
        left.push(context.getRemainingTimeInMillis());
        await world.clock.sleep(4_000);
        left.push(context.getRemainingTimeInMillis());
        if (contexts.length === 1) await world.clock.sleep(6_500);
        left.push(context.getRemainingTimeInMillis());
      },
    });
    expect(contexts[0]).toMatchObject({
      functionName: 'sync',
      functionVersion: '$LATEST',
      invokedFunctionArn: 'arn:aws:lambda:eu-west-1:123456789012:function:sync',
      awsRequestId: expect.stringMatching(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/),
      logGroupName: '/aws/lambda/sync',
      memoryLimitInMB: '128',
    });
    expect(contexts[1]?.awsRequestId).not.toBe(contexts[0]?.awsRequestId);
    // The first invocation runs out of time after 10 s, and runs on until 10.5 s.
    expect(left).toEqual([10_000, 6_000, 0, 10_000, 6_000, 6_000]);
  });

  it('has failed when its time is over, whatever it comes to afterwards', async () => {
    const world = mappingWorld();
    world.write('a');
    const never = new Promise(() => {});
    const started = world.clock.now();
    await world.follow({ answer: () => [never, world.clock.sleep(3_001), world.clock.sleep(3_000)][world.deliveries.length - 1] });
    expect(world.deliveries.map(({ at }) => at - started)).toEqual([0, 4_000, 8_000]);
    const timeout = { reason: 'timeout', error: new Error('Task timed out after 3.00 seconds') };
    expect(world.told('failed')).toMatchObject([timeout, timeout]);
  });

  it('has failed when it held the thread for longer than its time', async () => {
    let now = Date.UTC(2026, 0, 1);
    const stream = memoryStream();
    stream.append(changeOf('a', 1));
    const reasons: string[] = [];
    const mapping = eventSourceMapping({
      reader: stream,
      clock: { now: () => now, sleep: () => new Promise((resolve) => setTimeout(resolve, 1)) },
      functionTimeoutMs: 500,
      maximumRetryAttempts: 0,
      handler: () => {
        now += 501;
      },
      onEvent: (event) => {
        if (event.type === 'failed') reasons.push(event.reason);
      },
    });
    await mapping.start();
    await mapping.drained();
    await mapping.stop();
    expect(reasons).toEqual(['timeout']);
  });

  it('has failed when it throws at once, or what is no Error, or answers with what JSON does not have', async () => {
    const world = mappingWorld();
    world.write('a');
    const answers = [
      () => {
        throw 'a text';
      },
      async () => Promise.reject(undefined),
      () => 1n,
      () => 'fine',
    ];
    await world.follow({ answer: () => answers[world.deliveries.length - 1]?.() });
    expect(world.told('failed').map(({ reason }) => reason)).toEqual(['error', 'error', 'error']);
    expect(world.told('succeeded')).toHaveLength(1);
  });
});

describe('polling', () => {
  /** The stream, and when it was asked for records. */
  const watched = (reader: StreamReader, now: () => number): StreamReader & { readonly polls: number[] } => {
    const polls: number[] = [];
    return {
      polls,
      shards: () => reader.shards(),
      iterator: (shardId, position) => reader.iterator(shardId, position),
      records(iterator, limit) {
        polls.push(now());
        return reader.records(iterator, limit);
      },
    };
  };

  it('asks a shard four times a second', async () => {
    const world = mappingWorld();
    const reader = watched(world.stream, world.clock.now);
    const mapping = world.mapping({ reader });
    await mapping.start();
    for (let i = 0; i < 40; i += 1) {
      world.write('a');
      await world.clock.advance(250);
    }
    expect(reader.polls.length).toBeGreaterThanOrEqual(39);
    expect(reader.polls.length).toBeLessThanOrEqual(41);
    expect(world.batches.flat()).toHaveLength(40);
    await world.clock.run(mapping.stop());
  });

  it('goes on at once when a page was full', async () => {
    const world = mappingWorld();
    world.write(...Array.from({ length: 3_001 }, () => 'a'));
    const reader = watched(world.stream, world.clock.now);
    const started = world.clock.now();
    await world.follow({ reader, batchSize: 10_000 });
    expect(reader.polls).toEqual([started, started, started, started, started + 250]);
  });

  it('stops reading ahead when too much is unfinished', async () => {
    const world = mappingWorld();
    world.write(...Array.from({ length: 9_000 }, () => 'a'));
    const mapping = world.mapping({
      answer: () => {
        throw new Error('for ever');
      },
    });
    await mapping.start();
    await world.clock.advance(60_000);
    expect(world.told('polled').map(({ records }) => records)).toEqual([1_000]);
    await world.clock.run(mapping.stop());
  });
});

describe('the settings', () => {
  it('are checked all at once', () => {
    const { stream } = mappingWorld();
    const wrong = () =>
      eventSourceMapping({
        reader: stream,
        handler: () => {},
        batchSize: 10_001,
        maximumBatchingWindowInSeconds: 301,
        parallelizationFactor: 0,
        startingPosition: 'AT_TIMESTAMP' as never,
        maximumRetryAttempts: 1.5,
        maximumRecordAgeInSeconds: 59,
        functionResponseTypes: ['ReportBatchItemFailure' as never],
        functionTimeoutMs: 900_001,
        filterCriteria: { filters: [{ pattern: '{"eventName":"INSERT"}' }] },
      });
    for (const fault of [
      'batchSize is 10001: use 1 to 10000',
      'maximumBatchingWindowInSeconds is 301: use 0 to 300',
      'parallelizationFactor is 0: use 1 to 10',
      'startingPosition is AT_TIMESTAMP: use TRIM_HORIZON or LATEST',
      'maximumRetryAttempts is 1.5: use -1 or 0 to 10000',
      'maximumRecordAgeInSeconds is 59: use -1 or 60 to 604800',
      'functionResponseTypes has ReportBatchItemFailure: use ReportBatchItemFailures',
      'functionTimeoutMs is 900001: use 1 to 900000',
      'filterCriteria.filters[0].pattern: "eventName" must be a list of values and rules, or an object of fields',
    ]) {
      expect(wrong).toThrow(fault);
    }
    expect(wrong).toThrow(RangeError);
  });

  it('take the limits themselves', () => {
    const { stream } = mappingWorld();
    const common = { reader: stream, handler: () => {} };
    for (const settings of [
      {
        batchSize: 1,
        maximumBatchingWindowInSeconds: 0,
        parallelizationFactor: 1,
        maximumRetryAttempts: -1,
        maximumRecordAgeInSeconds: -1,
      },
      { batchSize: 10_000, maximumBatchingWindowInSeconds: 300, parallelizationFactor: 10, maximumRetryAttempts: 10_000 },
      { maximumRetryAttempts: 0, maximumRecordAgeInSeconds: 60, functionTimeoutMs: 900_000 },
      { maximumRecordAgeInSeconds: 604_800, functionTimeoutMs: 1 },
    ]) {
      expect(() => eventSourceMapping({ ...common, ...settings })).not.toThrow();
    }
  });

  it('refuse a handler with a callback', () => {
    const { stream } = mappingWorld();
    const handler = (_event: object, _context: object, _callback: () => void) => {};
    expect(() => eventSourceMapping({ reader: stream, handler })).toThrow('takes a callback');
  });
});

describe('a handler', () => {
  it('that is typed by @types/aws-lambda is taken as it is', async () => {
    const world = mappingWorld();
    world.write('a');
    const seen: string[] = [];
    const handler: DynamoDBStreamHandler = async (event, context) => {
      for (const { dynamodb } of event.Records) seen.push(`${dynamodb?.Keys?.pk?.S} ${context.functionName}`);
    };
    const mapping = eventSourceMapping({ reader: world.stream, clock: world.clock, handler });
    await mapping.start();
    await world.clock.run(mapping.drained());
    mapping.kill();
    expect(seen).toEqual(['a function']);
  });

  it("that is Millrace's own keeps a cache equal to the table", async () => {
    const world = mappingWorld({ shards: 2 });
    const item = (n: number) => ({ pk: `book#${n}`, sk: 'book', title: `Book ${n}` });
    const schema = z.object({ pk: z.string(), title: z.string() });
    const book = entity({ name: 'book', owns: ({ sk }) => sk === 'book', schema });
    const titles = documentView({ name: 'titles', revision: 1, entity: book, project: ({ pk, title }) => [{ key: pk, value: title }] });
    const cache = memoryCache();
    world.stream.append(...streamEvent([1, 2, 3].map((n) => insert(item(n)))).Records, ...streamEvent([remove(item(2))]).Records);
    let failures = 2;
    const moody = {
      ...cache,
      async apply(mutations: Parameters<typeof cache.apply>[0]) {
        if (failures-- > 0) throw new CacheUnavailableError('not yet');
        return cache.apply(mutations);
      },
    };
    const mapping = eventSourceMapping({
      reader: world.stream,
      clock: world.clock,
      functionResponseTypes: ['ReportBatchItemFailures'],
      functionTimeoutMs: 60_000,
      handler: streamHandler({ views: [titles], cache: moody, logger: { info() {}, warn() {}, error() {} } }),
    });
    await mapping.start();
    await world.clock.run(mapping.drained());
    mapping.kill();
    const lookups = await cache.getMany([1, 2, 3].map((n) => keyOf(titles, `book#${n}`)));
    expect(lookups.map((lookup) => (lookup.type === 'hit' ? lookup.value : lookup.type))).toEqual(['Book 1', 'gone', 'Book 3']);
  });
});
