import { describe, expect, it } from 'vitest';
import { keyFaults, parseAccess } from '../../../src/caches/momento/access.ts';

const ENDPOINT = 'cell-1-eu-west-1-1.prod.a.momentohq.com';

function parsed(given: Record<string, string>) {
  const faults: string[] = [];
  return { access: parseAccess(given, faults), faults };
}

describe('the access to Momento', () => {
  it('reads the name of a secret, with or without an endpoint', () => {
    expect(parsed({ MOMENTO_SECRET_ID: ' shop ' })).toEqual({ access: { kind: 'secret', secretId: 'shop' }, faults: [] });
    expect(parsed({ MOMENTO_SECRET_ID: 'shop', MOMENTO_ENDPOINT: `${ENDPOINT}\n` })).toEqual({
      access: { kind: 'secret', secretId: 'shop', endpoint: ENDPOINT },
      faults: [],
    });
  });

  it('reads an API key, with or without an endpoint', () => {
    expect(parsed({ MOMENTO_API_KEY: 'k\n' })).toEqual({ access: { kind: 'key', apiKey: 'k' }, faults: [] });
    expect(parsed({ MOMENTO_API_KEY: 'k', MOMENTO_ENDPOINT: ENDPOINT })).toEqual({
      access: { kind: 'key', apiKey: 'k', endpoint: ENDPOINT },
      faults: [],
    });
  });

  it('reads host and port of a local server', () => {
    expect(parsed({ MOMENTO_LOCAL: ' localhost:8080 ' })).toEqual({ access: { kind: 'local', host: 'localhost', port: 8080 }, faults: [] });
  });

  it.each([
    [{}, /^MOMENTO_SECRET_ID is absent: name the secret/],
    [{ MOMENTO_SECRET_ID: 's', MOMENTO_LOCAL: 'h:1' }, /^MOMENTO_SECRET_ID and MOMENTO_LOCAL are given: leave all but one out$/],
    [{ MOMENTO_LOCAL: 'localhost' }, /^MOMENTO_LOCAL is "localhost": give HOST:PORT$/],
    [{ MOMENTO_SECRET_ID: 's', MOMENTO_ENDPOINT: 'https://h/' }, /^the endpoint of Momento is no host name/],
    [{ MOMENTO_API_KEY: 'k', MOMENTO_ENDPOINT: 'https://h/' }, /^the endpoint of Momento is no host name/],
    [{ MOMENTO_API_KEY: 's3 cret' }, /^MOMENTO_API_KEY holds no API key: it is empty, or has blanks/],
  ])('names what is wrong with %j', (given, fault) => {
    const { faults } = parsed(given);
    expect(faults).toHaveLength(1);
    expect(faults[0]).toMatch(fault);
    expect(faults[0]).not.toContain('s3 cret');
  });

  it('names the origin of an unusable key', () => {
    expect(keyFaults({ apiKey: 'k' }, 'secret shop')).toEqual([]);
    expect(keyFaults({ apiKey: '', endpoint: '/' }, 'secret shop')).toEqual([
      expect.stringMatching(/^secret shop holds no API key/),
      expect.stringMatching(/^the endpoint of Momento/),
    ]);
  });
});
