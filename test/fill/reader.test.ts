import { tracingChannel } from 'node:diagnostics_channel';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  BatchGetItemCommand,
  CreateTableCommand,
  DeleteItemCommand,
  type DynamoDBClient,
  DynamoDBClient as MockedClient,
  PutItemCommand,
  QueryCommand,
} from '@aws-sdk/client-dynamodb';
import { marshall } from '@aws-sdk/util-dynamodb';
import { mockClient } from 'aws-sdk-client-mock';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import type { CacheClient } from '../../src/cache.ts';
import { memoryCache } from '../../src/caches/memory.ts';
import { CacheUnavailableError, ViewError } from '../../src/errors.ts';
import {
  createReader,
  IncompleteListError,
  ReadBudgetError,
  type ReadEvent,
  type Reader,
  type ReaderOptions,
  TableUnavailableError,
} from '../../src/fill/reader.ts';
import { FLOOR, versionOf } from '../../src/version.ts';
import { documentView, entity, keyOf, listView } from '../../src/view.ts';
import { type DynamoDbLocal, HOW_TO_GET_JAVA, javaAvailable, startDynamoDbLocal } from '../servers/dynamodb-local.ts';
import { missing } from '../servers/requires.ts';

interface Book {
  readonly pk: string;
  readonly sk: string;
  readonly title: string;
  readonly shelf?: string;
  readonly year?: number;
  readonly bad?: boolean;
}

const book = entity<Book>({
  name: 'book',
  owns: ({ pk }) => typeof pk === 'string' && pk.startsWith('book#'),
  schema: { parse: (item) => item as Book },
});
const titles = documentView({
  name: 'titles',
  revision: 1,
  entity: book,
  project({ pk, title, bad }) {
    if (bad) throw new Error(`no title: ${title}`);
    return [{ key: pk.slice(5), value: { title } }];
  },
  from: (key) => (key.startsWith('!') ? undefined : { pk: `book#${key}`, sk: 'book' }),
});
const years = documentView({ ...titles, name: 'years', project: ({ pk, year }) => [{ key: pk.slice(5), value: year ?? 0 }] });
/** Ordered by the sort key, many books a year. */
const byYear = listView({
  name: 'byYear',
  revision: 1,
  entity: book,
  keep: 5,
  project: ({ shelf, year, title }) => (shelf === undefined || year === undefined ? [] : [{ list: shelf, score: year, value: title }]),
  from: (shelf) => ({ partition: { name: 'shelf', value: shelf }, sort: { name: 'year', valueAt: (year) => year }, index: 'byYear' }),
});
/** The same books, in no order that the reader knows. */
const unordered = listView({
  ...byYear,
  name: 'unordered',
  from: (shelf) => ({ partition: { name: 'shelf', value: shelf }, index: 'byYear' }),
});
const lagging = listView({
  ...byYear,
  name: 'lagging',
  from: (shelf) => ({
    partition: { name: 'shelf', value: shelf },
    sort: { name: 'year', valueAt: (year) => year },
    index: 'global',
    trust: 'index',
    lagMs: 300,
  }),
});
const unasked = listView({ ...byYear, name: 'unasked', from: () => undefined });

const TABLE = 'books';
const V = (n: number) => versionOf('2026-01-01T00:00:00.000', String(n));

describe.skipIf(missing(javaAvailable(), HOW_TO_GET_JAVA))('the reader', { timeout: 60_000 }, () => {
  let local: DynamoDbLocal;
  let cache: CacheClient;
  let reader: Reader;
  let commands: string[];
  let calls: string[];
  beforeAll(async () => {
    local = await startDynamoDbLocal();
    await local.client.send(
      new CreateTableCommand({
        TableName: TABLE,
        AttributeDefinitions: [
          { AttributeName: 'pk', AttributeType: 'S' },
          { AttributeName: 'sk', AttributeType: 'S' },
          { AttributeName: 'shelf', AttributeType: 'S' },
          { AttributeName: 'year', AttributeType: 'N' },
        ],
        KeySchema: [
          { AttributeName: 'pk', KeyType: 'HASH' },
          { AttributeName: 'sk', KeyType: 'RANGE' },
        ],
        // DynamoDB Local reads its global indexes consistently, so one of them can stand for a local index.
        GlobalSecondaryIndexes: ['byYear', 'global'].map((IndexName) => ({
          IndexName,
          KeySchema: [
            { AttributeName: 'shelf', KeyType: 'HASH' as const },
            { AttributeName: 'year', KeyType: 'RANGE' as const },
          ],
          Projection: { ProjectionType: 'ALL' as const },
        })),
        BillingMode: 'PAY_PER_REQUEST',
      }),
    );
  });
  afterAll(() => local?.close());

  /** Counts the commands to the table. Consistent queries of `byYear` are sent as eventually consistent ones, because it is a global index here. */
  const counted = (client: Pick<DynamoDBClient, 'send'> = local.client): Pick<DynamoDBClient, 'send'> => ({
    send: async (command: never, options: never) => {
      const sent: unknown = command;
      commands.push((sent as { constructor: { name: string } }).constructor.name.replace('Command', ''));
      if (!(sent instanceof QueryCommand)) return await client.send(command, options);
      expect(sent.input.ConsistentRead).toBe(sent.input.IndexName !== 'global');
      return await client.send(new QueryCommand({ ...sent.input, ConsistentRead: false }), options);
    },
  });
  const watched = (inner: CacheClient): CacheClient =>
    new Proxy(inner, {
      get(target, name: keyof CacheClient) {
        const method = target[name] as (...args: unknown[]) => unknown;
        return (...args: unknown[]) => {
          // The reader looks once for a register of lives.
          if (name !== 'get') calls.push(name);
          return method.apply(target, args);
        };
      },
    });
  const open = (options: Partial<ReaderOptions> = {}) =>
    createReader({
      cache: watched(cache),
      table: { client: counted(), name: TABLE, keys: ['pk', 'sk'] },
      cacheDeadlineMs: 1_000,
      ...options,
    });
  let written: string[] = [];
  const write = async (id: string, rest: Omit<Book, 'pk' | 'sk'>) => {
    written.push(id);
    await local.client.send(new PutItemCommand({ TableName: TABLE, Item: marshall({ pk: `book#${id}`, sk: 'book', ...rest }) }));
  };
  beforeEach(() => {
    [commands, calls] = [[], []];
    cache = memoryCache();
    reader = open();
  });
  afterEach(async () => {
    await reader.close();
    for (const id of written) {
      await local.client.send(new DeleteItemCommand({ TableName: TABLE, Key: marshall({ pk: `book#${id}`, sk: 'book' }) }));
    }
    written = [];
  });

  describe('get and look', () => {
    it('takes a lease, the table and a settle for a miss, and one call for what follows', async () => {
      await write('1', { title: 'one' });
      expect(await reader.look(titles, '1')).toEqual({ type: 'found', value: { title: 'one' }, by: 'table' });
      expect([calls, commands]).toEqual([['getOrLease', 'settle'], ['BatchGetItem']]);
      expect(await reader.look(titles, '1')).toEqual({ type: 'found', value: { title: 'one' }, by: 'cache', version: FLOOR });
      expect(await reader.get(titles, '1')).toEqual({ title: 'one' });
      expect([calls.slice(2), commands]).toEqual([['getOrLease', 'getOrLease'], ['BatchGetItem']]);
      expect(reader.counts()).toMatchObject({ hits: 2, misses: 1, filled: 1, lost: 0, tableCalls: 1, tableUnits: 1 });
    });

    it('fills in that the table has no such item, and answers that from the cache', async () => {
      expect(await reader.look(titles, 'none')).toEqual({ type: 'absent', by: 'table' });
      expect(await reader.look(titles, 'none')).toEqual({ type: 'absent', by: 'cache' });
      expect(await reader.get(titles, 'none')).toBeUndefined();
      expect(commands).toEqual(['BatchGetItem']);
    });

    it('asks nobody for a key that no item can have', async () => {
      expect(await reader.look(titles, '!')).toEqual({ type: 'absent', by: 'table' });
      expect(commands).toEqual([]);
    });

    it('does not overwrite what the stream wrote during the read', async () => {
      await write('1', { title: 'old' });
      const slow = {
        send: async (command: never, options: never) => {
          const answer = await local.client.send(command, options);
          await cache.apply([{ kind: 'document', type: 'put', key: keyOf(titles, '1'), version: V(7), json: '{"title":"new"}' }]);
          return answer;
        },
      };
      reader = open({ table: { client: slow, name: TABLE, keys: ['pk', 'sk'] } });
      expect(await reader.get(titles, '1')).toEqual({ title: 'old' });
      expect(await reader.look(titles, '1')).toEqual({ type: 'found', value: { title: 'new' }, by: 'cache', version: V(7) });
      expect(reader.counts()).toMatchObject({ filled: 0, lost: 1 });
    });

    it('rejects with the error of a view that throws on the item, without its values, and fills nothing', async () => {
      await write('1', { title: 'a secret', bad: true });
      const error = await reader.get(titles, '1').catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(ViewError);
      expect((error as Error).message).not.toContain('secret');
      expect(calls).toEqual(['getOrLease']);
      expect(await cache.get(keyOf(titles, '1'))).toEqual({ type: 'miss' });
    });

    it('names a view without from, and still answers what the cache has', async () => {
      const { from: _, ...rest } = titles;
      const without = documentView(rest);
      await cache.apply([{ kind: 'document', type: 'put', key: keyOf(without, '1'), version: V(1), json: '{"title":"kept"}' }]);
      expect(await reader.get(without, '1')).toEqual({ title: 'kept' });
      await expect(reader.get(without, '2')).rejects.toThrow(/view titles: from\(key\): .*give the view from/);
    });
  });

  describe('getMany', () => {
    it('takes two calls of the cache and one BatchGetItem for 100 cold documents, in order', async () => {
      const ids = Array.from({ length: 100 }, (_, i) => `${i}`);
      for (const id of ids.slice(0, 60)) await write(id, { title: id });
      const expected = ids.map((_, i) => (i < 60 ? { title: `${i}` } : undefined));
      expect(await reader.getMany(titles, ids)).toEqual(expected);
      expect([calls, commands]).toEqual([['getOrLease', 'settle'], ['BatchGetItem']]);
      expect(await reader.getMany(titles, ids)).toEqual(expected);
      expect([calls.slice(2), commands]).toEqual([['getOrLease'], ['BatchGetItem']]);
    });

    it('asks for a key once, and answers each time that it is given', async () => {
      await write('1', { title: 'one' });
      expect(await reader.getMany(titles, ['1', '2', '1', '1'])).toEqual([{ title: 'one' }, undefined, { title: 'one' }, { title: 'one' }]);
      expect(reader.counts()).toMatchObject({ misses: 2, tableCalls: 1 });
      expect(await reader.getMany(titles, [])).toEqual([]);
    });

    it('fills the other documents when a view throws on one', async () => {
      await write('1', { title: 'one' });
      await write('2', { title: 'two', bad: true });
      await expect(reader.getMany(titles, ['1', '2'])).rejects.toThrow(ViewError);
      expect(await cache.getMany([keyOf(titles, '1'), keyOf(titles, '2')])).toMatchObject([{ type: 'hit' }, { type: 'miss' }]);
    });

    it('fills the other documents when from throws on one key', async () => {
      const picky = documentView({
        ...titles,
        from(key) {
          if (key === 'odd') throw new Error('an odd key');
          return titles.from?.(key);
        },
      });
      await write('1', { title: 'one' });
      await expect(reader.getMany(picky, ['1', 'odd'])).rejects.toThrow(ViewError);
      expect(await cache.getMany([keyOf(titles, '1'), keyOf(titles, 'odd')])).toMatchObject([{ type: 'hit' }, { type: 'miss' }]);
    });

    it('asks for an item once that gives several documents', async () => {
      const twins = documentView({
        ...titles,
        name: 'twins',
        project: ({ pk, title }: Book) => ['a', 'b'].map((part) => ({ key: `${part}${pk.slice(5)}`, value: { title: part + title } })),
        from: (key) => ({ pk: `book#${key.slice(1)}`, sk: 'book' }),
      });
      await write('1', { title: 'one' });
      expect(await reader.getMany(twins, ['a1', 'b1', 'c1'])).toEqual([{ title: 'aone' }, { title: 'bone' }, undefined]);
      expect(reader.counts().tableUnits).toBe(1);
    });

    it('takes unprocessed keys for unknown, and asks again', async () => {
      const mocked = mockClient(MockedClient);
      const item = { pk: { S: 'book#1' }, sk: { S: 'book' }, title: { S: 'one' } };
      const rest = { [TABLE]: { Keys: [{ pk: { S: 'book#1' }, sk: { S: 'book' } }] } };
      mocked
        .on(BatchGetItemCommand)
        .resolvesOnce({ Responses: {}, UnprocessedKeys: rest })
        .resolvesOnce({ Responses: { [TABLE]: [item] } });
      reader = open({ table: { client: new MockedClient({ region: 'x' }), name: TABLE, keys: ['pk', 'sk'] } });
      expect(await reader.get(titles, '1')).toEqual({ title: 'one' });
      mocked.reset();
      mocked.on(BatchGetItemCommand).resolves({ Responses: {}, UnprocessedKeys: rest });
      await expect(reader.get(years, '1')).rejects.toThrow(TableUnavailableError);
      expect(await cache.get(keyOf(years, '1'))).toEqual({ type: 'miss' });
      mocked.restore();
    });
  });

  describe('many callers', () => {
    it('read the table once for 1,000 simultaneous misses of one address', async () => {
      await write('1', { title: 'one' });
      const answers = await Promise.all(Array.from({ length: 1_000 }, () => reader.get(titles, '1')));
      expect(new Set(answers.map((it) => JSON.stringify(it)))).toEqual(new Set(['{"title":"one"}']));
      expect([calls, commands]).toEqual([['getOrLease', 'settle'], ['BatchGetItem']]);
    });

    it('read the table at most 3 times from 50 readers that share a cache', async () => {
      await write('1', { title: 'one' });
      const readers = Array.from({ length: 50 }, () => open());
      const answers = await Promise.all(readers.map((one) => one.get(titles, '1')));
      expect(answers).toEqual(answers.map(() => ({ title: 'one' })));
      expect(commands.length).toBeLessThanOrEqual(3);
      commands = [];
      await write('2', { title: 'two', shelf: 'a', year: 2 });
      const pages = await Promise.all(readers.map((one) => one.page(byYear, 'a', { limit: 2 })));
      expect(new Set(pages.map(({ members, complete }) => JSON.stringify([members, complete]))).size).toBe(1);
      expect(commands.length).toBeLessThanOrEqual(3);
      for (const one of readers) await one.close();
    });

    it('do not wait for each other when each has what the other wants', async () => {
      for (const id of ['1', '2']) await write(id, { title: id });
      const [one, two] = [open(), open()];
      const begin = performance.now();
      await Promise.all([one.getMany(titles, ['1', '2']), two.getMany(titles, ['2', '1']), reader.getMany(titles, ['2'])]);
      expect(performance.now() - begin).toBeLessThan(400);
    });

    it('go on when one of them is aborted, and end the read when all are', async () => {
      await write('1', { title: 'one' });
      let signal: AbortSignal | undefined;
      const slow = {
        send: async (command: never, options: { abortSignal: AbortSignal }) => {
          signal = options.abortSignal;
          await sleep(100, undefined, { signal });
          return await local.client.send(command, options as never);
        },
      };
      reader = open({ table: { client: slow as never, name: TABLE, keys: ['pk', 'sk'] } });
      const [first, second] = [new AbortController(), new AbortController()];
      const aborted = reader.get(titles, '1', { signal: first.signal });
      const other = reader.get(titles, '1', { signal: second.signal });
      first.abort(new Error('the first has gone'));
      await expect(aborted).rejects.toThrow('the first has gone');
      expect(await other).toEqual({ title: 'one' });
      expect(signal?.aborted).toBe(false);
      const alone = reader.get(titles, '2', { signal: second.signal });
      await sleep(20);
      expect(signal?.aborted).toBe(false);
      second.abort(new Error('all have gone'));
      await expect(alone).rejects.toThrow('all have gone');
      expect(signal?.aborted).toBe(true);
      await expect(reader.get(titles, '2', { signal: second.signal })).rejects.toThrow('all have gone');
    });
  });

  describe('a cache that is down, slow or full', () => {
    const broken = (over: Partial<CacheClient>): CacheClient => ({ ...memoryCache(), ...over }) as CacheClient;
    const down = async () => {
      throw new CacheUnavailableError('down');
    };

    it('lets the table answer, and after 5 failures no longer waits for the cache', async () => {
      await write('1', { title: 'one', shelf: 'a', year: 1 });
      let asked = 0;
      const hang = () => {
        asked += 1;
        return new Promise<never>(() => {});
      };
      reader = open({ cache: broken({ getOrLease: hang, lease: hang, list: hang }), cacheDeadlineMs: 30 });
      for (let i = 0; i < 5; i += 1) expect(await reader.get(titles, '1')).toEqual({ title: 'one' });
      expect(asked).toBe(5);
      const begin = performance.now();
      for (let i = 0; i < 10; i += 1) expect(await reader.get(titles, '1')).toEqual({ title: 'one' });
      expect((await reader.page(byYear, 'a')).members).toHaveLength(1);
      expect([asked, performance.now() - begin < 500]).toEqual([5, true]);
      expect(reader.counts().unanswered).toBeGreaterThan(15);
    });

    it('asks the cache again after a while', async () => {
      await write('1', { title: 'one' });
      const inner = memoryCache();
      let isDown = true;
      reader = open({ cache: broken({ ...inner, getOrLease: (keys) => (isDown ? down() : inner.getOrLease(keys)) }) });
      for (let i = 0; i < 6; i += 1) await reader.get(titles, '1');
      isDown = false;
      await sleep(1_050);
      await reader.get(titles, '1');
      expect(await reader.look(titles, '1')).toMatchObject({ by: 'cache' });
    });

    it('answers although the settle fails', async () => {
      await write('1', { title: 'one' });
      reader = open({ cache: broken({ settle: down }) });
      expect(await reader.get(titles, '1')).toEqual({ title: 'one' });
      expect(reader.counts()).toMatchObject({ filled: 0, lost: 1 });
    });

    it('does not hide a wrong argument', async () => {
      await expect(reader.get(titles, '\ud800')).rejects.toThrow(TypeError);
    });
  });

  describe('a table that gives no answer', () => {
    const refusing = (name: string) => ({
      send: async () => {
        throw Object.assign(new Error('a message with a key in it: book#1'), { name });
      },
    });

    it('rejects a miss with TableUnavailableError, and answers hits', async () => {
      await cache.apply([{ kind: 'document', type: 'put', key: keyOf(titles, '1'), version: V(1), json: '{"title":"kept"}' }]);
      reader = open({ table: { client: refusing('ProvisionedThroughputExceededException') as never, name: TABLE, keys: ['pk', 'sk'] } });
      expect(await reader.get(titles, '1')).toEqual({ title: 'kept' });
      await expect(reader.get(titles, '2')).rejects.toThrow(
        /^table books gives no answer \(ProvisionedThroughputExceededException\): try later$/,
      );
      await expect(reader.page(byYear, 'a')).rejects.toThrow(TableUnavailableError);
    });

    it('names what must be mended, without the message of DynamoDB', async () => {
      reader = open({ table: { client: refusing('AccessDeniedException') as never, name: TABLE, keys: ['pk', 'sk'] } });
      await expect(reader.get(titles, '2')).rejects.toThrow(
        /^table books: allow dynamodb:BatchGetItem on the table, and dynamodb:Query on the table and on its index/,
      );
      await expect(reader.page(byYear, 'a')).rejects.toThrow(
        /^index byYear of table books: allow .*dynamodb:Query on the table and on its index/,
      );
    });

    it('rejects misses above the read units with ReadBudgetError, until there are units again', async () => {
      for (const id of ['1', '2', '3', '4']) await write(id, { title: id });
      reader = open({ readUnitsPerSecond: 2 });
      expect(await reader.getMany(titles, ['1', '2', '3'])).toHaveLength(3);
      const error = await reader.get(titles, '4').catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(ReadBudgetError);
      expect((error as Error).message).toContain('its 2 read units a second');
      expect(await reader.get(titles, '1')).toEqual({ title: '1' });
      await sleep(1_100);
      expect(await reader.get(titles, '4')).toEqual({ title: '4' });
    });
  });

  describe('read your writes', () => {
    beforeEach(() => {
      for (const view of [titles, years]) {
        for (const id of ['1', '2'])
          void cache.apply([{ kind: 'document', type: 'put', key: keyOf(view, id), version: V(1), json: '"old"' }]);
      }
    });

    it('asks the table for the address of a ticket, and the cache for all others', async () => {
      for (const id of ['1', '2']) await write(id, { title: 'new', year: 5 });
      const ticket = reader.wrote(titles, '1');
      expect(ticket).toMatch(/^[\w.-]{1,20}$/);
      expect(await reader.look(titles, '1', { ticket })).toEqual({ type: 'found', value: { title: 'new' }, by: 'table' });
      expect(await reader.getMany(titles, ['2', '1'], { ticket })).toEqual(['old', { title: 'new' }]);
      expect(await reader.get(years, '1', { ticket })).toBe('old');
      expect(await reader.get(years, '1', { ticket: [ticket, reader.wrote(years, '1')] })).toBe(5);
      expect(await reader.get(titles, '1')).toBe('old');
      expect(await reader.get(titles, '1', { ticket: undefined })).toBe('old');
    });

    it('asks the cache again when the ticket is older than the lag bound', async () => {
      await write('1', { title: 'new' });
      reader = open({ lagBoundMs: 50 });
      const ticket = reader.wrote(titles, '1');
      expect(await reader.get(titles, '1', { ticket })).toEqual({ title: 'new' });
      await sleep(60);
      expect(await reader.get(titles, '1', { ticket })).toBe('old');
    });

    it.each(['', 'x', 'lq2w3e4r.abc', 'lq2w3e4r.abcdefg!', '9'.repeat(40)])(
      'refuses the ticket %j, which it did not give',
      async (ticket) => {
        await expect(reader.get(titles, '1', { ticket })).rejects.toThrow(RangeError);
        await expect(reader.page(byYear, 'a', { ticket: [ticket] })).rejects.toThrow(/was not given by wrote\(\)/);
      },
    );

    it('reads the table when a value of the cache is not fresh, or the cache knows of none', async () => {
      await write('1', { title: 'new' });
      await cache.apply([{ kind: 'document', type: 'delete', key: keyOf(titles, '3'), version: V(1) }]);
      await write('3', { title: 'third' });
      const fresh = (value: { title: string }) => value.title === 'new' || value.title === 'third';
      expect(await reader.get(titles, '1', { fresh })).toEqual({ title: 'new' });
      expect(await reader.look(titles, '3', { fresh })).toEqual({ type: 'found', value: { title: 'third' }, by: 'table' });
      expect(await reader.get(titles, '1', { fresh: () => true })).toBe('old');
      expect(await reader.get(titles, '1', { fresh: () => false })).toEqual({ title: 'new' });
      expect(await cache.get(keyOf(titles, '1'))).toMatchObject({ value: 'old' });
    });

    it('reads the page of a list from the table, and a lagging index only when it must have the write', async () => {
      await write('1', { title: 'new', shelf: 'a', year: 1 });
      const [lease] = await cache.lease([{ kind: 'list', list: keyOf(byYear, 'a'), keep: 5 }]);
      if (lease) await cache.settle([{ lease, found: { kind: 'list', newest: [] } }]);
      expect(await reader.page(byYear, 'a')).toMatchObject({ members: [], complete: true, by: 'cache' });
      expect(await reader.page(byYear, 'a', { ticket: reader.wrote(byYear, 'a') })).toMatchObject({
        members: [{ value: 'new' }],
        complete: true,
        by: 'table',
      });
      const begin = performance.now();
      const page = await reader.page(lagging, 'a', { ticket: reader.wrote(lagging, 'a') });
      expect(page).toMatchObject({ members: [{ value: 'new' }], complete: false, by: 'index' });
      expect(performance.now() - begin).toBeGreaterThan(280);
    });
  });

  describe('pages', () => {
    /** 12 books in 4 years: three books a year. */
    const fillShelf = async () => {
      for (let i = 0; i < 12; i += 1) await write(`b${i}`, { title: `t${i}`, shelf: 'a', year: 2_000 + Math.floor(i / 3) });
    };
    /** Greatest score first, and among equal scores the greatest name. */
    const newestFirst = [11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0]
      .map((i) => `t${i}`)
      .sort((a, b) => yearOf(b) - yearOf(a) || nameOf(b).localeCompare(nameOf(a)));
    function yearOf(title: string): number {
      return Math.floor(Number(title.slice(1)) / 3);
    }
    function nameOf(title: string): string {
      return JSON.stringify([`book#b${title.slice(1)}`, 'book']);
    }

    it.each([byYear, unordered])('fills the list of $name by one query, and continues in the table where the list ends', async (view) => {
      await fillShelf();
      const first = await reader.page(view, 'a', { limit: 2 });
      expect(first).toMatchObject({ complete: true, by: 'table' });
      expect([calls, commands]).toEqual([['list', 'lease', 'settle'], ['Query']]);
      expect(await reader.page(view, 'a', { limit: 2 })).toEqual({ ...first, by: 'cache' });
      for (const limit of [1, 2, 3, 4, 5, 7, 12, 20]) {
        const seen: unknown[] = [];
        for await (const title of reader.members(view, 'a', { limit })) seen.push(title);
        expect(seen, `limit ${limit}`).toEqual(newestFirst);
      }
    });

    it('keeps a page of a list that the table lacks, and answers it from the cache', async () => {
      expect(await reader.page(byYear, 'none')).toEqual({ members: [], complete: true, by: 'table' });
      expect(await reader.page(byYear, 'none')).toEqual({ members: [], complete: true, by: 'cache' });
    });

    it('rejects a cursor that no page gave, and a wrong limit', async () => {
      await expect(reader.page(byYear, 'a', { after: 'x' })).rejects.toThrow(/cursor "x" was not given by a page/);
      await expect(reader.page(byYear, 'a', { limit: 0 })).rejects.toThrow(RangeError);
      const forged = Buffer.from(JSON.stringify([2 ** 60, 'a'])).toString('base64url');
      await expect(reader.page(byYear, 'a', { after: forged })).rejects.toThrow(/cursor .* was not given by a page of this list/);
    });

    it('gives a list that no query answers only as the cache has it, and only if asked', async () => {
      await cache.apply([
        { kind: 'member', type: 'put', list: keyOf(unasked, 'a'), member: 'm', score: 1, version: V(1), keep: 5, json: '"one"' },
      ]);
      await expect(reader.page(unasked, 'a')).rejects.toThrow(IncompleteListError);
      expect(await reader.page(unasked, 'a', { partial: 'allow' })).toMatchObject({
        members: [{ value: 'one' }],
        complete: false,
        by: 'cache',
      });
    });

    it('gives what the cache has when the table gives no answer, if asked', async () => {
      await cache.apply([
        { kind: 'member', type: 'put', list: keyOf(byYear, 'a'), member: 'm', score: 1, version: V(1), keep: 5, json: '"one"' },
      ]);
      reader = open({ table: { client: { send: () => Promise.reject(new Error('down')) } as never, name: TABLE, keys: ['pk', 'sk'] } });
      await expect(reader.page(byYear, 'a')).rejects.toThrow(TableUnavailableError);
      expect(await reader.page(byYear, 'a', { partial: 'allow' })).toMatchObject({
        members: [{ value: 'one' }],
        complete: false,
        by: 'cache',
      });
    });

    it('gives the pages of a lagging index at once, and fills the list by a query that begins lagMs after the lease', async () => {
      await fillShelf();
      const first = await reader.page(lagging, 'a', { limit: 3 });
      expect(first).toMatchObject({ complete: false, by: 'index' });
      expect(first.members.map(({ value }) => value)).toEqual(newestFirst.slice(0, 3));
      expect(await reader.page(lagging, 'a', { limit: 3 })).toEqual(first);
      expect(reader.counts().filled).toBe(0);
      await sleep(320);
      expect(await reader.page(lagging, 'a', { limit: 3 })).toEqual({ ...first, complete: true, by: 'cache' });
      expect(reader.counts().filled).toBe(1);
    });

    it('gives the members of an item once that an index gives twice', async () => {
      const item = (year: string) => ({
        pk: { S: 'book#1' },
        sk: { S: 'book' },
        title: { S: `in ${year}` },
        shelf: { S: 'a' },
        year: { N: year },
      });
      const send = async () => ({ Items: [item('3'), item('2')] });
      reader = open({ table: { client: { send } as never, name: TABLE, keys: ['pk', 'sk'] } });
      expect((await reader.page(lagging, 'a')).members).toMatchObject([{ value: 'in 3' }]);
      await sleep(320);
      expect((await reader.page(lagging, 'a')).members).toMatchObject([{ value: 'in 3' }]);
      expect(reader.counts().filled).toBe(1);
    });
  });

  describe('work after the answer', () => {
    it('settles documents and lists in it, and loses no error', async () => {
      await write('1', { title: 'one', shelf: 'a', year: 1 });
      const works: (() => Promise<void>)[] = [];
      reader = open({ after: (work) => works.push(work) });
      expect(await reader.get(titles, '1')).toEqual({ title: 'one' });
      expect(reader.counts().filled).toBe(0);
      expect((await reader.page(lagging, 'a')).by).toBe('index');
      expect(works).toHaveLength(2);
      await Promise.all(works.map((work) => work()));
      expect(reader.counts().filled).toBe(2);
      expect(await reader.page(lagging, 'a')).toMatchObject({ complete: true, by: 'cache' });
    });
  });

  describe('events', () => {
    it('tell view, verb, place, completeness and read units, and keys only if asked', async () => {
      await write('1', { title: 'one', shelf: 'a', year: 1 });
      const events: ReadEvent[] = [];
      const channel = tracingChannel<unknown, ReadEvent>('millrace:read');
      const errors = vi.fn();
      const subscribers = {
        start() {},
        end() {},
        asyncStart() {},
        asyncEnd: (event: ReadEvent) => events.push({ ...event }),
        error: errors,
      };
      channel.subscribe(subscribers as never);
      await reader.get(titles, '1');
      await reader.getMany(titles, ['1', '2']);
      await open({ traceKeys: true }).page(byYear, 'a');
      await reader.page(unasked, 'a').catch(() => {});
      channel.unsubscribe(subscribers as never);
      expect(events.map(({ view, verb, by, complete, units, keys }) => ({ view, verb, by, complete, units, keys }))).toEqual([
        { view: 'titles@1', verb: 'get', by: 'table', units: 1 },
        // DynamoDB Local counts nothing for an absent item.
        { view: 'titles@1', verb: 'getMany', by: 'mixed', units: 0 },
        { view: 'byYear@1', verb: 'page', by: 'table', complete: true, units: expect.any(Number), keys: ['a'] },
        { view: 'unasked@1', verb: 'page' },
      ]);
      expect(errors).toHaveBeenCalledTimes(1);
    });
  });

  it('rejects calls after it was closed, and leaves the cache open', async () => {
    await reader.close();
    await expect(reader.get(titles, '1')).rejects.toThrow('the reader was closed');
    expect(await cache.get('x')).toEqual({ type: 'miss' });
  });

  it.each([
    [{ cacheDeadlineMs: 0 }, /cacheDeadlineMs is 0/],
    [{ readUnitsPerSecond: Number.NaN }, /readUnitsPerSecond is NaN/],
    [{ table: { name: '', keys: ['pk'], client: undefined as never } }, /table.name is empty/],
    [{ table: { name: 'x', keys: [], client: undefined as never } }, /table.keys is not one or two names/],
  ])('refuses the options %j', (options, message) => {
    expect(() => open(options)).toThrow(message);
  });
});
