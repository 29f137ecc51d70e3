import { describe, expect, it } from 'vitest';
import { parseCacheUrl } from '../../../src/caches/valkey/url.ts';
import { ConfigurationError } from '../../../src/errors.ts';

const plain = { host: 'h', port: 6379, tls: false, username: '', password: '', db: 0 };

describe('parseCacheUrl', () => {
  it.each([
    ['valkey://h', plain],
    ['redis://h/', plain],
    ['valkeys://h:7000', { ...plain, port: 7_000, tls: true }],
    ['rediss://h', { ...plain, tls: true }],
    ['valkey://h/3', { ...plain, db: 3 }],
    ['valkey://[::1]:6380', { ...plain, host: '::1', port: 6_380 }],
    ['valkeys://ann:p%40ss%2Fword@h', { ...plain, tls: true, username: 'ann', password: 'p@ss/word' }],
    ['valkey://:secret@h', { ...plain, password: 'secret' }],
  ])('reads %s', (url, address) => {
    expect(parseCacheUrl(url)).toEqual(address);
  });

  it.each([
    ['s3cret', false, /^CACHE_URL is not a URL: give valkey:\/\/HOST:PORT, or valkeys:/],
    ['http://:s3cret@h', false, /^CACHE_URL has another scheme, or no host: give valkey:/],
    ['valkey:', false, /^CACHE_URL has another scheme, or no host: give valkey:/],
    ['valkey://:s3cret@h/first', false, /path that is no database number/],
    ['valkey://:s3cret@h/1/2', false, /path that is no database number/],
    ['valkey://:s3cret%@h', false, /"%" that escapes nothing: write it as %25$/],
    ['valkey://:s3cret@h/1', true, /a cluster has database 0 only$/],
  ])('throws a ConfigurationError without the URL for %s, cluster: %s', (url, cluster, message) => {
    const parse = () => parseCacheUrl(url, cluster);
    expect(parse).toThrow(ConfigurationError);
    expect(parse).toThrow(message);
    expect(parse).not.toThrow(/s3cret/);
  });

  it('accepts database 0 of a cluster', () => {
    expect(parseCacheUrl('valkey://h/0', true)).toEqual(plain);
  });
});
