import { describe, expect, it } from 'vitest';
import { ViewError } from '../../src/errors.ts';
import { itemKeyOf, listQueryOf } from '../../src/fill/from.ts';
import { documentView, type KeyAttributes, type ListQuery, listView } from '../../src/view.ts';
import { anything } from '../plan/fixtures.ts';

const SECRET = 'cart#0b8f4c1e';
const definition = { name: 'v', revision: 1, entity: anything, project: () => [] };
const documents = (from?: (key: string) => unknown) =>
  documentView({ ...definition, ...(from && { from: from as (key: string) => KeyAttributes | undefined }) });
const lists = (from?: (list: string) => unknown) =>
  listView({ ...definition, keep: 3, ...(from && { from: from as (list: string) => ListQuery | undefined }) });

const keyFor = (given: unknown) =>
  itemKeyOf(
    documents(() => given),
    'k',
  );
const queryFor = (given: unknown) =>
  listQueryOf(
    lists(() => given),
    'l',
  );

const throws = () => {
  throw new RangeError(`no ${SECRET}`);
};
const half = 'é💥'.slice(0, 2);

/** The fault of a view, which must be a ViewError that names the view and does not contain the key. */
function faultOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    expect(error).toBeInstanceOf(ViewError);
    const { message } = error as Error;
    expect(message).not.toContain(SECRET);
    return message;
  }
  return 'no fault';
}

describe('itemKeyOf', () => {
  it.each<[string, KeyAttributes]>([
    ['one string', { pk: 'é💥' }],
    ['two strings', { pk: 'a', sk: 'b' }],
    ['numbers', { id: -1.5, part: 0 }],
    ['the greatest exact integer', { id: Number.MAX_SAFE_INTEGER }],
    ['a string of 2,048 bytes', { pk: 'é'.repeat(1_024) }],
  ])('gives a key of %s', (_, key) => {
    expect(keyFor(key)).toEqual(key);
  });

  it('passes the key to the view', () => {
    const orders = documents((key) => ({ pk: `order#${key}` }));
    expect(itemKeyOf(orders, '7')).toEqual({ pk: 'order#7' });
  });

  it.each<[string, unknown]>([
    ['the view says so', undefined],
    ['a string is empty', { pk: 'a', sk: '' }],
    ['a string has half a character', { pk: half }],
    ['a string has more than 2,048 bytes', { pk: `a${'é'.repeat(1_024)}` }],
    ['a number is not a number', { id: Number.NaN }],
    ['a number is infinite', { id: -Infinity }],
  ])('gives undefined, for no item, when %s', (_, given) => {
    expect(keyFor(given)).toBeUndefined();
  });

  it.each<[string, ((key: string) => unknown) | undefined, string]>([
    ['has no from', undefined, 'no item can be found: give the view from(key), which returns the primary key of the item'],
    ['throws', throws, 'fails: it threw RangeError'],
    ['gives null', () => null, 'gives something that is null: return the primary key of the item, or undefined'],
    ['gives the value alone', (key) => key, 'gives something that is of type string: return the primary key of the item, or undefined'],
    ['gives a list', (key) => [key], 'gives something that is a list: return the primary key of the item, or undefined'],
    ['gives no attribute', () => ({}), 'gives 0 attributes: an item has one or two key attributes'],
    ['gives a promise', async () => ({ pk: 'a' }), 'gives 0 attributes: an item has one or two key attributes'],
    ['gives three attributes', () => ({ a: 1, b: 2, c: 3 }), 'gives 3 attributes: an item has one or two key attributes'],
    ['gives an empty name', () => ({ '': 1 }), 'the name of a key attribute is empty: give the name that the table has'],
    [
      'gives an attribute in the form of DynamoDB',
      (key) => ({ pk: { S: key } }),
      'the value of the key attribute "pk" is of type object: give a string or a number',
    ],
    ['gives undefined', () => ({ pk: undefined }), 'the value of the key attribute "pk" is undefined: give a string or a number'],
    [
      'rounds a number',
      () => ({ id: Number('12345678901234567891') }),
      'the value of the key attribute "id" is a number beyond 2^53, which may be rounded: use shorter numbers as keys, or strings',
    ],
  ])('names the fault of a view that %s', (_, from, fault) => {
    expect(faultOf(() => itemKeyOf(documents(from), SECRET))).toBe(`view v: from(key): ${fault}`);
  });

  it('keeps what the view threw as the cause', () => {
    try {
      itemKeyOf(documents(throws), SECRET);
      expect.unreachable();
    } catch (error) {
      expect((error as Error).cause).toBeInstanceOf(RangeError);
    }
  });
});

describe('listQueryOf', () => {
  const partition = { name: 'pk', value: 'a' };
  const sort = { name: 'sk' };
  it.each<[string, ListQuery]>([
    ['a partition', { partition }],
    ['a partition named by a number', { partition: { name: 'id', value: 7 } }],
    ['a part of a partition', { partition, sort: { name: 'sk', beginsWith: 'line#' } }],
    ['a local index', { partition, sort, index: 'byTime', trust: 'table' }],
    ['a global index', { partition, sort, index: 'byCreator', trust: 'index', lagMs: 0 }],
  ])('gives the query of %s as it is', (_, query) => {
    expect(queryFor(query)).toEqual(query);
  });

  it.each<[string, unknown]>([
    ['the view says so', undefined],
    ['the partition is empty', { partition: { name: 'pk', value: '' } }],
    ['the partition has half a character', { partition: { name: 'pk', value: half } }],
    ['the partition is not a number', { partition: { name: 'id', value: Number.NaN } }],
  ])('gives undefined, for no query, when %s', (_, given) => {
    expect(queryFor(given)).toBeUndefined();
  });

  it.each<[string, ((list: string) => unknown) | undefined, string]>([
    ['has no from', undefined, 'no items can be found: give the view from(list), which returns a query'],
    ['throws', throws, 'fails: it threw RangeError'],
    ['gives text', (list) => list, 'gives something that is of type string: return a query, or undefined'],
    ['gives no partition', () => ({ sort }), 'the query has no partition: give the name and the value of the partition key'],
    [
      'names no partition key',
      () => ({ partition: { value: 'a' } }),
      'the name of the partition key is undefined: give the name that the table has',
    ],
    [
      'has a partition of another type',
      () => ({ partition: { name: 'pk', value: true } }),
      'the value of the partition key is of type boolean: give a string or a number',
    ],
    [
      'has a prefix without the name of the sort key',
      () => ({ partition, sort: { beginsWith: SECRET } }),
      'the name of the sort key is undefined: give the name that the table has',
    ],
    [
      'has an empty sort key',
      () => ({ partition, sort: { name: '' } }),
      'the name of the sort key is empty: give the name that the table has',
    ],
    ['has one key twice', () => ({ partition, sort: { name: 'pk' } }), 'the partition key and the sort key are both "pk"'],
    [
      'has an empty prefix',
      () => ({ partition, sort: { name: 'sk', beginsWith: '' } }),
      'beginsWith is not a text that a sort key can begin with: omit it to select the whole partition',
    ],
    [
      'has a prefix that is a number',
      () => ({ partition, sort: { name: 'sk', beginsWith: 7 } }),
      'beginsWith is not a text that a sort key can begin with: omit it to select the whole partition',
    ],
    ['has a value for valueAt', () => ({ partition, sort: { name: 'sk', valueAt: 'a' } }), 'valueAt is of type string: give a function'],
    ['has an empty index', () => ({ partition, index: '' }), 'the name of the index is empty: give the name that the table has'],
    ['trusts something else', () => ({ partition, trust: 'eventual' }), 'trust is neither "table" nor "index"'],
    ['trusts no index', () => ({ partition, trust: 'index', lagMs: 5 }), 'trust is "index", but no index is given: give its name'],
    ...[undefined, -1, Number.NaN, Infinity, '5'].map((lagMs): [string, () => unknown, string] => [
      `has the lag ${JSON.stringify(lagMs)} of ${typeof lagMs}`,
      () => ({ partition, index: 'i', trust: 'index', lagMs }),
      'trust is "index", so give lagMs, the longest time that the index lags behind the table, in ms',
    ]),
    ...[undefined, 'table'].map((trust): [string, () => unknown, string] => [
      `has a lag with the trust ${trust}`,
      () => ({ partition, index: 'i', trust, lagMs: 5 }),
      'lagMs is given, but trust is not "index": only a global index lags, so give both or neither',
    ]),
  ])('names the fault of a view that %s', (_, from, fault) => {
    expect(faultOf(() => listQueryOf(lists(from), SECRET))).toBe(`view v: from(list): ${fault}`);
  });

  describe('valueAt of the query', () => {
    const valueAt = (given: (score: number) => unknown) => queryFor({ partition, sort: { name: 'sk', valueAt: given } })?.sort?.valueAt;

    it('gives the sort keys of scores', () => {
      expect(valueAt((score) => `at#${score}`)?.(7)).toBe('at#7');
      expect(valueAt((score) => -score)?.(7)).toBe(-7);
    });

    it.each<[string, (score: number) => unknown, string]>([
      ['throws', throws, 'fails: it threw RangeError'],
      ['gives nothing', () => undefined, 'the value of a sort key is undefined: give a string or a number'],
      ['gives an empty text', () => '', 'gives a sort key that no item can have'],
      ['gives no number', () => Number.NaN, 'gives a sort key that no item can have'],
    ])('names the fault of a view whose valueAt %s', (_, given, fault) => {
      expect(faultOf(() => valueAt(given)?.(7))).toBe(`view v: valueAt(score): ${fault}`);
    });
  });
});
