import { describe, expect, it } from 'vitest';
import * as z from 'zod/mini';
import { type Attributes, type Change, itemOf } from '../src/change.ts';
import { ViewError } from '../src/errors.ts';
import type { Mutation } from '../src/mutation.ts';
import { mutationsOf, planOf } from '../src/plan/plan.ts';
import { versionOf } from '../src/version.ts';
import { documentView, entity, keyOf, listView, type View, viewName } from '../src/view.ts';
import { views } from '../src/views/index.ts';

const version = versionOf('2026-11-01T09:00:00.123', '418800000000000004200117');

function change(before: Attributes | undefined, after: Attributes | undefined): Change {
  const { pk, sk } = (after ?? before) as { pk: string; sk: string };
  const keys = { pk, sk };
  return { table: 'shop', keys, item: itemOf(keys), ...(before && { before }), ...(after && { after }), version, expired: false };
}

/** A mutation in one line: what is done where, and what with. */
function short(mutation: Mutation): string {
  const place = mutation.kind === 'document' ? mutation.key : `${mutation.list} ${mutation.member}`;
  if (mutation.kind === 'document') return `${mutation.type} ${place}${mutation.type === 'put' ? ` ${mutation.json}` : ''}`;
  const from = mutation.type === 'put' && mutation.from !== undefined ? ` from ${mutation.from}` : '';
  return `${mutation.type} ${place} @${mutation.score}${from} keep ${mutation.keep}${mutation.type === 'put' ? ` ${mutation.json}` : ''}`;
}

const shorts = (view: View, of: Change) => mutationsOf(view, of).map(short).sort();

const T1 = '2026-11-20T19:00:00Z';
const T2 = '2026-11-20T19:05:00Z';
const AT = Date.parse(T1);
const items = [{ size: 'large', crust: 'thin', sauce: 'tomato', toppings: ['basil'] }];
const order = { pk: 'order#7', sk: 'order', id: '7', createdAt: T1, status: 'placed', numItems: 1, items, creator: 'olive' };
const line = { pk: 'cart#5', sk: 'product#cannoli', quantity: 2, productDetail: { name: 'Cannoli' }, expiresAt: 1_795_370_400 };
const mapping = { pk: 'legacy#1889', sk: 'id', newId: '7' };

const ORDER = '["order#7","order"]';
const ITEMS = JSON.stringify(items);
const SUMMARY = `{"id":"7","createdAt":"${T1}","status":"placed","numItems":1}`;

/** What each view of this app shows of an item. */
const shown: { readonly [name in keyof typeof views]: { readonly item: Attributes; readonly puts: readonly string[] } } = {
  detail: {
    item: order,
    puts: [`put detail@1:7 {"id":"7","createdAt":"${T1}","status":"placed","numItems":1,"items":${ITEMS}}`],
  },
  admin: {
    item: order,
    puts: [`put admin@1:7 {"id":"7","createdAt":"${T1}","status":"placed","numItems":1,"items":${ITEMS},"creator":"olive"}`],
  },
  orders: {
    item: order,
    puts: [`put orders@1:all ${ORDER} @${AT} keep 1000 ${SUMMARY}`, `put orders@1:creator:olive ${ORDER} @${AT} keep 1000 ${SUMMARY}`],
  },
  cart: {
    item: line,
    puts: ['put cart@1:cart#5 cannoli @0 keep 1000 {"productId":"cannoli","quantity":2,"productDetail":{"name":"Cannoli"}}'],
  },
};

describe.each(Object.entries(shown))('the view %s', (name, { item, puts }) => {
  const view: View = views[name as keyof typeof views];
  const without = (puts: readonly string[], type: string) => puts.map((put) => put.replace(/^put/, type).replace(/ \{.*$/, ''));

  it('puts the entries of an inserted item', () => {
    expect(shorts(view, change(undefined, item))).toEqual(puts);
  });

  it('deletes the entries of a deleted item', () => {
    expect(shorts(view, change(item, undefined))).toEqual(without(puts, 'delete'));
  });

  it('puts the entries again, at a newer version, if only attributes change that the view does not show', () => {
    const changed = change(item, { ...item, unseen: 1 });
    expect(shorts(view, changed).map((put) => put.replace(/ from -?\d+/, ''))).toEqual(puts);
    for (const mutation of mutationsOf(view, changed)) expect(mutation.version).toBe(version);
  });

  it('ignores items of other entities', () => {
    const others = [order, line, mapping].filter((other) => other !== item);
    for (const other of others) {
      expect(mutationsOf(view, change(undefined, other))).toEqual([]);
      expect(mutationsOf(view, change(other, undefined))).toEqual([]);
    }
  });
});

describe('the difference of two images', () => {
  it('moves an order whose creator changes from one list to the other', () => {
    const summary = `{"id":"7","createdAt":"${T1}","status":"placed","numItems":1,"lastUpdated":"${T2}"}`;
    expect(shorts(views.orders, change(order, { ...order, creator: 'dante', lastUpdated: T2 }))).toEqual([
      `delete orders@1:creator:olive ${ORDER} @${AT} keep 1000`,
      `put orders@1:all ${ORDER} @${AT} from ${AT} keep 1000 ${summary}`,
      `put orders@1:creator:dante ${ORDER} @${AT} keep 1000 ${summary}`,
    ]);
  });

  it('passes the previous score of a member to its list', () => {
    const later = shorts(views.orders, change(order, { ...order, createdAt: T2 }));
    expect(later[0]).toMatch(`@${Date.parse(T2)} from ${AT} keep 1000`);
  });

  it("separates the lines of an anonymous cart and of the user's cart", () => {
    expect(mutationsOf(views.cart, change(undefined, { ...line, pk: 'user#olive' }))).toMatchObject([
      { list: 'cart@1:user#olive', member: 'cannoli' },
    ]);
  });

  it('deletes what an item showed that is no longer of the entity, and puts what it shows since it is', () => {
    const flagged = entity({ name: 'flagged', owns: ({ flag }) => flag === true, schema: z.object({ pk: z.string() }) });
    const view = documentView({ name: 'flagged', revision: 1, entity: flagged, project: ({ pk }) => [{ key: pk, value: {} }] });
    const on = { pk: 'a', sk: 'b', flag: true };
    const off = { ...on, flag: false };
    expect(shorts(view, change(on, off))).toEqual(['delete flagged@1:a']);
    expect(shorts(view, change(off, on))).toEqual(['put flagged@1:a {}']);
    expect(shorts(view, change(off, off))).toEqual([]);
  });

  it('deletes documents whose key the item no longer has', () => {
    const view = viewOf(({ tags }) => (tags as string[]).map((tag) => ({ key: tag, value: tag })));
    expect(shorts(view, change({ ...order, tags: ['a', 'b'] }, { ...order, tags: ['b', 'c'] }))).toEqual([
      'delete odd@1:a',
      'put odd@1:b "b"',
      'put odd@1:c "c"',
    ]);
  });
});

describe('the revision', () => {
  it('is part of every key, so that old and new shapes never mix', () => {
    const raised = { ...views.detail, revision: 2 };
    expect(mutationsOf(raised, change(undefined, order))).toMatchObject([{ key: 'detail@2:7' }]);
    expect(keyOf(raised, '7')).toBe('detail@2:7');
  });
});

const anything = entity<Attributes>({ name: 'anything', owns: () => true, schema: { parse: (item) => item as Attributes } });

/** A view that does what it should not. */
function viewOf(project: (item: Attributes) => readonly { key: string; value: unknown }[], name = 'odd'): View {
  return documentView({ name, revision: 1, entity: anything, project });
}

const listOf = (entry: { list?: string; score?: number; member?: string; value?: unknown }): View =>
  listView({ name: 'odd', revision: 1, keep: 10, entity: anything, project: () => [{ list: 'l', score: 1, value: 1, ...entry }] });

it('gives each list its own value, though one item is in several', () => {
  const view = listView({
    name: 'odd',
    revision: 1,
    keep: 10,
    entity: anything,
    project: () => ['a', 'b', 'b2'].map((list) => ({ list, score: 1, value: list.slice(0, 1) })),
  });
  const puts = mutationsOf(view, change(undefined, order)).map((mutation) => (mutation.type === 'put' ? mutation.json : ''));
  expect(puts).toEqual(['"a"', '"b"', '"b"']);
});

describe('what a view throws is never trusted', () => {
  const thrownBy = (thrown: unknown) =>
    planOf(
      [
        viewOf(() => {
          throw thrown;
        }),
      ],
      change(undefined, order),
    ).poison[0]?.error.message;

  it.each([
    ['a ViewError of its own', new ViewError('secret')],
    ['an error with a name of its own', Object.assign(new Error('secret'), { name: 'secret' })],
    ['issues that are none', Object.assign(new Error('secret'), { issues: [undefined] })],
    [
      'issues with an odd path',
      Object.assign(new Error('secret'), { issues: [{ path: [Object.create(null)], expected: 'secret value' }] }),
    ],
    ['an object without a text', Object.create(null)],
    ['null', null],
  ])('%s', (_, thrown) => {
    expect(thrownBy(thrown)).toMatch(/^view odd cannot project the new image of /);
    expect(thrownBy(thrown)).not.toContain('secret');
  });

  it('the keys of a record in a schema are values', () => {
    const issues = [{ path: ['emails', 'secret@example.com'], expected: 'string' }];
    expect(thrownBy(Object.assign(new Error('secret'), { issues }))).toMatch(/emails has a part that is not a valid string$/);
  });
});

describe('a view that throws', () => {
  const moody = viewOf(({ id, status }) => {
    if (status === 'cursed') throw new Error('I do not like this one');
    return [{ key: `${id}-${status}`, value: status }];
  });
  const cursed = { ...order, status: 'cursed' };

  it('on the new image forgets the addresses of the old one, for what they hold is known to be old', () => {
    const { mutations, poison } = planOf([moody], change(order, cursed));
    expect(mutations).toEqual([{ kind: 'document', key: 'odd@1:7-placed', type: 'forget', version }]);
    expect(poison).toEqual([{ stage: 'view', view: 'odd@1', error: expect.any(ViewError) }]);
    expect(poison[0]?.error.message).toBe(`view odd cannot project the new image of ${ORDER}: it threw Error`);
    expect(poison[0]?.error.cause).toMatchObject({ message: 'I do not like this one' });
  });

  it('on the new image of a list forgets the members, with the score they had', () => {
    const { mutations } = planOf([views.orders], change(order, { ...order, createdAt: 'yesterday' }));
    const member = { kind: 'member', member: ORDER, type: 'forget', version, score: AT, keep: 1_000 };
    expect(mutations).toEqual([
      { ...member, list: 'orders@1:all' },
      { ...member, list: 'orders@1:creator:olive' },
    ]);
  });

  it('on an inserted item has nothing to forget', () => {
    expect(planOf([moody], change(undefined, cursed))).toMatchObject({ mutations: [], poison: [{ view: 'odd@1' }] });
  });

  it('on the old image puts the new one all the same, and says so', () => {
    const { mutations, poison } = planOf([moody], change(cursed, order));
    expect(mutations).toMatchObject([{ key: 'odd@1:7-placed', type: 'put' }]);
    expect(poison[0]?.error.message).toMatch(/^view odd cannot project the old image of/);
  });

  it('on the old image of a deleted item has nothing to delete, and says so', () => {
    expect(planOf([moody], change(cursed, undefined))).toMatchObject({ mutations: [], poison: [{ view: 'odd@1' }] });
  });

  it('on both images harms nobody', () => {
    expect(planOf([moody], change(cursed, cursed))).toMatchObject({ mutations: [], poison: [{ view: 'odd@1' }] });
  });

  it('leaves other views alone, of its own entity or another', () => {
    const others = [views.detail, views.orders, viewOf(() => [{ key: 'k', value: 1 }], 'even')];
    const of = change(order, cursed);
    const { mutations, poison } = planOf([...others.slice(0, 1), moody, ...others.slice(1)], of);
    expect(poison).toHaveLength(1);
    const alone = others.flatMap((view) => mutationsOf(view, of));
    expect(mutations.filter(({ type }) => type === 'put')).toEqual(alone);
    expect(mutations.filter(({ type }) => type === 'forget')).toHaveLength(1);
  });

  it('makes mutationsOf throw, which is about that view alone', () => {
    expect(() => mutationsOf(moody, change(order, cursed))).toThrow(ViewError);
  });

  it.each([
    ['an error', new RangeError('too odd'), /it threw RangeError$/],
    ['text', 'too odd', /it threw string$/],
    ['nothing', undefined, /it threw undefined$/],
  ])('is understood when it throws %s', (_, thrown, message) => {
    const view = viewOf(() => {
      throw thrown;
    });
    expect(planOf([view], change(undefined, order)).poison[0]?.error.message).toMatch(message);
  });

  it('fails for items that its schema refuses, and all views of that entity with it', () => {
    const { mutations, poison } = planOf(Object.values(views), change(order, { ...order, numItems: 'plenty' }));
    const ofOrders = Object.values(views).filter(({ entity }) => entity === views.detail.entity);
    expect(poison.map(({ view }) => view)).toEqual(ofOrders.map(viewName));
    expect(poison[0]?.error.message).toContain('numItems');
    expect(poison[0]?.error.message).not.toContain('plenty');
    expect(mutations.length).toBeGreaterThanOrEqual(4);
    expect(mutations.every(({ type }) => type === 'forget')).toBe(true);
  });
});

describe('entries that no cache can hold are the fault of their view', () => {
  it.each<[string, View, RegExp]>([
    ['one address twice', viewOf(() => [1, 2].map((value) => ({ key: 'same', value }))), /gives one address twice/],
    ['one address twice among many', viewOf(() => [...'abcdefgha'].map((key) => ({ key, value: 1 }))), /gives one address twice/],
    ['half a character', viewOf(() => [{ key: '🍕'.slice(0, 1), value: 1 }]), /surrogate pair/],
    ['half a character in a name', listOf({ member: '🐟'.slice(1) }), /surrogate pair/],
    ['a score that is no number', listOf({ score: Number.NaN }), /a score is not a finite number/],
    ['an endless score', listOf({ score: Infinity }), /a score is not a finite number/],
    ['a score that is text', listOf({ score: '1' as unknown as number }), /a score is not a finite number/],
    ['a member without a name', listOf({ member: '' }), /the name of a list member is empty/],
    ['a list without a name', listOf({ list: '' }), /a key is empty/],
    ['an empty key', viewOf(() => [{ key: '', value: 1 }]), /a key is empty/],
    ['a key that is a number', viewOf(() => [{ key: 7 as unknown as string, value: 1 }]), /a key is a number/],
    ['a BigInt', viewOf(() => [{ key: 'k', value: { n: 1n } }]), /BigInt/],
    ['undefined', viewOf(() => [{ key: 'k', value: undefined }]), /value of type undefined has no JSON form/],
    ['a function', viewOf(() => [{ key: 'k', value: () => 1 }]), /value of type function has no JSON form/],
    [
      'a value that holds itself',
      viewOf(() => {
        const value: { self?: unknown } = {};
        value.self = value;
        return [{ key: 'k', value }];
      }),
      /a cycle/,
    ],
    ['no entries at all, but undefined', viewOf(() => undefined as unknown as []), /cannot project the new image/],
  ])('%s', (_, view, message) => {
    const { mutations, poison } = planOf([view], change(undefined, order));
    expect(mutations).toEqual([]);
    expect(poison).toHaveLength(1);
    expect(poison[0]?.error.message).toMatch(message);
  });

  it('the same member in two lists is two addresses', () => {
    expect(mutationsOf(views.orders, change(undefined, order))).toHaveLength(2);
  });
});

describe('a view that could not have keys is refused where it is defined', () => {
  const definition = { name: 'v', revision: 1, entity: anything, project: () => [] };

  it.each([{ name: '' }, { name: 'a:b' }, { name: 'a b' }, { name: 'a@b' }])('name "$name"', ({ name }) => {
    expect(() => documentView({ ...definition, name })).toThrow(/use letters, digits, "-" and "_"/);
    expect(() => listView({ ...definition, name, keep: 1 })).toThrow(ViewError);
  });

  it.each([0, -1, 1.5, Number.NaN])('revision %s', (revision) => {
    expect(() => documentView({ ...definition, revision })).toThrow(/revision is .*: give a positive integer/);
  });

  it.each([0, -1, 1.5, Infinity])('keep %s', (keep) => {
    expect(() => listView({ ...definition, keep })).toThrow(/keep is .*: give a positive integer/);
  });
});
