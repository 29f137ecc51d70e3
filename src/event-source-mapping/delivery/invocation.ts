import { asError } from '../../errors.ts';
import { NotInvokedError } from '../handler.ts';
import type { Run } from '../run.ts';
import { eventText, numbersOf } from './batch.ts';
import { contextOf } from './context.ts';
import type { Entry } from './entry.ts';

export interface Invocation {
  readonly requestId: string;
  readonly functionArn: string;
  readonly milliseconds: number;
  /** Epoch ms. */
  readonly endedAt: number;
  readonly outcome: Outcome;
}

export type Outcome =
  | { readonly type: 'answered'; readonly answer: unknown }
  | { readonly type: 'error' | 'timeout' | 'not-invoked'; readonly error: Error };

/**
 * Invokes the function once. When its time is over, the invocation has failed; the code cannot be stopped from outside, so it may run on,
 * and what it comes to is ignored.
 */
export async function invoke(run: Run, shardId: string, entries: readonly Entry[]): Promise<Invocation> {
  const { clock, functionTimeoutMs, handler } = run.settings;
  const context = contextOf(run, entries[0]?.record.eventSourceARN);
  const { awsRequestId: requestId, invokedFunctionArn } = context;
  run.tell({ type: 'invoked', shardId, requestId, sequenceNumbers: numbersOf(entries) });
  const started = clock.now();
  const over = new AbortController();
  const answered = async (): Promise<Outcome> => {
    try {
      const event = JSON.parse(eventText(entries)) as never;
      return { type: 'answered', answer: asJson(await handler(event, context, undefined as never)) };
    } catch (error) {
      return { type: error instanceof NotInvokedError ? 'not-invoked' : 'error', error: asError(error) };
    }
  };
  const outcome = await Promise.race([answered(), clock.sleep(functionTimeoutMs, over.signal)]);
  over.abort('answered');
  const endedAt = clock.now();
  const milliseconds = endedAt - started;
  const invocation = { requestId, functionArn: invokedFunctionArn, milliseconds, endedAt };
  // Code that does not let go of the thread hides from the race that its time is over.
  if (outcome && milliseconds <= functionTimeoutMs) return { ...invocation, outcome };
  const error = new Error(`Task timed out after ${(functionTimeoutMs / 1_000).toFixed(2)} seconds`);
  return { ...invocation, outcome: { type: 'timeout', error } };
}

/** What is left of a value on its way through JSON. */
function asJson(value: unknown): unknown {
  return value === undefined ? null : JSON.parse(JSON.stringify(value) ?? 'null');
}
