import type { Logger } from '@aws-lambda-powertools/logger';
import { isTransient } from './calls.ts';
import type { IdempotentResult, RemainingTime } from './idempotency.ts';

/** The fields that are read of an HTTP API's event (payload format 2.0). */
export interface ApiRequest {
  readonly headers?: Readonly<Record<string, string | undefined>>;
  readonly cookies?: readonly string[];
  readonly body?: string;
  readonly isBase64Encoded?: boolean;
  readonly requestContext?: {
    readonly authorizer?: { readonly jwt?: { readonly claims?: Readonly<Record<string, unknown>> } };
  };
}

export interface ApiResponse {
  readonly statusCode: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly cookies?: readonly string[];
  readonly body: string;
}

export interface ApiOptions {
  /** Origins whose pages may call with credentials and read the answers, such as `https://shop.example`. */
  readonly allowedOrigins: readonly string[];
  readonly logger: Pick<Logger, 'info' | 'warn' | 'error'>;
  /**
   * The signal of the work is aborted this long before the function's time is over, so that there is time for an answer, ms. Default: 3000.
   */
  readonly marginMs?: number;
}

interface Answer extends IdempotentResult {
  readonly cookies?: readonly string[];
}

/** Thrown to answer a request with an error: a status and a body with the message. */
export class RefusedError extends Error {
  override readonly name = 'RefusedError';
  readonly status: number;
  readonly text: string;

  constructor(status: number, message: string, more: object = {}, options?: ErrorOptions) {
    super(message, options);
    this.status = status;
    this.text = JSON.stringify({ message, ...more });
  }
}

type Work = (request: ApiRequest, context: RemainingTime, signal: AbortSignal) => Promise<Answer>;

/**
 * A Lambda handler for a route of an HTTP API. It never throws. An error of the work becomes an answer with a status; from 500 on the
 * error's name is logged, but not its message, which may contain values.
 */
export function api({ allowedOrigins, logger, marginMs = 3_000 }: ApiOptions, work: Work) {
  return async (request: ApiRequest, context: RemainingTime): Promise<ApiResponse> => {
    const common = { 'content-type': 'application/json', 'cache-control': 'no-store', ...corsHeaders(request, allowedOrigins) };
    try {
      const signal = AbortSignal.timeout(Math.max(0, context.getRemainingTimeInMillis() - marginMs));
      const { text, replayed, cookies } = await work(request, context, signal);
      const headers = { ...common, ...(replayed && { 'idempotency-replayed': 'true' }) };
      return { statusCode: 200, headers, ...(cookies && { cookies }), body: text };
    } catch (error) {
      const { status, text } = refusalOf(error);
      if (status >= 500) logger.error('request failed', faultOf(error));
      const headers = { ...common, ...((status === 409 || status === 503) && { 'retry-after': '1' }) };
      return { statusCode: status, headers, body: text };
    }
  };
}

/** The signed-in user: the `sub` of the authorizer's token. @throws RefusedError 400 without one, or if it is malformed Unicode. */
export function callerOf({ requestContext }: ApiRequest): string {
  const sub = requestContext?.authorizer?.jwt?.claims?.sub;
  if (typeof sub !== 'string' || sub === '' || !sub.isWellFormed()) throw new RefusedError(400, 'Invalid user');
  return sub;
}

/** The header Idempotency-Key. @throws RefusedError 400 for a key that is empty, not printable ASCII, or longer than 255 characters. */
export function idempotencyKeyOf(request: ApiRequest): string | undefined {
  const key = headerOf(request, 'idempotency-key');
  if (key !== undefined && !/^[\x20-\x7e]{1,255}$/.test(key)) throw new RefusedError(400, 'Invalid idempotency key');
  return key;
}

/** @param name the header's name in lower case. */
export function headerOf({ headers = {} }: ApiRequest, name: string): string | undefined {
  // An HTTP API passes names in lower case; other front ends may not.
  return headers[name] ?? Object.entries(headers).find(([given]) => given.toLowerCase() === name)?.[1];
}

export function cookieOf({ cookies = [] }: ApiRequest, name: string): string | undefined {
  return cookies.find((cookie) => cookie.startsWith(`${name}=`))?.slice(name.length + 1);
}

/**
 * The body as text.
 *
 * @throws RefusedError 400 for bytes that are not UTF-8, and for half a surrogate pair. Both would become a replacement character, so different
 * texts would become one.
 */
export function bodyOf({ body = '', isBase64Encoded }: ApiRequest): string {
  const text = isBase64Encoded ? decodedUtf8(Buffer.from(body, 'base64')) : body;
  if (text === undefined || !text.isWellFormed()) throw new RefusedError(400, 'Invalid body');
  return text;
}

function decodedUtf8(bytes: Buffer): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

/** Names the origin, because browsers refuse an asterisk for calls with credentials. `Vary` makes caches keep the origins apart. */
function corsHeaders(request: ApiRequest, allowedOrigins: readonly string[]): Record<string, string> {
  if (allowedOrigins.length === 0) return {};
  const origin = headerOf(request, 'origin');
  if (origin === undefined || !allowedOrigins.includes(origin)) return { vary: 'Origin' };
  return {
    vary: 'Origin',
    'access-control-allow-origin': origin,
    'access-control-allow-credentials': 'true',
    'access-control-expose-headers': 'Idempotency-Replayed, Retry-After',
  };
}

function refusalOf(error: unknown): RefusedError {
  if (error instanceof RefusedError) return error;
  switch ((error as Partial<Error> | undefined)?.name) {
    case 'IdempotencyAlreadyInProgressError':
      return new RefusedError(409, 'The same request is in progress');
    case 'IdempotencyValidationError':
      return new RefusedError(422, 'The idempotency key was used for another request');
    case 'IdempotencyPersistenceLayerError':
    case 'WorkKeepsComingError':
      return new RefusedError(503, 'Try again');
    default:
      return isTransient(error) ? new RefusedError(503, 'Try again') : new RefusedError(500, 'Internal error');
  }
}

/** The loggable part of an error. Of messages only those of the AWS SDK (`$fault`), because others may quote the request. */
function faultOf(error: unknown) {
  if (!(error instanceof Error)) return { fault: typeof error };
  const { name, message, stack, cause } = error;
  const frames = stack?.split('\n').filter((line) => /^\s+at /.test(line));
  const reason = '$fault' in error ? message : undefined;
  const from = cause instanceof Error ? { name: cause.name, message: '$fault' in cause ? cause.message : undefined } : undefined;
  return { fault: name, ...(reason && { reason }), cause: from, frames: frames?.slice(0, 10) };
}
