import { describe, expect, it } from 'vitest';
import { aftermathOf, verdictOf } from '../../../src/event-source-mapping/delivery/aftermath.ts';
import type { InvocationOutcome, InvocationResult, RecordBatch } from '../../../src/event-source-mapping/delivery/batch.ts';
import { queuedRecords } from '../mapping-world.ts';

const NUMBERS = ['7', '8', '9', '10'];

describe('verdictOf', () => {
  const records = queuedRecords(...NUMBERS);

  it.each<[string, unknown]>([
    ['an empty list', { batchItemFailures: [] }],
    ['a null list', { batchItemFailures: null }],
    ['an empty answer', {}],
    ['a null answer', null],
    ['no answer', undefined],
    ['an answer about something else', { statusCode: 200 }],
    ['a text', 'Successfully processed 2 records.'],
  ])('takes %s for a success', (_what, answer) => {
    expect(verdictOf(answer, records)).toEqual({ type: 'success' });
  });

  it.each<[string, unknown, string]>([
    ['an empty identifier', [{ itemIdentifier: '' }], 'batchItemFailures[0] has no itemIdentifier'],
    ['a null identifier', [{ itemIdentifier: null }], 'batchItemFailures[0] has no itemIdentifier'],
    ['no identifier', [{}], 'batchItemFailures[0] has no itemIdentifier'],
    ['a misnamed identifier', [{ itemIdentifer: '8' }], 'batchItemFailures[0] has no itemIdentifier'],
    ['an identifier of no record', [{ itemIdentifier: '11' }], 'batchItemFailures[0].itemIdentifier is not in the batch'],
    ['an identifier that is a number', [{ itemIdentifier: 8 }], 'batchItemFailures[0] has no itemIdentifier'],
    ['a null among the failures', [null], 'batchItemFailures[0] has no itemIdentifier'],
    ['one good and one empty identifier', [{ itemIdentifier: '8' }, { itemIdentifier: '' }], 'batchItemFailures[1] has no itemIdentifier'],
    ['an object instead of a list', { itemIdentifier: '8' }, 'batchItemFailures is not a list'],
  ])('fails the whole batch for %s', (_what, batchItemFailures, reason) => {
    expect(verdictOf({ batchItemFailures }, records)).toEqual({ type: 'malformed', reason });
  });

  it('takes the first reported record of the batch, in whatever order they are reported', () => {
    const batchItemFailures = ['10', '8', '9'].map((itemIdentifier) => ({ itemIdentifier }));
    expect(verdictOf({ batchItemFailures }, records)).toEqual({ type: 'partial', from: 1 });
  });
});

describe('aftermathOf', () => {
  const batch: RecordBatch = { records: queuedRecords(...NUMBERS), retries: 0, invocations: 0, refusals: 0, delayMs: 0 };
  const settings = { reportsFailures: false, bisects: false, retries: 3, backoffMs: (failures: number) => failures * 100 };
  const error = new Error('the function fails');
  const FAILED: InvocationOutcome = { type: 'error', error };
  const reported = (...numbers: readonly string[]): InvocationOutcome => ({
    type: 'answered',
    answer: { batchItemFailures: numbers.map((itemIdentifier) => ({ itemIdentifier })) },
  });

  /** The aftermath of an invocation with this outcome, with its batches and records by sequence number. */
  function aftermath(outcome: InvocationOutcome, more: Partial<typeof settings> = {}, of: Partial<RecordBatch> = {}) {
    const invocation: InvocationResult = { requestId: 'r', functionArn: 'arn', milliseconds: 5, endedAt: 1_000, outcome };
    const { events, done, exhausted, rest } = aftermathOf({ ...batch, ...of }, invocation, 'shard', { ...settings, ...more });
    const numbers = ({ records }: Pick<RecordBatch, 'records'>) => records.map(({ sequenceNumber }) => sequenceNumber);
    return {
      events: events.map(({ type }) => type),
      done: numbers({ records: done }),
      exhausted: exhausted && numbers(exhausted),
      rest: rest.map(({ retries, invocations, refusals, delayMs, ...part }) => [
        numbers(part),
        { retries, invocations, refusals, delayMs },
      ]),
    };
  }

  it('is done with a batch that succeeded', () => {
    expect(aftermath({ type: 'answered', answer: null })).toEqual({ events: ['succeeded'], done: NUMBERS, exhausted: undefined, rest: [] });
  });

  it('reports the age of the last record of a batch that succeeded', () => {
    const records = queuedRecords('7').map((record) => ({ ...record, writtenAt: 400 }));
    const invocation: InvocationResult = {
      ...{ requestId: 'r', functionArn: 'arn', milliseconds: 5, endedAt: 1_000 },
      outcome: { type: 'answered', answer: null },
    };
    const { events } = aftermathOf({ ...batch, records }, invocation, 'shard', settings);
    expect(events).toEqual([
      { type: 'succeeded', shardId: 'shard', sequenceNumbers: ['7'], requestId: 'r', milliseconds: 5, iteratorAgeMs: 600 },
    ]);
  });

  it('retries a failed batch after the delay of its retry', () => {
    expect(aftermath(FAILED, {}, { retries: 1, invocations: 2, refusals: 4, delayMs: 7 })).toEqual({
      events: ['failed', 'retried'],
      done: [],
      exhausted: undefined,
      rest: [[NUMBERS, { retries: 2, invocations: 3, refusals: 0, delayMs: 200 }]],
    });
  });

  it('exhausts a batch that failed in its last retry', () => {
    expect(aftermath(FAILED, {}, { retries: 3 })).toEqual({ events: ['failed'], done: [], exhausted: NUMBERS, rest: [] });
  });

  it('halves a failed batch without a retry or a delay', () => {
    const part = { retries: 2, invocations: 1, refusals: 0, delayMs: 0 };
    const records = queuedRecords('7', '8', '9');
    expect(aftermath(FAILED, { bisects: true }, { records, retries: 2, delayMs: 7 })).toEqual({
      events: ['failed', 'split'],
      done: [],
      exhausted: undefined,
      rest: [
        [['7', '8'], part],
        [['9'], part],
      ],
    });
  });

  it('retries a batch of one record instead of halving it', () => {
    const { events, rest } = aftermath({ type: 'timeout', error }, { bisects: true }, { records: queuedRecords('7') });
    expect(events).toEqual(['failed', 'retried']);
    expect(rest).toEqual([[['7'], { retries: 1, invocations: 1, refusals: 0, delayMs: 100 }]]);
  });

  it('retries from the first reported record', () => {
    expect(aftermath(reported('9'), { reportsFailures: true })).toEqual({
      events: ['failed', 'retried'],
      done: ['7', '8'],
      exhausted: undefined,
      rest: [[['9', '10'], { retries: 1, invocations: 1, refusals: 0, delayMs: 100 }]],
    });
  });

  it('exhausts the records from the first reported one in the last retry', () => {
    const { done, exhausted, rest } = aftermath(reported('9'), { reportsFailures: true, retries: 0 });
    expect({ done, exhausted, rest }).toEqual({ done: ['7', '8'], exhausted: ['9', '10'], rest: [] });
  });

  it('cuts a bisected batch at the first reported record without a retry', () => {
    expect(aftermath(reported('9'), { reportsFailures: true, bisects: true, retries: 0 })).toEqual({
      events: ['failed', 'split'],
      done: ['7', '8'],
      exhausted: undefined,
      rest: [[['9', '10'], { retries: 0, invocations: 1, refusals: 0, delayMs: 0 }]],
    });
  });

  it('retries a bisected batch whose first record was reported', () => {
    const { events, done, rest } = aftermath(reported('7'), { reportsFailures: true, bisects: true });
    expect({ events, done, rest }).toEqual({
      events: ['failed', 'retried'],
      done: [],
      rest: [[NUMBERS, { retries: 1, invocations: 1, refusals: 0, delayMs: 100 }]],
    });
  });

  it('fails the whole batch for an answer that cannot be read', () => {
    const { done, rest } = aftermath(reported('11'), { reportsFailures: true });
    expect({ done, rest }).toEqual({ done: [], rest: [[NUMBERS, { retries: 1, invocations: 1, refusals: 0, delayMs: 100 }]] });
  });

  it('ignores the answer of a function that does not report failures', () => {
    expect(aftermath(reported('9')).done).toEqual(NUMBERS);
  });

  it('attempts a batch again without a retry if the function was not invoked', () => {
    expect(aftermath({ type: 'not-invoked', error }, { retries: 0 }, { refusals: 2, delayMs: 7 })).toEqual({
      events: ['not-invoked'],
      done: [],
      exhausted: undefined,
      rest: [[NUMBERS, { retries: 0, invocations: 0, refusals: 3, delayMs: 300 }]],
    });
  });
});
