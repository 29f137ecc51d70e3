import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { Attributes } from '../../src/change.ts';
import { ViewError } from '../../src/errors.ts';
import { shownItem, shownKeys } from '../../src/plan/shown-keys.ts';
import { documentView, entity, type View } from '../../src/view.ts';
import { views as shopViews } from '../../src/views/index.ts';

const schema = { parse: (item: unknown) => item as Attributes };
const viewOf = (name: string, owns: (item: Attributes) => boolean, secretKeys?: readonly string[]): View =>
  documentView({ name, revision: 1, entity: entity({ name, owns, schema, ...(secretKeys && { secretKeys }) }), project: () => [] });

const open = viewOf('open', ({ type }) => type === 'open');
const closed = viewOf('closed', ({ type }) => type === 'closed', ['pk']);
const sealed = viewOf('sealed', ({ type }) => type === 'sealed', ['pk', 'sk']);
const views = [open, closed, sealed];
const hash = (text: string) => `#${createHash('sha256').update(text).digest('hex').slice(0, 8)}`;

const keys = { pk: 'a', sk: 'b' };
const [A, B] = [hash('a'), hash('b')];
const image = (type: string): Attributes => ({ ...keys, type });

describe('shownKeys', () => {
  it.each<[string, (Attributes | undefined)[], Attributes]>([
    ['an entity without secret keys', [image('open'), image('open')], keys],
    ['an entity with a secret key', [undefined, image('closed')], { pk: A, sk: 'b' }],
    ['an entity whose keys are all secret', [image('sealed'), undefined], { pk: A, sk: B }],
    ['one entity before and another after', [image('open'), image('closed')], { pk: A, sk: 'b' }],
    ['two entities with secret keys', [image('closed'), image('sealed')], { pk: A, sk: B }],
    ['no entity', [image('other')], { pk: A, sk: B }],
    ['an entity before and none after', [image('open'), image('other')], { pk: A, sk: B }],
    ['an unknown entity, since no image is known', [], { pk: A, sk: B }],
    ['an unknown entity, since there is no image', [undefined, undefined], { pk: A, sk: B }],
  ])('hides what is secret in an item of %s', (_, images, expected) => {
    expect(shownKeys(views, keys, images)).toEqual(expected);
    expect(shownItem(views, keys, images)).toBe(JSON.stringify([expected.pk, expected.sk]));
  });

  it('changes nothing where no entity declares a secret key', () => {
    for (const images of [[], [image('open')], [image('other')]]) expect(shownKeys([open], keys, images)).toBe(keys);
    expect(shownKeys([], keys, [])).toBe(keys);
    expect(shownKeys([viewOf('none', () => true, [])], keys, [])).toBe(keys);
  });

  it('takes an item for one of no entity when the predicate throws', () => {
    const angry = viewOf('angry', () => {
      throw new Error('not this item');
    });
    expect(shownKeys([angry, closed], keys, [image('open')])).toEqual({ pk: A, sk: 'b' });
  });

  it('hides a number, and binary, as text', () => {
    const numbered = [viewOf('numbered', () => true, ['n', 'b'])];
    expect(shownKeys(numbered, { b: 'AQL/', n: 7 }, [{}])).toEqual({ b: hash('AQL/'), n: hash('7') });
    // A number beyond a double is its decimal string.
    expect(shownKeys(numbered, { n: '12345678901234567890' }, [{}])).toEqual({ n: hash('12345678901234567890') });
  });

  it('gives equal keys equal hashes, and different keys different ones', () => {
    const hashes = Array.from({ length: 1_000 }, (_, n) => shownItem([sealed], { pk: `cart#${n}`, sk: 'x' }, []));
    expect(new Set(hashes).size).toBe(1_000);
    expect(shownItem([sealed], { pk: 'cart#7', sk: 'x' }, [])).toBe(hashes[7]);
    expect(hashes[7]).toMatch(/^\["#[0-9a-f]{8}","#[0-9a-f]{8}"\]$/);
  });
});

describe('the views of the shop', () => {
  const all = Object.values(shopViews);
  const cart = { pk: 'cart#hungry-7f3a', sk: 'product#1' };
  const order = { pk: 'order#1', sk: 'order' };

  it('hide the owner of a cart, and show the product', () => {
    for (const pk of ['cart#hungry-7f3a', 'user#0b9c']) {
      const line = { ...cart, pk, quantity: 1 };
      expect(shownItem(all, { pk, sk: cart.sk }, [line])).toBe(JSON.stringify([hash(pk), 'product#1']));
    }
  });

  it('show the key of an order', () => {
    expect(shownItem(all, order, [order])).toBe('["order#1","order"]');
  });

  it('hide the partition key of an item that they do not know', () => {
    for (const images of [[], [{ pk: 'session#x', sk: 'y' }]]) {
      expect(shownItem(all, { pk: 'session#x', sk: 'y' }, images)).toBe(JSON.stringify([hash('session#x'), 'y']));
    }
  });
});

describe('entity', () => {
  it.each<unknown>(['pk', [''], [7], {}, ['pk', null], null])('refuses secretKeys that would hide nothing: %j', (secretKeys) => {
    const make = () => entity({ name: 'thing', owns: () => true, schema, secretKeys: secretKeys as string[] });
    expect(make).toThrow(ViewError);
    expect(make).toThrow("entity thing: secretKeys is not a list of attribute names: give, for example, ['pk']");
  });
});
