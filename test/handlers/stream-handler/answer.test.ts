import { describe, expect, it } from 'vitest';
import type { CacheClient } from '../../../src/cache.ts';
import { memoryCache } from '../../../src/caches/memory.ts';
import type { StreamEvent, StreamRecord } from '../../../src/dynamodb/record.ts';
import { bare, downFor, handlerOf, insert, modify, SEQUENCE, useFixedTime } from './scene.ts';

useFixedTime();

describe('the answer of streamHandler', () => {
  it('answers with an empty list and no other field when every record is done', async () => {
    const { handle } = handlerOf();
    expect(await handle(insert('a', SEQUENCE))).toEqual({ batchItemFailures: [] });
    expect(await handle()).toEqual({ batchItemFailures: [] });
  });

  it('answers with the lowest sequence number that failed, compared as an integer', async () => {
    const { handle } = handlerOf({ cache: downFor('a', 'b', 'c') });
    const answer = await handle(
      insert('a', '1000000000000000000003'),
      insert('fine', '999999999999999999990'),
      insert('b', '999999999999999999998'),
      insert('c', '9999999999999999999999'),
    );
    expect(answer).toEqual({ batchItemFailures: [{ itemIdentifier: '999999999999999999998' }] });
  });

  it('tells sequence numbers apart that are equal as doubles', async () => {
    const { handle } = handlerOf({ cache: downFor('a', 'b') });
    const answer = await handle(insert('b', '418800000000000004200118'), insert('a', '418800000000000004200117'));
    expect(answer.batchItemFailures).toEqual([{ itemIdentifier: '418800000000000004200117' }]);
  });

  it('answers with the sequence number as the record has it, with its leading zeros', async () => {
    const { handle } = handlerOf({ cache: downFor('a') });
    expect((await handle(insert('a', '000000000000000000007'))).batchItemFailures).toEqual([{ itemIdentifier: '000000000000000000007' }]);
  });

  it('does not count poison as a failure, because poison would fail for ever', async () => {
    const { handle } = handlerOf();
    expect(await handle(bare('a', SEQUENCE), insert('b', SEQUENCE, { numItems: { S: 'plenty' } }))).toEqual({ batchItemFailures: [] });
  });

  it('fails the record whose poison has no safe place', async () => {
    const { handle, lines } = handlerOf({ setAside: () => Promise.reject(new Error('the queue is full')) });
    expect((await handle(bare('a', SEQUENCE))).batchItemFailures).toEqual([{ itemIdentifier: SEQUENCE }]);
    expect(lines).toMatchObject([{ level: 'warn', failed: 1, error: { message: 'the queue is full' } }]);
  });

  it.each([undefined, '', 'seven'])(
    'throws when the failed record has the sequence number %j, which Lambda cannot use',
    async (sequenceNumber) => {
      const { handle } = handlerOf({ setAside: () => Promise.reject(new Error('the queue is full')) });
      await expect(handle(insert('fine', SEQUENCE), bare('a', sequenceNumber))).rejects.toThrow('the queue is full');
    },
  );

  it.each([undefined, null, {}, [], { Records: null }, { Records: {} }, { records: [] }, 'Records', { detail: {} }])(
    'throws for %j, which is not an event of a stream, because an empty answer would mean success',
    async (event) => {
      const { handler, lines } = handlerOf();
      await expect(handler(event as unknown as StreamEvent)).rejects.toThrow('the event has no Records');
      expect(lines).toEqual([]);
    },
  );

  it('sets a record of another service aside', async () => {
    const { handle, lines } = handlerOf();
    expect(await handle({ messageId: '1', body: '{}', eventSource: 'aws:sqs' } as StreamRecord)).toEqual({ batchItemFailures: [] });
    expect(lines[0]).toMatchObject({ message: 'record set aside', causes: [{ stage: 'decode' }] });
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

describe('the time of streamHandler', () => {
  it('begins no further record near the end of the time, and asks for the rest again', async () => {
    const { handler, cache } = handlerOf({ cache: waiting(memoryCache(), 20), marginMs: 500 });
    const context = { getRemainingTimeInMillis: () => 500 };
    const answer = await handler({ Records: [insert('a', '1'), modify('a', '2', { status: { S: 'baking' } })] }, context);
    expect(answer.batchItemFailures).toEqual([{ itemIdentifier: '2' }]);
    expect(await cache.get('detail@1:a')).toMatchObject({ type: 'hit', value: { status: 'placed' } });
  });

  it('applies the whole batch when time is left', async () => {
    const { handler } = handlerOf();
    expect((await handler({ Records: [insert('a', '1')] }, { getRemainingTimeInMillis: () => 60_000 })).batchItemFailures).toEqual([]);
  });

  it('applies the whole batch when the context does not tell the time', async () => {
    const { handler } = handlerOf();
    expect((await handler({ Records: [insert('a', '1')] }, {})).batchItemFailures).toEqual([]);
  });
});
