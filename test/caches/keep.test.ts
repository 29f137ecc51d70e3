import { afterEach, describe, expect, it } from 'vitest';
import type { CacheClient, Found, Lease } from '../../src/cache.ts';
import { memoryCache } from '../../src/caches/memory.ts';
import { momentoCache } from '../../src/caches/momento.ts';
import { valkeyCache } from '../../src/caches/valkey.ts';
import type { MemberMutation } from '../../src/mutation.ts';
import { leaseOn, settleOn } from '../../src/testing/contract/case.ts';
import { versionOf } from '../../src/version.ts';
import { startMomentoServer } from '../servers/momento/server.ts';
import { missing } from '../servers/requires.ts';
import { HOW_TO_GET_VALKEY, startValkey, valkeyAvailable } from '../servers/valkey.ts';

interface Opened {
  readonly cache: CacheClient;
  close(): Promise<unknown>;
}

const backends: Record<string, () => Promise<Opened>> = {
  memory: async () => {
    const cache = memoryCache();
    return { cache, close: () => cache.close() };
  },
  Valkey: async () => {
    const server = await startValkey();
    const cache = valkeyCache({ url: server.url, commandTimeoutMs: 20_000, deadlineMs: 30_000 });
    return { cache, close: () => cache.close().finally(() => server.close()) };
  },
  Momento: async () => {
    const server = await startMomentoServer({ caches: ['keep'] });
    const access = { kind: 'local', host: server.host, port: server.port } as const;
    const cache = await momentoCache({ access, cacheName: 'keep', commandTimeoutMs: 20_000, deadlineMs: 30_000 });
    return { cache, close: () => cache.close().finally(() => server.stop()) };
  },
};

const LIST = 'l';
type Change = Pick<MemberMutation, 'member' | 'score'> & { readonly clock: number; readonly type: 'put' | 'delete' };
const mutation = ({ member, score, clock, type }: Change, keep: number): MemberMutation => {
  const address = {
    kind: 'member',
    list: LIST,
    keep,
    member,
    score,
    version: versionOf('2026-11-22T03:01:52.091', String(clock)),
  } as const;
  return type === 'put' ? { ...address, type, json: String(clock) } : { ...address, type };
};
const put = (clock: number): Change => ({ member: `m${clock}`, score: clock, clock, type: 'put' });

describe.each(Object.keys(backends))('a list whose keep becomes smaller, in %s', (name) => {
  let opened: Opened | undefined;
  afterEach(async () => {
    await opened?.close();
    opened = undefined;
  });
  const open = async (): Promise<CacheClient> => {
    opened = await (backends[name] as () => Promise<Opened>)();
    return opened.cache;
  };
  const cannot = name === 'Valkey' && missing(valkeyAvailable(), HOW_TO_GET_VALKEY);

  /** A list of 300 members that was filled under a keep of 1,000. */
  async function filled(): Promise<CacheClient> {
    const cache = await open();
    const newest = Array.from({ length: 300 }, (_, n) => ({ member: `m${300 - n}`, score: 300 - n, json: String(300 - n) }));
    const lease = await leaseOn(cache, { kind: 'list', list: LIST, keep: 1_000 });
    expect(await settleOn(cache, lease, { kind: 'list', newest })).toBe('settled');
    return cache;
  }
  const values = async (cache: CacheClient, limit: number) => {
    const { members, complete } = await cache.list(LIST, { limit });
    return { values: members.map(({ value }) => value), complete };
  };
  const down = (from: number, count: number) => Array.from({ length: count }, (_, n) => from - n);

  it.skipIf(cannot)('stays whole and complete until its next change', async () => {
    expect(await values(await filled(), 1_000)).toEqual({ values: down(300, 300), complete: true });
  });

  it.skipIf(cannot)('shrinks at its next change to its newest members, whose pages are complete', async () => {
    const cache = await filled();
    await cache.apply([mutation(put(301), 150)]);
    expect(await values(cache, 150)).toEqual({ values: down(301, 150), complete: true });
    expect(await values(cache, 1_000)).toEqual({ values: down(301, 150), complete: false });
  });

  it.skipIf(cannot)('lets in nothing below its new bottom, from code of the greater keep neither', async () => {
    const cache = await filled();
    await cache.apply([mutation(put(301), 150)]);
    // A late record of a dropped member, and a change of another one, by a function that is still to be updated.
    await cache.apply([mutation(put(7), 1_000), mutation({ ...put(8), clock: 302 }, 1_000)]);
    expect(await values(cache, 1_000)).toEqual({ values: down(301, 150), complete: false });
    await cache.apply([mutation(put(303), 1_000)]);
    expect(await values(cache, 151)).toEqual({ values: [303, ...down(301, 150)], complete: true });
  });

  it.skipIf(cannot)('is not settled below its new bottom by a lease from before', async () => {
    const cache = await filled();
    const lease = await leaseOn(cache, { kind: 'list', list: LIST, keep: 1_000 });
    const newest = down(300, 300).map((n) => ({ member: `m${n}`, score: n, json: String(n) }));
    await cache.apply([mutation(put(301), 150), mutation({ ...put(9), clock: 302, type: 'delete' }, 150)]);
    await settleOn(cache, lease, { kind: 'list', newest });
    expect(await values(cache, 150)).toEqual({ values: down(301, 150), complete: true });
    const all = await values(cache, 1_000);
    expect([all.complete, all.values.includes(9)]).toEqual([false, false]);
  });

  it.skipIf(cannot)(
    'never shows or claims what the table does not have, while code of both keeps writes and fills',
    { timeout: 120_000 },
    async () => {
      let state = 20_261_122;
      const upTo = (n: number) => {
        state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
        return Math.floor((state / 2 ** 32) * n);
      };
      let complete = 0;
      const cache = await open();
      /** By member. */
      const table = new Map<string, Change>();
      const changes: Change[] = [];
      const members = () => [...table.values()].sort((a, b) => b.score - a.score);
      const readers: { readonly lease: Lease; readonly keep: number; found?: Found }[] = [];
      for (let clock = 1; clock <= 300; clock += 1) {
        const keep = upTo(2) === 0 ? 3 : 6;
        const id = upTo(10);
        const before = table.get(`m${id}`);
        const change: Change =
          before && upTo(3) === 0
            ? { ...before, clock, type: 'delete' }
            : { member: `m${id}`, score: upTo(20) * 10 + id, clock, type: 'put' };
        if (change.type === 'put') table.set(change.member, change);
        else table.delete(change.member);
        changes.push(change);
        await cache.apply([
          { ...mutation(change, keep), ...(change.type === 'put' && before && { from: before.score }) } as MemberMutation,
        ]);
        // A duplicate of a recent record.
        if (upTo(3) === 0) await cache.apply([mutation(changes[changes.length - 1 - upTo(Math.min(changes.length, 5))] as Change, keep)]);
        if (upTo(4) === 0) readers.push({ keep, lease: await leaseOn(cache, { kind: 'list', list: LIST, keep }) });
        for (const reader of readers) {
          const all = members().map(({ member, score, clock }) => ({ member, score, json: String(clock) }));
          if (upTo(2) === 0) reader.found ??= { kind: 'list', newest: all.slice(0, reader.keep), next: all[reader.keep]?.score };
        }
        if (upTo(3) === 0) for (const { lease, found } of readers.splice(0, 1)) if (found) await settleOn(cache, lease, found);
        const truth = members();
        for (const limit of [1, 3, 6, 20]) {
          const page = await cache.list(LIST, { limit });
          for (const { member, value, score } of page.members) {
            expect([member, value, score]).toEqual([member, table.get(member)?.clock, table.get(member)?.score]);
          }
          if (!page.complete) continue;
          complete += 1;
          expect(page.members.map(({ member }) => member)).toEqual(truth.slice(0, limit).map(({ member }) => member));
        }
      }
      expect(complete).toBeGreaterThan(100);
    },
  );
});
