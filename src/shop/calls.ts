import { setTimeout as sleep } from 'node:timers/promises';
import { fullJitter } from '../backoff.ts';

/** How often a call is tried in all. */
export const TRIES = 10;

const FIRST_PAUSE_MS = 25;
const LONGEST_PAUSE_MS = 1_000;

/**
 * Calls, and calls again after each transient error, 10 times in all.
 *
 * @param signal ends the pauses between the calls, and allows no further call.
 * @throws the last transient error, the first other error, or the signal's reason.
 */
export async function retried<T>(call: () => Promise<T>, signal?: AbortSignal): Promise<T> {
  for (let attempt = 0; ; attempt += 1) {
    signal?.throwIfAborted();
    try {
      return await call();
    } catch (error) {
      if (attempt + 1 >= TRIES || !isTransient(error)) throw error;
    }
    await backOff(attempt, signal);
  }
}

/** Pauses for a random time that grows with the attempts. @throws the signal's reason if it ends the pause. */
export async function backOff(attempt: number, signal?: AbortSignal): Promise<void> {
  const ms = fullJitter(attempt, FIRST_PAUSE_MS, LONGEST_PAUSE_MS);
  await sleep(ms, undefined, { signal }).catch(() => signal?.throwIfAborted());
}

const TRANSIENT = new Set([
  'InternalServerError',
  'ProvisionedThroughputExceededException',
  'RequestLimitExceeded',
  'ServiceUnavailable',
  'ThrottlingException',
  'TimeoutError',
  'TransactionConflictException',
  'TransactionInProgressException',
]);
const TRANSIENT_REASONS = new Set(['None', 'ProvisionedThroughputExceeded', 'ThrottlingError', 'TransactionConflict']);
const CONNECTION = /^(EAI_AGAIN|ECONNABORTED|ECONNREFUSED|ECONNRESET|EPIPE|ETIMEDOUT)$/;

/**
 * Whether a repeated call may succeed: it was throttled, met another transaction, or got no answer. The failed call may have taken effect.
 */
export function isTransient(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const reasons = reasonsOf(error);
  if (reasons) return reasons.every((reason) => TRANSIENT_REASONS.has(reason));
  const { code, $metadata } = error as { code?: unknown; $metadata?: { httpStatusCode?: number } };
  return TRANSIENT.has(error.name) || CONNECTION.test(String(code)) || ($metadata?.httpStatusCode ?? 0) >= 500;
}

/** Why a transaction was cancelled, one reason an action; undefined for any other error. */
export function reasonsOf(error: unknown): readonly string[] | undefined {
  if (!(error instanceof Error) || error.name !== 'TransactionCanceledException') return undefined;
  const { CancellationReasons = [] } = error as { CancellationReasons?: readonly { Code?: string }[] };
  return CancellationReasons.map(({ Code = 'None' }) => Code);
}

/**
 * Does the work for each item, for some items at the same time. A failure does not stop the work for the others.
 *
 * @param atOnce the greatest number of items at the same time.
 * @throws the first failure, after all work has ended.
 */
export async function forEachConcurrently<T>(
  items: readonly T[],
  atOnce: number,
  work: (item: T, index: number) => Promise<void>,
): Promise<void> {
  const remaining = items.entries();
  const failures: unknown[] = [];
  const worker = async (): Promise<void> => {
    // All workers take items from the same iterator.
    for (const [index, item] of remaining) {
      await work(item, index).catch((error: unknown) => failures.push(error));
    }
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, items.length) }, worker));
  if (failures.length > 0) throw failures[0];
}
