import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as z from 'zod';
import { memoryCache } from '../../src/caches/memory.ts';
import { streamHandler } from '../../src/handlers/stream-handler.ts';
import { checkView, insert, modify, remove, streamEvent } from '../../src/testing/index.ts';
import { documentView, entity, type KeyAttributes, type ListQuery, listView, type View } from '../../src/view.ts';

const schema = z.looseObject({ pk: z.string(), title: z.string(), tags: z.array(z.string()), pages: z.number() });
type Book = z.infer<typeof schema>;
const book = entity<Book>({ name: 'book', owns: ({ sk }) => sk === 'book', schema });

const pk = fc.constantFrom('a', 'b', 'c', 'd');
const tags = fc.array(fc.constantFrom('x', 'y'), { maxLength: 2 });
const books = fc.record({ pk, sk: fc.constant('book'), title: fc.constantFrom('one', 'two'), tags, pages: fc.nat(9) });
const items = fc.oneof(books, fc.record({ pk, sk: fc.constant('author') }));

const options = { keys: ['pk', 'sk'], seed: 1 };
const document = (project: (item: Book) => readonly { key: string; value: unknown }[]): View =>
  documentView({ name: 'books', revision: 1, entity: book, project });
/** Not the clock that `checkView` sets forward. */
const realNow = () => performance.timeOrigin + performance.now();
const fault = (view: View, generated: fc.Arbitrary<Record<string, unknown>> = items): string => {
  try {
    checkView(view, generated, options);
  } catch (error) {
    return (error as Error).message;
  }
  return 'no fault';
};

describe('checkView', () => {
  it('accepts a view that keeps the rules', () => {
    expect(fault(document(({ pk, title, tags }) => [{ key: pk, value: { title, tags, subtitle: undefined } }]))).toBe('no fault');
    const list = listView({
      name: 'by-title',
      revision: 1,
      entity: book,
      keep: 10,
      project: ({ title, pages }) => [{ list: title, score: pages, value: { title } }],
    });
    expect(() => checkView(list, items, options)).not.toThrow();
  });

  it.each<[string, View, RegExp]>([
    [
      'throws',
      document(({ pages }) => [{ key: String(pages), value: 1 / Number(BigInt(1) / BigInt(pages)) }]),
      /it throws: Division by zero/,
    ],
    [
      'changes its item',
      document(({ pk, tags }) => {
        tags.sort().push('z');
        return [{ key: pk, value: 1 }];
      }),
      /it changes its item/,
    ],
    ['reads the time', document(({ pk }) => [{ key: pk, value: { year: Date.now() } }]), /the same item to different entries/],
    ['reads the date', document(({ pk }) => [{ key: pk, value: new Date().toISOString() }]), /the same item to different entries/],
    ['uses random numbers', document(({ pk }) => [{ key: pk, value: Math.random() }]), /the same item to different entries/],
    ['shares an address', document(({ title }) => [{ key: title, value: 1 }]), /two items share the address 'books@1:(one|two)'/],
    ['gives an address twice', document(({ pk }) => [pk, pk].map((key) => ({ key: key, value: 1 }))), /gives one address twice/],
    ['gives an empty key', document(() => [{ key: '', value: 1 }]), /a key is empty/],
    ['gives a date', document(({ pk }) => [{ key: pk, value: { at: new Date(0) } }]), /its value\.at is a Date/],
    ['gives undefined', document(({ pk }) => [{ key: pk, value: undefined }]), /its value is undefined/],
    ['gives a hole', document(({ pk }) => [{ key: pk, value: [undefined] }]), /its value\[0\] is undefined/],
    ['gives NaN', document(({ pk }) => [{ key: pk, value: { half: Number.NaN } }]), /its value\.half is NaN/],
    ['gives a bigint', document(({ pk }) => [{ key: pk, value: 1n }]), /its value is a bigint/],
    ['gives a map', document(({ pk }) => [{ key: pk, value: [new Map()] }]), /its value\[0\] is a Map/],
    [
      'has a score that is not finite',
      listView({
        name: 'books',
        revision: 1,
        keep: 3,
        entity: book,
        project: ({ pages }) => [{ list: 'l', score: 1 / (pages - 4), value: 1 }],
      }),
      /a score is not a finite number/,
    ],
  ])('refuses a view that %s, and shows the item', (_, view, expected) => {
    const message = fault(view);
    expect(message).toMatch(expected);
    expect(message).toMatch(/^view books: .*\n {2}item: \{ pk: '\w'/);
    expect(message).toMatch(/seed: 1$/);
  });

  it('shows only the two items that share an address', () => {
    const message = fault(document(({ title }) => [{ key: title, value: 1 }]));
    expect(message.match(/item: \{ pk: '(\w)'/g)).toHaveLength(2);
  });

  it('refuses a view whose schema refuses an item of its entity', () => {
    expect(
      fault(
        document(({ pk }) => [{ key: pk, value: 1 }]),
        fc.record({ pk, sk: fc.constant('book') }),
      ),
    ).toMatch(/the schema of its entity refuses the item[\s\S]*title/);
  });

  it('refuses generated items without an item of the entity, or without a key', () => {
    const view = document(({ pk }) => [{ key: pk, value: 1 }]);
    expect(fault(view, fc.record({ pk, sk: fc.constant('author') }))).toMatch(/none of the generated items is of its entity "book"/);
    expect(() => checkView(view, items, { keys: ['id'] })).toThrow(/lacks the key attribute "id"/);
  });
});

describe('checkView of a view with from', () => {
  const documents = (from: (key: string) => unknown) =>
    documentView({
      name: 'books',
      revision: 1,
      entity: book,
      project: ({ pk, title }) => [{ key: pk, value: { title } }],
      from: from as (key: string) => KeyAttributes | undefined,
    });

  it('accepts a view that leads to its items', () => {
    expect(fault(documents((pk) => ({ pk, sk: 'book' })))).toBe('no fault');
    expect(fault(documents((pk) => (/^[a-d]$/.test(pk) ? { sk: 'book', pk } : undefined)))).toBe('no fault');
  });

  it.each<[string, (key: string) => unknown, RegExp]>([
    [
      'to another item',
      (pk) => ({ pk: `${pk}!`, sk: 'book' }),
      /from\('a'\) gives \{ pk: 'a!', sk: 'book' \}, but the key of the item is \{ pk: 'a'/,
    ],
    [
      'to an item by a part of its key',
      (pk) => ({ pk }),
      /from\('a'\) gives \{ pk: 'a' \}, but the key of the item is \{ pk: 'a', sk: 'book' \}/,
    ],
    ['to an item by another attribute', (pk) => ({ pk, title: 'one' }), /gives \{ pk: 'a', title: 'one' \}, but the key of the item is/],
    ['to no item', (pk) => (pk === 'a' ? undefined : { pk, sk: 'book' }), /from\('a'\) is undefined, but the item gives this key/],
    ['to an impossible item', () => ({ pk: '', sk: 'book' }), /from\('a'\) is undefined, but the item gives this key/],
  ])('refuses one that leads %s, and shows the item', (_, from, expected) => {
    const message = fault(documents(from));
    expect(message).toMatch(expected);
    expect(message).toMatch(/^view books: from.*\n {2}item: \{ pk: 'a'[^\n]*\n {2}seed: 1$/);
  });

  it.each<[string, (key: string) => unknown, string]>([
    [
      'throws for a key that no item has',
      (pk) => {
        if (pk.length > 1) throw new Error('it is long');
        return { pk, sk: 'book' };
      },
      "from('💥') is faulty: it is long",
    ],
    ['throws for the empty key', (pk) => ({ pk: new URL(pk).host, sk: 'book' }), "from('') is faulty: Invalid URL"],
    [
      'gives null',
      (pk) => (pk === '' ? null : { pk }),
      "from('') is faulty: gives something that is null: return the primary key of the item, or undefined",
    ],
    [
      'rounds a number',
      () => ({ id: 2 ** 53 }),
      'from(\'\') is faulty: the value of the key attribute "id" is a number beyond 2^53, which may be rounded: use shorter numbers as keys, or strings',
    ],
  ])('refuses one whose from %s', (_, from, expected) => {
    expect(fault(documents(from))).toBe(`view books: ${expected}`);
  });

  it('refuses one whose from depends on the time, or on earlier calls', () => {
    expect(fault(documents((pk) => ({ pk, sk: `book ${Date.now()}` })))).toMatch(
      /^view books: from\('x'\) changes: first \{ pk: 'x', sk: 'book \d+' \}, then/,
    );
    let calls = 0;
    expect(fault(documents((pk) => ({ pk, sk: `book ${calls++}` })))).toMatch(/^view books: from\('x'\) changes/);
  });
});

describe('checkView of a list view with from', () => {
  /** Books of an author (`pk`), by their number of pages (`n`), which is also in the sort key. */
  const volumeSchema = z.looseObject({ pk: z.string(), sk: z.string(), n: z.number() });
  const volume = entity({ name: 'volume', owns: () => true, schema: volumeSchema });
  const numbers = [-2, -1, 0, 1, 5, 10, 100];
  const padded = (n: number) => `book#${String(n + 500).padStart(4, '0')}`;
  const volumes = (sortKey: (n: number) => string) =>
    fc.record({ pk, n: fc.constantFrom(...numbers) }).map(({ pk, n }) => ({ pk, n, sk: sortKey(n) }));
  type Volume = z.infer<typeof volumeSchema>;
  const byNumber = (from: (list: string) => unknown, score = ({ n }: Volume) => n) =>
    listView({
      name: 'volumes',
      revision: 1,
      keep: 3,
      entity: volume,
      project: (item) => [
        { list: item.pk, score: score(item), value: 1 },
        { list: 'all', score: score(item), value: 1 },
      ],
      from: from as (list: string) => ListQuery | undefined,
    });
  const query =
    (sort: unknown, more = {}) =>
    (list: string) =>
      list === 'all' ? undefined : { partition: { name: 'pk', value: list }, sort, ...more };

  it('accepts views whose queries select their items', () => {
    const of = (sort: unknown, more = {}) => fault(byNumber(query(sort, more)), volumes(padded));
    expect(of(undefined)).toBe('no fault');
    expect(of({ name: 'sk', beginsWith: 'book#' })).toBe('no fault');
    expect(of({ name: 'sk', valueAt: padded })).toBe('no fault');
    expect(of({ name: 'sk', beginsWith: 'book#0', valueAt: padded })).toBe('no fault');
    expect(of({ name: 'n', valueAt: (score: number) => score }, { index: 'byNumber' })).toBe('no fault');
    const byTitle = listView({
      name: 'by-title',
      revision: 1,
      keep: 3,
      entity: book,
      project: ({ title, pages }) => [{ list: title, score: pages, value: 1 }],
      from: (title) => ({ partition: { name: 'title', value: title }, index: 'byTitle', trust: 'index', lagMs: 9 }),
    });
    expect(() => checkView(byTitle, items, options)).not.toThrow();
  });

  it.each<[string, (list: string) => unknown, RegExp]>([
    [
      'selects another partition',
      (list) => ({ partition: { name: 'pk', value: `${list}!` } }),
      /from\('a'\) does not select the item: pk is 'a', not 'a!'/,
    ],
    [
      'selects by an attribute of the table',
      (list) => ({ partition: { name: 'title', value: list } }),
      /selects by "title", which is no key attribute of the table/,
    ],
    [
      'selects by an attribute of a local index',
      (list) => ({ partition: { name: 'title', value: list }, index: 'i' }),
      /selects by "title", which is no key attribute of the table/,
    ],
    ['sorts by no key of the table', query({ name: 'n' }), /selects by "n", which is no key attribute of the table: give the index/],
    [
      'selects by an attribute that the item lacks',
      query({ name: 'none' }, { index: 'sparse' }),
      /from\('a'\) does not select the item: none is undefined, so the index lacks it/,
    ],
    [
      'has another prefix',
      query({ name: 'sk', beginsWith: 'Book' }),
      /from\('a'\) does not select the item: sk is 'book#0\d+', which does not begin with 'Book'/,
    ],
    [
      'has a prefix for numbers',
      query({ name: 'n', beginsWith: '1' }, { index: 'i' }),
      /does not select the item: n is -?\d+, which does not begin with '1'/,
    ],
    [
      'has another sort key for a score',
      query({ name: 'sk', valueAt: (n: number) => `book#${n}` }),
      /from\('a'\) has a valueAt\(-?\d+\) of 'book#-?\d+', but sk is 'book#0\d+'/,
    ],
    [
      'has a valueAt that throws',
      query({
        name: 'sk',
        valueAt: (n: number) => {
          if (n === 5) throw new Error('no five');
          return padded(n);
        },
      }),
      /from\('a'\) has a faulty valueAt\(5\): no five/,
    ],
    [
      'has a valueAt that gives nothing',
      query({ name: 'sk', valueAt: () => undefined }),
      /has a faulty valueAt\(-?\d+\): the value of a sort key is undefined/,
    ],
    [
      'has a valueAt that reads the time',
      query({ name: 'sk', valueAt: (n: number) => (Date.now() > realNow() + 1_000 ? 'later' : padded(n)) }),
      /has a valueAt\(-?\d+\) of 'later'/,
    ],
  ])('refuses a query that %s, and shows the item', (_, from, expected) => {
    const message = fault(byNumber(from), volumes(padded));
    expect(message).toMatch(expected);
    expect(message).toMatch(/^view volumes: from.*\n {2}item: \{ pk: 'a'[^\n]*\n {2}seed: 1$/);
  });

  it.each<[string, (n: number) => string, (item: Volume) => number, (score: number) => string]>([
    ['as text, not by value', String, ({ n }) => n, String],
    ['from the other end', (n) => padded(-n), ({ n }) => n, (score) => padded(-score)],
    ['in UTF-16, not in UTF-8', (n) => (n < 0 ? '💥' : '\uffee'), ({ n }) => (n < 0 ? 0 : 1), (score) => (score === 0 ? '💥' : '\uffee')],
    ['less exactly than the scores', (n) => padded(Math.trunc(n / 10)), ({ n }) => n, (score) => padded(Math.trunc(score / 10))],
  ])('refuses sort keys that sort %s, and shows both items', (_, sortKey, score, valueAt) => {
    const message = fault(byNumber(query({ name: 'sk', valueAt }), score), volumes(sortKey));
    expect(message).toMatch(
      /from\('a'\) has a valueAt, but the order of the sort keys '[^']+' and '[^']+' is not that of the scores -?\d+ and -?\d+/,
    );
    expect(message.match(/item: \{ pk: 'a'/g)).toHaveLength(2);
  });

  it('refuses scores that tie at different sort keys, which valueAt cannot tell apart', () => {
    const view = byNumber(query({ name: 'sk', valueAt: padded }), ({ n }) => Math.max(n, 0));
    expect(fault(view, volumes(padded))).toMatch(/has a valueAt\(0\) of 'book#0500', but sk is 'book#0(498|499)'/);
  });

  it('accepts numbers as sort keys, which sort by value', () => {
    const view = byNumber(query({ name: 'n', valueAt: (score: number) => score }, { index: 'byNumber' }));
    expect(
      fault(
        view,
        volumes((n) => `${n}`),
      ),
    ).toBe('no fault');
  });

  it.each<[string, (list: string) => unknown, string]>([
    [
      'breaks a rule of queries',
      () => ({ partition: { name: 'pk', value: 'a' }, index: 'i', trust: 'index' }),
      'from(\'\') is faulty: trust is "index", so give lagMs, the longest time that the index lags behind the table, in ms',
    ],
    [
      'throws for a list that no item is in',
      (list) => query(undefined)(decodeURIComponent(list === '💥' ? '%' : list)),
      "from('💥') is faulty: URI malformed",
    ],
  ])('refuses a from that %s', (_, from, expected) => {
    expect(fault(byNumber(from), volumes(padded))).toBe(`view volumes: ${expected}`);
  });

  it('refuses a query that depends on the time', () => {
    const from = (list: string) => ({ partition: { name: 'pk', value: list }, sort: { name: 'sk', beginsWith: `b${Date.now()}` } });
    expect(fault(byNumber(from), volumes(padded))).toMatch(/^view volumes: from\('x'\) changes: first/);
  });
});

describe('streamEvent', () => {
  const item = { pk: 'a', sk: 'book', title: 'one', tags: ['x'], pages: 3 };
  const view = documentView({ name: 'books', revision: 1, entity: book, project: ({ pk, title }) => [{ key: pk, value: { title } }] });
  const logger = { info() {}, warn() {}, error() {} };

  it('makes events for the stream handler, each newer than the one before', async () => {
    const cache = memoryCache();
    const handler = streamHandler({ views: [view], cache, logger });
    expect(await handler(streamEvent([insert(item), modify(item, { ...item, title: 'two' })]))).toEqual({ batchItemFailures: [] });
    expect(await cache.get('books@1:a')).toMatchObject({ type: 'hit', value: { title: 'two' } });
    await handler(streamEvent([remove(item, { expired: true })]));
    expect(await cache.get('books@1:a')).toMatchObject({ type: 'gone' });
    await handler(streamEvent([insert(item)], { sequenceNumber: '1' }));
    expect(await cache.get('books@1:a')).toMatchObject({ type: 'gone' });
    await handler(streamEvent([insert(item)], { sequenceNumber: '1', label: '2026-01-02T00:00:00.000' }));
    expect(await cache.get('books@1:a')).toMatchObject({ type: 'hit', value: { title: 'one' } });
  });

  it('marshals sets and binary, and refuses items without their keys', () => {
    const odd = { id: 1, set: new Set(['a']), bytes: new Uint8Array([1, 2]), none: undefined };
    const { Records } = streamEvent([insert(odd)], { keys: ['id'], table: 'Odd', at: new Date(5_999) });
    expect(Records[0]).toMatchObject({
      eventName: 'INSERT',
      eventSourceARN: expect.stringContaining(':table/Odd/stream/'),
      dynamodb: { ApproximateCreationDateTime: 5, Keys: { id: { N: '1' } }, NewImage: { set: { SS: ['a'] }, bytes: { B: 'AQI=' } } },
    });
    expect(() => streamEvent([insert(odd)])).toThrow(/lacks the key attribute "pk", "sk"/);
    expect(() => streamEvent([modify(item, { ...item, pk: 'b' })])).toThrow(/changes the key attribute "pk": a to b/);
  });
});
