import { MomentoErrorCode as Code } from '@gomomento/sdk';
import { CacheUnavailableError } from '../../errors.ts';
import type { MomentoAccess } from './access.ts';

/** The answer of the SDK to a failed call; it does not throw. */
export interface Failed {
  errorCode(): Code;
}

export function isFailed(answer: object): answer is Failed {
  return 'errorCode' in answer;
}

const TRANSIENT: ReadonlySet<Code> = new Set([
  Code.LIMIT_EXCEEDED_ERROR,
  Code.TIMEOUT_ERROR,
  Code.SERVER_UNAVAILABLE,
  Code.INTERNAL_SERVER_ERROR,
  Code.CANCELLED_ERROR,
  Code.UNKNOWN_SERVICE_ERROR,
  Code.CONNECTION_ERROR,
  Code.UNKNOWN_ERROR,
]);

/** Whether the same call may succeed next time. */
export function isTransientCode(code: Code): boolean {
  return TRANSIENT.has(code);
}

export function isTimeout(code: Code | undefined): boolean {
  return code === Code.CANCELLED_ERROR || code === Code.TIMEOUT_ERROR;
}

export function isUnreachable(code: Code | undefined): boolean {
  return code === Code.SERVER_UNAVAILABLE || code === Code.CONNECTION_ERROR;
}

/**
 * An error that says what to do. It contains neither the SDK's error nor its message, because they may contain the API key, keys and
 * values.
 *
 * @param detail appended to the message
 */
export function refusal(code: Code, cacheName: string, access: MomentoAccess, detail = ''): CacheUnavailableError {
  return new CacheUnavailableError(`Momento cache "${cacheName}": ${meaning(code, cacheName, access)}${detail}`);
}

function meaning(code: Code, cacheName: string, access: MomentoAccess): string {
  switch (code) {
    case Code.AUTHENTICATION_ERROR:
      return keyRefused(access);
    case Code.PERMISSION_ERROR:
      return 'the API key may not do this: give it the permission to read and write this cache';
    case Code.CACHE_NOT_FOUND_ERROR:
      return `there is no cache "${cacheName}" at this endpoint: create it, or correct MOMENTO_CACHE_NAME or the endpoint`;
    case Code.FAILED_PRECONDITION_ERROR:
      return 'a key holds a value of another type: give CACHE_NAMESPACE a name that nothing else in this cache uses';
    case Code.LIMIT_EXCEEDED_ERROR:
      return 'a limit of the account is exceeded: ask Momento to raise it, or send less at a time';
    case Code.SERVER_UNAVAILABLE:
    case Code.CONNECTION_ERROR:
      return 'the service cannot be reached: check the endpoint, and the network between here and there';
    case Code.CANCELLED_ERROR:
    case Code.TIMEOUT_ERROR:
      return 'no answer in time';
    default:
      return code;
  }
}

/** That Momento refuses the API key, and where to put a valid one. */
export function keyRefused(access: MomentoAccess): string {
  switch (access.kind) {
    case 'secret':
      return `the API key of secret ${access.secretId} is refused: put one there that is valid for this endpoint`;
    case 'key':
      return 'the API key is refused: give MOMENTO_API_KEY one that is valid for this endpoint';
    case 'local':
      return `the server at ${access.host}:${access.port} asks for an API key: give MOMENTO_SECRET_ID instead of MOMENTO_LOCAL`;
  }
}
