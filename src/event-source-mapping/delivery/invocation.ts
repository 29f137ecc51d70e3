import { asError } from '../../errors.ts';
import { type LambdaContext, NotInvokedError } from '../handler.ts';
import type { MappingSettings } from '../options.ts';
import type { Run } from '../run.ts';
import { uuidOf } from '../uuid.ts';
import { eventText, type InvocationOutcome, type InvocationResult, numbersOf, type QueuedRecord } from './batch.ts';

/**
 * Invokes the function once. When its time is over, the invocation has failed; the code cannot be stopped from outside, so it may run on,
 * and what it comes to is ignored.
 */
export async function invoke(run: Run, shardId: string, entries: readonly QueuedRecord[]): Promise<InvocationResult> {
  const { clock, functionTimeoutMs, handler } = run.settings;
  const context = contextOf(run.settings, entries[0]?.record.eventSourceARN);
  const { awsRequestId: requestId, invokedFunctionArn } = context;
  run.emit({ type: 'invoked', shardId, requestId, sequenceNumbers: numbersOf(entries) });
  const started = clock.now();
  const over = new AbortController();
  const answered = async (): Promise<InvocationOutcome> => {
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

/** The function is in the account and Region of its stream. */
export function functionArn(name: string, streamArn: string | undefined): string {
  const [, partition = 'aws', , region = 'us-east-1', account = '123456789012'] = streamArn?.split(':') ?? [];
  return `arn:${partition}:lambda:${region}:${account}:function:${name}`;
}

/** The context of an invocation that begins now. */
function contextOf(settings: MappingSettings, streamArn: string | undefined): LambdaContext {
  const { clock, functionName, functionTimeoutMs, random } = settings;
  const deadline = clock.now() + functionTimeoutMs;
  const nothing = () => {};
  return {
    callbackWaitsForEmptyEventLoop: true,
    functionName,
    functionVersion: '$LATEST',
    invokedFunctionArn: functionArn(functionName, streamArn),
    memoryLimitInMB: '128',
    awsRequestId: uuidOf(random),
    logGroupName: `/aws/lambda/${functionName}`,
    logStreamName: `${new Date(clock.now()).toISOString().slice(0, 10).replaceAll('-', '/')}/[$LATEST]${settings.uuid.replaceAll('-', '')}`,
    getRemainingTimeInMillis: () => Math.max(0, deadline - clock.now()),
    done: nothing,
    fail: nothing,
    succeed: nothing,
  };
}
