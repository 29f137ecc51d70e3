import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { backfill, begin } from '../../src/backfill/backfill.ts';
import type { CacheClient } from '../../src/cache.ts';
import { memoryCache } from '../../src/caches/memory.ts';
import { momentoCache } from '../../src/caches/momento.ts';
import { valkeyCache } from '../../src/caches/valkey.ts';
import { itemOf } from '../../src/change.ts';
import type { MemberMutation } from '../../src/mutation.ts';
import { versionOf } from '../../src/version.ts';
import { entity, listView, type View } from '../../src/view.ts';
import { startMomentoServer } from '../servers/momento/server.ts';
import { missing } from '../servers/requires.ts';
import { HOW_TO_GET_VALKEY, startValkey, valkeyAvailable } from '../servers/valkey.ts';
import { sourceOf } from './source.ts';

interface Thing {
  readonly pk: string;
  readonly n: number;
}

const KEEP = 4;
const LIST = 'all@1:list';
const thing = entity<Thing>({ name: 'thing', owns: ({ sk }) => sk === 'thing', schema: { parse: (item) => item as Thing } });
const all = listView<Thing, number>({
  name: 'all',
  revision: 1,
  keep: KEEP,
  entity: thing,
  project: ({ n }) => [{ list: 'list', score: n, value: n }],
});

interface Opened {
  readonly cache: CacheClient;
  close(): Promise<unknown>;
}

const BACKENDS: readonly (readonly [name: string, isMissing: boolean, open: () => Promise<Opened>])[] = [
  [
    'memory',
    false,
    async () => {
      const cache = memoryCache();
      return { cache, close: () => cache.close() };
    },
  ],
  [
    'Redis',
    missing(valkeyAvailable(), HOW_TO_GET_VALKEY),
    async () => {
      const server = await startValkey();
      const cache = valkeyCache({ url: server.url });
      return {
        cache,
        async close() {
          await cache.close();
          await server.close();
        },
      };
    },
  ],
  [
    'Momento',
    false,
    async () => {
      const server = await startMomentoServer({ caches: ['cache'], casMixing: 'reject' });
      const cache = await momentoCache({ access: { kind: 'local', host: server.host, port: server.port }, cacheName: 'cache' });
      return {
        cache,
        async close() {
          await cache.close();
          await server.stop();
        },
      };
    },
  ],
];

describe.each(BACKENDS)('a backfill of a list that it could not complete, on %s', (_, isMissing, open) => {
  let opened: Opened | undefined;
  beforeAll(async () => {
    if (!isMissing) opened = await open();
  });
  afterAll(() => opened?.close());

  let changes = 0;
  const change = (type: 'put' | 'delete' | 'forget', n: number): MemberMutation => {
    changes += 1;
    const version = versionOf('2026-11-22T03:01:52.091', String(changes));
    const common = { kind: 'member', list: LIST, member: itemOf({ pk: `i${n}`, sk: 'thing' }), score: n, keep: KEEP, version } as const;
    return type === 'put' ? { ...common, type, json: String(n) } : { ...common, type };
  };
  /** Runs a backfill of a table of these things, and shows the list. */
  const filled = async (cache: CacheClient, numbers: readonly number[]) => {
    const table = sourceOf(numbers.map((n) => ({ pk: `i${n}`, sk: 'thing', n })));
    changes += 1;
    const place = { tableArn: 'arn', tableId: 'id', cache: 'c', views: ['all@1'], segments: 1 };
    const from = begin({ ...place, survey: `s${changes}`, begun: '2026-11-29T00:00:00Z' });
    await backfill({ from, views: [all as unknown as View], cache, table, signal: new AbortController().signal });
    return await shown(cache);
  };
  const shown = async (cache: CacheClient) => {
    const { members, complete } = await cache.list(LIST, { limit: 10 });
    return { values: members.map(({ value }) => value), complete };
  };

  it.skipIf(isMissing)('completes a list that has a forgotten member', async () => {
    const { cache } = opened as Opened;
    await cache.apply([change('put', 1), change('forget', 2), change('put', 3)]);
    expect(await shown(cache)).toEqual({ values: [3, 1], complete: false });
    expect(await filled(cache, [1, 2, 3])).toEqual({ values: [3, 2, 1], complete: true });
  });

  it.skipIf(isMissing)('completes a list that was full, and has shrunk below half of keep', async () => {
    const { cache } = opened as Opened;
    expect(await filled(cache, [1, 2, 3, 4, 5, 6])).toEqual({ values: [6, 5, 4, 3], complete: false });
    await cache.apply([6, 5, 4].map((n) => change('delete', n)));
    expect(await shown(cache)).toEqual({ values: [3], complete: false });
    expect(await filled(cache, [1, 2, 3])).toEqual({ values: [3, 2, 1], complete: true });
  });
});
