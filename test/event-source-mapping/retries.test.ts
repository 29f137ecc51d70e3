import { describe, expect, it } from 'vitest';
import { counted, type MappingOptions, NO_EVENTS, NotInvokedError } from '../../src/testing/index.ts';
import { type Answer, failing, type MappingWorld, mappingWorld, numberOf } from './mapping.ts';

const HOUR = 3_600_000;
const REPORTS: Partial<MappingOptions> = { functionResponseTypes: ['ReportBatchItemFailures'] };
const BISECTS: Partial<MappingOptions> = { bisectBatchOnFunctionError: true };

const fail = () => {
  throw new Error('the function fails');
};

/** Throws while one of these is in the batch. */
const throwing =
  (...bad: readonly string[]): Answer =>
  (names) => {
    if (names.some((name) => bad.includes(name))) fail();
  };

/** Reports those of these that are in the batch. */
const reporting =
  (...bad: readonly string[]): Answer =>
  (_names, _context, event) =>
    failing(event, ...bad);

function countsOf(world: MappingWorld) {
  return world.events.reduce(counted, NO_EVENTS);
}

/** What became of each record that is done, by name. */
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
  it('is retried as often as it may be, whole and before the next, and then dropped', async () => {
    const world = mappingWorld();
    const records = world.write('a', 'b', 'c', 'd');
    await world.follow({ batchSize: 2, maximumRetryAttempts: 3, answer: throwing('b2') });
    expect(world.batches).toEqual([...Array.from({ length: 4 }, () => ['a1', 'b2']), ['c3', 'd4']]);
    expect(world.told('retried').map(({ retry }) => retry)).toEqual([1, 2, 3]);
    expect(world.told('dropped')).toMatchObject([
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

  it('is not retried when it may not be', async () => {
    const world = mappingWorld();
    world.write('a', 'b');
    await world.follow({ batchSize: 1, maximumRetryAttempts: 0, answer: throwing('a1') });
    expect(world.batches).toEqual([['a1'], ['b2']]);
  });

  it('has retries of its own: those of the batch before it do not count', async () => {
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
    expect(world.told('dropped')).toEqual([]);
    expect([...tries.values()]).toEqual([3, 3]);
  });

  it('waits longer and longer, with chance in it, and up to a minute', async () => {
    const world = mappingWorld();
    world.write('a');
    await world.follow({ backoffMs: undefined, maximumRetryAttempts: 20, answer: fail });
    const delays = world.told('retried').map(({ delayMs }) => delayMs);
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

  it('is retried without end by default, until the stream has its records no longer', async () => {
    const world = mappingWorld();
    const [record] = world.write('a');
    await world.clock.advance(HOUR);
    world.write('b');
    await world.follow({ batchSize: 2, backoffMs: () => HOUR, pollIntervalMs: HOUR, answer: throwing('a1') });
    // a1 is 24 hours old first, and b2 goes on alone.
    expect(world.batches).toEqual([...Array.from({ length: 24 }, () => ['a1', 'b2']), ['b2']]);
    const expired = { sequenceNumber: numberOf(record), at: expect.any(Number) };
    expect(world.told('gap')).toEqual([{ type: 'gap', shardId: expect.any(String), reason: 'expired', from: expired, to: expired }]);
    expect(world.told('dropped')).toEqual([]);
  });
});

describe('what fails before it comes to the function', () => {
  it('does not use up retries', async () => {
    const world = mappingWorld();
    world.write('a');
    let calls = 0;
    await world.follow({
      maximumRetryAttempts: 1,
      answer: () => {
        calls += 1;
        // Throttled five times, failed once, throttled five times, and failed again.
        if (calls !== 6 && calls !== 12) throw new NotInvokedError('429');
        fail();
      },
    });
    expect(calls).toBe(12);
    expect(world.told('not-invoked')).toHaveLength(10);
    expect(world.told('dropped')).toMatchObject([{ condition: 'RetryAttemptsExhausted' }]);
    expect(countsOf(world)).toMatchObject({ invoked: 2, failedInvoke: 12, dropped: 1 });
  });

  it('is tried again until the records are too old', async () => {
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
    expect(world.told('dropped')).toMatchObject([{ condition: 'RecordAgeExceeded' }]);
  });
});

describe('the maximum record age', () => {
  it('ends retries that the quota would allow', async () => {
    const world = mappingWorld();
    world.write('a');
    await world.follow({ maximumRecordAgeInSeconds: 120, backoffMs: () => 50_000, answer: fail });
    expect(world.deliveries).toHaveLength(3);
    expect(world.told('dropped')).toMatchObject([{ condition: 'RecordAgeExceeded' }]);
  });

  it('holds for the first backlog too: what is older is given up unseen', async () => {
    const world = mappingWorld();
    const old = world.write('a', 'b');
    await world.clock.advance(60_000);
    world.write('c');
    // To the millisecond: 61 s are not more than 61 s.
    await world.clock.advance(1_000);
    await world.follow({ maximumRecordAgeInSeconds: 60 });
    expect(world.batches).toEqual([['c3']]);
    expect(world.told('dropped')).toMatchObject([{ condition: 'RecordAgeExceeded', sequenceNumbers: old.map(numberOf) }]);
    expect(countsOf(world)).toMatchObject({ invoked: 1, dropped: 2 });
  });

  it('is not exceeded by a record that is just as old', async () => {
    const world = mappingWorld();
    world.write('a');
    await world.clock.advance(60_000);
    await world.follow({ maximumRecordAgeInSeconds: 60 });
    expect(world.batches).toEqual([['a1']]);
  });

  it('may exceed 24 hours, but then the stream ends the retries', async () => {
    const world = mappingWorld();
    world.write('a');
    await world.follow({ maximumRecordAgeInSeconds: 604_800, backoffMs: () => HOUR, pollIntervalMs: HOUR, answer: fail });
    expect(world.deliveries).toHaveLength(25);
    expect(world.told('dropped')).toEqual([]);
    expect(world.told('gap')).toMatchObject([{ reason: 'expired' }]);
  });
});

describe('a batch that is bisected', () => {
  it('is halved until the bad record is alone, without using up retries', async () => {
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
    expect(world.told('dropped').map(({ sequenceNumbers }) => sequenceNumbers)).toEqual([[numberOf(records[5])]]);
    expect(world.told('split').map(({ at }) => at)).toEqual([records[4], records[6], records[5]].map(numberOf));
    expect(fates(world, records)).toEqual(records.map((_, i) => (i === 5 ? 'dropped' : 'succeeded')));
  });

  it('is retried whole when it is one record, as often as it may be', async () => {
    const world = mappingWorld();
    world.write('a', 'b', 'c');
    await world.follow({ ...BISECTS, maximumRetryAttempts: 2, answer: throwing('a1', 'c3') });
    expect(world.batches.filter(([name]) => name === 'c3')).toHaveLength(3);
    expect(world.batches.filter((names) => names.length === 1 && names[0] === 'a1')).toHaveLength(3);
    expect(world.told('dropped')).toHaveLength(2);
  });

  it('is not split when the function runs well', async () => {
    const world = mappingWorld();
    world.write('a', 'b');
    await world.follow(BISECTS);
    expect(world.batches).toEqual([['a1', 'b2']]);
  });

  it('is split on a timeout as well', async () => {
    const world = mappingWorld();
    world.write('a', 'b');
    await world.follow({ ...BISECTS, answer: (names) => world.clock.sleep(names.length * 2_000) });
    expect(world.batches).toEqual([['a1', 'b2'], ['a1'], ['b2']]);
  });
});

describe('a function that reports batch item failures', () => {
  it('is done with the records before the one that it returns; that one and all after it are retried', async () => {
    const world = mappingWorld();
    world.write('a', 'b', 'c', 'd');
    let answered = 0;
    await world.follow({ ...REPORTS, answer: (_names, _context, event) => failing(event, ...(answered++ === 0 ? ['c3'] : [])) });
    expect(world.batches).toEqual([
      ['a1', 'b2', 'c3', 'd4'],
      ['c3', 'd4'],
    ]);
  });

  it('means the lowest of the numbers that it returns, in whatever order', async () => {
    // Where the numbers become longer, and text and number disagree.
    const world = mappingWorld({ sequenceNumber: '999999999999999999998' });
    const records = world.write('a', 'b', 'c', 'd', 'e');
    expect(records.map(numberOf).map(({ length }) => length)).toEqual([21, 21, 22, 22, 22]);
    let answered = 0;
    await world.follow({
      ...REPORTS,
      answer: () =>
        answered++ === 0
          ? { batchItemFailures: [records[3], records[1], records[2]].map((it) => ({ itemIdentifier: numberOf(it) })) }
          : null,
    });
    expect(world.batches[1]).toEqual(['b2', 'c3', 'd4', 'e5']);
  });

  it.each<[string, unknown]>([
    ['an empty list', { batchItemFailures: [] }],
    ['a null list', { batchItemFailures: null }],
    ['an empty answer', {}],
    ['a null answer', null],
    ['no answer', undefined],
    ['an answer about something else', { statusCode: 200 }],
    ['a text', 'Successfully processed 2 records.'],
  ])('has succeeded with %s', async (_what, answer) => {
    const world = mappingWorld();
    world.write('a', 'b');
    await world.follow({ ...REPORTS, answer: () => answer });
    expect(world.batches).toEqual([['a1', 'b2']]);
    expect(world.told('succeeded')).toHaveLength(1);
  });

  it.each<[string, (number: string) => unknown]>([
    ['an empty identifier', () => [{ itemIdentifier: '' }]],
    ['a null identifier', () => [{ itemIdentifier: null }]],
    ['no identifier', () => [{}]],
    ['a misnamed identifier', (number) => [{ itemIdentifer: number }]],
    ['an identifier of no record', () => [{ itemIdentifier: '7' }]],
    ['an identifier that is a number', () => [{ itemIdentifier: 7 }]],
    ['a null among the failures', () => [null]],
    ['one good and one empty identifier', (number) => [{ itemIdentifier: number }, { itemIdentifier: '' }]],
    ['what is no list', (number) => ({ itemIdentifier: number })],
  ])('has failed with the whole batch by %s', async (_what, failures) => {
    const world = mappingWorld();
    const [, second] = world.write('a', 'b');
    await world.follow({ ...REPORTS, maximumRetryAttempts: 1, answer: () => ({ batchItemFailures: failures(numberOf(second)) }) });
    expect(world.batches).toEqual([
      ['a1', 'b2'],
      ['a1', 'b2'],
    ]);
    expect(world.told('failed').map(({ reason }) => reason)).toEqual(['answer', 'answer']);
  });

  it('is not listened to unless the mapping is told to', async () => {
    const world = mappingWorld();
    world.write('a', 'b');
    await world.follow({ answer: reporting('a1', 'b2') });
    expect(world.batches).toEqual([['a1', 'b2']]);
    expect(world.told('succeeded')).toHaveLength(1);
  });

  it('uses up retries, however far it gets, and what is left is dropped', async () => {
    const world = mappingWorld();
    const records = world.write('a', 'b', 'c', 'd', 'e');
    await world.follow({
      ...REPORTS,
      maximumRetryAttempts: 2,
      // One record further each time.
      answer: (names, _context, event) => failing(event, names[1] ?? ''),
    });
    expect(world.batches).toEqual([
      ['a1', 'b2', 'c3', 'd4', 'e5'],
      ['b2', 'c3', 'd4', 'e5'],
      ['c3', 'd4', 'e5'],
    ]);
    expect(world.told('dropped').map(({ sequenceNumbers }) => sequenceNumbers)).toEqual([records.slice(3).map(numberOf)]);
  });

  it('and is bisected is cut where it says, and the cut costs no retry', async () => {
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
    expect(world.told('dropped')).toEqual([]);
    expect(world.told('split').map(({ at }) => at)).toEqual(records.slice(1).map(numberOf));
  });

  it('and is bisected cannot be cut before its first record: that costs a retry', async () => {
    const world = mappingWorld();
    const records = world.write('a', 'b', 'c');
    await world.follow({ ...REPORTS, ...BISECTS, maximumRetryAttempts: 2, answer: reporting('b2') });
    expect(world.batches).toEqual([
      ['a1', 'b2', 'c3'],
      ['b2', 'c3'],
      ['b2', 'c3'],
      ['b2', 'c3'],
    ]);
    expect(world.told('dropped').map(({ sequenceNumbers }) => sequenceNumbers)).toEqual([records.slice(1).map(numberOf)]);
  });

  it('and is bisected is halved when it throws', async () => {
    const world = mappingWorld();
    world.write('a', 'b', 'c', 'd');
    await world.follow({ ...REPORTS, ...BISECTS, maximumRetryAttempts: 0, answer: throwing('c3') });
    expect(world.batches).toEqual([['a1', 'b2', 'c3', 'd4'], ['a1', 'b2'], ['c3', 'd4'], ['c3'], ['d4']]);
  });
});
