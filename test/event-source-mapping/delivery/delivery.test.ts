import { describe, expect, it } from 'vitest';
import { counted, type MappingOptions, NO_EVENTS, NotInvokedError } from '../../../src/testing/index.ts';
import { type Answer, failing, type MappingWorld, mappingWorld, numberOf } from '../mapping-world.ts';

const HOUR = 3_600_000;
const REPORTS: Partial<MappingOptions> = { functionResponseTypes: ['ReportBatchItemFailures'] };
const BISECTS: Partial<MappingOptions> = { bisectBatchOnFunctionError: true };

const fail = () => {
  throw new Error('the function fails');
};

/** An answer that throws if one of these records is in the batch. */
const throwing =
  (...bad: readonly string[]): Answer =>
  (names) => {
    if (names.some((name) => bad.includes(name))) fail();
  };

/** An answer that reports those of these records that are in the batch. */
const reporting =
  (...bad: readonly string[]): Answer =>
  (_names, _context, event) =>
    failing(event, ...bad);

function countsOf(world: MappingWorld) {
  return world.events.reduce(counted, NO_EVENTS);
}

/** How each record became done: the types of the events that say so. */
function fates(world: MappingWorld, records: readonly { readonly dynamodb?: { readonly SequenceNumber?: string } }[]) {
  return records.map((record) => {
    const has = world.events.filter((event) => 'sequenceNumbers' in event && event.sequenceNumbers.includes(numberOf(record)));
    return has
      .map(({ type }) => type)
      .filter((type) => ['succeeded', 'dropped', 'delivered', 'filtered'].includes(type))
      .join(' ');
  });
}

describe('a batch that fails', () => {
  it('retries a failed batch whole, before the next batch, and drops it after the last retry', async () => {
    const world = mappingWorld();
    const records = world.write('a', 'b', 'c', 'd');
    await world.follow({ batchSize: 2, maximumRetryAttempts: 3, answer: throwing('b2') });
    expect(world.batches).toEqual([...Array.from({ length: 4 }, () => ['a1', 'b2']), ['c3', 'd4']]);
    expect(world.eventsOf('retried').map(({ retry }) => retry)).toEqual([1, 2, 3]);
    expect(world.eventsOf('dropped')).toMatchObject([
      { condition: 'RetryAttemptsExhausted', sequenceNumbers: records.slice(0, 2).map(numberOf) },
    ]);
    expect(countsOf(world)).toEqual({
      polled: 4,
      filteredOut: 0,
      invoked: 10,
      failedInvoke: 8,
      dropped: 2,
      onFailureDestinationDelivered: 0,
    });
  });

  it('drops a failed batch at once when no retry is allowed', async () => {
    const world = mappingWorld();
    world.write('a', 'b');
    await world.follow({ batchSize: 1, maximumRetryAttempts: 0, answer: throwing('a1') });
    expect(world.batches).toEqual([['a1'], ['b2']]);
  });

  it('counts the retries of each batch separately', async () => {
    const world = mappingWorld();
    world.write('a', 'b');
    const tries = new Map<string, number>();
    await world.follow({
      batchSize: 1,
      maximumRetryAttempts: 2,
      answer: ([name = '']) => {
        tries.set(name, (tries.get(name) ?? 0) + 1);
        if ((tries.get(name) ?? 0) < 3) fail();
      },
    });
    expect(world.eventsOf('dropped')).toEqual([]);
    expect([...tries.values()]).toEqual([3, 3]);
  });

  it('doubles the delay before each retry, with jitter, up to a minute', async () => {
    const world = mappingWorld();
    world.write('a');
    await world.follow({ backoffMs: undefined, maximumRetryAttempts: 20, answer: fail });
    const delays = world.eventsOf('retried').map(({ delayMs }) => delayMs);
    expect(delays).toHaveLength(20);
    for (const [i, delay] of delays.entries()) {
      const most = Math.min(60_000, 250 * 2 ** i);
      expect(delay).toBeGreaterThanOrEqual(most / 2);
      expect(delay).toBeLessThanOrEqual(most);
    }
    expect(new Set(delays).size).toBe(20);
    const waited = world.deliveries.slice(1).map(({ at }, i) => at - (world.deliveries[i]?.at ?? 0));
    for (const [i, ms] of waited.entries()) expect(ms).toBeCloseTo(delays[i] ?? 0, 0);
  });

  it('retries without limit by default, until the stream no longer has the records', async () => {
    const world = mappingWorld();
    const [record] = world.write('a');
    await world.clock.advance(HOUR);
    world.write('b');
    await world.follow({ batchSize: 2, backoffMs: () => HOUR, pollIntervalMs: HOUR, answer: throwing('a1') });
    // a1 is 24 hours old before b2 is, which continues alone.
    expect(world.batches).toEqual([...Array.from({ length: 24 }, () => ['a1', 'b2']), ['b2']]);
    const expired = { sequenceNumber: numberOf(record), at: expect.any(Number) };
    expect(world.eventsOf('gap')).toEqual([{ type: 'gap', shardId: expect.any(String), reason: 'expired', from: expired, to: expired }]);
    expect(world.eventsOf('dropped')).toEqual([]);
  });
});

describe('a batch with which the function is not invoked', () => {
  it('counts no retry when the function was not invoked', async () => {
    const world = mappingWorld();
    world.write('a');
    let calls = 0;
    await world.follow({
      maximumRetryAttempts: 1,
      answer: () => {
        calls += 1;
        // The function is throttled five times, fails, is throttled five times, and fails again.
        if (calls !== 6 && calls !== 12) throw new NotInvokedError('429');
        fail();
      },
    });
    expect(calls).toBe(12);
    expect(world.eventsOf('not-invoked')).toHaveLength(10);
    expect(world.eventsOf('dropped')).toMatchObject([{ condition: 'RetryAttemptsExhausted' }]);
    expect(countsOf(world)).toMatchObject({ invoked: 2, failedInvoke: 12, dropped: 1 });
  });

  it('attempts a batch that is throttled until its records are too old', async () => {
    const world = mappingWorld();
    world.write('a');
    await world.follow({
      maximumRetryAttempts: 1,
      maximumRecordAgeInSeconds: 60,
      answer: () => {
        throw new NotInvokedError('429');
      },
    });
    expect(world.deliveries).toHaveLength(61);
    expect(world.eventsOf('dropped')).toMatchObject([{ condition: 'RecordAgeExceeded' }]);
  });
});

describe('the maximum record age', () => {
  it('ends retries at the maximum record age, although more are allowed', async () => {
    const world = mappingWorld();
    world.write('a');
    await world.follow({ maximumRecordAgeInSeconds: 120, backoffMs: () => 50_000, answer: fail });
    expect(world.deliveries).toHaveLength(3);
    expect(world.eventsOf('dropped')).toMatchObject([{ condition: 'RecordAgeExceeded' }]);
  });

  it('discards records above the maximum age in the first backlog, without an invocation', async () => {
    const world = mappingWorld();
    const old = world.write('a', 'b');
    await world.clock.advance(60_000);
    world.write('c');
    await world.clock.advance(1_000);
    await world.follow({ maximumRecordAgeInSeconds: 60 });
    expect(world.batches).toEqual([['c3']]);
    expect(world.eventsOf('dropped')).toMatchObject([{ condition: 'RecordAgeExceeded', sequenceNumbers: old.map(numberOf) }]);
    expect(countsOf(world)).toMatchObject({ invoked: 1, dropped: 2 });
  });

  it('delivers a record that is exactly as old as the maximum', async () => {
    const world = mappingWorld();
    world.write('a');
    await world.clock.advance(60_000);
    await world.follow({ maximumRecordAgeInSeconds: 60 });
    expect(world.batches).toEqual([['a1']]);
  });

  it('ends retries after 24 hours even if the maximum record age is longer', async () => {
    const world = mappingWorld();
    world.write('a');
    await world.follow({ maximumRecordAgeInSeconds: 604_800, backoffMs: () => HOUR, pollIntervalMs: HOUR, answer: fail });
    expect(world.deliveries).toHaveLength(25);
    expect(world.eventsOf('dropped')).toEqual([]);
    expect(world.eventsOf('gap')).toMatchObject([{ reason: 'expired' }]);
  });
});

describe('a batch that is bisected', () => {
  it('halves a failed batch until the bad record is alone, and counts no retry for it', async () => {
    const world = mappingWorld();
    const records = world.write('a', 'b', 'c', 'd', 'e', 'f', 'g', 'h');
    await world.follow({ ...BISECTS, maximumRetryAttempts: 1, answer: throwing('f6') });
    expect(world.batches).toEqual([
      ['a1', 'b2', 'c3', 'd4', 'e5', 'f6', 'g7', 'h8'],
      ['a1', 'b2', 'c3', 'd4'],
      ['e5', 'f6', 'g7', 'h8'],
      ['e5', 'f6'],
      ['e5'],
      ['f6'],
      ['f6'],
      ['g7', 'h8'],
    ]);
    expect(world.eventsOf('dropped').map(({ sequenceNumbers }) => sequenceNumbers)).toEqual([[numberOf(records[5])]]);
    expect(world.eventsOf('split').map(({ at }) => at)).toEqual([records[4], records[6], records[5]].map(numberOf));
    expect(fates(world, records)).toEqual(records.map((_, i) => (i === 5 ? 'dropped' : 'succeeded')));
  });

  it('retries a batch of one record, which cannot be halved, as often as allowed', async () => {
    const world = mappingWorld();
    world.write('a', 'b', 'c');
    await world.follow({ ...BISECTS, maximumRetryAttempts: 2, answer: throwing('a1', 'c3') });
    expect(world.batches.filter(([name]) => name === 'c3')).toHaveLength(3);
    expect(world.batches.filter((names) => names.length === 1 && names[0] === 'a1')).toHaveLength(3);
    expect(world.eventsOf('dropped')).toHaveLength(2);
  });

  it('does not halve a batch that succeeds', async () => {
    const world = mappingWorld();
    world.write('a', 'b');
    await world.follow(BISECTS);
    expect(world.batches).toEqual([['a1', 'b2']]);
  });

  it('halves a batch after a timeout, too', async () => {
    const world = mappingWorld();
    world.write('a', 'b');
    await world.follow({ ...BISECTS, answer: (names) => world.clock.sleep(names.length * 2_000) });
    expect(world.batches).toEqual([['a1', 'b2'], ['a1'], ['b2']]);
  });
});

describe('a function that reports batch item failures', () => {
  it('retries from the record that the function reports, and is done with the records before it', async () => {
    const world = mappingWorld();
    world.write('a', 'b', 'c', 'd');
    let answered = 0;
    await world.follow({ ...REPORTS, answer: (_names, _context, event) => failing(event, ...(answered++ === 0 ? ['c3'] : [])) });
    expect(world.batches).toEqual([
      ['a1', 'b2', 'c3', 'd4'],
      ['c3', 'd4'],
    ]);
  });

  it('is done with the whole batch when the function reports no failure', async () => {
    const world = mappingWorld();
    world.write('a', 'b');
    await world.follow({ ...REPORTS, answer: () => ({ batchItemFailures: [] }) });
    expect(world.batches).toEqual([['a1', 'b2']]);
    expect(world.eventsOf('succeeded')).toHaveLength(1);
  });

  it('retries the whole batch when the function reports a record that is not in it', async () => {
    const world = mappingWorld();
    world.write('a', 'b');
    await world.follow({ ...REPORTS, maximumRetryAttempts: 1, answer: () => ({ batchItemFailures: [{ itemIdentifier: '7' }] }) });
    expect(world.batches).toEqual([
      ['a1', 'b2'],
      ['a1', 'b2'],
    ]);
    expect(world.eventsOf('failed').map(({ reason }) => reason)).toEqual(['answer', 'answer']);
  });

  it('ignores the answer without the response type ReportBatchItemFailures', async () => {
    const world = mappingWorld();
    world.write('a', 'b');
    await world.follow({ answer: reporting('a1', 'b2') });
    expect(world.batches).toEqual([['a1', 'b2']]);
    expect(world.eventsOf('succeeded')).toHaveLength(1);
  });

  it('counts a retry for each partial failure, and drops the records that remain after the last', async () => {
    const world = mappingWorld();
    const records = world.write('a', 'b', 'c', 'd', 'e');
    await world.follow({
      ...REPORTS,
      maximumRetryAttempts: 2,
      // Each invocation succeeds with one more record.
      answer: (names, _context, event) => failing(event, names[1] ?? ''),
    });
    expect(world.batches).toEqual([
      ['a1', 'b2', 'c3', 'd4', 'e5'],
      ['b2', 'c3', 'd4', 'e5'],
      ['c3', 'd4', 'e5'],
    ]);
    expect(world.eventsOf('dropped').map(({ sequenceNumbers }) => sequenceNumbers)).toEqual([records.slice(3).map(numberOf)]);
  });

  it('cuts a bisected batch at the reported record, and counts no retry for the cut', async () => {
    const world = mappingWorld();
    const records = world.write('a', 'b', 'c', 'd', 'e', 'f');
    await world.follow({
      ...REPORTS,
      ...BISECTS,
      maximumRetryAttempts: 0,
      answer: (names, _context, event) => failing(event, names[1] ?? ''),
    });
    expect(world.batches.map(([first]) => first)).toEqual(['a1', 'b2', 'c3', 'd4', 'e5', 'f6']);
    expect(world.batches[2]).toEqual(['c3', 'd4', 'e5', 'f6']);
    expect(world.eventsOf('dropped')).toEqual([]);
    expect(world.eventsOf('split').map(({ at }) => at)).toEqual(records.slice(1).map(numberOf));
  });

  it('counts a retry when a bisected batch fails at its first record', async () => {
    const world = mappingWorld();
    const records = world.write('a', 'b', 'c');
    await world.follow({ ...REPORTS, ...BISECTS, maximumRetryAttempts: 2, answer: reporting('b2') });
    expect(world.batches).toEqual([
      ['a1', 'b2', 'c3'],
      ['b2', 'c3'],
      ['b2', 'c3'],
      ['b2', 'c3'],
    ]);
    expect(world.eventsOf('dropped').map(({ sequenceNumbers }) => sequenceNumbers)).toEqual([records.slice(1).map(numberOf)]);
  });

  it('halves a bisected batch when the function throws', async () => {
    const world = mappingWorld();
    world.write('a', 'b', 'c', 'd');
    await world.follow({ ...REPORTS, ...BISECTS, maximumRetryAttempts: 0, answer: throwing('c3') });
    expect(world.batches).toEqual([['a1', 'b2', 'c3', 'd4'], ['a1', 'b2'], ['c3', 'd4'], ['c3'], ['d4']]);
  });
});
