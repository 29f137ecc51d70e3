import type { Entry } from './entry.ts';

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
export function verdictOf(answer: unknown, entries: readonly Entry[]): Verdict {
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
