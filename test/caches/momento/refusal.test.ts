import { MomentoErrorCode as Code } from '@gomomento/sdk';
import { describe, expect, it } from 'vitest';
import { isFailed, isTimeout, isTransientCode, keyRefused, refusal } from '../../../src/caches/momento/refusal.ts';
import { CacheUnavailableError } from '../../../src/errors.ts';

const SECRET = { kind: 'secret', secretId: 'shop/momento' } as const;
const KEY = { kind: 'key', apiKey: 's3cret' } as const;
const LOCAL = { kind: 'local', host: 'localhost', port: 8080 } as const;

describe('a refusal of Momento', () => {
  it('tells failed answers from others', () => {
    expect([isFailed({ errorCode: () => Code.UNKNOWN_ERROR }), isFailed({ type: 'Hit' })]).toEqual([true, false]);
  });

  it.each(
    Object.values(Code).map((code) => [
      code,
      [
        'LIMIT_EXCEEDED_ERROR',
        'TIMEOUT_ERROR',
        'SERVER_UNAVAILABLE',
        'INTERNAL_SERVER_ERROR',
        'CANCELLED_ERROR',
        'UNKNOWN_SERVICE_ERROR',
        'CONNECTION_ERROR',
        'UNKNOWN_ERROR',
      ].includes(code),
    ]),
  )('knows whether %s is transient: %s', (code, transient) => {
    expect(isTransientCode(code as Code)).toBe(transient);
  });

  it('counts cancelled calls as timeouts', () => {
    expect([Code.CANCELLED_ERROR, Code.TIMEOUT_ERROR, Code.CONNECTION_ERROR].map(isTimeout)).toEqual([true, true, false]);
  });

  it.each([
    [Code.AUTHENTICATION_ERROR, /: the API key of secret shop\/momento is refused: put one there/],
    [Code.PERMISSION_ERROR, /give it the permission to read and write this cache$/],
    [Code.CACHE_NOT_FOUND_ERROR, /there is no cache "shop" at this endpoint: create it, or correct MOMENTO_CACHE_NAME or the endpoint$/],
    [Code.FAILED_PRECONDITION_ERROR, /give CACHE_NAMESPACE a name that nothing else in this cache uses$/],
    [Code.LIMIT_EXCEEDED_ERROR, /a limit of the account is exceeded: ask Momento to raise it/],
    [Code.SERVER_UNAVAILABLE, /the service cannot be reached: check the endpoint/],
    [Code.CONNECTION_ERROR, /the service cannot be reached: check the endpoint/],
    [Code.TIMEOUT_ERROR, /: no answer in time$/],
    [Code.CANCELLED_ERROR, /: no answer in time$/],
    [Code.BAD_REQUEST_ERROR, /: BAD_REQUEST_ERROR$/],
  ])('says what to do about %s', (code, message) => {
    const error = refusal(code, 'shop', SECRET);
    expect(error).toBeInstanceOf(CacheUnavailableError);
    expect(error.message).toMatch(/^Momento cache "shop": /);
    expect(error.message).toMatch(message);
    expect(error.cause).toBeUndefined();
  });

  it('appends the detail', () => {
    expect(refusal(Code.TIMEOUT_ERROR, 'shop', SECRET, ' (tried 2 times)').message).toMatch(/no answer in time \(tried 2 times\)$/);
  });

  it('says where to put a valid API key, without showing the refused one', () => {
    expect(keyRefused(SECRET)).toBe('the API key of secret shop/momento is refused: put one there that is valid for this endpoint');
    expect(keyRefused(KEY)).toBe('the API key is refused: give MOMENTO_API_KEY one that is valid for this endpoint');
    expect(keyRefused(LOCAL)).toBe('the server at localhost:8080 asks for an API key: give MOMENTO_SECRET_ID instead of MOMENTO_LOCAL');
  });
});
