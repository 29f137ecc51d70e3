import { Metadata, status } from '@grpc/grpc-js';

/** An error of the service, in the form of gRPC. */
export class Failure extends Error {
  readonly code: status;
  readonly details: string;
  readonly metadata: Metadata;

  constructor(code: status, details: string, cause?: string) {
    super(details);
    this.code = code;
    this.details = details;
    this.metadata = new Metadata();
    // The service's code for the cause. Clients prefer it to the text.
    if (cause !== undefined) this.metadata.set('err', cause);
  }
}

export const invalid = (details: string) => new Failure(status.INVALID_ARGUMENT, details);
export const precondition = (details: string) => new Failure(status.FAILED_PRECONDITION, details);
export const noSuchCache = (name: string) => new Failure(status.NOT_FOUND, `Cache with name: ${name} doesn't exist`);

const SIZES = {
  request: { details: 'Request limit exceeded', cause: 'request_size_limit_exceeded' },
  item: { details: 'Item size limit exceeded', cause: 'item_size_limit_exceeded' },
  element: { details: 'Element size limit exceeded', cause: 'element_size_limit_exceeded' },
} as const;

/** Clients distinguish these three by the text of the details. */
export const tooLarge = (what: keyof typeof SIZES, limit: number) =>
  new Failure(status.RESOURCE_EXHAUSTED, `${SIZES[what].details}: at most ${limit} bytes`, SIZES[what].cause);
