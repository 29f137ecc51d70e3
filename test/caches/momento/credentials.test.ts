import { inspect } from 'node:util';
import { GetSecretValueCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { mockClient } from 'aws-sdk-client-mock';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import type { CacheClient } from '../../../src/cache.ts';
import type { MomentoAccess, MomentoKey } from '../../../src/caches/momento/access.ts';
import { providerOf } from '../../../src/caches/momento/credentials.ts';
import { type MomentoOptions, momentoCache } from '../../../src/caches/momento.ts';
import { CacheUnavailableError, ConfigurationError } from '../../../src/errors.ts';
import { leaseOn } from '../../../src/testing/contract/case.ts';
import { FLOOR } from '../../../src/version.ts';
import { type MomentoServer, startMomentoServer, unavailable } from '../../servers/momento/server.ts';

const ENDPOINT = 'cell-1-eu-west-1-1.prod.a.momentohq.com';
const SECRET: MomentoAccess = { kind: 'secret', secretId: 'shop/momento', endpoint: ENDPOINT };
/** A version 2 key: its claim `t` is `g`. */
const KEY = `e30.${Buffer.from('{"t":"g","id":"secret-of-the-shop"}').toString('base64url')}.c2lnbmF0dXJl`;
const OTHER_KEY = `${KEY}Mg`;

const secrets = mockClient(SecretsManagerClient);
let server: MomentoServer;
const open: CacheClient[] = [];

beforeAll(async () => {
  server = await startMomentoServer({ caches: ['millrace'] });
});
afterAll(() => server.stop());
/** Called by any log of the SDK, which would log its errors by default. */
const logged = vi.fn();

beforeEach(() => {
  for (const method of ['log', 'info', 'warn', 'error', 'debug'] as const) vi.spyOn(console, method).mockImplementation(logged);
  secrets.reset();
  server.accept([KEY]);
});
afterEach(async () => {
  server.onCall(undefined);
  await Promise.all(open.splice(0).map((cache) => cache.close()));
  vi.restoreAllMocks();
  expect(logged).not.toHaveBeenCalled();
});

/** Sends the key to the test server, which has no TLS. */
const provider = (key: MomentoKey) => Object.assign(server.provider(), { getAuthToken: () => providerOf(key).getAuthToken() });

async function client(access: MomentoAccess, options: Partial<MomentoOptions> = {}): Promise<CacheClient> {
  const cache = await momentoCache({ cacheName: 'millrace', access, provider, ...options });
  open.push(cache);
  return cache;
}

async function startFault(access: MomentoAccess, options: Partial<MomentoOptions> = {}): Promise<string> {
  const error = await client(access, options).catch((error: unknown) => error);
  expect(error).toBeInstanceOf(ConfigurationError);
  expectNoKey(error);
  return (error as Error).message;
}

/** Fails if the error, or anything reachable from it, contains the key. */
function expectNoKey(error: unknown): void {
  expect(inspect(error, { depth: 9, showHidden: true })).not.toMatch(/e30|secret-of|c2ln|"t"/);
  expect((error as Error).cause).toBeUndefined();
}

const holding = (SecretString: string | undefined) => secrets.on(GetSecretValueCommand).resolves({ SecretString });

describe('the API key', () => {
  it.each([
    ['alone', KEY],
    ['with the newline of an editor', `${KEY}\n`],
    ['as JSON', JSON.stringify({ apiKey: KEY, endpoint: ENDPOINT })],
    ['as JSON with blanks', ` {"apiKey": "${KEY} ", "note": 1}\r\n`],
  ])('reads the API key from a secret that contains it %s', async (_, text) => {
    holding(text);
    const cache = await client(SECRET);
    expect(await cache.get('a')).toEqual({ type: 'miss' });
    await cache.get('b');
    const calls = secrets.commandCalls(GetSecretValueCommand);
    expect(calls.map(({ args }) => args[0].input)).toEqual([{ SecretId: 'shop/momento' }]);
  });

  it('uses an API key that is given directly', async () => {
    const cache = await client({ kind: 'key', apiKey: `${KEY}\n`, endpoint: ENDPOINT });
    expect(await cache.get('a')).toEqual({ type: 'miss' });
    expect(secrets.calls()).toHaveLength(0);
  });

  it('takes the endpoint from the options, or from a version 1 key', () => {
    expect(providerOf({ apiKey: KEY, endpoint: ENDPOINT }).getCacheEndpoint()).toBe(`cache.${ENDPOINT}`);
    const old = Buffer.from(JSON.stringify({ api_key: 'older', endpoint: 'older.example' })).toString('base64');
    expect(providerOf({ apiKey: old }).getCacheEndpoint()).toBe('cache.older.example');
    expect(providerOf({ apiKey: old }).getAuthToken()).toBe('older');
  });
});

describe('at the start', () => {
  it.each<[string, string | undefined, RegExp]>([
    ['has a blank within', `${KEY} ${KEY}`, /secret shop\/momento holds no API key: it is empty, or has blanks/],
    ['is empty', ' \n', /holds no API key/],
    ['is beyond ASCII', `${KEY}é`, /holds no API key/],
    ['is broken JSON', `{"apiKey": ${KEY}}`, /begins like JSON but is not valid JSON: store the key alone, or/],
    ['is JSON of something else', `{"key": "${KEY}"}`, /has no "apiKey"/],
    ['has an endpoint that is a URL', JSON.stringify({ apiKey: KEY, endpoint: `https://${ENDPOINT}/` }), /endpoint of Momento is no host/],
    ['is binary', undefined, /is binary: store the Momento API key as text/],
    ['is no API key at all', 'e30.e30.c2lnbmF0dXJl', /the SDK rejects .* no version 2 key: copy the whole key/],
    ['is not even like one', 'hunter2', /the SDK rejects/],
  ])('throws a ConfigurationError that says what to do when the secret %s', async (_, text, message) => {
    holding(text);
    expect(await startFault(SECRET)).toMatch(message);
  });

  it('throws a ConfigurationError when no endpoint is given with a version 2 key', async () => {
    holding(KEY);
    expect(await startFault({ kind: 'secret', secretId: 's' })).toMatch(/does not contain its endpoint: set MOMENTO_ENDPOINT/);
  });

  it('throws a ConfigurationError when the secret cannot be read', async () => {
    secrets.on(GetSecretValueCommand).rejects(Object.assign(new Error('not for you'), { name: 'AccessDeniedException' }));
    expect(await startFault(SECRET)).toMatch(/shop\/momento.*AccessDeniedException: not for you.*secretsmanager:GetSecretValue is allowed/);
  });

  it('throws a ConfigurationError when Momento refuses the key', async () => {
    holding(OTHER_KEY);
    expect(await startFault(SECRET)).toMatch(/the API key of secret shop\/momento is refused: put one there/);
    expect(await startFault({ kind: 'key', apiKey: OTHER_KEY, endpoint: ENDPOINT })).toMatch(/is refused: give MOMENTO_API_KEY one/);
    const local = { kind: 'local', host: server.host, port: server.port } as const;
    expect(await startFault(local)).toMatch(/the server at .* asks for an API key/);
  });

  it('throws a ConfigurationError when the cache does not exist', async () => {
    holding(KEY);
    expect(await startFault(SECRET, { cacheName: 'none' })).toMatch(/there is no cache "none" at this endpoint: create it, or correct/);
  });

  it('starts when Momento does not answer, because it may answer later', async () => {
    holding(KEY);
    server.onCall(() => unavailable());
    const cache = await client(SECRET);
    server.onCall(undefined);
    expect(await cache.apply([{ kind: 'document', type: 'delete', key: 'late', version: FLOOR }])).toEqual([{ type: 'applied' }]);
    expect(await cache.get('late')).toMatchObject({ type: 'gone' });
  });
});

describe('a key that is replaced in its secret', () => {
  it('reads a replaced key once for all calls that were refused', async () => {
    holding(KEY);
    const cache = await client(SECRET);
    holding(OTHER_KEY);
    server.accept([OTHER_KEY]);
    const keys = ['a', 'b', 'c', 'd', 'e'];
    expect(await Promise.all(keys.map((key) => cache.get(key)))).toEqual(keys.map(() => ({ type: 'miss' })));
    expect(await cache.getMany(keys)).toHaveLength(5);
    expect(secrets.commandCalls(GetSecretValueCommand)).toHaveLength(2);
  });

  it('reads a key again that is replaced during the start', async () => {
    server.accept([OTHER_KEY]);
    secrets.on(GetSecretValueCommand).resolvesOnce({ SecretString: KEY }).resolves({ SecretString: OTHER_KEY });
    const cache = await client(SECRET);
    expect(await cache.get('a')).toEqual({ type: 'miss' });
  });

  it('throws when the replaced key is refused too, and does not read the secret at each call', async () => {
    holding(KEY);
    const cache = await client(SECRET);
    for (const next of [KEY, OTHER_KEY]) {
      holding(next);
      server.accept(['another']);
      for (const call of [() => cache.get('a'), () => leaseOn(cache, { kind: 'document', key: 'a' }), () => cache.get('a')]) {
        const error = await call().catch((error: unknown) => error);
        expect(error).toBeInstanceOf(CacheUnavailableError);
        expect((error as Error).message).toMatch(/the API key of secret shop\/momento is refused: put one there that is valid/);
        expectNoKey(error);
      }
    }
    expect(secrets.commandCalls(GetSecretValueCommand)).toHaveLength(2);
  });

  it('throws with the reason when the secret cannot be read again', async () => {
    holding(KEY);
    const cache = await client(SECRET);
    server.accept(['another']);
    secrets.on(GetSecretValueCommand).rejects(Object.assign(new Error('wait'), { name: 'ThrottlingException' }));
    const error = await cache.get('a').catch((error: unknown) => error);
    expect(error).toBeInstanceOf(CacheUnavailableError);
    expect((error as Error).message).toMatch(/is refused.*ThrottlingException: wait/);
    expectNoKey(error);
  });
});
