import type { StreamEvent } from '../dynamodb/record.ts';

/**
 * A Lambda function's handler. It gets an event that was JSON, for itself alone, and its answer becomes JSON. `callback` is there for
 * `Handler` of @types/aws-lambda; Lambda's nodejs24.x refuses handlers that have one.
 */
export type LambdaHandler<Event = StreamEvent> = (event: Event, context: LambdaContext, callback: never) => unknown;

/** As `Context` of @types/aws-lambda. */
export interface LambdaContext {
  callbackWaitsForEmptyEventLoop: boolean;
  readonly functionName: string;
  readonly functionVersion: string;
  readonly invokedFunctionArn: string;
  readonly memoryLimitInMB: string;
  readonly awsRequestId: string;
  readonly logGroupName: string;
  readonly logStreamName: string;
  /** Of the function's timeout, ms; 0 when there is none left. */
  getRemainingTimeInMillis(): number;
  /** Here for the type; Node 24's runtime has it no longer. */
  done(): void;
  fail(): void;
  succeed(): void;
}

/**
 * Thrown by a handler that stands for a function elsewhere: the function was not invoked, for it was throttled, say. Such an attempt does
 * not count as a retry; it is repeated until the records are too old.
 */
export class NotInvokedError extends Error {
  override readonly name = 'NotInvokedError';
}
