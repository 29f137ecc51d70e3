import { asError } from '../../errors.ts';
import { type LambdaContext, NotInvokedError } from '../handler.ts';
import type { MappingSettings } from '../options.ts';
import type { Run } from '../run.ts';
import { uuidOf } from '../uuid.ts';
import { eventText, type InvocationOutcome, type InvocationResult, numbersOf, type QueuedRecord } from './batch.ts';

/**
 * Invokes the function once. After the function's timeout the invocation counts as failed. The code cannot be stopped from outside, so it
 * may run on; its result is ignored.
 */
export async function invoke(run: Run, shardId: string, records: readonly QueuedRecord[]): Promise<InvocationResult> {
  const { clock, functionTimeoutMs, handler } = run.settings;
  const context = contextOf(run.settings, records[0]?.record.eventSourceARN);
  const { awsRequestId: requestId, invokedFunctionArn } = context;
  run.emit({ type: 'invoked', shardId, requestId, sequenceNumbers: numbersOf(records) });
  const started = clock.now();
  const answered = new AbortController();
  const answer = async (): Promise<InvocationOutcome> => {
    try {
      const event = JSON.parse(eventText(records)) as never;
      return { type: 'answered', answer: throughJson(await handler(event, context, undefined as never)) };
    } catch (error) {
      return { type: error instanceof NotInvokedError ? 'not-invoked' : 'error', error: asError(error) };
    }
  };
  const outcome = await Promise.race([answer(), clock.sleep(functionTimeoutMs, answered.signal)]);
  answered.abort();
  const endedAt = clock.now();
  const milliseconds = endedAt - started;
  const invocation = { requestId, functionArn: invokedFunctionArn, milliseconds, endedAt };
  // A function that blocks the event loop wins the race although its time is over.
  if (outcome && milliseconds <= functionTimeoutMs) return { ...invocation, outcome };
  const error = new Error(`Task timed out after ${(functionTimeoutMs / 1_000).toFixed(2)} seconds`);
  return { ...invocation, outcome: { type: 'timeout', error } };
}

/** The value as it arrives after JSON.stringify and JSON.parse. */
function throughJson(value: unknown): unknown {
  return value === undefined ? null : JSON.parse(JSON.stringify(value) ?? 'null');
}

/** The context of an invocation that starts now. */
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

/** The ARN of a function in the partition, Region and account of its stream. */
export function functionArn(name: string, streamArn: string | undefined): string {
  const [, partition = 'aws', , region = 'us-east-1', account = '123456789012'] = streamArn?.split(':') ?? [];
  return `arn:${partition}:lambda:${region}:${account}:function:${name}`;
}
