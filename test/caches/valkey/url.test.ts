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
    ['valkey://ann:a:b=c&d%23%3F%25+~!$*()[]{}^|\\";\'é@cache-1.example.com:6379/0', ...cachePassword()],
    [' valkey://h\n', plain],
    ['VALKEYS://h', { ...plain, tls: true }],
  ])('reads %s', (url, address) => {
    expect(parseCacheUrl(url)).toEqual(address);
  });

  it.each([
    ['s3cret', false, /^CACHE_URL is not a URL: give valkey:\/\/HOST:PORT, or valkeys:/],
    ['http://:s3cret@h', false, /^CACHE_URL has another scheme, no host, or no valid port: give valkey:/],
    ['valkey:', false, /^CACHE_URL has another scheme, no host, or no valid port: give valkey:/],
    ['redis:s3cret', false, /^CACHE_URL has another scheme, no host, or no valid port: give valkey:/],
    ['valkey://:s3cret@', false, /another scheme, no host, or no valid port/],
    ['valkey://:s3cret@h:port', false, /another scheme, no host, or no valid port/],
    ['valkey://:s3cret@h:0', false, /another scheme, no host, or no valid port/],
    ['valkey://:s3cret@h:65536', false, /another scheme, no host, or no valid port/],
    ['valkey://:s3cret@h1:6379,h2:6379', false, /another scheme, no host, or no valid port/],
    ['valkey://:s3cret@[h]', false, /another scheme, no host, or no valid port/],
    ['valkey://:s3cret@h/first', false, /path that is no database number/],
    ['valkey://:s3cret@h/1/2', false, /path that is no database number/],
    ['valkey://:s3cret@h/99999999999999999999', false, /path that is no database number/],
    ['valkey://:s3cret%@h', false, /"%" that escapes nothing: write it as %25$/],
    ['valkey://:s3cret@h/1', true, /a cluster has database 0 only$/],
    ['valkey://:s3cret s3cret@h', false, /a blank or a line break: escape it/],
    ['valkey://:s3cret\ns3cret@h', false, /a blank or a line break: escape it/],
  ])('throws a ConfigurationError without the URL for %s, cluster: %s', (url, cluster, message) => {
    const parse = () => parseCacheUrl(url, cluster);
    expect(parse).toThrow(ConfigurationError);
    expect(parse).toThrow(message);
    expect(parse).not.toThrow(/s3cret/);
  });

  it.each(['#', '/', '?', '@'])('asks to escape a "%s" in a user or a password', (stray) => {
    for (const url of [
      `valkey://:s3cret${stray}s3cret@h:6379`,
      `valkeys://ann:12${stray}s3cret@h/3`,
      `redis://s3cret${stray}:s3cret@h`,
      `rediss://:${stray}s3cret@[::1]:6380`,
    ]) {
      const parse = () => parseCacheUrl(url);
      expect(parse).toThrow(ConfigurationError);
      expect(parse).toThrow(`CACHE_URL has a "${stray}" where none belongs: escape it in the user or the password (%23 for #, %2F for /,`);
      expect(parse).not.toThrow(/s3cret/);
    }
  });

  it.each(['valkey://h#s3cret', 'valkey://h/0#s3cret', 'valkey://h?s3cret', 'valkey://h/?'])('refuses %s', (url) => {
    expect(() => parseCacheUrl(url)).toThrow(/has a "[#?]" where none belongs/);
    expect(() => parseCacheUrl(url)).not.toThrow(/s3cret/);
  });

  it.each([
    ['valkey://h?password=s3cret&tls=true&db=3', '"password", "tls", "db"', ['before the host', 'valkeys://', 'valkey://HOST:PORT/3']],
    ['redis://h:6379/0?ssl=true', '"ssl"', ['valkeys://']],
    ['redis://h?user=ann&auth=s3cret#x', '"user", "auth"', ['before the host']],
    ['valkey://ann:s3cret@h/1?protocol=3', '"protocol"', ['leave them out']],
    ['valkey://h?password=s3@cret', '"password"', ['before the host']],
    ['valkey://h?connectTimeout=5&cluster=true', '"connectTimeout", "cluster"', ['CACHE_CLUSTER=true', 'CACHE_CONNECT_TIMEOUT_MS']],
    ['valkey://h?TLS=1', '"TLS"', ['valkeys://']],
  ])('names the parameters of %s, and says where their values belong', (url, names, places) => {
    const parse = () => parseCacheUrl(url);
    expect(parse).toThrow(ConfigurationError);
    expect(parse).toThrow(new RegExp(`^CACHE_URL has the parameters? ${names}, which nothing reads: leave them out`));
    for (const place of places) expect(parse).toThrow(place);
    expect(parse).not.toThrow(/s3cret|s3@cret/);
  });

  it('accepts database 0 of a cluster', () => {
    expect(parseCacheUrl('valkey://h/0', true)).toEqual(plain);
  });
});

/** A password with characters that need no escape, and some that have one. */
function cachePassword() {
  return [{ ...plain, host: 'cache-1.example.com', username: 'ann', password: 'a:b=c&d#?%+~!$*()[]{}^|\\";\'é' }] as const;
}
