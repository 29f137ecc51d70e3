import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createServer as createTlsServer } from 'node:tls';
import { Redis } from 'iovalkey';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type ValkeyOptions, valkeyCache } from '../../../src/caches/valkey.ts';
import { CacheUnavailableError } from '../../../src/errors.ts';
import { APPLIED } from '../../../src/mutation.ts';
import { leaseOn } from '../../../src/testing/contract/case.ts';
import { oneNode, startFront } from '../../servers/front.ts';
import { freePort } from '../../servers/processes.ts';
import { missing } from '../../servers/requires.ts';
import {
  HOW_TO_GET_VALKEY,
  missingTls,
  startCluster,
  startValkey,
  type ValkeyCluster,
  type ValkeyServer,
  valkeyAvailable,
} from '../../servers/valkey.ts';
import { put, READS, settleEmpty, WRITES } from './sample.ts';

describe.skipIf(missing(valkeyAvailable(), HOW_TO_GET_VALKEY))('the connection of the Valkey backend', () => {
  const closing: (() => unknown)[] = [];
  afterEach(async () => {
    for (const close of closing.splice(0).reverse()) await close();
  });
  const open = (options: ValkeyOptions) => {
    const cache = valkeyCache(options);
    closing.push(() => cache.close());
    return cache;
  };
  /** The message of the first call, which fails. */
  const failureOf = async (options: ValkeyOptions): Promise<string> => {
    const error = await open({ deadlineMs: 1_500, commandTimeoutMs: 800, connectTimeoutMs: 400, ...options })
      .apply([put('a', 1, 'a value that no log may show'), put('b', 1)])
      .catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(CacheUnavailableError);
    const { message, stack, cause } = error as Error;
    expect(`${stack} ${cause}`).not.toMatch(/s3cret|no log may show/);
    return message;
  };
  const listen = async (server: Server): Promise<number> => {
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
    closing.push(() => server.close());
    return (server.address() as AddressInfo).port;
  };

  let single: ValkeyServer;
  let cluster: ValkeyCluster;
  let tlsPort: number;
  let tlsServer: ValkeyServer | undefined;
  const noTls = missingTls();
  let ca: Buffer;
  let folder: string;
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'millrace-connection-'));
    const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
    const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost'];
    spawnSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', key, '-out', cert, '-days', '2', ...subject]);
    ca = readFileSync(cert);
    tlsPort = await freePort();
    const tls = { 'tls-port': String(tlsPort), 'tls-cert-file': cert, 'tls-key-file': key, 'tls-ca-cert-file': cert };
    [single, cluster, tlsServer] = await Promise.all([
      startValkey(),
      startCluster({ masters: 3 }),
      noTls ? undefined : startValkey({ config: { ...tls, 'tls-auth-clients': 'no' } }),
    ]);
  });
  afterAll(async () => {
    await Promise.all([single?.close(), cluster?.close(), tlsServer?.close()]);
    await rm(folder, { recursive: true, force: true });
  });
  /** A user with these permissions on all nodes of the cluster and on the single server. */
  const grant = async (...rules: string[]) => {
    for (const { url } of [...cluster.nodes, single]) {
      const admin = new Redis(url);
      await admin.call('ACL', 'SETUSER', 'app', 'reset', 'on', '>s3cret', '~*', '&*', ...rules);
      admin.disconnect();
    }
  };
  const asUser = (url: string, user = 'app:s3cret') => url.replace('redis://', `valkey://${user}@`);
  const withTls = (url: string) => url.replace('redis://', 'valkeys://');

  describe('to a database', () => {
    const stored = async () => {
      const raw = new Redis(single.url);
      const keys = await raw.keys('*');
      raw.disconnect();
      return keys;
    };

    it('writes to and reads from the database of the URL', async () => {
      const cache = open({ url: `${single.url}/3`, namespace: 'three' });
      for (const { prepare, run, expected } of [...WRITES, ...READS]) expect(await run(cache, await prepare(cache))).toEqual(expected);
      expect((await stored()).filter((key) => key.startsWith('three'))).toEqual([]);
      const raw = new Redis(`${single.url}/3`);
      expect(await raw.exists('three:doc:written')).toBe(1);
      // After the connection was lost, too.
      await raw.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
      raw.disconnect();
      expect(await cache.apply([put('written', 6)])).toEqual([APPLIED]);
      expect((await stored()).filter((key) => key.startsWith('three'))).toEqual([]);
    });

    it.each([16, 99, 999_999_999])('fails at once when the server has no database %i, and writes nothing to another one', async (db) => {
      const before = await stored();
      const cache = open({ url: `${single.url}/${db}` });
      const started = Date.now();
      const calls = [
        ...Array.from({ length: 20 }, (_, i) => cache.apply([put(`k${i}`, 1)])),
        cache.get('a'),
        cache.getMany(['a', 'b']),
        cache.list('l', { limit: 1 }),
        leaseOn(cache, { kind: 'document', key: 'leased' }),
        settleEmpty(cache, 'l'),
      ];
      for (const result of await Promise.allSettled(calls)) {
        expect(result).toMatchObject({ status: 'rejected' });
        expect((result as PromiseRejectedResult).reason).toBeInstanceOf(CacheUnavailableError);
        expect((result as PromiseRejectedResult).reason.message).toMatch(
          new RegExp(`database ${db} cannot be selected: ERR .*: change the database number in CACHE_URL, or leave it out$`),
        );
      }
      await expect(cache.apply([put('again', 1)])).rejects.toThrow(`database ${db} cannot be selected`);
      expect(Date.now() - started).toBeLessThan(1_500);
      expect(await stored()).toEqual(before);
    });

    it('fails on a node of a cluster, and says what to set', async () => {
      expect(await failureOf({ url: `${cluster.url}/2` })).toMatch(
        /database 2 cannot be selected: ERR .*leave (it|the database number) out/,
      );
    });

    it('fails when the user may not select it', async () => {
      await grant('+@all', '-select');
      expect(await failureOf({ url: `${asUser(single.url)}/2` })).toMatch(/database 2 cannot be selected: NOPERM/);
    });

    it('fails when the database is gone after a restart, and works once it is back', async () => {
      let refuse = false;
      const front = await startFront({
        backend: single.url,
        answer: (name) => (refuse && name === 'select' ? '-ERR DB index is out of range' : undefined),
      });
      closing.push(() => front.close());
      const cache = open({ url: `valkey://127.0.0.1:${front.port}/1` });
      await cache.apply([put('a', 1)]);
      refuse = true;
      front.cut();
      await expect(cache.apply([put('a', 2)])).rejects.toThrow('database 1 cannot be selected');
      refuse = false;
      expect(await cache.apply([put('a', 3)])).toEqual([APPLIED]);
    });
  });

  describe('to a server that refuses it', () => {
    const password = /(WRONGPASS|NOAUTH) .*: check the user and the password in CACHE_URL/;
    it.each([
      ['a single server', false],
      ['a cluster', true],
    ])('names CACHE_URL for a wrong or missing password of %s, at once', async (_, isCluster) => {
      const config = { requirepass: 's3cret' };
      const server = await (isCluster ? startCluster({ masters: 1, config }) : startValkey({ config }));
      closing.push(() => server.close());
      const started = Date.now();
      expect(await failureOf({ url: server.url.replace('s3cret', 's3cret-no'), cluster: isCluster, deadlineMs: 5_000 })).toMatch(password);
      expect(await failureOf({ url: server.url.replace(':s3cret@', ''), cluster: isCluster, deadlineMs: 5_000 })).toMatch(password);
      expect(await failureOf({ url: server.url.replace(':s3cret@', 'nobody:s3cret@'), cluster: isCluster, deadlineMs: 5_000 })).toMatch(
        password,
      );
      expect(Date.now() - started).toBeLessThan(4_000);
    });

    it('names the password, and not the database, where both are wrong', async () => {
      const server = await startValkey({ config: { requirepass: 's3cret' } });
      closing.push(() => server.close());
      expect(await failureOf({ url: `${server.url.replace('s3cret', 's3cret-no')}/99` })).toMatch(/: WRONGPASS .*password in CACHE_URL/);
      expect(await failureOf({ url: `${server.url.replace(':s3cret@', '')}/99` })).toMatch(/: NOAUTH .*password in CACHE_URL/);
      expect(await failureOf({ url: `${server.url}/99` })).toMatch(/: database 99 cannot be selected/);
    });

    it.each([['-cluster'], ['-cluster|slots'], ['-cluster|info'], ['-evalsha', '-eval'], ['-time'], ['resetkeys', '~other:*']])(
      'names the permissions of the user without %s',
      async (...rules) => {
        await grant('+@all', ...rules);
        expect(await failureOf({ url: asUser(cluster.url), cluster: true })).toMatch(
          /NOPERM .*: give the user in CACHE_URL the permissions that docs\/configuration\.md lists, for the keys of CACHE_NAMESPACE$/,
        );
      },
    );

    it.each([false, true])('needs no more than the permissions that docs/configuration.md lists, cluster: %s', async (isCluster) => {
      const page = readFileSync('docs/configuration.md', 'utf8');
      const [, keys = '', commands = ''] = /ACL SETUSER \S+ on >\S+ (~\S+) (.*?)`/s.exec(page) ?? [];
      await grant('resetkeys', keys, ...commands.trim().split(/\s+/));
      const cache = open({ url: asUser(isCluster ? cluster.url : single.url), cluster: isCluster });
      for (const { prepare, run, expected } of [...WRITES, ...READS]) expect(await run(cache, await prepare(cache))).toEqual(expected);
    });

    it('names CACHE_CLUSTER for a server that is not a cluster', async () => {
      expect(await failureOf({ url: single.url, cluster: true })).toMatch(
        /cluster support disabled: the server is not a cluster: set CACHE_CLUSTER=false$/,
      );
    });

    it('names CACHE_CLUSTER for a node of a cluster', async () => {
      const isOfCluster = /(MOVED|CROSSSLOT) .*: the server is a node of a cluster: set CACHE_CLUSTER=true$/;
      expect(await failureOf({ url: cluster.url })).toMatch(isOfCluster);
      const cache = open({ url: cluster.url });
      const keys = Array.from({ length: 20 }, (_, i) => `k${i}`);
      await expect(Promise.all(keys.map((key) => cache.get(key)))).rejects.toThrow(isOfCluster);
      await expect(cache.getMany(keys)).rejects.toThrow(isOfCluster);
      await expect(Promise.all(keys.map((list) => cache.list(list, { limit: 1 })))).rejects.toThrow(isOfCluster);
      await expect(Promise.all(keys.map((list) => leaseOn(cache, { kind: 'list', list, keep: 1 })))).rejects.toThrow(isOfCluster);
    });

    it.each([null, '', '?'])('says what to set when CLUSTER SLOTS names the host %j', async (host) => {
      const answer = (name: string, [subcommand = '']: readonly string[]) => {
        if (name !== 'cluster') return undefined;
        return subcommand.toLowerCase() === 'info' ? '$16\r\ncluster_state:ok' : oneNode(host, 6_379);
      };
      const front = await startFront({ answer });
      closing.push(() => front.close());
      const started = Date.now();
      expect(await failureOf({ url: `valkey://127.0.0.1:${front.port}`, cluster: true, deadlineMs: 5_000 })).toMatch(
        /CLUSTER SLOTS answers (null|"\?").*: set cluster-announce-ip or cluster-announce-hostname/,
      );
      expect(Date.now() - started).toBeLessThan(2_500);
    });

    it('does not show the password that a server quotes', async () => {
      const answer = (name: string, args: readonly string[]) =>
        `-ERR unknown command '${name}', with args beginning with: ${args.map((arg) => `'${arg}'`).join(' ')}`;
      const front = await startFront({ answer: (name, args) => (name === 'info' ? undefined : answer(name, args)) });
      closing.push(() => front.close());
      for (const isCluster of [false, true]) {
        expect(await failureOf({ url: `valkey://:s3cret@127.0.0.1:${front.port}`, cluster: isCluster })).toMatch(/unknown command '\w+'/);
      }
    });
  });

  describe('over TLS', () => {
    it.skipIf(noTls).each([false, true])('names the certificate authority for an unknown certificate, cluster: %s', async (isCluster) => {
      expect(await failureOf({ url: `valkeys://localhost:${tlsPort}`, cluster: isCluster })).toMatch(
        /self.signed certificate.*: name a private certificate authority in NODE_EXTRA_CA_CERTS, or in the option tls: \{ ca \}$/,
      );
    });

    it.skipIf(noTls).each([false, true])('names the host for a certificate of another host, cluster: %s', async (isCluster) => {
      expect(await failureOf({ url: `valkeys://127.0.0.1:${tlsPort}`, cluster: isCluster, tls: { ca } })).toMatch(
        /does not match certificate's altnames.*: give the host in CACHE_URL by a name that is in the certificate$/,
      );
    });

    it.skipIf(noTls)('accepts the name that the option gives', async () => {
      const cache = open({ url: `valkeys://127.0.0.1:${tlsPort}`, tls: { ca, servername: 'localhost' } });
      expect(await cache.apply([put('a', 1)])).toEqual([APPLIED]);
    });

    it.each([false, true])('names valkey:// for a server without TLS, cluster: %s', async (isCluster) => {
      const message = await failureOf({ url: withTls(isCluster ? cluster.url : single.url), cluster: isCluster });
      expect(message).toMatch(/the server is without TLS,? ?:?.*give valkey:\/\/ instead of valkeys:\/\/ in CACHE_URL$/);
      const answering = createServer((socket) => {
        socket.on('error', () => {}).once('data', () => socket.end("-ERR unknown command ''\r\n"));
      });
      const port = await listen(answering);
      expect(await failureOf({ url: `valkeys://127.0.0.1:${port}`, cluster: isCluster })).toMatch(
        /(wrong version number|packet length too long): the server is without TLS: give valkey:\/\/ instead of valkeys:\/\/ in CACHE_URL$/,
      );
    });

    it.skipIf(noTls).each([false, true])('names valkeys:// for a server with TLS, cluster: %s', async (isCluster) => {
      expect(await failureOf({ url: `valkey://127.0.0.1:${tlsPort}`, cluster: isCluster })).toMatch(
        /if the server speaks TLS, give valkeys:\/\/ instead of valkey:\/\/ in CACHE_URL$/,
      );
    });

    it.each([false, true])('names valkeys:// for a server that answers with a TLS alert, cluster: %s', async (isCluster) => {
      const alerting = createServer((socket) => {
        socket.on('error', () => {}).once('data', () => socket.end(Buffer.from([0x15, 3, 1, 0, 2, 2, 70])));
      });
      const port = await listen(alerting);
      expect(await failureOf({ url: `valkey://127.0.0.1:${port}`, cluster: isCluster })).toMatch(
        /: the server speaks TLS: give valkeys:\/\/ instead of valkey:\/\/ in CACHE_URL$/,
      );
    });

    it.skipIf(noTls)('says that a server asks for a certificate of the client', async () => {
      const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
      const port = await freePort();
      const tls = { 'tls-port': String(port), 'tls-cert-file': cert, 'tls-key-file': key, 'tls-ca-cert-file': cert };
      const server = await startValkey({ config: { ...tls, 'tls-auth-clients': 'yes' } });
      closing.push(() => server.close());
      const url = `valkeys://localhost:${port}`;
      expect(await failureOf({ url, tls: { ca } })).toMatch(/certificate required: the server asks for a certificate of the client/);
      const cache = open({ url, tls: { ca, cert: ca, key: readFileSync(key) } });
      expect(await cache.apply([put('a', 1)])).toEqual([APPLIED]);
    });

    it.each([
      ['localhost', 'localhost', false],
      ['localhost', 'localhost', true],
      ['127.0.0.1', undefined, false],
    ])('tells the server the host name %s as %s (SNI), cluster: %s', async (host, expected, isCluster) => {
      const key = readFileSync(join(folder, 'key.pem'));
      const names: unknown[] = [];
      const server = createTlsServer({ key, cert: ca }, (socket) => {
        names.push(socket.servername || undefined);
        socket.on('error', () => {}).destroy();
      });
      await new Promise<void>((done) => server.listen(0, done));
      closing.push(() => server.close());
      const { port } = server.address() as AddressInfo;
      await failureOf({ url: `valkeys://${host}:${port}`, cluster: isCluster, tls: { ca, checkServerIdentity: () => undefined } });
      expect(new Set(names)).toEqual(new Set([expected]));
    });
  });

  it('follows a slot that is on the move when the node says ERR ASK', async () => {
    let asked = 0;
    const ports: number[] = [];
    const fronts = await Promise.all(
      [0, 1].map((node) =>
        startFront({
          backend: single.url,
          answer(name, [subcommand = '']) {
            if (name === 'cluster')
              return subcommand.toLowerCase() === 'info' ? '$16\r\ncluster_state:ok' : oneNode('127.0.0.1', ports[0] as number);
            if (name === 'asking') {
              asked += 1;
              return '+OK';
            }
            return node === 0 && /^(eval|evalsha|get)$/.test(name) ? `-ERR ASK 7572 127.0.0.1:${ports[1]}` : undefined;
          },
        }),
      ),
    );
    closing.push(() => Promise.all(fronts.map((front) => front.close())));
    ports.push(...fronts.map(({ port }) => port));
    const cache = open({ url: `valkey://127.0.0.1:${ports[0]}`, cluster: true, namespace: 'ask' });
    expect(await cache.apply([put('a', 1)])).toEqual([APPLIED]);
    expect(await cache.get('a')).toMatchObject({ type: 'hit', value: 1 });
    expect(asked).toBeGreaterThan(1);
  });
});
