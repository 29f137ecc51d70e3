import type { DynamoDBStreamHandler } from 'aws-lambda';
import { describe, expect, it } from 'vitest';
import * as z from 'zod/mini';
import { memoryCache } from '../../../src/caches/memory.ts';
import { CacheUnavailableError } from '../../../src/errors.ts';
import { streamHandler } from '../../../src/handlers/stream-handler.ts';
import { eventSourceMapping, insert, type LambdaContext, memoryStream, remove, streamEvent } from '../../../src/testing/index.ts';
import { documentView, entity, keyOf } from '../../../src/view.ts';
import { mappingWorld, recordOf } from '../mapping-world.ts';

describe('the function', () => {
  it('passes an event of its own to each invocation, in the shape of Lambda', async () => {
    const world = mappingWorld();
    const [record] = world.write('a');
    const seen: unknown[] = [];
    await world.follow({
      answer: (_names, _context, event) => {
        seen.push(structuredClone(event));
        for (const record of event.Records) Object.assign(record, { eventName: 'SPOILT', dynamodb: undefined });
        if (seen.length === 1) throw new Error('retry');
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

  it("passes Lambda's context, with the remaining time, to the function", async () => {
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
    // The first invocation times out after 10 s, and runs on until 10.5 s.
    expect(left).toEqual([10_000, 6_000, 0, 10_000, 6_000, 6_000]);
  });

  it('fails an invocation at the timeout, and ignores its later result', async () => {
    const world = mappingWorld();
    world.write('a');
    const never = new Promise(() => {});
    const started = world.clock.now();
    await world.follow({ answer: () => [never, world.clock.sleep(3_001), world.clock.sleep(3_000)][world.deliveries.length - 1] });
    expect(world.deliveries.map(({ at }) => at - started)).toEqual([0, 4_000, 8_000]);
    const timeout = { reason: 'timeout', error: new Error('Task timed out after 3.00 seconds') };
    expect(world.eventsOf('failed')).toMatchObject([timeout, timeout]);
  });

  it('fails an invocation that blocks the event loop beyond the timeout', async () => {
    let now = Date.UTC(2026, 0, 1);
    const stream = memoryStream();
    stream.append(recordOf('a', 1));
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

  it('fails an invocation that throws at once, rejects with undefined, or answers with a value that JSON cannot hold', async () => {
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
    expect(world.eventsOf('failed').map(({ reason }) => reason)).toEqual(['error', 'error', 'error']);
    expect(world.eventsOf('succeeded')).toHaveLength(1);
  });
});

describe('a handler', () => {
  it('accepts a handler with the type of @types/aws-lambda', async () => {
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

  it("keeps a cache equal to the table through Millrace's own handler", async () => {
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
