import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as z from 'zod';
import { memoryCache } from '../../src/caches/memory.ts';
import { streamHandler } from '../../src/handlers/stream-handler.ts';
import { checkView, insert, modify, remove, streamEvent } from '../../src/testing/index.ts';
import { documentView, entity, listView, type View } from '../../src/view.ts';

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
