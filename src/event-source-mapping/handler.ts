import type { StreamEvent } from '../dynamodb/record.ts';

/**
 * The handler of a Lambda function. Each invocation receives its own copy of the event, parsed from JSON. Its answer is converted to JSON.
 * `callback` exists so that `Handler` of @types/aws-lambda fits; Lambda refuses handlers with a callback from nodejs24.x on.
 */
export type LambdaHandler<Event = StreamEvent> = (event: Event, context: LambdaContext, callback: never) => unknown;

/** The context of an invocation, with the members of `Context` of @types/aws-lambda. */
export interface LambdaContext {
  callbackWaitsForEmptyEventLoop: boolean;
  readonly functionName: string;
  readonly functionVersion: string;
  readonly invokedFunctionArn: string;
  readonly memoryLimitInMB: string;
  readonly awsRequestId: string;
  readonly logGroupName: string;
  readonly logStreamName: string;
  /** Returns how much of the function's timeout is left, ms. Never below 0. */
  getRemainingTimeInMillis(): number;
  /** Does nothing. Lambda's runtime for Node 24 no longer has `done`, `fail` and `succeed`; `Context` does. */
  done(): void;
  fail(): void;
  succeed(): void;
}

/**
 * Throw this from a handler that calls a function elsewhere, when that function was not invoked, for example because it was throttled. The
 * attempt does not count as a retry. It is repeated until the records are too old.
 */
export class NotInvokedError extends Error {
  override readonly name = 'NotInvokedError';
}
