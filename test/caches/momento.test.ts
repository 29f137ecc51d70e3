import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect, promisify } from 'node:util';
import { Configurations, CacheClient as MomentoClient } from '@gomomento/sdk';
import { status } from '@grpc/grpc-js';
import { build } from 'esbuild';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { CacheClient, Found, FoundMember, Lease } from '../../src/cache.ts';
import { type MomentoOptions, momentoCache } from '../../src/caches/momento.ts';
import { CacheUnavailableError } from '../../src/errors.ts';
import type { DocumentMutation, MemberMutation, Mutation } from '../../src/mutation.ts';
import { leaseOn, settleOn } from '../../src/testing/contract/case.ts';
import { versionOf } from '../../src/version.ts';
import { hanging, late, lostReply, type MomentoServer, startMomentoServer, throttled } from '../servers/momento/server.ts';

const CACHE = 'millrace';
const DAY_MS = 86_400_000;
const LABEL = '2026-11-22T03:01:52.091';
const version = (n: number) => versionOf(LABEL, String(n));
const json = (value: unknown) => JSON.stringify(value);

const put = (key: string, n: number, value: unknown = n): DocumentMutation => ({
  kind: 'document',
  type: 'put',
  key,
  version: version(n),
  json: json(value),
});
const remove = (key: string, n: number): DocumentMutation => ({ kind: 'document', type: 'delete', key, version: version(n) });
const member = (name: string, n: number, more: { list?: string; keep?: number; score?: number; value?: unknown } = {}): MemberMutation => {
  const { list = 'l', keep = 1_000, score = n, value = n } = more;
  return { kind: 'member', type: 'put', list, keep, member: name, score, version: version(n), json: json(value) };
};
const gone = (name: string, n: number, score: number): MemberMutation => ({
  kind: 'member',
  type: 'delete',
  list: 'l',
  keep: 1_000,
  member: name,
  score,
  version: version(n),
});
const l = { kind: 'list', list: 'l', keep: 1_000 } as const;
const a = { kind: 'document', key: 'a' } as const;
const read: Found = { kind: 'document', json: '"read"' };
const listed = (...names: string[]): Found => ({
  kind: 'list',
  newest: names.map((name, n): FoundMember => ({ member: name, score: -n, json: json(name) })),
});

let server: MomentoServer;
let namespaces = 0;
const open: CacheClient[] = [];

beforeAll(async () => {
  server = await startMomentoServer({ caches: [CACHE] });
});
afterAll(async () => {
  await server.stop();
});
beforeEach(() => {
  namespaces += 1;
});
afterEach(async () => {
  server.onCall(undefined);
  await Promise.all(open.splice(0).map((cache) => cache.close()));
});

/** Opens a client; all clients of one test share a namespace. */
async function client(options: Partial<MomentoOptions> = {}): Promise<CacheClient> {
  const access = { kind: 'local', host: server.host, port: server.port } as const;
  const cache = await momentoCache({ access, cacheName: CACHE, namespace: `test${namespaces}`, ...options });
  open.push(cache);
  return cache;
}

const documentKey = (key: string) => `test${namespaces}:doc:${key}`;
const listKey = (list: string) => `test${namespaces}:list:${list}`;
const types = async (cache: CacheClient, ...mutations: Mutation[]) => (await cache.apply(mutations)).map(({ type }) => type);
const names = async (cache: CacheClient, list = 'l') => (await cache.list(list, { limit: 5_000 })).members.map((it) => it.member);

/** The number of calls that the server gets during the action. */
async function callsOf(action: () => Promise<unknown>): Promise<number> {
  server.resetCounters();
  await action();
  return server.calls();
}

describe('the number of calls', () => {
  it('takes 3 calls for the first change of a document, 2 for a client’s first one, and 1 for each further one', async () => {
    const [cache, other] = [await client(), await client()];
    await other.apply([put('other', 1)]);
    const calls = [];
    for (const mutation of [put('a', 1), put('a', 2), put('a', 2), remove('a', 3), put('a', 4)]) {
      calls.push(await callsOf(async () => expect(await types(cache, mutation)).toEqual(['applied'])));
    }
    expect(calls).toEqual([3, 1, 1, 1, 1]);
    expect(await callsOf(async () => expect(await types(cache, put('a', 3))).toEqual(['stale']))).toBe(1);
    expect(await callsOf(() => cache.apply([put('a', 5)]))).toBe(1);
    // A document that another client wrote.
    expect(await callsOf(() => cache.apply([put('other', 2)]))).toBe(2);
    expect(await callsOf(() => cache.apply([put('other', 3)]))).toBe(1);
  });

  it('takes 3 calls for the first change of a list, and 1 for each further one, however many members change', async () => {
    const cache = await client();
    const calls = [];
    for (const mutation of [member('x', 1), member('y', 2), member('x', 3), member('x', 3), gone('x', 4, 3), member('z', 5)]) {
      calls.push(await callsOf(async () => expect(await types(cache, mutation)).toEqual(['applied'])));
    }
    expect(calls).toEqual([3, 1, 1, 1, 1, 1]);
    expect(await callsOf(async () => expect(await types(cache, member('x', 3))).toEqual(['stale']))).toBe(1);
    const many = Array.from({ length: 100 }, (_, n) => member(`m${n}`, 10 + n));
    expect(await callsOf(() => cache.apply(many))).toBe(1);
    expect(await names(cache)).toHaveLength(102);
  });

  it('takes 1 call for each address of a record', async () => {
    const cache = await client();
    const record = (n: number) => [put('detail', n), put('admin', n), member('o', n), member('o', n, { list: 'by ann' })];
    await cache.apply(record(1));
    await cache.apply(record(2));
    expect(await callsOf(() => cache.apply(record(3)))).toBe(4);
  });

  it('takes at most 3 calls for 100 records that change one list at the same time', async () => {
    const cache = await client();
    await cache.apply([member('first', 1)]);
    const records = Array.from({ length: 100 }, (_, n) => cache.apply([member(`m${n}`, 2 + n)]));
    expect(await callsOf(() => Promise.all(records))).toBeLessThanOrEqual(3);
    expect(await names(cache)).toHaveLength(101);
  });

  it('takes 1 call to read a document, many documents or a page', async () => {
    const cache = await client();
    await cache.apply([put('a', 1), put('b', 1), member('x', 1)]);
    expect(await callsOf(() => cache.get('a'))).toBe(1);
    expect(await callsOf(() => cache.getMany(['a', 'b', 'c', 'a']))).toBe(1);
    expect(await callsOf(() => cache.getMany([]))).toBe(0);
    expect(await callsOf(() => cache.list('l', { limit: 1 }))).toBe(1);
  });

  it('takes 2 calls for a lease on a document, 3 for one on a list, and 2 or 3 for a settle by another client', async () => {
    const [cache, other] = [await client(), await client()];
    for (const [target, found, calls] of [
      [a, read, 2],
      [l, listed(), 3],
    ] as const) {
      const leases: Lease[] = [];
      expect(await callsOf(async () => leases.push(await leaseOn(cache, target)))).toBe(calls);
      expect(await callsOf(() => settleOn(other, leases[0] as Lease, found))).toBe(calls);
    }
  });

  it('writes only with conditions, as Momento requires', async () => {
    const cache = await client();
    server.resetCounters();
    await cache.apply([put('a', 1), member('x', 1), remove('a', 2), gone('x', 2, 1)]);
    await settleOn(cache, await leaseOn(cache, a), { kind: 'document' });
    await settleOn(cache, await leaseOn(cache, l), listed());
    expect(Object.keys(server.counters()).sort()).toEqual(['GetWithHash', 'SetIfHash']);
  });

  it('reads an address again after the memo has dropped it', async () => {
    const cache = await client({ memoBytes: 2_000 });
    for (const key of ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'i', 'j', 'h']) await cache.apply([put(key, 1)]);
    expect(await callsOf(() => cache.apply([put('h', 2)]))).toBe(1);
    expect(await callsOf(() => cache.apply([put('a', 2)]))).toBe(2);
  });
});

describe('lost replies', () => {
  /** Loses the first reply to each kind of write. */
  const loseWrites = () =>
    server.onCall(({ rpc, attempt }) => (['SetIf', 'SetIfHash'].includes(rpc) && attempt === 1 ? lostReply() : undefined));

  it('reports a mutation as applied when the reply to its write was lost', async () => {
    const cache = await client();
    await cache.apply([put('a', 1), member('x', 1)]);
    server.resetCounters();
    loseWrites();
    expect(await types(cache, put('a', 2), put('new', 2), member('x', 2), member('y', 3))).toEqual(Array(4).fill('applied'));
    expect(await cache.get('a')).toMatchObject({ value: 2 });
    expect(await cache.get('new')).toMatchObject({ value: 2 });
    expect(await names(cache)).toEqual(['y', 'x']);
  });

  it('takes and settles leases when the replies to their writes were lost', async () => {
    const cache = await client();
    await cache.apply([put('a', 1)]);
    for (const [target, found] of [
      [a, read],
      [{ kind: 'document', key: 'absent' } as const, read],
      [l, listed('x', 'y')],
    ] as const) {
      server.resetCounters();
      loseWrites();
      const lease = await leaseOn(cache, target);
      server.resetCounters();
      expect(await settleOn(cache, lease, found)).toBe('settled');
    }
    expect(await cache.get('a')).toMatchObject({ value: 'read', version: version(1) });
    expect(await cache.list('l', { limit: 9 })).toMatchObject({ complete: true, members: [{ member: 'x' }, { member: 'y' }] });
  });

  it('reports a mutation as stale when a newer one followed the write whose reply was lost', async () => {
    const [cache, other] = [await client(), await client()];
    await cache.apply([put('a', 1)]);
    let meddled = false;
    server.resetCounters();
    server.onCall(async ({ rpc, key, attempt }) => {
      if (rpc !== 'SetIfHash' || key !== documentKey('a')) return undefined;
      if (attempt === 1) return lostReply();
      if (meddled) return undefined;
      meddled = true;
      await other.apply([put('a', 9)]);
      return undefined;
    });
    expect(await types(cache, put('a', 2))).toEqual(['stale']);
    expect(await cache.get('a')).toMatchObject({ value: 9 });
  });
});

describe('failing calls', () => {
  it('repeats throttled calls until they succeed', async () => {
    const cache = await client();
    server.resetCounters();
    server.onCall(({ attempt }) => (attempt <= 3 ? throttled() : undefined));
    expect(await types(cache, put('a', 1), member('x', 1))).toEqual(['applied', 'applied']);
    expect(await cache.get('a')).toMatchObject({ type: 'hit' });
    expect(await cache.getMany(['a'])).toMatchObject([{ type: 'hit' }]);
    expect(await names(cache)).toEqual(['x']);
  });

  it('throws an error that says what to do when it is throttled until the deadline', async () => {
    const cache = await client({ deadlineMs: 300 });
    server.resetCounters();
    server.onCall(() => throttled());
    const calls: (() => Promise<unknown>)[] = [
      () => cache.apply([put('a', 1)]),
      () => cache.get('a'),
      () => cache.getMany(['a']),
      () => cache.list('l', { limit: 1 }),
      () => leaseOn(cache, a),
    ];
    for (const call of calls) {
      const error = await call().catch((error: unknown) => error);
      expect(error).toBeInstanceOf(CacheUnavailableError);
      expect((error as Error).message).toMatch(/limit of the account is exceeded: ask Momento to raise it.*tried \d+ times/);
    }
    // The pauses between attempts grow.
    expect(server.calls()).toBeLessThan(60);
  });

  it('repeats a call that got no answer within the command timeout', async () => {
    const cache = await client({ commandTimeoutMs: 200, deadlineMs: 3_000 });
    server.resetCounters();
    server.onCall(({ attempt }) => (attempt === 1 ? hanging() : undefined));
    expect(await types(cache, put('a', 1), member('x', 1))).toEqual(['applied', 'applied']);
    expect(await cache.get('a')).toMatchObject({ type: 'hit' });
    // The SDK has no timeout for `getBatch`.
    expect(await cache.getMany(['a', 'b'])).toMatchObject([{ type: 'hit' }, { type: 'miss' }]);
  });

  it('throws at the deadline when Momento never answers', async () => {
    const cache = await client({ commandTimeoutMs: 200, deadlineMs: 500 });
    server.onCall(() => hanging());
    for (const call of [() => cache.apply([put('a', 1)]), () => cache.getMany(['a']), () => cache.get('a')]) {
      const started = performance.now();
      await expect(call()).rejects.toThrow(/Momento cache "millrace": no answer in time \(tried \d+ times\)/);
      expect(performance.now() - started).toBeLessThan(1_500);
    }
  });

  it('throws the error of one address only after the writes of the others have ended', async () => {
    const cache = await client();
    server.onCall(({ key, rpc }) => {
      if (key === documentKey('a')) return { error: { code: status.PERMISSION_DENIED } };
      return rpc === 'SetIfHash' ? late(300) : undefined;
    });
    await expect(cache.apply([put('a', 1), put('b', 1)])).rejects.toBeInstanceOf(CacheUnavailableError);
    server.onCall(undefined);
    expect(await cache.getMany(['a', 'b'])).toMatchObject([{ type: 'miss' }, { type: 'hit' }]);
  });

  it('keeps the newer version when a timed-out write arrives late', async () => {
    const [cache, other] = [await client({ commandTimeoutMs: 100, deadlineMs: 150 }), await client()];
    await cache.apply([put('a', 1)]);
    server.resetCounters();
    server.onCall(({ rpc, attempt }) => (rpc === 'SetIfHash' && attempt <= 2 ? late(600) : undefined));
    await expect(cache.apply([put('a', 2)])).rejects.toBeInstanceOf(CacheUnavailableError);
    server.onCall(undefined);
    await other.apply([put('a', 3)]);
    await new Promise((done) => setTimeout(done, 700));
    expect(await cache.get('a')).toMatchObject({ value: 3 });
  });
});

describe('values that are too large', () => {
  const text = (bytes: number) => 'x'.repeat(bytes - 2);

  it('rejects a document over the item limit without sending its value', async () => {
    const cache = await client();
    await cache.apply([put('a', 1)]);
    server.resetCounters();
    const [outcome] = await cache.apply([put('a', 2, text(4_883 * 1_024))]);
    expect(outcome).toMatchObject({ type: 'rejected', reason: expect.stringMatching(/^value of 5000192 bytes is over the limit of \d+$/) });
    expect(server.counters().SetIfHash?.bytesIn).toBeLessThan(1_000);
    expect(await cache.get('a')).toEqual({ type: 'miss' });
    expect(await types(cache, put('a', 1), put('a', 2, text(4_882 * 1_024)))).toEqual(['stale', 'applied']);
    expect(await cache.get('a')).toMatchObject({ type: 'hit' });
  });

  it('rejects a list member over 128 KiB', async () => {
    const cache = await client();
    await settleOn(cache, await leaseOn(cache, l), listed());
    expect(await types(cache, member('x', 1, { value: text(131_072) }), member('y', 2, { value: text(131_073) }))).toEqual([
      'applied',
      'rejected',
    ]);
    expect(await cache.list('l', { limit: 9 })).toMatchObject({ members: [{ member: 'x' }], complete: false });
  });

  it('keeps fewer members of a list over the item limit, and does not call it complete', async () => {
    const cache = await client({ maxItemBytes: 65_536 });
    await settleOn(cache, await leaseOn(cache, l), listed());
    // Random text does not compress.
    const value = () => Array.from({ length: 1_000 }, () => String.fromCharCode(33 + Math.random() * 90)).join('');
    const held = new Map<string, unknown>();
    for (let n = 1; n <= 120; n += 1) {
      held.set(`m${n}`, value());
      expect(await types(cache, member(`m${n}`, n, { value: held.get(`m${n}`) }))).toEqual(['applied']);
    }
    const { members, complete } = await cache.list('l', { limit: 5_000 });
    expect(members.length).toBeGreaterThan(30);
    expect(members.length).toBeLessThan(80);
    expect(members.map((it) => it.member)).toEqual(Array.from({ length: members.length }, (_, n) => `m${120 - n}`));
    for (const { member, value } of members) expect(value).toBe(held.get(member));
    expect(complete).toBe(false);
    expect((await cache.list('l', { limit: members.length - 1 })).complete).toBe(true);
    // Neither a put below the dropped members nor a late put of a dropped member is let in.
    await cache.apply([member('low', 130, { score: 1 }), member('m2', 2)]);
    expect(await names(cache)).toEqual(members.map((it) => it.member));
  });

  it('drops markers of a list whose markers alone are over the item limit, and counts them as lost', async () => {
    const cache = await client({ maxItemBytes: 8_192 });
    const lease = await leaseOn(cache, l);
    const long = (n: number) => Array.from({ length: 3_000 }, (_, i) => String.fromCharCode(33 + ((n * 7 + i * i * 31) % 90))).join('') + n;
    const forgotten = [1, 2, 3].map((n): Mutation => ({ ...gone(long(n), n, n), type: 'forget' }));
    const random = forgotten.map((it) => ({
      ...it,
      member: Buffer.from(crypto.getRandomValues(new Uint8Array(3_000))).toString('base64'),
    }));
    expect(await types(cache, ...(random as Mutation[]))).toEqual(['applied', 'applied', 'applied']);
    expect(await cache.list('l', { limit: 9 })).toEqual({ members: [], complete: false });
    // Dropped markers count as lost, so a settle of the older lease must not lower the bottom. A later one may.
    expect(await settleOn(cache, lease, listed('x'))).toBe('settled');
    expect(await cache.list('l', { limit: 9 })).toEqual({ members: [], complete: false });
    expect(await settleOn(cache, await leaseOn(cache, l), listed('x'))).toBe('settled');
    expect(await cache.list('l', { limit: 9 })).toMatchObject({ members: [{ member: 'x' }], complete: true });
  });
});

describe('expiry', () => {
  it('expires entries and tombstones by their TTLs, and by the longest TTL that the cache allows', async () => {
    const cache = await client({ entryTtlMs: 10_000, tombstoneTtlMs: 20_000 });
    const lasting = await client();
    await cache.apply([put('a', 1), remove('b', 1)]);
    await lasting.apply([put('c', 1), remove('d', 1), member('x', 1)]);
    const all = async () => (await cache.getMany(['a', 'b', 'c', 'd'])).map(({ type }) => type);
    expect(await all()).toEqual(['hit', 'gone', 'hit', 'gone']);
    server.advance(10_001);
    expect(await all()).toEqual(['miss', 'gone', 'hit', 'gone']);
    server.advance(10_000);
    expect(await all()).toEqual(['miss', 'miss', 'hit', 'gone']);
    server.advance(DAY_MS - 30_000);
    expect(await all()).toEqual(['miss', 'miss', 'hit', 'gone']);
    server.advance(10_000);
    expect(await all()).toEqual(['miss', 'miss', 'miss', 'miss']);
    expect(await names(cache)).toEqual([]);
  });

  it('does not prolong the life of a document by a lease', async () => {
    const cache = await client({ entryTtlMs: 2_000 });
    await cache.apply([put('a', 1)]);
    await new Promise((done) => setTimeout(done, 1_100));
    await leaseOn(cache, a);
    server.advance(1_100);
    expect(await cache.get('a')).toEqual({ type: 'miss' });
  });

  it('expires a lease on an absent document after one minute', async () => {
    const cache = await client();
    const lease = await leaseOn(cache, a);
    server.advance(60_001);
    expect(server.keys(CACHE)).not.toContain(documentKey('a'));
    expect(await settleOn(cache, lease, read)).toBe('lost');
  });

  it('throws for a TTL that is longer than the cache allows', async () => {
    await expect(client({ tombstoneTtlMs: DAY_MS + 1 })).rejects.toThrow(/tombstoneTtlMs is 86400001: give 86400000 or less/);
    await expect(client({ entryTtlMs: DAY_MS + 1 })).rejects.toThrow(/entryTtlMs/);
    await expect(client({ tombstoneTtlMs: 2 * DAY_MS, maxTtlMs: 2 * DAY_MS })).resolves.toBeDefined();
  });
});

describe('bytes that another program wrote', () => {
  let raw: MomentoClient;
  beforeAll(async () => {
    const configuration = Configurations.Lambda.latest();
    raw = await MomentoClient.create({ configuration, credentialProvider: server.provider(), defaultTtlSeconds: 60 });
  });
  afterAll(() => raw.close());

  it('treats bytes of another program as a miss, and overwrites them', async () => {
    const cache = await client();
    const header = `M1p${version(1)}${' '.repeat(16)}${'x'.repeat(16)}1800000000000`;
    for (const text of [`${header}{`, '', 'text', '{"a":1}', 'M1l', `M1l${'x'.repeat(40)}`, `M1p${'9'.repeat(200)}`]) {
      await raw.set(CACHE, documentKey('a'), text);
      await raw.set(CACHE, listKey('l'), text);
      expect(await cache.get('a'), text).toEqual({ type: 'miss' });
      expect(await cache.getMany(['a']), text).toEqual([{ type: 'miss' }]);
      expect(await cache.list('l', { limit: 1 }), text).toEqual({ members: [], complete: false });
      expect(await types(cache, put('a', 1), member('x', 1)), text).toEqual(['applied', 'applied']);
      expect(await cache.get('a'), text).toMatchObject({ type: 'hit' });
      expect(await names(cache), text).toEqual(['x']);
    }
  });

  it('names CACHE_NAMESPACE when another program uses a key for another type', async () => {
    const cache = await client();
    await raw.dictionarySetField(CACHE, documentKey('a'), 'f', 'v');
    for (const call of [() => cache.get('a'), () => cache.apply([put('a', 1)])]) {
      await expect(call()).rejects.toThrow(/give CACHE_NAMESPACE a name that nothing else in this cache uses/);
    }
  });
});

describe('closing', () => {
  it('waits for running calls when it is closed, and refuses later ones', async () => {
    const [cache, other] = [await client(), await client()];
    server.onCall(({ rpc }) => (rpc.startsWith('Set') ? late(150) : undefined));
    const applied = types(cache, put('a', 1), member('x', 1));
    let ended = false;
    void applied.then(() => {
      ended = true;
    });
    await cache.close();
    expect(ended).toBe(true);
    expect(await applied).toEqual(['applied', 'applied']);
    await expect(cache.get('a')).rejects.toThrow(/was closed/);
    await expect(cache.apply([put('a', 2)])).rejects.toBeInstanceOf(CacheUnavailableError);
    expect(await other.get('a')).toMatchObject({ type: 'hit' });
  });
});

it('shows neither values nor credentials when it is printed', async () => {
  const cache = await client();
  await cache.apply([put('a', 1, 'a secret')]);
  expect(inspect(cache, { depth: 9, showHidden: true }) + JSON.stringify(cache)).not.toMatch(/secret|provider|client/i);
});

it('works in a bundled ES module that has a require, and lets the process end', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'millrace-momento-'));
  const outfile = join(folder, 'bundle.mjs');
  const stdin = `
    import { momentoCache } from './src/caches/momento.ts';
    const access = { kind: 'local', host: '127.0.0.1', port: ${server.port} };
    const cache = await momentoCache({ access, cacheName: '${CACHE}', namespace: 'bundle' });
    await cache.apply(${json([put('a', 1), member('x', 1)])});
    console.log(JSON.stringify([await cache.getMany(['a']), await cache.list('l', { limit: 1 })]));
    await cache.close();`;
  try {
    const { outputFiles } = await build({
      stdin: { contents: stdin, resolveDir: join(import.meta.dirname, '../..'), loader: 'ts' },
      bundle: true,
      minify: true,
      platform: 'node',
      format: 'esm',
      // CommonJS packages in the bundle call require.
      banner: { js: "import { createRequire as requireOf } from 'node:module';const require = requireOf(import.meta.url);" },
      write: false,
    });
    await writeFile(outfile, outputFiles[0]?.contents ?? '');
    const { stdout, stderr } = await promisify(execFile)(process.execPath, [outfile], { timeout: 20_000 });
    expect(stderr).toBe('');
    expect(JSON.parse(stdout)).toMatchObject([[{ type: 'hit', value: 1 }], { members: [{ member: 'x', value: 1 }] }]);
  } finally {
    await rm(folder, { recursive: true });
  }
});
