import type { FailureReason, MappingEvent } from '../events.ts';
import type { MappingSettings } from '../options.ts';
import { type InvocationResult, numbersOf, type QueuedRecord, type RecordBatch } from './batch.ts';

/** What becomes of a batch after an invocation. */
export interface Aftermath {
  /** What happened, in order. */
  readonly events: readonly MappingEvent[];
  /** Records with which the function succeeded. */
  readonly done: readonly QueuedRecord[];
  /** The batch that has used up its retries. */
  readonly exhausted?: RecordBatch;
  /** Batches to attempt next, in order. */
  readonly rest: readonly RecordBatch[];
}

type RetrySettings = Pick<MappingSettings, 'reportsFailures' | 'bisects' | 'retries' | 'backoffMs'>;

/**
 * Applies Lambda's rules for batches that fail, or fail in part. Sources: Lambda Developer Guide, "Retaining discarded records" and
 * "Configuring partial batch response with DynamoDB and Lambda".
 *
 * 1. A failed batch is retried whole. With `bisectBatchOnFunctionError` it is halved, down to one record; halving costs no retry.
 * 2. A partial failure is retried from the failed record on. With `bisectBatchOnFunctionError` the batch is cut there, which costs no
 *    retry, unless the failed record is the first.
 * 3. If the function was not invoked, the batch is attempted again. That costs no retry.
 */
export function aftermathOf(batch: RecordBatch, invocation: InvocationResult, shardId: string, settings: RetrySettings): Aftermath {
  const { outcome, requestId } = invocation;
  const of = ({ records }: RecordBatch) => ({ shardId, sequenceNumbers: numbersOf(records) });

  const retried = (failed: RecordBatch, ...events: readonly MappingEvent[]): Aftermath => {
    const retry = failed.retries + 1;
    if (retry > settings.retries) return { events, done: [], exhausted: failed, rest: [] };
    const delayMs = settings.backoffMs(retry);
    return {
      events: [...events, { type: 'retried', ...of(failed), retry, delayMs }],
      done: [],
      rest: [{ ...failed, retries: retry, delayMs }],
    };
  };
  const failedWhole = (failed: RecordBatch, reason: FailureReason, error: Error): Aftermath => {
    const failure: MappingEvent = { type: 'failed', ...of(failed), requestId, reason, error };
    const { records } = failed;
    if (!settings.bisects || records.length === 1) return retried(failed, failure);
    const half = Math.ceil(records.length / 2);
    const split: MappingEvent = { type: 'split', ...of(failed), at: records[half]?.sequenceNumber ?? '' };
    const halves = [records.slice(0, half), records.slice(half)].map((part) => ({ ...failed, records: part, delayMs: 0 }));
    return { events: [failure, split], done: [], rest: halves };
  };
  const failedFrom = (failed: RecordBatch, from: number): Aftermath => {
    const done = failed.records.slice(0, from);
    const rest = { ...failed, records: failed.records.slice(from), delayMs: 0 };
    const at = rest.records[0]?.sequenceNumber ?? '';
    const error = new Error(`the function reported ${at} as failed`);
    const failure: MappingEvent = { type: 'failed', ...of(rest), requestId, reason: 'partial', error };
    if (from === 0 || !settings.bisects) return { ...retried(rest, failure), done };
    return { events: [failure, { type: 'split', ...of(failed), at }], done, rest: [rest] };
  };

  if (outcome.type === 'not-invoked') {
    const refusals = batch.refusals + 1;
    const delayMs = settings.backoffMs(refusals);
    const refusal: MappingEvent = { type: 'not-invoked', ...of(batch), error: outcome.error, delayMs };
    return { events: [refusal], done: [], rest: [{ ...batch, refusals, delayMs }] };
  }
  const invoked: RecordBatch = { ...batch, invocations: batch.invocations + 1, refusals: 0, last: invocation };
  if (outcome.type !== 'answered') return failedWhole(invoked, outcome.type, outcome.error);
  const verdict = settings.reportsFailures ? verdictOf(outcome.answer, batch.records) : { type: 'success' as const };
  switch (verdict.type) {
    case 'success':
      return { events: [succeeded(batch, invocation, shardId)], done: batch.records, rest: [] };
    case 'partial':
      return failedFrom(invoked, verdict.from);
    case 'malformed':
      return failedWhole(invoked, 'answer', new Error(`the function's answer fails the whole batch: ${verdict.reason}`));
  }
}

function succeeded({ records }: RecordBatch, { requestId, milliseconds, endedAt }: InvocationResult, shardId: string): MappingEvent {
  const writtenAt = records.at(-1)?.writtenAt;
  const age = writtenAt === undefined ? {} : { iteratorAgeMs: endedAt - writtenAt };
  return { type: 'succeeded', shardId, sequenceNumbers: numbersOf(records), requestId, milliseconds, ...age };
}

export type Verdict =
  | { readonly type: 'success' }
  /** The records before index `from` succeeded. */
  | { readonly type: 'partial'; readonly from: number }
  /** The whole batch failed. */
  | { readonly type: 'malformed'; readonly reason: string };

/**
 * Reads the answer of a function that reports batch item failures (Lambda Developer Guide, "Configuring partial batch response with
 * DynamoDB and Lambda"):
 *
 * 1. No answer, an empty answer, no list or an empty list is a success.
 * 2. The lowest sequence number in the list is the first failed record.
 * 3. An identifier that is empty, null, misnamed or of no record of the batch fails the whole batch.
 */
export function verdictOf(answer: unknown, records: readonly QueuedRecord[]): Verdict {
  const failures = typeof answer === 'object' && answer !== null && 'batchItemFailures' in answer ? answer.batchItemFailures : undefined;
  if (failures === undefined || failures === null) return { type: 'success' };
  if (!Array.isArray(failures)) return { type: 'malformed', reason: 'batchItemFailures is not a list' };
  let from = records.length;
  for (const [i, failure] of failures.entries()) {
    const identifier = typeof failure === 'object' && failure !== null ? failure.itemIdentifier : undefined;
    if (typeof identifier !== 'string' || identifier === '') {
      return { type: 'malformed', reason: `batchItemFailures[${i}] has no itemIdentifier` };
    }
    const index = records.findIndex(({ sequenceNumber }) => sequenceNumber === identifier);
    if (index === -1) return { type: 'malformed', reason: `batchItemFailures[${i}].itemIdentifier is not in the batch` };
    from = Math.min(from, index);
  }
  return failures.length === 0 ? { type: 'success' } : { type: 'partial', from };
}
