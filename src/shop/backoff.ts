import { setTimeout as sleep } from 'node:timers/promises';
import { fullJitter } from '../backoff.ts';

/** How long to go on with a call that may work next time. */
export interface Backoff {
  /** Tries in all; 10 unless told otherwise. */
  readonly tries?: number;
  /** No try is begun after it, and no pause outlasts it. */
  readonly signal?: AbortSignal;
}

const FIRST_PAUSE_MS = 25;
const LONGEST_PAUSE_MS = 1_000;

/** Throws the signal's reason when it ends the pause. */
export async function pause(attempt: number, { signal }: Backoff): Promise<void> {
  const ms = fullJitter(attempt, FIRST_PAUSE_MS, LONGEST_PAUSE_MS);
  await sleep(ms, undefined, { signal }).catch(() => signal?.throwIfAborted());
}

/** @throws what the last try threw, or the first error that will not pass. */
export async function retried<T>(call: () => Promise<T>, backoff: Backoff): Promise<T> {
  const { tries = 10, signal } = backoff;
  for (let attempt = 0; ; attempt += 1) {
    signal?.throwIfAborted();
    try {
      return await call();
    } catch (error) {
      if (attempt + 1 >= tries || !isTransient(error)) throw error;
    }
    await pause(attempt, backoff);
  }
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

/** Throttled, in conflict with another transaction, or not answered: the same call may work next time. It may also have worked. */
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
