import {
  CacheClient,
  type CacheGet,
  type CacheGetBatch,
  type CacheGetWithHash,
  type CacheItemGetTtl,
  type CacheListFetch,
  type CacheSetFetch,
  type CacheSetSample,
  type CacheSetWithHash,
  type CacheSortedSetFetch,
  CollectionTtl,
  Configurations,
  CredentialProvider,
  type ListCaches,
  type Middleware,
  NoopMomentoLoggerFactory,
  ReadConcern,
  SortedSetAggregate,
  SortedSetOrder,
} from '@gomomento/sdk';
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { hanging, late, lostReply, type MomentoOptions, type MomentoServer, startMomentoServer, throttled, unavailable } from './server.ts';

const CACHE = 'pizza';
const HOUR = 3_600;

const opened: { close(): void | Promise<void> }[] = [];

afterEach(async () => {
  // Clients first, because a client without its server would reconnect.
  while (opened.length > 0) await opened.pop()?.close();
});

async function serverWith(options: MomentoOptions = {}): Promise<MomentoServer> {
  const server = await startMomentoServer({ caches: [CACHE], ...options });
  opened.push({ close: () => server.stop() });
  return server;
}

interface ClientOptions {
  readonly concern?: ReadConcern;
  readonly timeoutMs?: number;
  readonly credentials?: CredentialProvider;
  readonly middleware?: Middleware;
}

async function clientOf(server: MomentoServer, { concern, timeoutMs, credentials, middleware }: ClientOptions = {}): Promise<CacheClient> {
  let configuration = Configurations.Lambda.latest(new NoopMomentoLoggerFactory())
    .withReadConcern(concern ?? ReadConcern.BALANCED)
    .withClientTimeoutMillis(timeoutMs ?? 30_000);
  if (middleware !== undefined) configuration = configuration.addMiddleware(middleware);
  const client = await CacheClient.create({
    configuration,
    credentialProvider: credentials ?? server.provider(),
    defaultTtlSeconds: HOUR,
  });
  opened.push(client);
  return client;
}

async function cache(options: MomentoOptions = {}) {
  const server = await serverWith(options);
  const client = await clientOf(server);
  return { server, client, on: client.cache(CACHE) };
}

/** The type of a response, or the code of its error. */
async function said(call: Promise<{ type: unknown; errorCode?: () => string }>): Promise<unknown> {
  const response = await call;
  return response.errorCode?.() ?? response.type;
}

const stored = 'Stored';
const notStored = 'NotStored';
const invalid = 'INVALID_ARGUMENT_ERROR';
const wrongKind = 'FAILED_PRECONDITION_ERROR';

describe('scalars', () => {
  it('stores any bytes under any bytes until they expire or are deleted', async () => {
    const { server, on } = await cache();
    const [key, value] = [Uint8Array.of(0, 255, 128, 195), Uint8Array.of(254, 0, 200)];
    expect(await said(on.set(key, value, { ttl: 100 }))).toBe('Success');
    const hit = (await on.get(key)) as CacheGet.Hit;
    expect(hit.valueUint8Array()).toEqual(value);
    // As UTF-8, both keys would be the same replacement characters.
    expect(await said(on.get(Uint8Array.of(0, 254, 128, 195)))).toBe('Miss');
    server.advance(90_000);
    expect(await said(on.get(key))).toBe('Hit');
    server.advance(10_001);
    expect(await said(on.get(key))).toBe('Miss');
    await on.set(key, value);
    expect(await said(on.delete(key))).toBe('Success');
    expect(await said(on.get(key))).toBe('Miss');
    expect(await said(on.delete(key))).toBe('Success');
  });

  it('compares a write by value with the stored bytes', async () => {
    const { on } = await cache();
    const writes = {
      absent: (key: string) => on.setIfAbsent(key, 'new'),
      present: (key: string) => on.setIfPresent(key, 'new'),
      equal: (key: string) => on.setIfEqual(key, 'new', 'old'),
      notEqual: (key: string) => on.setIfNotEqual(key, 'new', 'old'),
      presentAndNotEqual: (key: string) => on.setIfPresentAndNotEqual(key, 'new', 'old'),
      absentOrEqual: (key: string) => on.setIfAbsentOrEqual(key, 'new', 'old'),
    };
    const expected = {
      absent: { none: stored, old: notStored, other: notStored },
      present: { none: notStored, old: stored, other: stored },
      equal: { none: notStored, old: stored, other: notStored },
      notEqual: { none: stored, old: notStored, other: stored },
      presentAndNotEqual: { none: notStored, old: notStored, other: stored },
      absentOrEqual: { none: stored, old: stored, other: notStored },
    };
    for (const [name, write] of Object.entries(writes))
      for (const [before, outcome] of Object.entries(expected[name as keyof typeof expected])) {
        const key = `${name} ${before}`;
        if (before !== 'none') await on.set(key, before);
        expect([key, await said(write(key))]).toEqual([key, outcome]);
        const after = (await on.get(key)).value();
        expect([key, after]).toEqual([key, outcome === stored ? 'new' : before === 'none' ? undefined : before]);
      }
  });

  it('compares a write by hash with the hash from the server', async () => {
    const { on } = await cache();
    const old = ((await on.setWithHash('elsewhere', 'old')) as CacheSetWithHash.Stored).hashUint8Array();
    const writes = {
      presentAndEqual: (key: string) => on.setIfPresentAndHashEqual(key, 'new', old),
      presentAndNotEqual: (key: string) => on.setIfPresentAndHashNotEqual(key, 'new', old),
      absentOrEqual: (key: string) => on.setIfAbsentOrHashEqual(key, 'new', old),
      absentOrNotEqual: (key: string) => on.setIfAbsentOrHashNotEqual(key, 'new', old),
    };
    const expected = {
      presentAndEqual: { none: notStored, old: stored, other: notStored },
      presentAndNotEqual: { none: notStored, old: notStored, other: stored },
      absentOrEqual: { none: stored, old: stored, other: notStored },
      absentOrNotEqual: { none: stored, old: notStored, other: stored },
    };
    for (const [name, write] of Object.entries(writes))
      for (const [before, outcome] of Object.entries(expected[name as keyof typeof expected])) {
        const key = `${name} ${before}`;
        if (before !== 'none') await on.setWithHash(key, before);
        const response = await write(key);
        expect([key, response.type]).toEqual([key, outcome]);
        if (outcome !== stored) continue;
        const hit = (await on.getWithHash(key)) as CacheGetWithHash.Hit;
        expect(hit.hashUint8Array()).toEqual((response as unknown as CacheSetWithHash.Stored).hashUint8Array());
        expect(hit.valueString()).toBe('new');
      }
  });

  it('gives the same value another hash on another server', async () => {
    const hashes = [];
    for (const { on } of [await cache(), await cache()]) {
      hashes.push(((await on.setWithHash('key', 'value')) as CacheSetWithHash.Stored).hashUint8Array());
    }
    expect(hashes[0]).not.toEqual(hashes[1]);
  });

  it('stores one of many writes that compare with the same hash', async () => {
    const { on } = await cache();
    const hash = ((await on.setWithHash('key', 'before')) as CacheSetWithHash.Stored).hashUint8Array();
    const outcomes = await Promise.all(
      Array.from({ length: 40 }, (_, writer) => said(on.setIfPresentAndHashEqual('key', `by ${writer}`, hash))),
    );
    expect(outcomes.filter((outcome) => outcome === stored)).toHaveLength(1);
    expect((await on.get('key')).value()).toBe(`by ${outcomes.indexOf(stored)}`);
  });

  it('increments in base 10, and refuses a value that is no 64-bit integer', async () => {
    const { server, on } = await cache();
    expect((await on.increment('count', 7)).value()).toBe(7);
    expect((await on.increment('count', -9, { ttl: 5 })).value()).toBe(-2);
    expect((await on.get('count')).value()).toBe('-2');
    server.advance(5_001);
    expect(await said(on.get('count'))).toBe('Miss');
    await on.set('word', 'seven');
    expect(await said(on.increment('word', 1))).toBe(wrongKind);
    await on.set('greatest', '9223372036854775807');
    expect(await said(on.increment('greatest', 1))).toBe(wrongKind);
    expect((await on.get('greatest')).value()).toBe('9223372036854775807');
  });

  it('answers a batch in its order, and a failed item does not fail the others', async () => {
    const { on } = await cache();
    await on.dictionarySetField('dictionary', 'f', 'v');
    expect(await said(on.setBatch({ a: '1', b: '2', c: '3' }))).toBe('Success');
    const batch = (await on.getBatch(['c', 'none', 'dictionary', 'a'])) as CacheGetBatch.Success;
    expect(batch.results().map(({ type }) => type)).toEqual(['Hit', 'Miss', 'Error', 'Hit']);
    expect((batch.results()[0] as CacheGet.Hit).valueString()).toBe('3');
  });
});

describe('items of any kind', () => {
  it('refuses calls of another kind on an item, but replaces and deletes any item', async () => {
    const { on } = await cache();
    const write = {
      scalar: (key: string) => on.set(key, 'v'),
      dictionary: (key: string) => on.dictionarySetField(key, 'f', 'v'),
      set: (key: string) => on.setAddElement(key, 'v'),
      list: (key: string) => on.listPushBack(key, 'v'),
      sortedSet: (key: string) => on.sortedSetPutElement(key, 'v', 1),
    };
    const read = {
      scalar: (key: string) => on.get(key),
      dictionary: (key: string) => on.dictionaryFetch(key),
      set: (key: string) => on.setFetch(key),
      list: (key: string) => on.listFetch(key),
      sortedSet: (key: string) => on.sortedSetFetchByRank(key),
    };
    // The numbers of the SDK. The protocol orders the kinds differently.
    const itemTypes = { scalar: 0, dictionary: 1, list: 2, set: 3, sortedSet: 4 };
    for (const [held, put] of Object.entries(write)) {
      await put(held);
      expect(((await on.itemGetType(held)) as unknown as { itemType(): number }).itemType()).toBe(
        itemTypes[held as keyof typeof itemTypes],
      );
      for (const [asked, get] of Object.entries(read))
        expect([held, asked, await said(get(held))]).toEqual([held, asked, asked === held ? 'Hit' : wrongKind]);
      for (const [asked, add] of Object.entries(write))
        if (asked !== held && asked !== 'scalar') expect([held, asked, await said(add(held))]).toEqual([held, asked, wrongKind]);
      if (held === 'list') await on.delete(held);
      expect(await said(on.set(held, 'replaced'))).toBe('Success');
      expect((await on.get(held)).value()).toBe('replaced');
    }
  });

  it('overwrites a TTL, or only raises it, or only lowers it', async () => {
    const { server, on } = await cache();
    const remaining = async () => ((await on.itemGetTtl('key')) as CacheItemGetTtl.Hit).remainingTtlMillis();
    await on.set('key', 'v', { ttl: 100 });
    server.advance(40_000);
    expect(await remaining()).toBeGreaterThan(50_000);
    expect(await remaining()).toBeLessThanOrEqual(60_000);
    expect(await said(on.increaseTtl('key', 30_000))).toBe('NotSet');
    expect(await said(on.decreaseTtl('key', 90_000))).toBe('NotSet');
    expect(await said(on.increaseTtl('key', 90_000))).toBe('Set');
    expect(await remaining()).toBeGreaterThan(80_000);
    expect(await said(on.decreaseTtl('key', 30_000))).toBe('Set');
    expect(await remaining()).toBeLessThanOrEqual(30_000);
    expect(await said(on.updateTtl('key', 70_000))).toBe('Set');
    expect(await remaining()).toBeGreaterThan(60_000);
    for (const call of [on.updateTtl('none', 1), on.increaseTtl('none', 1), on.decreaseTtl('none', 1), on.itemGetTtl('none')])
      expect(await said(call)).toBe('Miss');
    expect((await on.keysExist(['none', 'key'])).toString()).toContain('false');
  });

  it('counts the one TTL of a collection from its creation or its last write, as the write says', async () => {
    const { server, on } = await cache();
    const writes = {
      dictionary: (ttl: CollectionTtl) => on.dictionarySetField('dictionary', `${Math.random()}`, 'v', { ttl }),
      counter: (ttl: CollectionTtl) => on.dictionaryIncrement('counter', 'f', 1, { ttl }),
      set: (ttl: CollectionTtl) => on.setAddElement('set', `${Math.random()}`, { ttl }),
      list: (ttl: CollectionTtl) => on.listPushFront('list', 'v', { ttl }),
      sortedSet: (ttl: CollectionTtl) => on.sortedSetPutElement('sortedSet', 'v', 2, { ttl }),
    };
    for (const [key, write] of Object.entries(writes)) {
      await write(CollectionTtl.of(200));
      server.advance(150_000);
      await write(CollectionTtl.of(200));
      server.advance(150_000);
      expect([key, await said(on.keyExists(key))]).toEqual([key, 'Success']);
      expect(server.keys(CACHE)).toContain(key);
      await write(CollectionTtl.of(200).withNoRefreshTtlOnUpdates());
      server.advance(60_000);
      expect(server.keys(CACHE)).not.toContain(key);
    }
    await on.listConcatenateBack('kept', ['a', 'b'], { ttl: CollectionTtl.of(200) });
    await on.listRetain('kept', { endIndex: 1, ttl: CollectionTtl.of(400) });
    server.advance(300_000);
    await on.listRetain('kept', { ttl: CollectionTtl.of(400).withNoRefreshTtlOnUpdates() });
    expect((await on.listFetch('kept')).value()).toEqual(['a']);
    server.advance(110_000);
    expect(server.keys(CACHE)).toEqual([]);
  });

  it('removes a collection without elements', async () => {
    const { server, on } = await cache();
    await on.dictionarySetFields('dictionary', { a: '1', b: '2' });
    await on.dictionaryRemoveFields('dictionary', ['a', 'b', 'c']);
    await on.setAddElements('set', ['a', 'b']);
    await on.setPop('set', 5);
    await on.listConcatenateBack('list', ['a', 'b', 'a']);
    await on.listPopBack('list');
    await on.listRemoveValue('list', 'b');
    expect(await said(on.listPopFront('list'))).toBe('Hit');
    await on.listPushBack('retained', 'a');
    await on.listRetain('retained', { startIndex: 1 });
    await on.sortedSetPutElement('sorted', 'a', 1);
    await on.sortedSetRemoveElements('sorted', ['a', 'b']);
    expect(server.keys(CACHE)).toEqual([]);
    for (const call of [on.dictionaryLength('dictionary'), on.setLength('set'), on.listLength('list'), on.sortedSetLength('sorted')])
      expect(await said(call)).toBe('Miss');
  });
});

describe('collections', () => {
  it('answers field by field of a dictionary, and distinguishes a missing field from a missing dictionary', async () => {
    const { on } = await cache();
    expect(await said(on.dictionaryGetFields('menu', ['a']))).toBe('Miss');
    await on.dictionarySetFields('menu', { margherita: '9', funghi: '11' });
    await on.dictionarySetField('menu', 'margherita', '10');
    expect((await on.dictionaryFetch('menu')).value()).toEqual({ margherita: '10', funghi: '11' });
    expect((await on.dictionaryGetFields('menu', ['funghi', 'none'])).value()).toEqual({ funghi: '11' });
    expect(await said(on.dictionaryGetField('menu', 'none'))).toBe('Miss');
    expect((await on.dictionaryIncrement('menu', 'sold', 3)).value()).toBe(3);
    expect(await said(on.dictionaryRemoveField('menu', 'sold'))).toBe('Success');
    expect((await on.dictionaryFetch('menu')).value()).toEqual({ margherita: '10', funghi: '11' });
    await on.dictionarySetField('menu', 'funghi', 'sold out');
    expect(await said(on.dictionaryIncrement('menu', 'funghi', 1))).toBe(wrongKind);
  });

  it('contains no element of a set twice, and samples and pops distinct ones', async () => {
    const { on } = await cache();
    const toppings = ['basil', 'olive', 'onion', 'rocket'];
    await on.setAddElements('toppings', [...toppings, ...toppings]);
    await on.setRemoveElements('toppings', ['none', 'onion']);
    const left = ['basil', 'olive', 'rocket'];
    expect(((await on.setFetch('toppings')) as CacheSetFetch.Hit).valueArrayString().sort()).toEqual(left);
    expect((await on.setContainsElements('toppings', ['onion', 'olive'])).toString()).toContain('olive: true');
    const sampled = ((await on.setSample('toppings', 9)) as CacheSetSample.Hit).valueArrayString();
    expect(sampled.sort()).toEqual(left);
    const drawn = new Set<string>();
    for (let draw = 0; draw < 40; draw++) for (const one of (await on.setSample('toppings', 1)).value() ?? []) drawn.add(one);
    expect([...drawn].sort()).toEqual(left);
    expect(((await on.setSample('toppings', 2)) as CacheSetSample.Hit).valueArrayString()).toHaveLength(2);
    const popped = [...((await on.setPop('toppings', 2)).value() ?? [])];
    expect(popped).toHaveLength(2);
    const rest = ((await on.setFetch('toppings')) as CacheSetFetch.Hit).valueArrayString();
    expect([...popped, ...rest].sort()).toEqual(left);
  });

  it('treats a list as an array: the same ranges, ends and cuts', async () => {
    const { server, on } = await cache();
    const index = fc.option(fc.integer({ min: -7, max: 7 }), { nil: undefined });
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom('a', 'b', 'c'), { minLength: 1, maxLength: 6 }),
        index,
        index,
        async (values, start, end) => {
          // The SDK refuses ranges that run backwards, and reads an end of 0 as no end.
          if (end === 0 || (start !== undefined && end !== undefined && start >= 0 === end >= 0 && end <= start)) return;
          server.flush();
          await on.listConcatenateBack('list', values.slice(0, 3));
          await on.listConcatenateBack('list', values.slice(3));
          const range = { ...(start === undefined ? {} : { startIndex: start }), ...(end === undefined ? {} : { endIndex: end }) };
          const fetched = (await on.listFetch('list', range)) as CacheListFetch.Hit;
          expect(fetched.valueListString()).toEqual(values.slice(start, end));
          await on.listRetain('list', range);
          const retained = await on.listFetch('list');
          expect(retained.value() ?? []).toEqual(values.slice(start, end));
        },
      ),
      { numRuns: 60 },
    );
    server.flush();
    await on.listConcatenateFront('ends', ['b', 'c']);
    await on.listPushFront('ends', 'a', { truncateBackToSize: 2 });
    expect((await on.listFetch('ends')).value()).toEqual(['a', 'b']);
    await on.listConcatenateBack('ends', ['c', 'd'], { truncateFrontToSize: 3 });
    expect((await on.listFetch('ends')).value()).toEqual(['b', 'c', 'd']);
    await on.listPushBack('ends', 'c');
    await on.listRemoveValue('ends', 'c');
    expect((await on.listFetch('ends')).value()).toEqual(['b', 'd']);
    expect((await on.listPopBack('ends')).value()).toBe('d');
  });

  it('sorts the members of a sorted set by score, then by bytes', async () => {
    const { server, client, on } = await cache();
    const score = fc.integer({ min: -3, max: 3 });
    const members = fc.uniqueArray(fc.record({ value: fc.string({ minLength: 1, maxLength: 3 }), score }), {
      minLength: 1,
      maxLength: 8,
      selector: ({ value }) => value,
    });
    const query = fc.record(
      { minScore: score, maxScore: score, offset: fc.integer({ min: 0, max: 4 }), count: fc.integer({ min: 1, max: 4 }) },
      { requiredKeys: [] },
    );
    await fc.assert(
      fc.asyncProperty(members, query, fc.boolean(), fc.integer({ min: 0, max: 4 }), async (put, asked, descending, startRank) => {
        if ((asked.minScore ?? -9) > (asked.maxScore ?? 9)) return;
        server.flush();
        await on.sortedSetPutElements('set', new Map(put.map((member) => [member.value, member.score])));
        const order = descending ? SortedSetOrder.Descending : SortedSetOrder.Ascending;
        const sorted = put.toSorted((a, b) => a.score - b.score || Buffer.compare(Buffer.from(a.value), Buffer.from(b.value)));
        if (descending) sorted.reverse();
        const { minScore = -9, maxScore = 9, offset = 0, count = 9 } = asked;
        const inside = sorted.filter((member) => member.score >= minScore && member.score <= maxScore);
        const byScore = (await on.sortedSetFetchByScore('set', { ...asked, order })) as CacheSortedSetFetch.Hit;
        expect(byScore.valueArray()).toEqual(inside.slice(offset, offset + count));
        const byRank = (await on.sortedSetFetchByRank('set', { startRank, order })) as CacheSortedSetFetch.Hit;
        expect(byRank.valueArray()).toEqual(sorted.slice(startRank));
        const first = put[0] as { value: string };
        expect((await client.sortedSetGetRank(CACHE, 'set', first.value, { order })).rank()).toBe(
          sorted.findIndex(({ value }) => value === first.value),
        );
        expect((await on.sortedSetLengthByScore('set', { minScore, maxScore })).length() ?? 0).toBe(inside.length);
      }),
      { numRuns: 60 },
    );
    server.flush();
    expect(await said(on.sortedSetFetchByRank('set'))).toBe('Miss');
    expect((await on.sortedSetIncrementScore('set', 'a', 1.5)).score()).toBe(1.5);
    expect((await on.sortedSetIncrementScore('set', 'a', -2)).score()).toBe(-0.5);
    expect((await on.sortedSetGetScores('set', ['a', 'none'])).value()).toEqual({ a: -0.5 });
    expect((await on.sortedSetFetchByRank('set')).value()).toEqual([{ value: 'a', score: -0.5 }]);
    await on.sortedSetPutElement('set', 'b', -1);
    expect((await on.sortedSetFetchByRank('set')).value()?.map(({ value }) => value)).toEqual(['b', 'a']);
    await on.sortedSetRemoveElement('set', 'b');
    expect((await on.sortedSetFetchByRank('set')).value()?.map(({ value }) => value)).toEqual(['a']);
  });

  it('weighs and combines sorted sets into a union, which replaces its destination', async () => {
    const { server, on } = await cache();
    await on.sortedSetPutElements('one', { a: 1, b: 2 });
    await on.sortedSetPutElements('two', { b: 3, c: 4 });
    await on.sortedSetPutElement('union', 'old', 9);
    const sources = [
      { sortedSetName: 'one', weight: 10 },
      { sortedSetName: 'two', weight: -0.5 },
      { sortedSetName: 'none', weight: 1 },
    ];
    const scores = { SUM: 18.5, MIN: -1.5, MAX: 20 };
    for (const [aggregate, b] of Object.entries(scores)) {
      const union = await on.sortedSetUnionStore('union', sources, {
        aggregate: SortedSetAggregate[aggregate as keyof typeof scores],
        ttl: CollectionTtl.of(30),
      });
      expect((union as unknown as { length(): number }).length()).toBe(3);
      expect((await on.sortedSetGetScores('union', ['a', 'b', 'c', 'old'])).value()).toEqual({ a: 10, b, c: -2 });
    }
    await on.sortedSetPutElement('boundless', 'a', Number.POSITIVE_INFINITY);
    await on.sortedSetUnionStore('weightless', [{ sortedSetName: 'boundless', weight: 0 }]);
    expect((await on.sortedSetGetScore('weightless', 'a')).score()).toBe(0);
    await on.delete('boundless');
    await on.delete('weightless');
    server.advance(30_001);
    expect(server.keys(CACHE).sort()).toEqual(['one', 'two']);
    expect(await said(on.sortedSetUnionStore('one', [{ sortedSetName: 'none', weight: 1 }]))).toBe('Success');
    expect(server.keys(CACHE)).toEqual(['two']);
    expect(await said(on.sortedSetUnionStore('two', []))).toBe(invalid);
  });
});

describe('caches', () => {
  it('creates, lists, flushes and deletes caches, and does not find an unknown one', async () => {
    const { server, client } = await cache();
    expect(await said(client.createCache('second'))).toBe('Success');
    expect(await said(client.createCache('second'))).toBe('AlreadyExists');
    const listed = ((await client.listCaches()) as ListCaches.Success).getCaches();
    expect(listed.map((it) => [it.getName(), it.getCacheLimits().maxItemSizeKb, it.getCacheLimits().maxTtlSeconds])).toEqual([
      [CACHE, 4_883, 86_400],
      ['second', 4_883, 86_400],
    ]);
    await client.set('second', 'key', 'in the second');
    expect(await said(client.get(CACHE, 'key'))).toBe('Miss');
    expect(await said(client.flushCache('second'))).toBe('Success');
    expect(server.keys('second')).toEqual([]);
    expect(await said(client.deleteCache('second'))).toBe('Success');
    for (const call of [
      client.deleteCache('second'),
      client.flushCache('second'),
      client.get('second', 'k'),
      client.listPushBack('second', 'k', 'v'),
    ])
      expect(await said(call)).toBe('NOT_FOUND_ERROR');
  });

  it('creates a cache at its first call where the server is not strict', async () => {
    const { server, client } = await cache({ strictCaches: false });
    expect(await said(client.set('unheard', 'key', 'v'))).toBe('Success');
    expect(server.keys('unheard')).toEqual(['key']);
  });

  it('limits items, elements and TTLs, and a refused write changes nothing', async () => {
    const { server, on } = await cache();
    expect(await said(on.set('greatest', Buffer.alloc(4_883 * 1_024)))).toBe('Success');
    const tooLarge = await on.set('greater', Buffer.alloc(4_883 * 1_024 + 1));
    expect(tooLarge.toString()).toContain('Request size limit exceeded');
    expect(await said(on.dictionarySetField('dictionary', 'f', Buffer.alloc(131_072)))).toBe('Success');
    for (const call of [
      on.dictionarySetField('dictionary', 'g', Buffer.alloc(131_073)),
      on.setAddElement('set', Buffer.alloc(131_073)),
      on.listPushBack('list', Buffer.alloc(131_073)),
      on.sortedSetPutElement('sorted', Buffer.alloc(131_073), 1),
    ])
      expect((await call).toString()).toContain('Element size limit exceeded');
    expect(await said(on.set('lasting', 'v', { ttl: 86_400 }))).toBe('Success');
    for (const call of [
      on.set('eternal', 'v', { ttl: 86_401 }),
      on.setIfAbsent('eternal', 'v', { ttl: 86_401 }),
      on.setIfAbsent('eternal', 'v', { ttl: 0 }),
      on.dictionarySetField('eternal', 'f', 'v', { ttl: CollectionTtl.of(86_401) }),
      on.updateTtl('lasting', 86_400_001),
    ])
      expect(await said(call)).toBe(invalid);
    expect(server.keys(CACHE).sort()).toEqual(['dictionary', 'greatest', 'lasting']);
    expect((await on.dictionaryFetch('dictionary')).value()).toHaveProperty('f');
    expect((await on.dictionaryFetch('dictionary')).value()).not.toHaveProperty('g');
  });

  it('limits a whole collection by the limits of the options', async () => {
    const { on } = await cache({ limits: { itemBytes: 100, ttlMs: 7_200_000 } });
    const field = (name: string) => on.dictionarySetField('dictionary', name, 'v'.repeat(30));
    for (const name of ['1', '2', '3', '2']) expect(await said(field(name))).toBe('Success');
    expect((await field('4')).toString()).toContain('Item size limit exceeded');
    await on.dictionaryRemoveField('dictionary', '1');
    expect(await said(field('4'))).toBe('Success');
    const element = (name: string) => on.setAddElement('set', name.padEnd(30, '.'));
    for (const name of ['1', '2', '3', '2']) expect(await said(element(name))).toBe('Success');
    expect((await element('4')).toString()).toContain('Item size limit exceeded');
    await on.setPop('set', 1);
    expect(await said(element('4'))).toBe('Success');
    expect(await said(on.set('key', 'v', { ttl: 7_201 }))).toBe(invalid);
  });
});

describe('faults and controls of the server', () => {
  it('refuses a plain write after a conditional one on the same key, and the reverse', async () => {
    const { server, on } = await cache({ casMixing: 'reject' });
    await on.setIfAbsent('conditional', 'v');
    for (const call of [
      on.set('conditional', 'w'),
      on.delete('conditional'),
      on.updateTtl('conditional', 1_000),
      on.increment('conditional', 1),
    ])
      expect(await said(call)).toBe(wrongKind);
    expect((await on.get('conditional')).value()).toBe('v');
    server.evict(CACHE, 'conditional');
    expect(await said(on.set('conditional', 'w'))).toBe(wrongKind);
    await on.set('plain', 'v');
    for (const call of [on.setIfEqual('plain', 'w', 'v'), on.setWithHash('plain', 'w')]) expect(await said(call)).toBe(wrongKind);
    expect(await said(on.setWithHash('conditional', 'w'))).toBe(stored);
  });

  it('applies nothing at an error before a call, and loses only the reply at an error after it', async () => {
    const { server, on } = await cache();
    server.onCall(({ rpc, key }) => (rpc !== 'SetIf' ? undefined : key === 'refused' ? unavailable() : lostReply()));
    expect(await said(on.setIfAbsent('refused', 'v'))).toBe('SERVER_UNAVAILABLE');
    expect(await said(on.setIfAbsent('lost', 'v'))).toBe('SERVER_UNAVAILABLE');
    expect(server.keys(CACHE)).toEqual(['lost']);
    server.onCall(undefined);
    expect(await said(on.setIfAbsent('lost', 'v'))).toBe(notStored);
  });

  it('numbers the attempts of a call, so that a test can let a retry through', async () => {
    const { server, on } = await cache();
    server.onCall(({ attempt }) => (attempt <= 2 ? unavailable() : undefined));
    expect(await said(on.set('key', 'v'))).toBe('Success');
    expect(server.calls('Set')).toBe(3);
    expect(await said(on.increment('count', 1))).toBe('SERVER_UNAVAILABLE');
    expect(server.calls('Increment')).toBe(1);
  });

  it('throttles as a rate limit, which the SDK does not retry', async () => {
    const { server, on } = await cache({ onCall: () => throttled() });
    expect((await on.set('key', 'v')).toString()).toContain('Request rate limit exceeded');
    expect(await said(on.getBatch(['key']))).toBe('LIMIT_EXCEEDED_ERROR');
    expect(server.counters()).toMatchObject({ Set: { calls: 1 }, GetBatch: { calls: 1 } });
  });

  it('ends a hanging call with the deadline of its client or with the server', async () => {
    const server = await serverWith();
    const client = await clientOf(server, { timeoutMs: 500 });
    const batched = new Promise<void>((arrived) => {
      server.onCall(({ rpc }) => {
        if (rpc === 'GetBatch') arrived();
        return hanging(rpc === 'Set' ? 'after' : 'before');
      });
    });
    expect(await said(client.set(CACHE, 'applied', 'v'))).toBe('TIMEOUT_ERROR');
    expect(await said(client.setIfAbsent(CACHE, 'never', 'v'))).toBe('TIMEOUT_ERROR');
    expect(server.keys(CACHE)).toEqual(['applied']);
    // The SDK sets no deadline for a stream.
    const batch = client.getBatch(CACHE, ['applied']);
    await batched;
    await server.stop();
    expect(await said(batch)).not.toBe('Success');
  });

  it('lets a later call overtake a late one', async () => {
    const { server, on } = await cache({ onCall: ({ key }) => (key === 'slow' ? late(200) : undefined) });
    const outcomes = await Promise.all([said(on.set('slow', 'v')), said(on.set('fast', 'v'))]);
    expect(outcomes).toEqual(['Success', 'Success']);
    expect(server.keys(CACHE)).toEqual(['fast', 'slow']);
  });

  it('holds a call until the promise of the hook resolves, then applies it although its client has timed out', async () => {
    const { server, on } = await cache();
    const impatient = (await clientOf(server, { timeoutMs: 500 })).cache(CACHE);
    let open = () => {};
    const gate = new Promise<undefined>((resolve) => {
      open = () => resolve(undefined);
    });
    server.onCall(({ key }) => (key?.startsWith('held') ? gate : undefined));
    const held = on.set('held', 'v');
    expect(await said(impatient.set('held and given up', 'v'))).toBe('TIMEOUT_ERROR');
    await on.set('other', 'v');
    expect(server.keys(CACHE)).toEqual(['other']);
    open();
    expect(await said(held)).toBe('Success');
    expect(server.keys(CACHE).sort()).toEqual(['held', 'held and given up', 'other']);
  });

  it('delays every call by the latency of the options', async () => {
    const server = await serverWith({ latencyMs: 300 });
    const client = await clientOf(server, { timeoutMs: 100 });
    expect(await said(client.increment(CACHE, 'key', 1))).toBe('TIMEOUT_ERROR');
  });

  it('refuses calls without an accepted API key, and a key can be revoked', async () => {
    const server = await serverWith();
    const credentials = CredentialProvider.forMomentoLocal({ hostname: server.host, port: server.port });
    const keyed = new Proxy(credentials, { get: (of, name) => (name === 'getAuthToken' ? () => 'key-1' : Reflect.get(of, name).bind(of)) });
    const client = await clientOf(server, { credentials: keyed });
    server.accept(['key-1']);
    expect(await said(client.set(CACHE, 'key', 'v'))).toBe('Success');
    server.accept(['key-2']);
    expect(await said(client.get(CACHE, 'key'))).toBe('AUTHENTICATION_ERROR');
    expect(await said(client.getBatch(CACHE, ['key']))).toBe('AUTHENTICATION_ERROR');
    expect(await said(client.listCaches())).toBe('AUTHENTICATION_ERROR');
  });

  it('evicts keys', async () => {
    const { server, on } = await cache();
    await on.setBatch({ a: '1', b: '2', ü: '3' });
    expect(server.keys(CACHE).sort()).toEqual(['a', 'b', 'ü']);
    expect(server.evict(CACHE, 'ü')).toBe(true);
    expect(server.evict(CACHE, 'ü')).toBe(false);
    expect(await said(on.get('ü'))).toBe('Miss');
    server.flush(CACHE);
    expect(await said(on.get('a'))).toBe('Miss');
  });

  it('counts calls and bytes by rpc', async () => {
    const { server, on } = await cache();
    await on.set('key', 'v'.repeat(3_000));
    await on.get('key');
    await on.get('none');
    const { Set: written, Get: read, ...others } = server.counters();
    expect(others).toEqual({});
    expect(written?.calls).toBe(1);
    expect(read?.calls).toBe(2);
    expect(server.calls()).toBe(3);
    // Bytes beside the value: tags and lengths of the message, the key, the TTL.
    expect((written?.bytesIn ?? 0) - 3_000).toBeGreaterThan(5);
    expect((written?.bytesIn ?? 0) - 3_000).toBeLessThan(30);
    expect((read?.bytesOut ?? 0) - 3_000).toBeGreaterThan(3);
    expect((read?.bytesOut ?? 0) - 3_000).toBeLessThan(20);
    server.resetCounters();
    expect(server.counters()).toEqual({});
  });

  it('takes faults from headers, as the local server of Momento does', async () => {
    const server = await serverWith();
    const headers = { 'request-id': 'run', 'return-error': 'resource-exhausted', 'error-rpcs': 'set-if-hash get', 'error-count': '1' };
    const middleware: Middleware = {
      onNewRequest: () => ({
        async onRequestMetadata(metadata) {
          for (const [name, value] of Object.entries(headers)) metadata._grpcMetadata.set(name, value);
          return metadata;
        },
        onRequestBody: async (it) => it,
        onResponseMetadata: async (it) => it,
        onResponseBody: async (it) => it,
        onResponseStatus: async (it) => it,
      }),
    };
    const client = await clientOf(server, { middleware });
    expect(await said(client.set(CACHE, 'key', 'v'))).toBe('Success');
    expect(await said(client.setWithHash(CACHE, 'key', 'v'))).toBe('LIMIT_EXCEEDED_ERROR');
    expect(await said(client.setWithHash(CACHE, 'key', 'v'))).toBe(stored);
    expect(await said(client.get(CACHE, 'key'))).toBe('LIMIT_EXCEEDED_ERROR');
  });

  it('leaves its port when it has stopped, so that another server can take it', async () => {
    const first = await serverWith();
    await first.stop();
    const second = await serverWith({ port: first.port });
    const client = await clientOf(second);
    expect(await said(client.get(CACHE, 'key'))).toBe('Miss');
  });
});

describe('stale reads', () => {
  const often = { probability: 0.5, seed: 11 };

  it('shows ordinary reads the whole key as it was before one of the last writes', async () => {
    const { server, on } = await cache({ staleReads: { ...often, writes: 2 } });
    const consistent = (await clientOf(server, { concern: ReadConcern.CONSISTENT })).cache(CACHE);
    const behind = [0, 0, 0];
    for (let round = 1; round <= 60; round++) {
      await on.dictionarySetFields('key', { a: `${round}`, b: `${round}` });
      const seen = (await on.dictionaryFetch('key')).value();
      expect(seen?.a).toBe(seen?.b);
      behind[round - Number(seen?.a ?? 0)] = (behind[round - Number(seen?.a ?? 0)] ?? 0) + 1;
      expect((await consistent.dictionaryFetch('key')).value()).toEqual({ a: `${round}`, b: `${round}` });
    }
    expect(behind).toHaveLength(3);
    for (const count of behind) expect(count).toBeGreaterThan(5);
  });

  it('compares with the current value, although an ordinary read sees an older one', async () => {
    const { on } = await cache({ staleReads: { probability: 1 } });
    expect(await said(on.setIfAbsent('key', '1'))).toBe(stored);
    expect(await said(on.get('key'))).toBe('Miss');
    expect(await said(on.setIfAbsent('key', '1'))).toBe(notStored);
    expect(await said(on.setIfEqual('key', '2', '1'))).toBe(stored);
    const old = (await on.getWithHash('key')) as CacheGetWithHash.Hit;
    expect(old.valueString()).toBe('1');
    expect(await said(on.setIfPresentAndHashEqual('key', '3', old.hashUint8Array()))).toBe(notStored);
    expect((await on.increment('key', 5)).value()).toBe(7);
  });

  it('shows no state older than the bound, and no expired one', async () => {
    const { server, on } = await cache({ staleReads: { probability: 1, withinMs: 100_000 } });
    await on.set('key', '1');
    await on.set('key', '2');
    server.advance(50_000);
    expect((await on.get('key')).value()).not.toBe('2');
    server.advance(50_001);
    expect((await on.get('key')).value()).toBe('2');
    await on.set('short', '1', { ttl: 1 });
    server.advance(400);
    await on.delete('short');
    // The older state is absent or expired.
    server.advance(700);
    expect(await said(on.get('short'))).toBe('Miss');
  });

  it('repeats the same stale reads with the same seed', async () => {
    const runs = [];
    for (const seed of [3, 3, 4]) {
      const { on } = await cache({ staleReads: { probability: 0.5, seed } });
      const seen = [];
      for (let round = 0; round < 30; round++) {
        await on.set('key', `${round}`);
        seen.push((await on.get('key')).value());
      }
      runs.push(seen.join(' '));
    }
    expect(runs[0]).toBe(runs[1]);
    expect(runs[0]).not.toBe(runs[2]);
  });
});
