import { describe, expect, it } from 'vitest';
import { parseConfig } from '../src/config.ts';
import { ConfigurationError } from '../src/errors.ts';

type Env = Parameters<typeof parseConfig>[0];

function faultsOf(env: Env): readonly string[] {
  try {
    parseConfig(env);
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigurationError);
    const [title, ...faults] = (error as Error).message.split('\n');
    expect(title).toBe('the environment is wrong:');
    return faults.map((fault) => fault.trim());
  }
  throw new Error('nothing was found wrong');
}

const valkey = { CACHE_BACKEND: 'valkey', CACHE_URL: 'valkey://localhost:6379' };

describe('an environment that is right', () => {
  it('may be empty: memory is the default', () => {
    expect(parseConfig({})).toEqual({
      backend: 'memory',
      namespace: 'millrace',
      entryTtlMs: 0,
      tombstoneTtlMs: 90_000_000,
      deadlineMs: 5_000,
    });
  });

  it('needs no more than a URL for Valkey', () => {
    expect(parseConfig(valkey)).toMatchObject({ cluster: false, connectTimeoutMs: 1_000, commandTimeoutMs: 2_000, deadlineMs: 5_000 });
    expect(parseConfig({ ...valkey, CACHE_CLUSTER: 'false' })).toEqual(parseConfig(valkey));
  });

  it('tells seconds in milliseconds', () => {
    const env = { ...valkey, CACHE_ENTRY_TTL_SECONDS: '3600', CACHE_TOMBSTONE_TTL_SECONDS: '86400' };
    expect(parseConfig(env)).toMatchObject({ entryTtlMs: 3_600_000, tombstoneTtlMs: 86_400_000 });
  });

  it('has all that Valkey needs', () => {
    const env = {
      ...valkey,
      CACHE_CLUSTER: 'true',
      CACHE_NAMESPACE: 'shop-eu_1',
      CACHE_CONNECT_TIMEOUT_MS: '100',
      CACHE_COMMAND_TIMEOUT_MS: '200',
      CACHE_DEADLINE_MS: '300',
    };
    expect(parseConfig(env)).toEqual({
      backend: 'valkey',
      url: 'valkey://localhost:6379',
      cluster: true,
      namespace: 'shop-eu_1',
      connectTimeoutMs: 100,
      commandTimeoutMs: 200,
      deadlineMs: 300,
      entryTtlMs: 0,
      tombstoneTtlMs: 90_000_000,
    });
  });

  it.each(['valkey://h', 'valkeys://u:p@h:6380', 'redis://h', 'rediss://:p@h:1', 'redis://[::1]:6379'])(
    'takes %s as a URL',
    (CACHE_URL) => {
      expect(parseConfig({ ...valkey, CACHE_URL })).toMatchObject({ url: CACHE_URL });
    },
  );

  it('takes an empty variable as an absent one, for a template cannot leave one out', () => {
    const env = {
      CACHE_BACKEND: '',
      CACHE_URL: '',
      CACHE_CLUSTER: ' ',
      CACHE_NAMESPACE: '',
      CACHE_ENTRY_TTL_SECONDS: '',
      CACHE_DEADLINE_MS: undefined,
    };
    expect(parseConfig(env)).toEqual(parseConfig({}));
    expect(faultsOf({ ...valkey, CACHE_URL: '' })).toEqual([
      expect.stringMatching(/^CACHE_URL is absent, and CACHE_BACKEND is "valkey": give valkey:/),
    ]);
  });

  it('may hold what belongs to others', () => {
    expect(parseConfig({ PATH: '/usr/bin', AWS_REGION: 'eu-west-1', CACHE_UNKNOWN: '1' })).toEqual(parseConfig({}));
  });
});

describe('an environment that is wrong', () => {
  it('names every fault at once, each with what is allowed', () => {
    const faults = faultsOf({
      CACHE_BACKEND: 'redsi',
      CACHE_CLUSTER: 'yes',
      CACHE_NAMESPACE: 'a b',
      CACHE_ENTRY_TTL_SECONDS: '-1',
      CACHE_TOMBSTONE_TTL_SECONDS: '60',
      CACHE_CONNECT_TIMEOUT_MS: 'soon',
      CACHE_COMMAND_TIMEOUT_MS: '1.5',
      CACHE_DEADLINE_MS: '900001',
    });
    expect(faults).toEqual([
      'CACHE_BACKEND is "redsi": use memory or valkey',
      'CACHE_CLUSTER is "yes": use true or false',
      'CACHE_NAMESPACE is "a b": use letters, digits, "-" and "_"',
      'CACHE_ENTRY_TTL_SECONDS is "-1": give 0 or more',
      'CACHE_TOMBSTONE_TTL_SECONDS is "60": give 86400 or more',
      'CACHE_CONNECT_TIMEOUT_MS is "soon": give a whole number',
      'CACHE_COMMAND_TIMEOUT_MS is "1.5": give a whole number',
      'CACHE_DEADLINE_MS is "900001": give 900000 or less',
    ]);
  });

  it('names faults of the URL beside the others', () => {
    const faults = faultsOf({ CACHE_BACKEND: 'valkey', CACHE_CLUSTER: 'yes' });
    expect(faults).toHaveLength(2);
    expect(faults.join()).toMatch(/CACHE_CLUSTER.*CACHE_URL is absent/);
  });

  it('has a deadline for one command that is longer than that for all', () => {
    const faults = faultsOf({ ...valkey, CACHE_COMMAND_TIMEOUT_MS: '3000', CACHE_DEADLINE_MS: '2000' });
    expect(faults).toEqual(['CACHE_COMMAND_TIMEOUT_MS is 3000: it must not exceed CACHE_DEADLINE_MS, which is 2000']);
  });

  it.each(['http://u:s3cret@h:1', 'u:s3cret@h', 's3cret', 'valkey://u:s3cret@h:port', 'redis:s3cret', 'default:s3cret@h:6379'])(
    'never shows the password of a URL, however wrong: %s',
    (CACHE_URL) => {
      const faults = faultsOf({ ...valkey, CACHE_URL, CACHE_CLUSTER: 'yes' });
      expect(faults).toHaveLength(2);
      expect(faults.join()).toMatch(/CACHE_URL .*give valkey:\/\/HOST:PORT/);
      expect(faults.join()).not.toContain('s3cret');
    },
  );
});
