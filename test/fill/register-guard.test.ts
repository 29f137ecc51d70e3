import { describe, expect, it } from 'vitest';
import type { CacheClient, Lease } from '../../src/cache.ts';
import { memoryCache } from '../../src/caches/memory.ts';
import { CacheUnavailableError, ConfigurationError } from '../../src/errors.ts';
import { createReader } from '../../src/fill/reader.ts';
import { REGISTER_KEY } from '../../src/lives/register.ts';
import { withLives } from '../../src/lives/with-lives.ts';
import { documentView, entity, listView } from '../../src/view.ts';

const thing = entity({ name: 'thing', owns: () => true, schema: { parse: (item) => item as { pk: string } } });
const plain = documentView({
  name: 'plain',
  revision: 1,
  entity: thing,
  project: ({ pk }) => [{ key: pk, value: pk }],
  from: (pk) => ({ pk }),
});
const listed = listView({
  name: 'listed',
  revision: 1,
  keep: 3,
  entity: thing,
  project: ({ pk }) => [{ list: 'all', score: 0, value: pk }],
});

/** A table with one item, `{ pk: 'a' }`. */
const client = { send: async () => ({ Responses: { things: [{ pk: { S: 'a' } }] } }) } as never;
const readerOf = (cache: CacheClient) => createReader({ cache, table: { client, name: 'things', keys: ['pk'] }, cacheDeadlineMs: 5_000 });

describe('a reader of a cache whose views have lives', () => {
  it('is rejected, fills nothing, and names the way out, if it was given the cache without them', async () => {
    const cache = memoryCache();
    await withLives(cache, { views: [plain], waitMs: 0 }).apply([]);
    const reader = readerOf(cache);
    const calls = [() => reader.get(plain, 'a'), () => reader.getMany(plain, ['a']), () => reader.page(listed, 'all')];
    for (const call of calls) {
      await expect(call()).rejects.toThrow(ConfigurationError);
      await expect(call()).rejects.toThrow('give it withLives(cache) of millrace/lives');
    }
    expect(await cache.get('plain@1:a')).toEqual({ type: 'miss' });
  });

  it('reads and fills through withLives, and a hit takes one call', async () => {
    const cache = memoryCache();
    await withLives(cache, { views: [plain], waitMs: 0 }).apply([]);
    const calls: string[] = [];
    const watched = new Proxy(cache, {
      get(target, name: keyof CacheClient) {
        const method = target[name] as (...args: unknown[]) => unknown;
        return (...args: unknown[]) => {
          calls.push(name);
          return method.apply(target, args);
        };
      },
    });
    const reader = readerOf(withLives(watched));
    expect(await reader.look(plain, 'a')).toEqual({ type: 'found', value: 'a', by: 'table' });
    expect(calls).toEqual(['get', 'getOrLease', 'settle']);
    expect(await reader.look(plain, 'a')).toMatchObject({ type: 'found', value: 'a', by: 'cache' });
    expect(calls.slice(3)).toEqual(['getOrLease']);
  });

  it('answers from the table while a view is not usable', async () => {
    const reader = readerOf(withLives(memoryCache()));
    expect(await reader.look(plain, 'a')).toEqual({ type: 'found', value: 'a', by: 'table' });
    expect(await reader.look(plain, 'a')).toEqual({ type: 'found', value: 'a', by: 'table' });
    expect(reader.counts()).toMatchObject({ misses: 2, filled: 0, lost: 2 });
  });

  it('looks once, and again only if the cache gave no answer', async () => {
    const cache = memoryCache();
    let looks = 0;
    const get: CacheClient['get'] = async (key) => {
      expect(key).toBe(REGISTER_KEY);
      looks += 1;
      if (looks === 1) throw new CacheUnavailableError('away');
      return await cache.get(key);
    };
    const inner = { ...cache, get };
    const [one, two] = [readerOf(inner), readerOf(inner)];
    for (const reader of [one, one, one, two]) expect(await reader.get(plain, 'a')).toBe('a');
    expect(looks).toBe(2);
  });

  it('takes no notice of what another program wrote at the key of the register', async () => {
    const cache = memoryCache();
    const [lease] = await cache.lease([{ kind: 'document', key: REGISTER_KEY }]);
    await cache.settle([{ lease: lease as Lease, found: { kind: 'document', json: '{"plain@1":"lives"}' } }]);
    expect(await readerOf(cache).get(plain, 'a')).toBe('a');
  });
});
