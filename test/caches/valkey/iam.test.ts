import { spawnSync } from 'node:child_process';
import { createHash, createHmac } from 'node:crypto';
import { mkdtempSync, readFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import fc from 'fast-check';
import { Redis } from 'iovalkey';
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { CacheClient } from '../../../src/cache.ts';
import { type ElastiCacheIdentity, elastiCacheLogin, elastiCacheTokens } from '../../../src/caches/valkey/iam.ts';
import { expiringLogin, type LoginOptions } from '../../../src/caches/valkey/login.ts';
import { type ValkeyOptions, valkeyCache } from '../../../src/caches/valkey.ts';
import { CacheUnavailableError } from '../../../src/errors.ts';
import { APPLIED, type Mutation } from '../../../src/mutation.ts';
import { versionOf } from '../../../src/version.ts';
import { freePort } from '../../servers/processes.ts';
import { missing } from '../../servers/requires.ts';
import { HOW_TO_GET_VALKEY, missingTls, startCluster, startValkey, type ValkeyServer, valkeyAvailable } from '../../servers/valkey.ts';

interface Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}

const HOUR = 3_600_000;
const identity: ElastiCacheIdentity = { user: 'millrace-1', cacheName: 'shop-cache', serverless: true, region: 'eu-west-1' };
const credentials: Credentials = { accessKeyId: 'AKIDMILLRACE', secretAccessKey: 'secret/of+the+test' };

let sequence = 0;
const put = (key: string): Mutation => {
  sequence += 1;
  return { kind: 'document', type: 'put', key, version: versionOf('2026-11-22T03:01:52.091', String(sequence)), json: '1' };
};

/** AWS Signature Version 4 for a URL, as its documentation describes it: canonical request, string to sign, signing key. */
function tokenByTheBook({ user, cacheName, serverless, region }: ElastiCacheIdentity, by: Credentials, at: number): string {
  const time = new Date(at).toISOString().replace(/[-:]|\.\d+/g, '');
  const scope = [time.slice(0, 8), region, 'elasticache', 'aws4_request'];
  const escaped = (text: string) => encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);
  const query = Object.entries({
    Action: 'connect',
    ...(serverless && { ResourceType: 'ServerlessCache' }),
    User: user,
    'X-Amz-Algorithm': 'AWS4-HMAC-SHA256',
    'X-Amz-Credential': [by.accessKeyId, ...scope].join('/'),
    'X-Amz-Date': time,
    'X-Amz-Expires': '900',
    ...(by.sessionToken !== undefined && { 'X-Amz-Security-Token': by.sessionToken }),
    'X-Amz-SignedHeaders': 'host',
  })
    .map(([name, value]) => `${escaped(name)}=${escaped(value)}`)
    .join('&');
  const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');
  const canonical = ['GET', '/', query, `host:${cacheName}`, '', 'host', sha256('')].join('\n');
  const toSign = ['AWS4-HMAC-SHA256', time, scope.join('/'), sha256(canonical)].join('\n');
  const key = scope.reduce<string | Buffer>((last, part) => createHmac('sha256', last).update(part).digest(), `AWS4${by.secretAccessKey}`);
  return `${cacheName}/?${query}&X-Amz-Signature=${createHmac('sha256', key).update(toSign).digest('hex')}`;
}

/** Host and parameters, sorted: a signed URL may have its parameters in any order. */
function parts(token: string): readonly string[] {
  const [host = '', query = ''] = token.split('/?');
  return [host, ...query.split('&').sort()];
}

describe('a token for ElastiCache', () => {
  const sessionToken = 'FwoGZXIvYXdzEJr//////////wEaDMillrace+/==';
  const signatureOf = (token: string) => /X-Amz-Signature=(\w+)$/.exec(token)?.[1];

  it.each([
    [{ serverless: true }, {}, '0c2d2d4db293029a57636fba2e00aa5c4908bdd14c6770c24e7223994898c041'],
    [{ serverless: false }, {}, '9aa3d92130fbba8da23c809469d2f8bdb28b9e84bc014d6b2f975f84c52e4ee4'],
    [{ serverless: true }, { sessionToken }, '66e8fd889c62e52276c13c4e2090852f4ba8432a6386b78fb09d4c260ce48d64'],
    [{ serverless: false }, { sessionToken }, '452079622a7510df60dd1ee1998bfaab13292a6ac2f56137d556c8825b67074e'],
  ])('signs a token for %j with %j as botocore does', async (kind, session, signature) => {
    const at = Date.UTC(2026, 10, 22, 3, 1, 52);
    const by = { ...credentials, ...session };
    const token = await elastiCacheTokens({ ...identity, ...kind }, { credentials: by, now: () => at })();
    expect(signatureOf(token)).toBe(signature);
    expect(signatureOf(tokenByTheBook({ ...identity, ...kind }, by, at))).toBe(signature);
  });

  it('makes tokens as Signature Version 4 describes, for any names, credentials and times', async () => {
    const name = fc.stringMatching(/^[a-z][a-z0-9-]{0,39}$/);
    const text = fc.string({ minLength: 1, maxLength: 40, unit: fc.constantFrom(...'abzABZ019+/=-_.~ !*()&?#%') });
    const who = fc.record({ user: name, cacheName: name, serverless: fc.boolean(), region: fc.constantFrom('eu-west-1', 'us-gov-east-1') });
    const by = fc.record(
      { accessKeyId: text, secretAccessKey: text, sessionToken: text },
      { requiredKeys: ['accessKeyId', 'secretAccessKey'] },
    );
    await fc.assert(
      fc.asyncProperty(who, by, fc.integer({ min: 0, max: 4e12 }), async (whom, secret, at) => {
        const token = await elastiCacheTokens(whom, { credentials: secret, now: () => at })();
        // A "!" may be written as it is or escaped; it means the same.
        const alike = (list: readonly string[]) => list.map(decodeURIComponent);
        expect(alike(parts(token))).toEqual(alike(parts(tokenByTheBook(whom, secret, at))));
      }),
    );
  });

  it('names the cache in lower case, as ElastiCache keeps it', async () => {
    const now = () => Date.UTC(2026, 10, 22);
    const [upper, lower] = await Promise.all(
      ['Shop-Cache', 'shop-cache'].map((cacheName) => elastiCacheTokens({ ...identity, cacheName }, { credentials, now })()),
    );
    expect(upper).toBe(lower);
  });

  it('makes each token with the credentials of that moment', async () => {
    let turns = 0;
    const rotating = async () => {
      turns += 1;
      return { ...credentials, accessKeyId: `AKID${turns}` };
    };
    const token = elastiCacheTokens(identity, { credentials: rotating });
    expect(await token()).toContain('X-Amz-Credential=AKID1%2F');
    expect(await token()).toContain('X-Amz-Credential=AKID2%2F');
  });
});

describe.skipIf(missing(valkeyAvailable(), HOW_TO_GET_VALKEY))('logging in with passwords that expire', () => {
  const closing: (() => unknown)[] = [];
  afterEach(async () => {
    for (const close of closing.splice(0).reverse()) await close();
  });

  /** Lets only the user "app" use the servers, with the newest accepted password. All earlier ones have expired. */
  async function guard(servers: readonly ValkeyServer[]) {
    const admins = await Promise.all(
      servers.map(async (server) => {
        // This connection stays logged in as the default user, which no other connection can use.
        const admin = new Redis(server.url);
        await admin.acl('SETUSER', 'default', 'off');
        return admin;
      }),
    );
    for (const admin of admins) closing.push(() => admin.disconnect());
    const all = async (...[command, ...args]: [string, ...string[]]) =>
      (await Promise.all(admins.map((admin) => admin.call(command, ...args)))).map(String);
    const count = async (pattern: RegExp) =>
      (await all('INFO', 'commandstats')).reduce((sum, stats) => sum + Number(pattern.exec(stats)?.[1] ?? 0), 0);
    return {
      accept: (password: string) => all('ACL', 'SETUSER', 'app', 'reset', 'on', '~*', '&*', '+@all', `>${password}`),
      refuseAll: () => all('ACL', 'SETUSER', 'app', 'resetpass'),
      cut: () => all('CLIENT', 'KILL', 'USER', 'app'),
      logins: () => count(/cmdstat_auth:calls=(\d+)/),
      refusals: () => count(/cmdstat_auth:.*failed_calls=(\d+)/),
      ids: async () => (await all('CLIENT', 'LIST')).flatMap((list) => [...list.matchAll(/^id=(\d+) .* user=app /gm)].map(([, id]) => id)),
      forget: () => all('CONFIG', 'RESETSTAT'),
    };
  }

  async function guarded() {
    const server = await startValkey();
    closing.push(() => server.close());
    return { server, gate: await guard([server]) };
  }

  const open = (options: ValkeyOptions): CacheClient => {
    const cache = valkeyCache({ deadlineMs: 2_000, ...options });
    closing.push(() => cache.close());
    return cache;
  };

  /** Makes passwords of which only the newest works. */
  function passwords(gate: { accept(password: string): Promise<unknown> }) {
    const made: string[] = [];
    const password = async () => {
      const fresh = `s3cret-${made.length}-${Math.random()}`;
      made.push(fresh);
      await gate.accept(fresh);
      return fresh;
    };
    return { made, password };
  }

  const login = (options: Partial<LoginOptions> & Pick<LoginOptions, 'password'>) =>
    expiringLogin({ username: 'app', renewAfterMs: HOUR, ...options });

  it('logs in each connection with its own password, so that it reconnects when the first has expired', async () => {
    const { server, gate } = await guarded();
    const { made, password } = passwords(gate);
    const cache = open({ url: server.url, login: login({ password }) });
    expect(await cache.apply([put('a')])).toEqual([APPLIED]);
    await gate.refuseAll();
    for (let lost = 1; lost <= 3; lost += 1) {
      await gate.cut();
      expect(await cache.apply([put('a')])).toEqual([APPLIED]);
      expect(made).toHaveLength(1 + lost);
    }
    expect(await gate.refusals()).toBe(0);
  });

  it('renews the login of an open connection when that is due, and not before', async () => {
    const { server, gate } = await guarded();
    const { made, password } = passwords(gate);
    let clock = 0;
    const cache = open({ url: server.url, login: login({ password, now: () => clock }) });
    await cache.apply([put('a')]);
    const before = await gate.ids();
    await gate.forget();
    for (const [hours, logins] of [
      [0.99, 0],
      [1, 1],
      [1.99, 1],
      [2, 2],
      [11, 3],
    ] as const) {
      clock = hours * HOUR;
      await cache.get('a');
      await expect.poll(gate.logins).toBe(logins);
    }
    expect(made).toHaveLength(4);
    expect(await gate.refusals()).toBe(0);
    expect(await gate.ids()).toEqual(before);
  });

  it('keeps working when a renewal fails, and tries again one minute later', async () => {
    const { server, gate } = await guarded();
    let [clock, mode] = [0, 'good'];
    const password = async () => {
      if (mode === 'none') throw new Error('no credentials');
      if (mode === 'good') await gate.accept('good');
      return mode;
    };
    const cache = open({ url: server.url, login: login({ password, now: () => clock }) });
    await cache.apply([put('a')]);
    await gate.forget();
    for (const [next, logins, refusals] of [
      ['bad', 1, 1],
      ['none', 1, 1],
      ['bad', 2, 2],
      ['good', 3, 2],
    ] as const) {
      mode = next;
      clock += clock === 0 ? HOUR : 60_000;
      expect(await cache.apply([put('a')])).toEqual([APPLIED]);
      await expect.poll(gate.logins).toBe(logins);
      expect(await gate.refusals()).toBe(refusals);
      await turn();
    }
  });

  it('throws the reason of a failed login without the password, and recovers', async () => {
    const printed: string[] = [];
    for (const name of ['log', 'info', 'warn', 'error'] as const) {
      const spy = vi.spyOn(console, name).mockImplementation((...words) => void printed.push(words.join(' ')));
      closing.push(() => spy.mockRestore());
    }
    const { server, gate } = await guarded();
    let secret = 's3cret-that-is-wrong';
    await gate.accept('s3cret-that-is-right');
    const cache = open({ url: server.url, deadlineMs: 500, login: login({ password: async () => secret }) });
    const error = await cache.apply([put('a')]).catch((thrown: unknown) => thrown as Error);
    expect(error).toBeInstanceOf(CacheUnavailableError);
    expect((error as Error).message).toMatch(/WRONGPASS/);
    expect(`${(error as Error).stack} ${JSON.stringify(error)} ${(error as Error).cause} ${printed}`).not.toContain('s3cret');
    secret = 's3cret-that-is-right';
    await expect.poll(() => cache.apply([put('a')]).catch(() => undefined)).toEqual([APPLIED]);
  });

  it('throws the reason why no password could be made, and recovers', async () => {
    const { server, gate } = await guarded();
    await gate.accept('good');
    let fail = true;
    const password = async () => {
      if (fail) throw new Error('Could not load credentials from any providers');
      return 'good';
    };
    const cache = open({ url: server.url, deadlineMs: 300, login: login({ password }) });
    await expect(cache.get('a')).rejects.toThrow(/^cache at 127\.0\.0\.1:\d+: .*Could not load credentials/);
    fail = false;
    await expect.poll(() => cache.apply([put('a')]).catch(() => undefined)).toEqual([APPLIED]);
  });

  it('reconnects when the server has forgotten the login, without failing the call', async () => {
    const { server, gate } = await guarded();
    const { made, password } = passwords(gate);
    const farEnds: Socket[] = [];
    // Replies of the server to drop. Between two commands the test sends RESET, which logs the connection out, and drops its reply.
    let swallow = 0;
    const proxy = createServer((near) => {
      const far = connect(server.port, '127.0.0.1');
      farEnds.push(far);
      for (const socket of [near, far]) socket.on('error', () => {});
      near.on('data', (data) => far.write(data)).on('close', () => far.destroy());
      far
        .on('close', () => near.destroy())
        .on('data', (data) => {
          if (swallow === 0) near.write(data);
          else swallow -= 1;
        });
    });
    await new Promise<void>((done) => proxy.listen(0, '127.0.0.1', done));
    closing.push(() => proxy.close());
    const cache = open({ url: `valkey://127.0.0.1:${(proxy.address() as AddressInfo).port}`, login: login({ password }) });
    await cache.apply([put('a')]);
    swallow = 1;
    farEnds[0]?.write('*1\r\n$5\r\nRESET\r\n');
    await expect.poll(() => swallow).toBe(0);
    expect(await cache.apply([put('a')])).toEqual([APPLIED]);
    expect(made).toHaveLength(2);
  });

  it('opens no connection when it is closed while its password is made', async () => {
    const { server, gate } = await guarded();
    await gate.accept('good');
    let give: (password: string) => void = () => {};
    const cache = open({ url: server.url, login: login({ password: () => new Promise((done) => (give = done)) }) });
    const asked = cache.get('a').catch((thrown: unknown) => thrown);
    await expect.poll(() => give.length).toBe(1);
    await cache.close();
    give('good');
    expect(await asked).toBeInstanceOf(CacheUnavailableError);
    expect(await gate.ids()).toEqual([]);
  });

  it('logs in to each node of a cluster, when it connects, renews and reconnects', async () => {
    const cluster = await startCluster({ masters: 3 });
    closing.push(() => cluster.close());
    const gate = await guard(cluster.nodes);
    let clock = 0;
    // All nodes log in at the same time, so a password stays valid for an hour.
    const password = async () => {
      await gate.accept(`hour-${Math.floor(clock / HOUR)}`);
      return `hour-${Math.floor(clock / HOUR)}`;
    };
    const cache = open({ url: cluster.url, cluster: true, login: login({ password, now: () => clock }) });
    const keys = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'];
    const applied = keys.map(() => APPLIED);
    expect(await cache.apply(keys.map(put))).toEqual(applied);
    const before = await gate.ids();
    expect(before.length).toBeGreaterThanOrEqual(3);
    await gate.forget();
    clock = HOUR;
    expect(await cache.apply(keys.map(put))).toEqual(applied);
    await expect.poll(gate.logins).toBeGreaterThanOrEqual(3);
    expect(await gate.ids()).toEqual(before);
    clock = 1.5 * HOUR;
    await gate.cut();
    await expect.poll(() => cache.apply(keys.map(put)).catch(() => undefined), { timeout: 10_000 }).toEqual(applied);
    expect(await gate.refusals()).toBe(0);
  });

  it.skipIf(missingTls())(
    'logs in to ElastiCache over TLS with tokens, none of which is older than the connection that logs in with it',
    async () => {
      const folder = mkdtempSync(join(tmpdir(), 'millrace-iam-'));
      closing.push(() => rm(folder, { recursive: true }));
      const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
      const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1'];
      spawnSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', key, '-out', cert, '-days', '2', ...subject]);
      const port = String(await freePort());
      const tls = { 'tls-port': port, 'tls-cert-file': cert, 'tls-key-file': key, 'tls-ca-cert-file': cert, 'tls-auth-clients': 'no' };
      const server = await startValkey({ config: tls });
      closing.push(() => server.close());
      const gate = await guard([server]);
      const app = { ...identity, user: 'app' };
      let clock = Date.UTC(2026, 10, 22);
      const now = () => clock;
      const accept = async () => gate.accept(await elastiCacheTokens(app, { credentials, now })());
      const iam = elastiCacheLogin(app, { credentials, now });
      await accept();
      const url = `valkeys://127.0.0.1:${port}`;
      const cache = open({ url, tls: { ca: readFileSync(cert) }, login: iam });
      expect(await cache.apply([put('a')])).toEqual([APPLIED]);
      clock += 20 * 60_000;
      await accept();
      await gate.cut();
      expect(await cache.apply([put('a')])).toEqual([APPLIED]);
      clock += HOUR;
      await accept();
      await gate.forget();
      expect(await cache.apply([put('a')])).toEqual([APPLIED]);
      await expect.poll(gate.logins).toBe(1);
      expect(await gate.refusals()).toBe(0);
      const strict = open({ url, deadlineMs: 500, login: iam });
      await expect(strict.get('a')).rejects.toThrow(/self.signed certificate/);
    },
  );
});
