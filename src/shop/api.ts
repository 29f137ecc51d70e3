import type { Logger } from '@aws-lambda-powertools/logger';
import { IncompleteListError, TableUnavailableError } from '../errors.ts';
import { isTransient, reasonsOf } from './calls.ts';
import type { RemainingTime } from './idempotency.ts';

/** The fields that are read of an HTTP API's event (payload format 2.0). */
export interface ApiRequest {
  /** Method and path of the route, such as `GET /orders/{id}`. */
  readonly routeKey?: string;
  /** By the names in the route's path. */
  readonly pathParameters?: Readonly<Record<string, string | undefined>>;
  readonly queryStringParameters?: Readonly<Record<string, string | undefined>>;
  readonly headers?: Readonly<Record<string, string | undefined>>;
  readonly cookies?: readonly string[];
  readonly body?: string | null;
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

interface Answer {
  readonly text: string;
  /** Default: 200. */
  readonly status?: number;
  /** Headers beside the common ones, or instead of them; names in lower case. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly cookies?: readonly string[];
  /** Whether the text is the stored one of an earlier request. */
  readonly replayed?: boolean;
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
      const { text, status = 200, headers: own, replayed, cookies } = await work(request, context, signal);
      const headers = { ...common, ...(replayed && { 'idempotency-replayed': 'true' }), ...own };
      return { statusCode: status, headers, ...(cookies && { cookies }), body: text };
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

/**
 * The id of the anonymous cart: the header or the cookie `cartId`. It is a secret of the browser: anyone who knows it can take the cart.
 *
 * @throws RefusedError 400 without one, or for an id of fewer than 8 characters, which can be guessed.
 */
export function cartIdOf(request: ApiRequest): string {
  const cartId = headerOf(request, 'cartid') ?? cookieOf(request, 'cartId');
  if (cartId === undefined || !/^[\w.:~+/=-]{8,128}$/.test(cartId)) throw new RefusedError(400, 'Invalid cart id');
  return cartId;
}

/** @throws RefusedError 403 unless the token has the scope. */
export function requireScope({ requestContext }: ApiRequest, scope: string): void {
  const { scope: given, scp } = requestContext?.authorizer?.jwt?.claims ?? {};
  // API Gateway writes a claim that is a list as text in brackets.
  const scopes = [given, scp].flatMap((claim) => (typeof claim === 'string' ? claim.replace(/^\[(.*)\]$/, '$1').split(' ') : []));
  if (!scopes.includes(scope)) throw new RefusedError(403, 'Forbidden');
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
export function bodyOf({ body: given, isBase64Encoded }: ApiRequest): string {
  // API Gateway's format 1.0 gives null for none.
  const body = given ?? '';
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
    'access-control-expose-headers': 'ETag, Idempotency-Replayed, Retry-After, Server-Timing',
  };
}

function refusalOf(error: unknown): RefusedError {
  if (error instanceof RefusedError) return error;
  if (isUnanswered(error)) return new RefusedError(503, 'Try again');
  switch ((error as Partial<Error> | undefined)?.name) {
    case 'IdempotencyAlreadyInProgressError':
      return new RefusedError(409, 'The same request is in progress');
    case 'IdempotencyValidationError':
      return new RefusedError(422, 'The idempotency key was used for another request');
    case 'IdempotencyPersistenceLayerError':
    case 'WorkKeepsComingError':
      return new RefusedError(503, 'Try again');
    default:
      return isTransient(error) || keepsChanging(error) ? new RefusedError(503, 'Try again') : new RefusedError(500, 'Internal error');
  }
}

/** An item was changed by others between each read and the transaction. */
function keepsChanging(error: unknown): boolean {
  return reasonsOf(error)?.includes('ConditionalCheckFailed') === true;
}

/** Neither the cache nor the table gives what was asked for. The message names the table or the view, and no value. */
function isUnanswered(error: unknown): error is Error {
  return error instanceof TableUnavailableError || error instanceof IncompleteListError;
}

/** The loggable part of an error. Of messages only the reader's and those of the AWS SDK (`$fault`), because others may quote the request. */
function faultOf(error: unknown) {
  if (!(error instanceof Error)) return { fault: typeof error };
  const { name, message, stack, cause } = error;
  const frames = stack?.split('\n').filter((line) => /^\s+at /.test(line));
  const reason = '$fault' in error || isUnanswered(error) ? message : undefined;
  const from = cause instanceof Error ? { name: cause.name, message: '$fault' in cause ? cause.message : undefined } : undefined;
  return { fault: name, ...(reason && { reason }), cause: from, frames: frames?.slice(0, 10) };
}
