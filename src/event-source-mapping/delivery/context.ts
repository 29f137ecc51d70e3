import type { LambdaContext } from '../handler.ts';
import type { Run } from '../run.ts';
import { uuidOf } from '../uuid.ts';

/** The function is in the account and Region of its stream. */
export function functionArn(name: string, streamArn: string | undefined): string {
  const [, partition = 'aws', , region = 'us-east-1', account = '123456789012'] = streamArn?.split(':') ?? [];
  return `arn:${partition}:lambda:${region}:${account}:function:${name}`;
}

/** The context of an invocation that begins now. */
export function contextOf({ settings }: Run, streamArn: string | undefined): LambdaContext {
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
