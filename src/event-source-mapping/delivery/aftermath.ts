import type { FailureReason, MappingEvent } from '../events.ts';
import type { MappingSettings } from '../options.ts';
import { type InvocationResult, numbersOf, type QueuedRecord, type RecordBatch } from './batch.ts';

/** What an invocation makes of its batch. */
export interface Aftermath {
  readonly events: readonly MappingEvent[];
  /** They succeeded. */
  readonly done: readonly QueuedRecord[];
  /** It has used up its retries. */
  readonly exhausted?: RecordBatch;
  /** What is to be tried next, in order. */
  readonly rest: readonly RecordBatch[];
}

type Asked = Pick<MappingSettings, 'reportsFailures' | 'bisects' | 'retries' | 'backoffMs'>;

/** Lambda's rules for batches that fail, or fail in part (Lambda Developer Guide, "Retaining discarded records", "Configuring partial batch response"). */
export function aftermathOf(batch: RecordBatch, invocation: InvocationResult, shardId: string, settings: Asked): Aftermath {
  const { outcome, requestId } = invocation;
  const of = ({ entries }: RecordBatch) => ({ shardId, sequenceNumbers: numbersOf(entries) });

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
  const failedAll = (failed: RecordBatch, reason: FailureReason, error: Error): Aftermath => {
    const told: MappingEvent = { type: 'failed', ...of(failed), requestId, reason, error };
    const { entries } = failed;
    if (!settings.bisects || entries.length === 1) return retried(failed, told);
    const half = Math.ceil(entries.length / 2);
    const split: MappingEvent = { type: 'split', ...of(failed), at: entries[half]?.sequenceNumber ?? '' };
    const halves = [entries.slice(0, half), entries.slice(half)].map((part) => ({ ...failed, entries: part, delayMs: 0 }));
    return { events: [told, split], done: [], rest: halves };
  };
  const failedFrom = (failed: RecordBatch, from: number): Aftermath => {
    const [done, rest] = [failed.entries.slice(0, from), { ...failed, entries: failed.entries.slice(from), delayMs: 0 }];
    const at = rest.entries[0]?.sequenceNumber ?? '';
    const error = new Error(`the function reported ${at} as failed`);
    const told: MappingEvent = { type: 'failed', ...of(rest), requestId, reason: 'partial', error };
    if (from === 0 || !settings.bisects) return { ...retried(rest, told), done };
    return { events: [told, { type: 'split', ...of(failed), at }], done, rest: [rest] };
  };

  if (outcome.type === 'not-invoked') {
    const refusals = batch.refusals + 1;
    const delayMs = settings.backoffMs(refusals);
    const told: MappingEvent = { type: 'not-invoked', ...of(batch), error: outcome.error, delayMs };
    return { events: [told], done: [], rest: [{ ...batch, refusals, delayMs }] };
  }
  const invoked: RecordBatch = { ...batch, invocations: batch.invocations + 1, refusals: 0, last: invocation };
  if (outcome.type !== 'answered') return failedAll(invoked, outcome.type, outcome.error);
  const verdict = settings.reportsFailures ? verdictOf(outcome.answer, batch.entries) : { type: 'success' as const };
  switch (verdict.type) {
    case 'success':
      return { events: [succeeded(batch, invocation, shardId)], done: batch.entries, rest: [] };
    case 'partial':
      return failedFrom(invoked, verdict.from);
    case 'malformed':
      return failedAll(invoked, 'answer', new Error(`the function's answer fails the whole batch: ${verdict.reason}`));
  }
}

function succeeded({ entries }: RecordBatch, { requestId, milliseconds, endedAt }: InvocationResult, shardId: string): MappingEvent {
  const at = entries.at(-1)?.at;
  const age = at === undefined ? {} : { iteratorAgeMs: endedAt - at };
  return { type: 'succeeded', shardId, sequenceNumbers: numbersOf(entries), requestId, milliseconds, ...age };
}

export type Verdict =
  | { readonly type: 'success' }
  /** Those before the `from`th are done. */
  | { readonly type: 'partial'; readonly from: number }
  /** Nothing is done. */
  | { readonly type: 'malformed'; readonly reason: string };

/**
 * What a function that reports batch item failures says of its batch (Lambda Developer Guide, "Configuring partial batch response with
 * DynamoDB and Lambda"): no answer, an empty one, no list or an empty one is success; the lowest sequence number is the checkpoint; an
 * identifier that is empty, null, misnamed or of no record of the batch fails the batch.
 */
export function verdictOf(answer: unknown, entries: readonly QueuedRecord[]): Verdict {
  const failures = typeof answer === 'object' && answer !== null && 'batchItemFailures' in answer ? answer.batchItemFailures : undefined;
  if (failures === undefined || failures === null) return { type: 'success' };
  if (!Array.isArray(failures)) return { type: 'malformed', reason: 'batchItemFailures is no list' };
  let from = entries.length;
  for (const [i, failure] of failures.entries()) {
    const identifier = typeof failure === 'object' && failure !== null ? failure.itemIdentifier : undefined;
    if (typeof identifier !== 'string' || identifier === '') {
      return { type: 'malformed', reason: `batchItemFailures[${i}] has no itemIdentifier` };
    }
    const at = entries.findIndex(({ sequenceNumber }) => sequenceNumber === identifier);
    if (at === -1) return { type: 'malformed', reason: `batchItemFailures[${i}].itemIdentifier is of no record of the batch` };
    from = Math.min(from, at);
  }
  return failures.length === 0 ? { type: 'success' } : { type: 'partial', from };
}
