import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Attributes } from '../src/change.ts';
import { checkView } from '../src/testing/index.ts';
import { listView, type View } from '../src/view.ts';
import { views } from '../src/views/index.ts';
import { change, mutationsOf, shorts, version } from './plan/fixtures.ts';

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
    puts: [`put orders@1:all ${ORDER} @${AT} keep 150 ${SUMMARY}`, `put orders@1:creator:olive ${ORDER} @${AT} keep 150 ${SUMMARY}`],
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
      `delete orders@1:creator:olive ${ORDER} @${AT} keep 150`,
      `put orders@1:all ${ORDER} @${AT} from ${AT} keep 150 ${summary}`,
      `put orders@1:creator:dante ${ORDER} @${AT} keep 150 ${summary}`,
    ]);
  });

  it('passes the previous score of a member to its list', () => {
    const later = shorts(views.orders, change(order, { ...order, createdAt: T2 }));
    expect(later[0]).toMatch(`@${Date.parse(T2)} from ${AT} keep 150`);
  });

  it("separates the lines of an anonymous cart and of the user's cart", () => {
    expect(mutationsOf(views.cart, change(undefined, { ...line, pk: 'user#olive' }))).toMatchObject([
      { list: 'cart@1:user#olive', member: 'cannoli' },
    ]);
  });
});

describe('from', () => {
  const one = fc.constantFrom;
  const times = one(T1, '2026-11-20T19:00:00.000Z', '2026-11-20T19:00:00.5Z', '2026-11-20T19:00:00.123456Z', T2);
  const orderItems = fc
    .record({ id: one('7', 'a#b', '💥'), creator: one('olive', 'creator:olive', 'all'), createdAt: times })
    .map((part) => ({ ...order, ...part, pk: `order#${part.id}` }));
  const lineItems = fc.record({ pk: one('cart#5', 'user#olive', 'user#'), sk: one('product#a', 'product#product#', 'product#💥') });
  const generated = fc.oneof(
    orderItems,
    lineItems.map((keys) => ({ ...line, ...keys })),
    fc.constant(mapping),
  );

  it.each(Object.entries<View>(views))('of the view %s leads to its items', (_, view) => {
    checkView(view, generated, { keys: ['pk', 'sk'] });
  });

  it('has no query for the list of all orders, and for strange lists', () => {
    for (const list of ['all', '', 'creator', 'Creator:olive', 'olive']) expect(views.orders.from?.(list)).toBeUndefined();
  });

  it('takes the exact creator', () => {
    for (const creator of ['olive', ' Olive', 'creator:olive', '']) {
      expect(views.orders.from?.(`creator:${creator}`)).toMatchObject({ partition: { name: 'creator', value: creator } });
    }
  });

  it('cannot promise an order of the orders of a creator, because the schema takes times of any precision', () => {
    const { orders } = views;
    const valueAt = (score: number) => new Date(score).toISOString();
    const sorted = listView({
      ...orders,
      from: (list) => {
        const query = orders.from?.(list);
        return query && { ...query, sort: { name: 'createdAt', valueAt } };
      },
    });
    expect(() => checkView(sorted, generated, { keys: ['pk', 'sk'] })).toThrow(/has a valueAt\(\d+\) of '[^']+', but createdAt is '/);
  });
});
