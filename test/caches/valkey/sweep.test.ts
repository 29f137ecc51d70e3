import { Cluster, Redis } from 'iovalkey';
import { afterEach, describe, expect, it } from 'vitest';
import { randomNames, type SweepOptions, type Swept, sweep } from '../../../src/caches/valkey/sweep.ts';
import { valkeyCache } from '../../../src/caches/valkey.ts';
import { missing } from '../../servers/requires.ts';
import { HOW_TO_GET_VALKEY, startCluster, startValkey, valkeyAvailable } from '../../servers/valkey.ts';
import { enter, put } from './sample.ts';

const DOCUMENTS = 1_300;

describe.skipIf(missing(valkeyAvailable(), HOW_TO_GET_VALKEY))('a sweep', () => {
  const closing: (() => unknown)[] = [];
  afterEach(async () => {
    for (const close of closing.splice(0).reverse()) await close();
  });

  /** Documents of `old@1` and `new@1`, a list of each with a standing lease, and keys of other programs. */
  async function start(cluster: boolean) {
    const server = cluster ? await startCluster() : await startValkey();
    closing.push(() => server.close());
    const raw = cluster ? new Cluster([server.url]) : new Redis(server.url);
    closing.push(() => raw.disconnect());
    const cache = valkeyCache({ url: server.url, cluster });
    closing.push(() => cache.close());
    const ids = Array.from({ length: DOCUMENTS }, (_, i) => `${i}`);
    await cache.apply(ids.flatMap((id) => [put(`old@1:${id}`, 1), put(`new@1:${id}`, 1)]));
    for (const view of ['old@1', 'new@1']) {
      await cache.apply([enter(`${view}:a}%b`, 'm', 1)]);
      await cache.lease([{ kind: 'list', list: `${view}:a}%b`, keep: 3 }]);
    }
    const foreign = ['millrace:note', 'millrace:list:old', 'millrace:list:{old@1:x}:other', 'millrace2:doc:old@1:1', 'old@1:1'];
    for (const key of foreign) await raw.set(key, 'x');
    const count = async () =>
      (await Promise.all(('nodes' in raw ? raw.nodes('master') : [raw]).map((node) => node.dbsize()))).reduce((a, b) => a + b);
    return {
      url: server.url,
      cache,
      foreign,
      count,
      exists: async (key: string) => (await raw.exists(key)) === 1,
      run: async (options: Partial<SweepOptions> = {}) => {
        const seen: Swept[] = [];
        const keeps = (name: string) => !name.startsWith('old@1:');
        for await (const swept of sweep({ url: server.url, cluster, namespace: 'millrace', dryRun: false, keeps, ...options }))
          seen.push(swept);
        return seen;
      },
    };
  }

  it.each([
    ['a single server', false],
    ['a cluster', true],
  ])('removes the documents and lists that are not to be kept, and nothing else, on %s', async (_, cluster) => {
    const { cache, foreign, count, exists, run } = await start(cluster);
    const before = await count();
    const steps = await run();
    expect(steps.at(-1)).toMatchObject({ total: before, seen: before, kept: DOCUMENTS + 3, removed: DOCUMENTS + 3, foreign: 3 });
    expect(await count()).toBe(before - DOCUMENTS - 3);
    for (const key of foreign) expect(await exists(key), key).toBe(true);
    expect(await cache.get('old@1:7')).toEqual({ type: 'miss' });
    expect((await cache.list('old@1:a}%b', { limit: 1 })).members).toEqual([]);
    expect((await cache.get('new@1:7')).type).toBe('hit');
    expect((await cache.list('new@1:a}%b', { limit: 1 })).members).toHaveLength(1);
  });

  it('goes in steps, and tells how far it is', async () => {
    const { run } = await start(false);
    const seen = (await run()).map(({ seen }) => seen);
    expect(seen.length).toBeGreaterThan(3);
    expect(seen).toEqual(seen.toSorted((a, b) => a - b));
  });

  it('removes nothing in a dry run, and counts the same', async () => {
    const { count, run } = await start(false);
    const before = await count();
    expect((await run({ dryRun: true })).at(-1)).toMatchObject({ kept: DOCUMENTS + 3, removed: DOCUMENTS + 3, foreign: 3 });
    expect(await count()).toBe(before);
  });

  it('names the server that gives no answer', async () => {
    const { run } = await start(false);
    await expect(run({ url: 'valkey://127.0.0.1:1', deadlineMs: 300 })).rejects.toThrow('cache at 127.0.0.1:1');
  });

  it.each([
    ['a single server', false],
    ['a cluster', true],
  ])('names documents and lists at random, and no keys of others, on %s', async (_, cluster) => {
    const { url } = await start(cluster);
    const seen = new Set<string>();
    let calls = 0;
    for await (const names of randomNames({ url, cluster, namespace: 'millrace' })) {
      calls += 1;
      for (const name of names) seen.add(name);
      if (calls === 60) break;
    }
    // Of 2,600, 6,000 draws see nine tenths.
    expect(seen.size).toBeGreaterThan(1.5 * DOCUMENTS);
    const strange = [...seen].filter((name) => !/^(old|new)@1:(\d+|a}%b)$/.test(name));
    expect(strange).toEqual([]);
  });

  it('names nothing, and ends, where a namespace has no keys', async () => {
    const { url } = await start(false);
    const names: string[] = [];
    for await (const some of randomNames({ url, namespace: 'millrace3' })) names.push(...some);
    expect(names).toEqual([]);
  });
});
