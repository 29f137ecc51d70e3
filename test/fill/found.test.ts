import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as z from 'zod';
import type { FoundList } from '../../src/cache.ts';
import { checkFound } from '../../src/caches/arguments.ts';
import { memoryCache } from '../../src/caches/memory.ts';
import { type Attributes, itemOf } from '../../src/change.ts';
import { ViewError } from '../../src/errors.ts';
import { found, membersIn, valueIn } from '../../src/fill/found.ts';
import { planOf } from '../../src/plan/plan.ts';
import { leaseOn, settleOn } from '../../src/testing/contract/case.ts';
import { FLOOR, versionOf } from '../../src/version.ts';
import { documentView, entity, keyOf, listView } from '../../src/view.ts';
import { views } from '../../src/views/index.ts';

const KEYS = ['pk', 'sk'];
const keys = KEYS;

const book = entity({
  name: 'book',
  owns: ({ sk }) => sk === 'book',
  schema: z.object({ pk: z.string(), shelf: z.string(), year: z.number(), title: z.unknown(), isbn: z.optional(z.string()) }),
});
const detail = documentView({
  name: 'detail',
  revision: 2,
  entity: book,
  project: ({ pk, title, isbn }): { key: string; value: unknown }[] => [
    { key: pk, value: { title, at: new Date(0), none: undefined } },
    ...(isbn ? [{ key: `isbn:${isbn}`, value: { pk } }] : []),
  ],
});
const shelf = listView({
  name: 'shelf',
  revision: 1,
  keep: 3,
  entity: book,
  project: ({ shelf, year, title, isbn }) => [
    { list: 'all', score: year, value: title },
    { list: shelf, score: year, value: { title }, ...(isbn && { member: isbn }) },
  ],
});

const bookOf = (pk: string, year: number, more: object = {}): Attributes => ({
  pk,
  sk: 'book',
  shelf: 'x',
  year,
  title: `T${pk}`,
  ...more,
});
const author: Attributes = { pk: 'a', sk: 'author' };
const member = (pk: string, score: number, json = `{"title":"T${pk}"}`) => ({ member: `["${pk}","book"]`, score, json });

/** Thrown by the action. */
function thrownBy(action: () => unknown): Error {
  try {
    action();
  } catch (error) {
    return error as Error;
  }
  throw new Error('it throws nothing');
}

describe('found of a document', () => {
  const item = bookOf('a', 1999, { isbn: '7' });

  it('has the value for the key, as the worker writes it', () => {
    expect(found(detail, 'a', item)).toEqual({ kind: 'document', json: '{"title":"Ta","at":"1970-01-01T00:00:00.000Z"}' });
    expect(found(detail, 'isbn:7', item)).toEqual({ kind: 'document', json: '{"pk":"a"}' });
  });

  it.each<[string, string, Attributes | undefined]>([
    ['the table has no item', 'a', undefined],
    ['the item is of another entity', 'a', author],
    ['the item gives other keys', 'b', item],
    ['the key begins with the name of the view', 'detail@2:a', item],
  ])('has no value when %s', (_, key, given) => {
    const answer = found(detail, key, given);
    expect(answer).toEqual({ kind: 'document' });
    expect('json' in answer).toBe(false);
  });

  it('throws the ViewError of a view that cannot project the item, without values', () => {
    const error = thrownBy(() => found(detail, 'a', bookOf('a', 1, { isbn: 'a', title: 1n })));
    expect(error).toBeInstanceOf(ViewError);
    expect(error.message).toBe('view detail cannot project the item of a document: a value has no JSON form: it has a BigInt or a cycle');
    expect(thrownBy(() => found(detail, 'a', bookOf('a', 1, { year: 'secret' }))).message).toBe(
      'view detail cannot project the item of a document: year is not a valid number',
    );
  });
});

describe('found of a list', () => {
  const list = (items: readonly Attributes[], more?: boolean) => {
    const answer = found(shelf, 'x', items, { keys, ...(more !== undefined && { more }) });
    checkFound({ target: { kind: 'list', list: keyOf(shelf, 'x'), keep: 3 } }, answer);
    return answer;
  };
  const [a, b, c, d, e] = [bookOf('a', 1), bookOf('b', 2), bookOf('c', 3), bookOf('d', 4), bookOf('e', 5)] as const;

  it('has the members by descending score, with the names and the values that the worker writes', () => {
    expect(list([a, c, b])).toEqual({ kind: 'list', newest: [member('c', 3), member('b', 2), member('a', 1)] });
    expect(list([bookOf('a', 1, { isbn: '7' })]).newest).toEqual([{ member: '7', score: 1, json: '{"title":"Ta"}' }]);
    expect(found(shelf, 'all', [a], { keys }).newest).toEqual([member('a', 1, '"Ta"')]);
  });

  it('orders members of equal score as descending pages do', () => {
    const pks = ['\uffee', '💥', 'a', 'Z'];
    const { newest } = found(
      { ...shelf, keep: 9 },
      'x',
      pks.map((pk) => bookOf(pk, 1)),
      { keys },
    );
    expect(newest.map(({ member }) => JSON.parse(member)[0])).toEqual(['💥', '\uffee', 'a', 'Z']);
  });

  it('is empty without items', () => {
    expect(list([])).toEqual({ kind: 'list', newest: [] });
  });

  it('leaves out items of other lists and of other entities', () => {
    expect(list([author, bookOf('b', 2, { shelf: 'y' }), a])).toEqual({ kind: 'list', newest: [member('a', 1)] });
  });

  it('gives a member once, as the first of its items gives it', () => {
    expect(list([b, a, bookOf('b', 9), bookOf('b', 0)])).toEqual({ kind: 'list', newest: [member('b', 2), member('a', 1)] });
  });

  it('keeps the newest members, and gives the score of the one that follows', () => {
    expect(list([a, b, c])).toEqual({ kind: 'list', newest: [member('c', 3), member('b', 2), member('a', 1)] });
    expect(list([a, b, c]).next).toBeUndefined();
    expect(list([e, a, b, c, d])).toEqual({ kind: 'list', newest: [member('e', 5), member('d', 4), member('c', 3)], next: 2 });
    expect(list([a, b, c, bookOf('t', 1)])).toMatchObject({ next: 1 });
  });

  it('does not count an item that an index gives twice as the member that follows', () => {
    expect(list([a, b, c, a, b]).next).toBeUndefined();
  });

  it('reads items of an iterator', () => {
    function* items() {
      yield a;
      yield b;
    }
    expect(found(shelf, 'x', items(), { keys })).toEqual({ kind: 'list', newest: [member('b', 2), member('a', 1)] });
  });

  it('gives the order of the keys no meaning', () => {
    expect(found(shelf, 'x', [a], { keys: ['sk', 'pk'] })).toEqual(list([a]));
  });

  describe('with more items in the table', () => {
    it('takes the last member as the one that follows', () => {
      expect(list([c, b], true)).toEqual({ kind: 'list', newest: [member('c', 3)], next: 2 });
      expect(list([c, b, a], true)).toEqual({ kind: 'list', newest: [member('c', 3), member('b', 2)], next: 1 });
      expect(list([bookOf('t', 2), b], true)).toEqual({ kind: 'list', newest: [member('t', 2)], next: 2 });
    });

    it('takes the first member beyond keep, if there is one', () => {
      expect(list([d, c, b, a], true)).toEqual({ kind: 'list', newest: [member('d', 4), member('c', 3), member('b', 2)], next: 1 });
      expect(list([e, d, c, b, a], true)).toEqual({ kind: 'list', newest: [member('e', 5), member('d', 4), member('c', 3)], next: 2 });
    });

    it.each<[string, readonly Attributes[]]>([
      ['no member', []],
      ['no member', [author]],
      ['one member', [a]],
      ['one member', [author, b, b, bookOf('c', 3, { shelf: 'y' })]],
    ])('refuses items that give %s', (count, items) => {
      const error = thrownBy(() => list(items, true));
      expect(error).toBeInstanceOf(RangeError);
      expect(error.message).toBe(`view shelf: the items give ${count} of the list, and further items follow: read on, until they give two`);
    });

    it.each([[[a, b]], [[d, c, b, a, e]]])('refuses items that do not come by descending score', (items) => {
      const error = thrownBy(() => list(items, true));
      expect(error).toBeInstanceOf(ViewError);
      expect(error.message).toMatch(/^view shelf: the items do not come by descending score/);
    });
  });

  it('throws the ViewError of a view that cannot project an item, of any list, and hides secret keys', () => {
    const broken = bookOf('b', 2, { shelf: 7 });
    const error = thrownBy(() => list([a, broken]));
    expect(error).toBeInstanceOf(ViewError);
    expect(error.message).toBe('view shelf cannot project ["b","book"]: shelf is not a valid string');
    const secret = listView({ ...shelf, entity: { ...book, secretKeys: ['pk'] } });
    expect(thrownBy(() => found(secret, 'x', [broken], { keys })).message).toMatch(/^view shelf cannot project \["#[0-9a-f]{8}","book"\]:/);
  });

  it('throws for a score that no cache can hold', () => {
    const view = listView({ ...shelf, project: ({ pk }) => [{ list: 'x', score: pk === 'b' ? Number.NaN : 1, value: 1 }] });
    expect(() => found(view, 'x', [a, b], { keys })).toThrow('view shelf cannot project ["b","book"]: a score is not a finite number');
  });

  it('refuses keys that an item lacks, because they would name each member alike', () => {
    expect(() => found(shelf, 'x', [a], { keys: ['id'] })).toThrow(
      new TypeError('an item lacks "id": give the names of the key attributes of the table as keys, and items that have them'),
    );
    expect(() => found(shelf, 'x', [a], { keys: [] })).toThrow(
      new TypeError('keys is empty: give the names of the key attributes of the table'),
    );
  });
});

describe('valueIn and membersIn', () => {
  it('give the value as a reader of the cache gets it', () => {
    const item = bookOf('a', 1, { isbn: '7' });
    const json = '{"title":"Ta","at":"1970-01-01T00:00:00.000Z"}';
    expect(valueIn(detail, 'a', item)).toEqual({ json, value: JSON.parse(json) });
    expect(valueIn(detail, 'b', item)).toBeUndefined();
    expect(valueIn(detail, 'a', undefined)).toBeUndefined();
    expect(membersIn(shelf, 'x', [item, bookOf('b', 2), item], keys)).toEqual([
      { ...member('b', 2), value: { title: 'Tb' } },
      { member: '7', score: 1, json: '{"title":"Ta"}', value: { title: 'Ta' } },
    ]);
  });

  it('give all members, also beyond keep', () => {
    const items = [1, 2, 3, 4, 5].map((year) => bookOf(`b${year}`, year));
    expect(membersIn(shelf, 'x', items, keys).map(({ score }) => score)).toEqual([5, 4, 3, 2, 1]);
  });

  it('pass null as a value', () => {
    expect(valueIn({ ...detail, project: ({ pk }) => [{ key: pk, value: null }] }, 'a', bookOf('a', 1))).toEqual({
      json: 'null',
      value: null,
    });
  });
});

describe('the views of the sample', () => {
  it('give a cart whose lines are the members', () => {
    const line = { pk: 'cart#5', sk: 'product#cola', quantity: 2 };
    expect(found(views.cart, 'cart#5', [line], { keys })).toEqual({
      kind: 'list',
      newest: [{ member: 'cola', score: 0, json: '{"productId":"cola","quantity":2}' }],
    });
  });
});

describe('settle of what was found', () => {
  const version = versionOf('2026-11-22T03:01:52.091', '7');
  const one = fc.constantFrom;
  const books = fc.uniqueArray(
    fc.record({
      pk: one('a', 'b', 'c', 'd', 'e', 'é', '💥', 'f'),
      sk: one('book', 'author'),
      shelf: one('x', 'x', 'y'),
      year: one(-1, 0, 1, 2, 3),
      title: one('one', 'two'),
    }),
    { selector: ({ pk, sk }) => `${pk} ${sk}`, maxLength: 12, size: 'max' },
  );
  const mutationsOf = (item: Attributes) => {
    const key = { pk: item.pk, sk: item.sk };
    const { mutations, poison } = planOf([shelf, detail], {
      table: 't',
      keys: key,
      item: itemOf(key),
      after: item,
      version,
      expired: false,
    });
    expect(poison).toEqual([]);
    return mutations;
  };
  /** A cache that the worker filled: its lists were empty in the table first, so their pages are complete. */
  const workerCache = async (items: readonly Attributes[]) => {
    const cache = memoryCache();
    for (const list of ['x', 'y', 'all']) {
      const lease = await leaseOn(cache, { kind: 'list', list: keyOf(shelf, list), keep: shelf.keep });
      expect(await settleOn(cache, lease, { kind: 'list', newest: [] })).toBe('settled');
    }
    for (const item of items) await cache.apply(mutationsOf(item));
    return cache;
  };
  const readerCache = async (list: string, answer: FoundList) => {
    const cache = memoryCache();
    const lease = await leaseOn(cache, { kind: 'list', list: keyOf(shelf, list), keep: shelf.keep });
    checkFound(lease, answer);
    expect(await settleOn(cache, lease, answer)).toBe('settled');
    return cache;
  };
  const check = (property: fc.IAsyncProperty<unknown>) => fc.assert(property as fc.IAsyncProperty<never>, { numRuns: 300 });

  it('gives the pages that the mutations of the worker give', async () => {
    await check(
      fc.asyncProperty(books, fc.array(fc.nat(11)), one('x', 'y', 'all'), async (items, twice, list) => {
        const given = [...items, ...twice.flatMap((i) => items[i] ?? [])];
        const answer = found(shelf, list, given, { keys });
        const [theirs, ours] = [await workerCache(items), await readerCache(list, answer)];
        for (const limit of [1, 2, 3, 4]) {
          const wanted = await theirs.list(keyOf(shelf, list), { limit });
          const page = await ours.list(keyOf(shelf, list), { limit });
          // The list of the worker may hold some of the members that tie with the next one, and is not complete there.
          const above = wanted.members.filter(({ score }) => answer.next === undefined || score > answer.next);
          expect(page.members).toEqual(above.map((member) => ({ ...member, version: FLOOR })));
          expect(page.complete).toBe(wanted.complete && above.length === wanted.members.length);
        }
      }),
    );
  });

  it('gives pages that the mutations of the worker give too, if it read the first items of a query only', async () => {
    await check(
      fc.asyncProperty(books, fc.nat(12), async (items, read) => {
        const sorted = items.toSorted((a, b) => b.year - a.year);
        const some = sorted.slice(0, read);
        if (membersIn(shelf, 'x', some, keys).length < 2) return;
        const answer = found(shelf, 'x', some, { keys, more: true });
        const { next = Number.NaN } = answer;
        const [theirs, ours] = [await workerCache(items), await readerCache('x', answer)];
        for (const limit of [1, 2, 3, 4]) {
          const page = await ours.list(keyOf(shelf, 'x'), { limit });
          const wanted = await theirs.list(keyOf(shelf, 'x'), { limit });
          const above = wanted.members.filter(({ score }) => score > next);
          expect(page.members).toEqual(above.map((member) => ({ ...member, version: FLOOR })));
          expect(page.complete).toBe(above.length === limit);
        }
      }),
    );
  });

  it('gives the documents that the mutations of the worker give', async () => {
    await check(
      fc.asyncProperty(books, one('a', 'é', '💥'), async (items, pk) => {
        const key = keyOf(detail, pk);
        const theirs = await workerCache(items);
        const ours = memoryCache();
        const lease = await leaseOn(ours, { kind: 'document', key });
        const answer = found(
          detail,
          pk,
          items.find((item) => item.pk === pk && item.sk === 'book'),
        );
        checkFound(lease, answer);
        expect(await settleOn(ours, lease, answer)).toBe('settled');
        const [wanted, got] = [await theirs.get(key), await ours.get(key)];
        if (wanted.type === 'hit') expect(got).toEqual({ ...wanted, version: FLOOR });
        else expect(got).toMatchObject({ type: 'gone' });
      }),
    );
  });
});
