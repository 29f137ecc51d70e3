import { describe, expect, it } from 'vitest';
import { parseConfig } from '../../src/config/worker.ts';
import { ConfigurationError } from '../../src/errors.ts';

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
  throw new Error('no fault was found');
}

const momento = { CACHE_BACKEND: 'momento', MOMENTO_CACHE_NAME: 'shop', MOMENTO_SECRET_ID: 'shop/momento' };
const valkey = { CACHE_BACKEND: 'valkey', CACHE_URL: 'valkey://localhost:6379' };

describe('parseConfig, with an environment without faults,', () => {
  it('chooses the memory cache by default', () => {
    expect(parseConfig({})).toEqual({
      backend: 'memory',
      namespace: 'millrace',
      entryTtlMs: 0,
      tombstoneTtlMs: 90_000_000,
      deadlineMs: 5_000,
      poisonRunLimit: 10,
      retentionWarningMs: 21_600_000,
      metrics: false,
    });
  });

  it('needs only a URL for Valkey', () => {
    expect(parseConfig(valkey)).toMatchObject({ cluster: false, connectTimeoutMs: 1_000, commandTimeoutMs: 2_000, deadlineMs: 5_000 });
    expect(parseConfig({ ...valkey, CACHE_CLUSTER: 'false' })).toEqual(parseConfig(valkey));
  });

  it('lets lives begin at once in sam local', () => {
    expect(parseConfig({ ...valkey, AWS_SAM_LOCAL: 'true' })).toEqual({ ...parseConfig(valkey), lifeWaitMs: 0 });
    expect(parseConfig(valkey)).not.toHaveProperty('lifeWaitMs');
  });

  it('converts seconds to milliseconds', () => {
    const env = { ...valkey, CACHE_ENTRY_TTL_SECONDS: '3600', CACHE_TOMBSTONE_TTL_SECONDS: '86400' };
    expect(parseConfig(env)).toMatchObject({ entryTtlMs: 3_600_000, tombstoneTtlMs: 86_400_000 });
  });

  it('reads every variable of Valkey', () => {
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
      poisonRunLimit: 10,
      retentionWarningMs: 21_600_000,
      metrics: false,
    });
  });

  it.each(['valkey://h', 'valkeys://u:p@h:6380', 'redis://h', 'rediss://:p@h:1', 'redis://[::1]:6379'])(
    'takes %s as a URL',
    (CACHE_URL) => {
      expect(parseConfig({ ...valkey, CACHE_URL })).toMatchObject({ url: CACHE_URL });
    },
  );

  it('reads the IAM identity of the login to ElastiCache', () => {
    const env = {
      CACHE_BACKEND: 'valkey',
      CACHE_URL: 'valkeys://h:6379',
      CACHE_IAM_USER: 'millrace',
      CACHE_IAM_CACHE_NAME: 'shop',
      AWS_REGION: 'eu-west-1',
    };
    const iam = { user: 'millrace', cacheName: 'shop', serverless: true, region: 'eu-west-1' };
    expect(parseConfig(env)).toMatchObject({ iam });
    expect(parseConfig({ ...env, CACHE_IAM_SERVERLESS: 'false' })).toMatchObject({ iam: { ...iam, serverless: false } });
    expect(parseConfig({ ...env, CACHE_IAM_USER: '', CACHE_IAM_CACHE_NAME: '' })).not.toHaveProperty('iam');
  });

  it('reads every variable of Momento', () => {
    expect(parseConfig(momento)).toMatchObject({
      backend: 'momento',
      cacheName: 'shop',
      access: { kind: 'secret', secretId: 'shop/momento' },
      namespace: 'millrace',
      commandTimeoutMs: 2_000,
      deadlineMs: 5_000,
      entryTtlMs: 0,
      tombstoneTtlMs: 86_400_000,
      maxTtlMs: 86_400_000,
    });
    const { MOMENTO_SECRET_ID: _, ...keyless } = momento;
    const endpoint = 'cell-1-eu-west-1-1.prod.a.momentohq.com';
    for (const [env, access] of [
      [
        { ...momento, MOMENTO_ENDPOINT: endpoint },
        { kind: 'secret', secretId: 'shop/momento', endpoint },
      ],
      [
        { ...keyless, MOMENTO_API_KEY: 'k1\n', MOMENTO_ENDPOINT: endpoint },
        { kind: 'key', apiKey: 'k1', endpoint },
      ],
      [
        { ...keyless, MOMENTO_API_KEY: 'k1' },
        { kind: 'key', apiKey: 'k1' },
      ],
      [
        { ...keyless, MOMENTO_LOCAL: '127.0.0.1:8080' },
        { kind: 'local', host: '127.0.0.1', port: 8_080 },
      ],
    ] as const) {
      expect(parseConfig(env)).toMatchObject({ access });
      expect(parseConfig({ ...env, CACHE_COMMAND_TIMEOUT_MS: '100', CACHE_DEADLINE_MS: '300' })).toMatchObject({
        commandTimeoutMs: 100,
        deadlineMs: 300,
      });
    }
  });

  it('allows longer lives of entries in a Momento cache that is provisioned for them', () => {
    const env = { ...momento, MOMENTO_MAX_TTL_SECONDS: '604800', CACHE_ENTRY_TTL_SECONDS: '604800' };
    expect(parseConfig(env)).toMatchObject({ maxTtlMs: 604_800_000, entryTtlMs: 604_800_000, tombstoneTtlMs: 90_000_000 });
    expect(parseConfig({ ...env, CACHE_TOMBSTONE_TTL_SECONDS: '200000' })).toMatchObject({ tombstoneTtlMs: 200_000_000 });
  });

  it.each([
    ['s3://letters', { kind: 's3', bucket: 'letters', prefix: '' }],
    ['s3://letters/', { kind: 's3', bucket: 'letters', prefix: '' }],
    ['s3://my.letters-2/of/the/cache', { kind: 's3', bucket: 'my.letters-2', prefix: 'of/the/cache/' }],
    ['s3://letters/cache//', { kind: 's3', bucket: 'letters', prefix: 'cache/' }],
    ['letters', { kind: 'folder', path: 'letters' }],
    ['../of the/letters', { kind: 'folder', path: '../of the/letters' }],
    ['/var/letters', { kind: 'folder', path: '/var/letters' }],
    ['C:/letters', { kind: 'folder', path: 'C:/letters' }],
    ['file:///var/dead%20letters', { kind: 'folder', path: '/var/dead letters' }],
  ])('takes %s as the place of dead letters', (DEAD_LETTERS, place) => {
    expect(parseConfig({ DEAD_LETTERS }).letters).toEqual(place);
  });

  it('reads the owner of the bucket of dead letters', () => {
    const env = { DEAD_LETTERS: 's3://letters', DEAD_LETTERS_BUCKET_OWNER: '123456789012' };
    expect(parseConfig(env).letters).toEqual({ kind: 's3', bucket: 'letters', prefix: '', owner: '123456789012' });
    expect(parseConfig({ DEAD_LETTERS_BUCKET_OWNER: '123456789012' }).letters).toBeUndefined();
  });

  it('reads the poison-run limit, the retention warning and whether to write metrics', () => {
    const env = { POISON_RUN_LIMIT: '0', RETENTION_WARNING_SECONDS: '600', METRICS: 'true' };
    expect(parseConfig(env)).toMatchObject({ poisonRunLimit: 0, retentionWarningMs: 600_000, metrics: true });
  });

  it('takes an empty variable for an absent one, because a template cannot leave a variable out', () => {
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

  it('ignores variables that it does not know', () => {
    expect(parseConfig({ PATH: '/usr/bin', AWS_REGION: 'eu-west-1', CACHE_UNKNOWN: '1' })).toEqual(parseConfig({}));
  });
});

describe('parseConfig, with a faulty environment,', () => {
  it('lists every fault of the worker, each with the allowed values', () => {
    const faults = faultsOf({
      CACHE_BACKEND: 'redsi',
      CACHE_CLUSTER: 'yes',
      CACHE_NAMESPACE: 'a b',
      CACHE_ENTRY_TTL_SECONDS: '-1',
      CACHE_TOMBSTONE_TTL_SECONDS: '60',
      CACHE_CONNECT_TIMEOUT_MS: 'soon',
      CACHE_COMMAND_TIMEOUT_MS: '1.5',
      CACHE_DEADLINE_MS: '900001',
      DEAD_LETTERS: 'https://letters.example',
      DEAD_LETTERS_BUCKET_OWNER: '1234-5678',
      POISON_RUN_LIMIT: '-1',
      RETENTION_WARNING_SECONDS: '86401',
      METRICS: 'yes',
    });
    expect(faults).toEqual([
      'CACHE_BACKEND is "redsi": use memory or valkey or momento',
      'CACHE_CLUSTER is "yes": use true or false',
      'CACHE_NAMESPACE is "a b": use letters, digits, "-" and "_"',
      'CACHE_ENTRY_TTL_SECONDS is "-1": give 0 or more',
      'CACHE_TOMBSTONE_TTL_SECONDS is "60": give 86400 or more',
      'CACHE_CONNECT_TIMEOUT_MS is "soon": give a whole number',
      'CACHE_COMMAND_TIMEOUT_MS is "1.5": give a whole number',
      'CACHE_DEADLINE_MS is "900001": give 900000 or less',
      'DEAD_LETTERS_BUCKET_OWNER is "1234-5678": give the 12 digits of an AWS account',
      'POISON_RUN_LIMIT is "-1": give 0 or more',
      'RETENTION_WARNING_SECONDS is "86401": give 86400 or less',
      'METRICS is "yes": use true or false',
      'DEAD_LETTERS is "https://letters.example": give s3://BUCKET, s3://BUCKET/PREFIX, or a folder, as a path or a file: URL',
    ]);
  });

  it.each([
    's3://',
    's3:///prefix',
    's3://UPPER',
    's3://a',
    's3:bucket',
    'sqs://queue',
    'file://elsewhere/letters',
    'arn:aws:s3:::letters',
  ])('refuses %s as the place of dead letters', (DEAD_LETTERS) => {
    expect(faultsOf({ DEAD_LETTERS })).toEqual([expect.stringMatching(/^DEAD_LETTERS is ".+".*: give s3:\/\/BUCKET, .* or a folder/)]);
  });

  it('lists a fault of the URL together with the others', () => {
    const faults = faultsOf({ CACHE_BACKEND: 'valkey', CACHE_CLUSTER: 'yes' });
    expect(faults).toHaveLength(2);
    expect(faults.join()).toMatch(/CACHE_CLUSTER.*CACHE_URL is absent/);
  });

  it('refuses an incomplete IAM identity, and one together with a password', () => {
    const together = 'a login by IAM needs CACHE_IAM_USER, CACHE_IAM_CACHE_NAME, AWS_REGION';
    expect(faultsOf({ ...valkey, CACHE_IAM_USER: 'millrace' })).toEqual([
      'CACHE_URL is without TLS, which CACHE_IAM_USER needs: give valkeys://HOST:PORT',
      `CACHE_IAM_CACHE_NAME is absent: ${together}`,
      `AWS_REGION is absent: ${together}`,
    ]);
    const named = { CACHE_IAM_CACHE_NAME: 'shop', AWS_REGION: 'eu-west-1' };
    expect(faultsOf({ ...valkey, ...named })).toEqual([`CACHE_IAM_USER is absent: ${together}`]);
    const both = { ...named, CACHE_IAM_USER: 'millrace', CACHE_URL: 'valkeys://:s3cret@h' };
    expect(faultsOf({ ...valkey, ...both })).toEqual(['CACHE_URL has a user or a password beside CACHE_IAM_USER: leave them out']);
    expect(faultsOf({ ...valkey, ...both, CACHE_IAM_SERVERLESS: 'no' })).toContain('CACHE_IAM_SERVERLESS is "no": use true or false');
  });

  it('lists the faults of Momento together with the others', () => {
    expect(faultsOf({ CACHE_BACKEND: 'momento', CACHE_CLUSTER: 'yes', MOMENTO_MAX_TTL_SECONDS: '3600' })).toEqual([
      'CACHE_CLUSTER is "yes": use true or false',
      'MOMENTO_MAX_TTL_SECONDS is "3600": give 86400 or more',
      'MOMENTO_SECRET_ID is absent: name the secret with the API key, or give MOMENTO_API_KEY, or MOMENTO_LOCAL=HOST:PORT',
      'MOMENTO_CACHE_NAME is absent, and CACHE_BACKEND is "momento": give the name of a cache that exists',
    ]);
    expect(faultsOf({ ...momento, MOMENTO_API_KEY: 'k', MOMENTO_LOCAL: 'h:1' })).toEqual([
      'MOMENTO_SECRET_ID and MOMENTO_API_KEY and MOMENTO_LOCAL are given: leave all but one out',
    ]);
    expect(faultsOf({ ...momento, MOMENTO_ENDPOINT: 'https://momento.example/' })).toEqual([
      expect.stringMatching(/^the endpoint of Momento is no host name: give it as cell-/),
    ]);
    const { MOMENTO_SECRET_ID: _, ...keyless } = momento;
    expect(faultsOf({ ...keyless, MOMENTO_LOCAL: 'localhost' })).toEqual(['MOMENTO_LOCAL is "localhost": give HOST:PORT']);
  });

  it('refuses lives of entries that the Momento cache does not allow', () => {
    const env = { ...momento, CACHE_ENTRY_TTL_SECONDS: '86401', CACHE_TOMBSTONE_TTL_SECONDS: '90000' };
    const wayOut =
      'longer than the cache keeps an entry: give 86400 or less, or raise MOMENTO_MAX_TTL_SECONDS if your cache is provisioned for it';
    expect(faultsOf(env)).toEqual([`CACHE_ENTRY_TTL_SECONDS is "86401", ${wayOut}`, `CACHE_TOMBSTONE_TTL_SECONDS is "90000", ${wayOut}`]);
  });

  it('never shows the API key of Momento', () => {
    const { MOMENTO_SECRET_ID: _, ...keyless } = momento;
    const faults = faultsOf({ ...keyless, MOMENTO_API_KEY: 's3cret s3cret', MOMENTO_ENDPOINT: 's3cret/', CACHE_CLUSTER: 'yes' });
    expect(faults).toHaveLength(3);
    expect(faults.join()).toMatch(/MOMENTO_API_KEY holds no API key: it is empty, or has blanks/);
    expect(faults.join()).not.toContain('s3cret');
  });

  it('refuses a command timeout above the deadline', () => {
    const faults = faultsOf({ ...valkey, CACHE_COMMAND_TIMEOUT_MS: '3000', CACHE_DEADLINE_MS: '2000' });
    expect(faults).toEqual(['CACHE_COMMAND_TIMEOUT_MS is 3000: it must not exceed CACHE_DEADLINE_MS, which is 2000']);
  });

  it.each(['http://u:s3cret@h:1', 'u:s3cret@h', 's3cret', 'valkey://u:s3cret@h:port', 'redis:s3cret', 'default:s3cret@h:6379'])(
    'never shows the password of the faulty URL %s',
    (CACHE_URL) => {
      const faults = faultsOf({ ...valkey, CACHE_URL, CACHE_CLUSTER: 'yes' });
      expect(faults).toHaveLength(2);
      expect(faults.join()).toMatch(/CACHE_URL .*give valkey:\/\/HOST:PORT/);
      expect(faults.join()).not.toContain('s3cret');
    },
  );

  const secrets = [
    'redis://:s3cret@h:6379',
    'rediss://ann:s3cret@h/0?tls=true',
    'valkey://s3cret',
    'https://ann:s3cret@letters.example/x',
    'https://hooks.example/services/s3cret',
    'https://bucket.example/?X-Amz-Signature=s3cret',
    'ann:s3cret@h:6379',
    'redis:s3cret',
    's3cret',
    'AKIAS3CRETs3cret/K7MDENG+s3cret',
    'eyJhbGciOiJIUzI1NiJ9.s3cret.s3cret',
  ];
  const variables = [
    ...['CACHE_BACKEND', 'CACHE_CLUSTER', 'CACHE_NAMESPACE', 'CACHE_ENTRY_TTL_SECONDS', 'CACHE_TOMBSTONE_TTL_SECONDS', 'CACHE_DEADLINE_MS'],
    ...['CACHE_CONNECT_TIMEOUT_MS', 'CACHE_COMMAND_TIMEOUT_MS', 'CACHE_IAM_SERVERLESS', 'DEAD_LETTERS', 'DEAD_LETTERS_BUCKET_OWNER'],
    ...['POISON_RUN_LIMIT', 'RETENTION_WARNING_SECONDS', 'METRICS', 'MOMENTO_MAX_TTL_SECONDS'],
  ];
  it.each(variables)('never shows a secret in %s', (variable) => {
    for (const secret of secrets) {
      // A name or a path may look like a secret.
      if (variable === 'CACHE_NAMESPACE' && /^\w+$/.test(secret)) continue;
      if (variable === 'DEAD_LETTERS' && !/^[a-z\d]+:/.test(secret)) continue;
      const faults = faultsOf({ [variable]: secret });
      expect(faults.join()).toMatch(new RegExp(`^${variable} is (a URL that|a text that|").*: (use|give) `));
      expect(faults.join()).not.toMatch(/s3cret/);
    }
  });

  it('never shows a secret in the variables of Momento', () => {
    const { MOMENTO_SECRET_ID: _, ...keyless } = momento;
    for (const secret of secrets) {
      for (const env of [
        { ...keyless, MOMENTO_LOCAL: secret },
        { ...momento, MOMENTO_ENDPOINT: `${secret}/` },
        { ...momento, CACHE_ENTRY_TTL_SECONDS: secret },
      ]) {
        expect(faultsOf(env).join()).not.toMatch(/s3cret/);
      }
    }
    for (const secret of secrets.filter((it) => /:\/\/|^eyJ/.test(it))) {
      for (const variable of ['MOMENTO_CACHE_NAME', 'MOMENTO_SECRET_ID']) {
        expect(faultsOf({ ...momento, [variable]: secret })).toEqual([
          `${variable} is a URL or an API key, which is not shown: give a name; a key belongs in MOMENTO_API_KEY`,
        ]);
      }
    }
  });

  it.each([
    ['redsi', '"redsi"'],
    ['Redis Cluster', '"Redis Cluster"'],
    ['*', '"*"'],
    ['10s', '"10s"'],
    ['6379', '"6379"'],
    ['s3://my-bucket/letters', '"s3://my-bucket/letters"'],
    ['https://cache.example/v2?x=1', '"https://cache.example…"'],
    ['https://cache.example', '"https://cache.example"'],
  ])('shows %s', (CACHE_BACKEND, shown) => {
    expect(faultsOf({ CACHE_BACKEND })).toEqual([`CACHE_BACKEND is ${shown}: use memory or valkey or momento`]);
  });
});
