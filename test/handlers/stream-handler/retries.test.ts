import { describe, expect, it, vi } from 'vitest';
import type { CacheClient } from '../../../src/cache.ts';
import { memoryCache } from '../../../src/caches/memory.ts';
import { CacheUnavailableError } from '../../../src/errors.ts';
import { bare, handlerOf, insert, letterBox, modify, NOW, SEQUENCE, useFixedTime } from './scene.ts';

useFixedTime();

describe('the retries of streamHandler', () => {
  /** The clock of a function, which only sleeping moves, and a cache whose first `failures` calls fail. */
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

  it('retries within the invocation while the cache gives no answer, and keeps the order of an item', async () => {
    const { cache, calls, context, retries, elapsed } = invocation(30_000, 4);
    const { handler, lines } = handlerOf({ cache, retries });
    const Records = [insert('a', '001'), modify('a', '002', { status: { S: 'baking' } }), modify('a', '003', { status: { S: 'ready' } })];
    expect(await handler({ Records }, context)).toEqual({ batchItemFailures: [] });
    expect(calls).toEqual(['001', '001', '001', '001', '001', '002', '003']);
    expect(elapsed()).toBe(100 + 200 + 400 + 800);
    expect(lines).toMatchObject([{ level: 'info', message: 'batch', retries: 4, failed: 0 }]);
    expect(await cache.get('detail@1:a')).toMatchObject({ value: { status: 'ready' } });
  });

  it('retries until a further call could not end in time', async () => {
    const { cache, context, retries, elapsed, calls } = invocation(30_000, Infinity);
    const { handler } = handlerOf({ cache, retries, marginMs: 5_500 });
    expect((await handler({ Records: [insert('a', '001')] }, context)).batchItemFailures).toEqual([{ itemIdentifier: '001' }]);
    // 100, 200 and so on to 3,200, then 5,000 each: one more would end past 24,500.
    expect([elapsed(), calls.length]).toEqual([21_300, 10]);
  });

  it('does not retry an error other than CacheUnavailableError', async () => {
    const { cache, context, retries, calls } = invocation(30_000, 3, new TypeError('that is no list'));
    const { handler } = handlerOf({ cache, retries });
    expect((await handler({ Records: [insert('a', '001')] }, context)).batchItemFailures).toEqual([{ itemIdentifier: '001' }]);
    expect(calls).toHaveLength(1);
  });

  it('retries for two seconds, or for `forMs`, when the context has no time limit', async () => {
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

  it('retries the write of a letter too', async () => {
    const { store, texts, calls } = letterBox(3);
    const { context, retries } = invocation(30_000, 0);
    const { handler, lines } = handlerOf({ letters: store, retries });
    expect(await handler({ Records: [insert('b', '1'), bare('a', SEQUENCE)] }, context)).toEqual({ batchItemFailures: [] });
    expect([texts.size, calls()]).toEqual([1, 4]);
    expect(lines.at(-1)).toMatchObject({ setAside: 1, retries: 3 });
  });

  it('loses nothing in an outage of two hours, and writes no letters', async () => {
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
      // The event source mapping waits between its attempts.
      vi.setSystemTime(Date.now() + (failure ? 30_000 : 0));
    }
    expect(invocations).toBeGreaterThan(100);
    expect(texts.size).toBe(0);
    for (let i = 40; i < 60; i += 1)
      expect(await sound.get(`detail@1:o${i % 20}`)).toMatchObject({ type: 'hit', value: { status: `state ${i}` } });
    expect(lines.filter(({ level }) => level === 'error')).toEqual([]);
  });
});
