import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { CacheClient, Found, Lease } from '../../../src/cache.ts';
import { momentoCache } from '../../../src/caches/momento.ts';
import { CacheUnavailableError } from '../../../src/errors.ts';
import type { DocumentMutation, MemberMutation, Mutation } from '../../../src/mutation.ts';
import { leaseOn, settleOn } from '../../../src/testing/contract/case.ts';
import { versionOf } from '../../../src/version.ts';
import { startProxy, type TcpProxy } from '../../servers/momento/proxy.ts';
import { type MomentoServer, startMomentoServer } from '../../servers/momento/server.ts';

const CACHE = 'millrace';
const TIMEOUT_MS = 500;
const version = (n: number) => versionOf('2026-11-22T03:01:52.091', String(n));
type Type = Mutation['type'];
const document = (type: Type, n: number): DocumentMutation => {
  const address = { kind: 'document', key: 'a', version: version(n) } as const;
  return type === 'put' ? { ...address, type, json: String(n) } : { ...address, type };
};
const member = (type: Type, n: number): MemberMutation => {
  const address = { kind: 'member', list: 'l', keep: 9, member: 'm', score: 1, version: version(n) } as const;
  return type === 'put' ? { ...address, type, json: String(n) } : { ...address, type };
};
const DOCUMENT = { target: { kind: 'document', key: 'a' }, key: 'millrace:doc:a', make: document } as const;
const LIST = { target: { kind: 'list', list: 'l', keep: 9 }, key: 'millrace:list:l', make: member } as const;
type Kind = typeof DOCUMENT | typeof LIST;

let server: MomentoServer;
let proxy: TcpProxy;
/** Its connection can stall. */
let writer: CacheClient;
let other: CacheClient;

/** @param patient whether a call of the writer has time for a second attempt, on a new connection */
async function start({ patient }: { readonly patient: boolean }): Promise<void> {
  server = await startMomentoServer({ caches: [CACHE], casMixing: 'reject' });
  proxy = await startProxy(server);
  const via = ({ host, port }: { readonly host: string; readonly port: number }, deadlineMs: number) => {
    return momentoCache({ access: { kind: 'local', host, port }, cacheName: CACHE, commandTimeoutMs: TIMEOUT_MS, deadlineMs });
  };
  [writer, other] = [await via(proxy, patient ? 5_000 : TIMEOUT_MS), await via(server, 5_000)];
}

afterEach(async () => {
  server.onCall(undefined);
  await Promise.all([writer.close(), other.close()]);
  await proxy.close();
  await server.stop();
});

/** Repeats the call until it succeeds: on a busy machine one timeout may be too short. */
async function insist<T>(call: () => Promise<T>): Promise<T> {
  return await call().catch(() => insist(call));
}

/** Stalls the writer's connection after its next `calls` calls have reached the server. */
function stallAfter(calls: number): void {
  if (calls === 0) proxy.stall();
  let left = calls;
  server.onCall(() => {
    left -= 1;
    if (left === 0) proxy.stall();
    return undefined;
  });
}

/** Delivers what was held back. Resolves to how many calls the server got by that. */
async function release(): Promise<number> {
  server.onCall(undefined);
  server.resetCounters();
  await proxy.release();
  return server.calls();
}

const read = async ({ target }: Kind) =>
  target.kind === 'document' ? await other.get(target.key) : await other.list(target.list, { limit: 9 });
/** What the cache answers if it knows nothing. */
const nothing = ({ target }: Kind) => (target.kind === 'document' ? { type: 'miss' } : { members: [], complete: false });
const found = ({ target }: Kind, n: number): Found =>
  target.kind === 'document'
    ? { kind: 'document', json: String(n) }
    : { kind: 'list', newest: [{ member: 'm', score: 1, json: String(n) }] };

const kinds = [
  ['a document', DOCUMENT],
  ['a member of a list', LIST],
] as const;
const types = ['put', 'delete', 'forget'] as const;

describe.each(kinds)('a late write of %s', (_, kind) => {
  // An empty address takes up to three calls: read, placeholder, write. One that the writer knows takes one.
  const stalls = types.flatMap(
    (type) =>
      [
        [type, 'an empty address, before its first write', false, 1],
        [type, 'an empty address, before its second write', false, 2],
        [type, 'a known address', true, 0],
      ] as const,
  );

  it.each(stalls)('never brings back an old value after the newer one was evicted: %s at %s', async (type, _, known, calls) => {
    await start({ patient: false });
    if (known) await insist(() => writer.apply([kind.make('put', 1)]));
    stallAfter(calls);
    await expect(writer.apply([kind.make(type, 2)])).rejects.toBeInstanceOf(CacheUnavailableError);
    server.onCall(undefined);
    await other.apply([kind.make(type === 'put' ? 'delete' : 'put', 3)]);
    server.evict(CACHE, kind.key);
    expect(await release()).toBeGreaterThan(0);
    expect(await read(kind)).toEqual(nothing(kind));
  });

  it.each(stalls)('never brings back an old value after a second attempt on a new connection: %s at %s', async (type, _, known, calls) => {
    await start({ patient: true });
    if (known) await insist(() => writer.apply([kind.make('put', 1)]));
    stallAfter(calls);
    expect(await writer.apply([kind.make(type, 2)])).toEqual([{ type: 'applied' }]);
    server.onCall(undefined);
    await other.apply([kind.make(type === 'put' ? 'delete' : 'put', 3)]);
    server.evict(CACHE, kind.key);
    expect(await release()).toBeGreaterThan(0);
    expect(await read(kind)).toEqual(nothing(kind));
  });

  it('does not replace a newer value', async () => {
    await start({ patient: false });
    await insist(() => writer.apply([kind.make('put', 1)]));
    proxy.stall();
    await expect(writer.apply([kind.make('put', 2)])).rejects.toBeInstanceOf(CacheUnavailableError);
    await other.apply([kind.make('put', 3)]);
    const newer = await read(kind);
    expect(await release()).toBeGreaterThan(0);
    expect(await read(kind)).toEqual(newer);
  });

  it('takes effect where nothing was written since', async () => {
    await start({ patient: false });
    await insist(() => writer.apply([kind.make('put', 1)]));
    proxy.stall();
    await expect(writer.apply([kind.make('put', 2)])).rejects.toBeInstanceOf(CacheUnavailableError);
    expect(await release()).toBeGreaterThan(0);
    expect(JSON.stringify(await read(kind))).toContain(`"value":2,"version":"${version(2)}"`);
    expect(await other.apply([kind.make('put', 1), kind.make('put', 2)])).toEqual([{ type: 'stale' }, { type: 'applied' }]);
  });
});

describe.each(kinds)('a late lease on %s', (_, kind) => {
  it.each([
    ['nobody else writes', false],
    ['the stream writes', true],
  ])('lets nothing be settled that was read before an eviction, when %s', async (_, writes) => {
    await start({ patient: true });
    // The read arrives, the write of the lease does not.
    stallAfter(1);
    const lease = await leaseOn(writer, kind.target);
    server.onCall(undefined);
    if (writes) await other.apply([kind.make('delete', 3)]);
    server.evict(CACHE, kind.key);
    expect(await release()).toBeGreaterThan(0);
    expect(await settleOn(other, lease, found(kind, 2))).toBe('lost');
    expect(await read(kind)).toEqual(nothing(kind));
  });
});

describe.each(kinds)('a late settle of %s', (_, kind) => {
  let lease: Lease;
  beforeEach(async () => {
    await start({ patient: false });
    lease = await insist(() => leaseOn(writer, kind.target));
    proxy.stall();
    await expect(settleOn(writer, lease, found(kind, 2))).rejects.toBeInstanceOf(CacheUnavailableError);
  });

  it('writes nothing after an eviction', async () => {
    await other.apply([kind.make('delete', 3)]);
    server.evict(CACHE, kind.key);
    expect(await release()).toBeGreaterThan(0);
    expect(await read(kind)).toEqual(nothing(kind));
  });

  it('writes nothing after another reader has settled', async () => {
    await settleOn(other, await leaseOn(other, kind.target), found(kind, 3));
    const newer = await read(kind);
    expect(await release()).toBeGreaterThan(0);
    expect(await read(kind)).toEqual(newer);
  });

  it('fills the address where nothing was written since', async () => {
    expect(await release()).toBeGreaterThan(0);
    expect(JSON.stringify(await read(kind))).toContain('"value":2');
  });
});
