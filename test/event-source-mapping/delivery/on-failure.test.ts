import { describe, expect, it } from 'vitest';
import { counted, NO_EVENTS, type OnFailure } from '../../../src/testing/index.ts';
import { failing, mappingWorld, numberOf } from '../mapping-world.ts';

const fail = () => {
  throw new Error('the function fails');
};

/** A bucket and a queue in memory. */
function destinations() {
  const objects = new Map<string, string>();
  const messages: string[] = [];
  const bucket: OnFailure = {
    async put(name, text) {
      objects.set(name, text);
    },
  };
  const queue: OnFailure = {
    async send(text) {
      messages.push(text);
    },
  };
  return { objects, messages, bucket, queue };
}

/** Lambda's message, with `more` in its part about the batch. */
function messageOf(world: ReturnType<typeof mappingWorld>, more: object) {
  return {
    requestContext: {
      requestId: expect.stringMatching(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/),
      functionArn: 'arn:aws:lambda:eu-west-1:123456789012:function:sync',
      condition: 'RetryAttemptsExhausted',
      approximateInvokeCount: 1,
    },
    responseContext: { statusCode: 200, executedVersion: '$LATEST', functionError: 'Unhandled' },
    version: '1.0',
    timestamp: '2026-01-01T00:00:02.345Z',
    DDBStreamBatchInfo: {
      shardId: world.stream.open[0],
      approximateArrivalOfFirstRecord: '2026-01-01T00:00:01Z',
      approximateArrivalOfLastRecord: '2026-01-01T00:00:02Z',
      streamArn: world.stream.arn,
      ...more,
    },
  };
}

describe('an on-failure destination', () => {
  const settings = { maximumRetryAttempts: 0, functionName: 'sync', uuid: '11111111-2222-4333-8444-555555555555' };

  /** A world with three records, of which the first two were written in different seconds. */
  async function worldOfThree() {
    const world = mappingWorld();
    await world.clock.advance(1_500);
    const records = [...world.write('a')];
    await world.clock.advance(845);
    records.push(...world.write('b', 'c'));
    return { world, records };
  }

  it('puts a letter with the event into a bucket, under the name that Lambda gives it', async () => {
    const { world, records } = await worldOfThree();
    const { objects, bucket } = destinations();
    await world.follow({ ...settings, batchSize: 2, onFailure: bucket, answer: (names) => names.includes('a1') && fail() });
    const [[name, text] = ['', '']] = objects;
    expect(objects.size).toBe(1);
    const { payload, ...message } = JSON.parse(text);
    expect(message).toEqual(
      messageOf(world, { startSequenceNumber: numberOf(records[0]), endSequenceNumber: numberOf(records[1]), batchSize: 2 }),
    );
    expect(JSON.parse(payload)).toEqual({ Records: records.slice(0, 2) });
    const shard = world.stream.open[0] as string;
    expect(name.startsWith(`aws/lambda/${settings.uuid}/${shard}/2026/01/01/2026-01-01T00.00.02-`)).toBe(true);
    expect(name.slice(name.indexOf('00.00.02-') + 9)).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    expect(world.eventsOf('delivered')).toEqual([
      {
        type: 'delivered',
        condition: 'RetryAttemptsExhausted',
        name,
        shardId: shard,
        sequenceNumbers: records.slice(0, 2).map(numberOf),
      },
    ]);
    expect(world.eventsOf('dropped')).toEqual([]);
    expect(world.events.reduce(counted, NO_EVENTS)).toMatchObject({ dropped: 0, onFailureDestinationDelivered: 2 });
    expect(world.batches).toEqual([['a1', 'b2'], ['c3']]);
  });

  it('sends the same message without the event to a queue', async () => {
    const { world, records } = await worldOfThree();
    const { messages, queue } = destinations();
    await world.follow({ ...settings, batchSize: 2, onFailure: queue, answer: (names) => names.includes('a1') && fail() });
    expect(messages.map((text) => JSON.parse(text))).toEqual([
      messageOf(world, { startSequenceNumber: numberOf(records[0]), endSequenceNumber: numberOf(records[1]), batchSize: 2 }),
    ]);
    expect(world.eventsOf('delivered')).toMatchObject([{ condition: 'RetryAttemptsExhausted' }]);
    expect(world.eventsOf('delivered')[0]).not.toHaveProperty('name');
  });

  it('names the request of the last invocation, and the number of invocations', async () => {
    const world = mappingWorld();
    world.write('a');
    const { messages, queue } = destinations();
    const requests: string[] = [];
    const answer = (_names: unknown, context: { awsRequestId: string }) => {
      requests.push(context.awsRequestId);
      fail();
    };
    await world.follow({ ...settings, maximumRetryAttempts: 3, onFailure: queue, answer });
    const { requestContext } = JSON.parse(messages[0] ?? '');
    expect(requests).toHaveLength(4);
    expect(requestContext).toMatchObject({ requestId: requests[3], approximateInvokeCount: 4 });
  });

  it('reports a timeout as a function error, and a partial failure as none', async () => {
    const world = mappingWorld();
    world.write('a', 'b');
    const { messages, queue } = destinations();
    await world.follow({ ...settings, onFailure: queue, answer: () => world.clock.sleep(5_000) });
    const again = mappingWorld();
    again.write('a', 'b');
    await again.follow({
      ...settings,
      onFailure: queue,
      functionResponseTypes: ['ReportBatchItemFailures'],
      answer: (_names, _context, event) => failing(event, 'b2'),
    });
    expect(
      messages
        .map((text) => JSON.parse(text))
        .map(({ responseContext, DDBStreamBatchInfo }) => [responseContext, DDBStreamBatchInfo.batchSize]),
    ).toEqual([
      [{ statusCode: 200, executedVersion: '$LATEST', functionError: 'Unhandled' }, 2],
      [{ statusCode: 200, executedVersion: '$LATEST' }, 1],
    ]);
  });

  it('puts records into a letter that were too old to invoke the function with', async () => {
    const world = mappingWorld();
    const [old] = world.write('a');
    await world.clock.advance(120_000);
    world.write('b');
    const { objects, bucket } = destinations();
    await world.follow({ ...settings, maximumRecordAgeInSeconds: 60, onFailure: bucket });
    const [{ payload, requestContext, responseContext }] = [...objects.values()].map((text) => JSON.parse(text)) as [
      Record<string, unknown>,
    ];
    expect(requestContext).toMatchObject({ condition: 'RecordAgeExceeded', approximateInvokeCount: 0 });
    expect(responseContext).toBeUndefined();
    expect(JSON.parse(String(payload))).toEqual({ Records: [old] });
    expect(world.batches).toEqual([['b2']]);
    expect(world.eventsOf('delivered')).toMatchObject([{ condition: 'RecordAgeExceeded', sequenceNumbers: [numberOf(old)] }]);
  });

  it('repeats the same letter until the bucket accepts it, while the shard waits', async () => {
    const world = mappingWorld();
    world.write('a', 'b');
    const asked: [string, string][] = [];
    const onFailure: OnFailure = {
      async put(name, text) {
        asked.push([name, text]);
        if (asked.length < 5) throw new Error('away');
      },
    };
    await world.follow({ ...settings, batchSize: 1, onFailure, answer: ([name]) => name === 'a1' && fail() });
    expect(asked).toHaveLength(5);
    expect(new Set(asked.map(String)).size).toBe(1);
    expect(world.eventsOf('delivery-failed')).toHaveLength(4);
    expect(world.eventsOf('delivered')).toHaveLength(1);
    expect(world.batches).toEqual([['a1'], ['b2']]);
    expect((world.deliveries[1]?.at ?? 0) - (world.deliveries[0]?.at ?? 0)).toBe(4_000);
  });

  it('delivers a record again if the mapping stopped before the bucket accepted its letter', async () => {
    const world = mappingWorld();
    world.write('a', 'b');
    const onFailure: OnFailure = { put: () => Promise.reject(new Error('away')) };
    const mapping = world.mapping({ ...settings, batchSize: 1, onFailure, answer: ([name]) => name === 'a1' && fail() });
    await mapping.start();
    await world.clock.advance(10_000);
    await world.clock.run(mapping.stop());
    expect(world.batches).toEqual([['a1']]);
    await world.follow({ ...settings, batchSize: 1 });
    expect(world.batches).toEqual([['a1'], ['a1'], ['b2']]);
  });

  it('writes no letter after the mapping was killed', async () => {
    const world = mappingWorld();
    world.write('a');
    const { objects, bucket } = destinations();
    const answer = async () => {
      await world.clock.sleep(1_000);
      fail();
    };
    const mapping = world.mapping({ ...settings, onFailure: bucket, answer });
    await mapping.start();
    await world.clock.advance(500);
    mapping.kill();
    await world.clock.advance(10_000);
    expect(world.batches).toEqual([['a1']]);
    expect(objects.size).toBe(0);
  });
});
