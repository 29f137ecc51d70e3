import { describe, expect, it } from 'vitest';
import * as z from 'zod/mini';
import { ViewError } from '../../src/errors.ts';
import type { Address } from '../../src/mutation.ts';
import { asViewError, entriesOf, FEW, isSameAddress, jsonOf, NOTHING, noText, parse } from '../../src/plan/projection.ts';
import { entity, type View } from '../../src/view.ts';
import { documentsOf, type Member, membersOf } from './fixtures.ts';

const ITEM = '["a"]';
const entries = (view: View, item: unknown = {}, textOf: (value: unknown) => string = jsonOf) => entriesOf(view, { item }, ITEM, textOf);
/** A list view whose one member differs in this. */
const oneMember = (of: Partial<Member>) => membersOf(() => [{ list: 'l', score: 1, value: 1, ...of }]);

describe('parse', () => {
  const bread = entity({ name: 'bread', owns: ({ kind }) => kind === 'bread', schema: z.object({ grams: z.number() }) });

  it('gives the item that the schema makes of an image', () => {
    expect(parse(bread, { kind: 'bread', grams: 500 })).toEqual({ item: { grams: 500 } });
  });

  it('gives NOTHING for an absent image, and for an image of another entity', () => {
    expect(parse(bread, undefined)).toBe(NOTHING);
    expect(parse(bread, { kind: 'soup', grams: 'no number' })).toBe(NOTHING);
    expect(NOTHING).toEqual({});
  });

  it('gives the error when the schema refuses the image', () => {
    expect(parse(bread, { kind: 'bread', grams: 'much' })).toEqual({ error: expect.objectContaining({ issues: expect.any(Array) }) });
  });

  it('gives what `owns` throws as the error', () => {
    const owns = () => {
      throw 'never';
    };
    expect(parse(entity({ ...bread, owns }), {})).toEqual({ error: 'never' });
  });
});

describe('entriesOf', () => {
  it('throws the error of an image that could not be parsed, as it is', () => {
    const error = new RangeError('too odd');
    expect(() => entriesOf(oneMember({}), { error }, ITEM, jsonOf)).toThrow(error);
    let thrown: unknown = 'nothing';
    try {
      entriesOf(oneMember({}), { error: undefined }, ITEM, jsonOf);
    } catch (caught) {
      thrown = caught;
    }
    expect(thrown).toBeUndefined();
  });

  it('gives no entries where there is no item, and does not ask the view', () => {
    const never = documentsOf(() => {
      throw new Error('the view was asked');
    });
    expect(entriesOf(never, NOTHING, ITEM, jsonOf)).toEqual([]);
    expect(entriesOf(never, { item: undefined }, ITEM, jsonOf)).toEqual([]);
  });

  it('begins the key of a document with the view and its revision', () => {
    const view = documentsOf(({ id }) => [{ key: String(id), value: { id } }]);
    expect(entries(view, { id: 7 })).toEqual([{ kind: 'document', key: 'odd@1:7', json: '{"id":7}' }]);
    expect(entries({ ...view, name: 'even', revision: 2 }, { id: 7 })).toMatchObject([{ key: 'even@2:7' }]);
  });

  it('gives a member its list, its score and the length of its list', () => {
    expect(entries(oneMember({ list: 'x', score: -2.5, value: ['v'], member: 'm' }))).toEqual([
      { kind: 'member', list: 'odd@1:x', member: 'm', score: -2.5, keep: 10, json: '["v"]' },
    ]);
  });

  it('names a member by its item where the view does not name it', () => {
    expect(entries(oneMember({}))).toMatchObject([{ member: ITEM }]);
  });

  it('gives each list its own value when one item is in several lists', () => {
    const view = membersOf(() => ['a', 'b', 'b2'].map((list) => ({ list, score: 1, value: list.slice(0, 1) })));
    expect(entries(view).map(({ json }) => json)).toEqual(['"a"', '"b"', '"b"']);
  });

  it('makes the text of a value that several lists share once', () => {
    const texts: unknown[] = [];
    const textOf = (value: unknown) => {
      texts.push(value);
      return `text ${texts.length}`;
    };
    const [one, two] = [{ n: 1 }, { n: 2 }];
    const view = membersOf(() => [one, one, two, one].map((value, i) => ({ list: `l${i}`, score: 1, value })));
    expect(entries(view, {}, textOf).map(({ json }) => json)).toEqual(['text 1', 'text 1', 'text 2', 'text 3']);
    expect(texts).toEqual([one, two, one]);
  });

  it('makes the text of `undefined` too', () => {
    expect(entries(oneMember({ value: undefined }), {}, String)).toMatchObject([{ json: 'undefined' }]);
  });

  it('takes the same member in two lists, and the same list name in two views, for different addresses', () => {
    expect(entries(membersOf(() => ['a', 'b'].map((list) => ({ list, score: 1, value: 1, member: 'm' }))))).toHaveLength(2);
    expect(entries(membersOf(() => ['a', 'b'].map((member) => ({ list: 'l', score: 1, value: 1, member }))))).toHaveLength(2);
  });

  const keys = (count: number) => Array.from({ length: count }, (_, i) => `k${i}`);
  const twin = 'it gives one address twice';

  it.each([0, 1, 2, FEW, FEW + 1, 50])('takes %d entries of different addresses', (count) => {
    expect(entries(documentsOf(() => keys(count).map((key) => ({ key, value: 1 }))))).toHaveLength(count);
    expect(entries(membersOf(() => keys(count).map((member) => ({ list: 'l', member, score: 1, value: 1 }))))).toHaveLength(count);
  });

  it.each([2, 3, FEW, FEW + 1, 50])('refuses %d entries when the first and the last have one address', (count) => {
    const twins = [...keys(count - 1), 'k0'];
    expect(() => entries(documentsOf(() => twins.map((key, value) => ({ key, value }))))).toThrow(twin);
    expect(() => entries(membersOf(() => twins.map((member, score) => ({ list: 'l', member, score, value: 1 }))))).toThrow(twin);
  });

  const pizza = '🍕';
  it.each<[string, View, string]>([
    [
      'half a character in a key',
      documentsOf(() => [{ key: pizza.slice(0, 1), value: 1 }]),
      'a key or a name has half a character: it was cut inside a surrogate pair',
    ],
    [
      'half a character in a list',
      oneMember({ list: pizza.slice(1) }),
      'a key or a name has half a character: it was cut inside a surrogate pair',
    ],
    [
      'half a character in a member',
      oneMember({ member: pizza.slice(1) }),
      'a key or a name has half a character: it was cut inside a surrogate pair',
    ],
    ['a score that is not a number', oneMember({ score: Number.NaN }), 'a score is not a finite number'],
    ['an infinite score', oneMember({ score: -Infinity }), 'a score is not a finite number'],
    ['a score that is a text', oneMember({ score: '1' as unknown as number }), 'a score is not a finite number'],
    ['a member without a name', oneMember({ member: '' }), 'the name of a list member is empty'],
    ['a list without a name', oneMember({ list: '' }), 'a key is empty: give a string of one character or more'],
    ['an empty key', documentsOf(() => [{ key: '', value: 1 }]), 'a key is empty: give a string of one character or more'],
    [
      'a key that is a number',
      documentsOf(() => [{ key: 7 as unknown as string, value: 1 }]),
      'a key is of type number: give a string of one character or more',
    ],
    ['a BigInt', documentsOf(() => [{ key: 'k', value: { n: 1n } }]), 'a value has no JSON form: it has a BigInt or a cycle'],
    ['a function', documentsOf(() => [{ key: 'k', value: () => 1 }]), 'a value of type function has no JSON form'],
    ['a member whose value is `undefined`', oneMember({ value: undefined }), 'a value of type undefined has no JSON form'],
  ])('refuses %s, and says what is wrong', (_, view, message) => {
    expect(() => entries(view)).toThrow(new Error(message));
    // The message has no value of the item, so it is shown as it is.
    expect(asViewErrorOf(() => entries(view))).toBe(`view odd cannot project it: ${message}`);
  });

  it('refuses a view that gives no entries at all, but `undefined`', () => {
    expect(() => entries(documentsOf(() => undefined as unknown as []))).toThrow(TypeError);
    expect(() => entries(membersOf(() => undefined as unknown as []))).toThrow(TypeError);
  });
});

/** The message of the ViewError for what a call throws. */
function asViewErrorOf(call: () => unknown): string {
  try {
    call();
  } catch (error) {
    return asViewError(oneMember({}), 'it', error).message;
  }
  throw new Error('nothing was thrown');
}

describe('isSameAddress', () => {
  const document: Address = { kind: 'document', key: 'a' };
  const member: Address = { kind: 'member', list: 'a', member: 'b' };

  it('compares the keys of documents', () => {
    expect(isSameAddress(document, { ...document })).toBe(true);
    expect(isSameAddress(document, { kind: 'document', key: 'b' })).toBe(false);
  });

  it('compares both the lists and the names of members', () => {
    expect(isSameAddress(member, { ...member })).toBe(true);
    expect(isSameAddress(member, { ...member, list: 'c' })).toBe(false);
    expect(isSameAddress(member, { ...member, member: 'c' })).toBe(false);
  });

  it('tells a document from a member, whatever else they have', () => {
    const both = { key: 'a', list: 'a', member: 'b' };
    expect(isSameAddress({ ...both, kind: 'document' }, { ...both, kind: 'member' })).toBe(false);
    expect(isSameAddress({ ...both, kind: 'member' }, { ...both, kind: 'document' })).toBe(false);
  });
});

describe('jsonOf', () => {
  it.each([
    [{ b: 1, a: [true, null, 'ü'] }, '{"b":1,"a":[true,null,"ü"]}'],
    ['', '""'],
    [null, 'null'],
    [0, '0'],
  ])('gives the JSON text of %j', (value, json) => {
    expect(jsonOf(value)).toBe(json);
  });

  it('refuses a value that holds itself', () => {
    const value: { self?: unknown } = {};
    value.self = value;
    expect(() => jsonOf(value)).toThrow(new Error('a value has no JSON form: it has a BigInt or a cycle'));
  });

  it.each([
    ['undefined', undefined],
    ['function', () => 1],
    ['symbol', Symbol('s')],
  ])('refuses a value of type %s', (type, value) => {
    expect(() => jsonOf(value)).toThrow(new Error(`a value of type ${type} has no JSON form`));
  });
});

describe('noText', () => {
  it('gives an empty text', () => {
    expect(noText()).toBe('');
  });
});

describe('asViewError', () => {
  const SECRET = 'secret';
  const messageOf = (thrown: unknown) => {
    const error = asViewError(oneMember({}), 'the new image of ["a"]', thrown);
    expect(error).toBeInstanceOf(ViewError);
    expect(error.cause).toBe(thrown);
    const beginning = 'view odd cannot project the new image of ["a"]: ';
    expect(error.message.startsWith(beginning)).toBe(true);
    return error.message.slice(beginning.length);
  };
  const named = (name: string) => {
    const thrown = new (class extends Error {})(SECRET);
    Object.defineProperty(thrown.constructor, 'name', { value: name });
    return thrown;
  };

  it.each([
    ['an error by its class', new RangeError(SECRET), 'it threw RangeError'],
    ['a ViewError of the view like any other error', new ViewError(SECRET), 'it threw ViewError'],
    ['an error that names itself by its class', Object.assign(new Error(SECRET), { name: SECRET }), 'it threw Error'],
    ['an error whose class has a name of 40 characters by its class', named('E'.repeat(40)), `it threw ${'E'.repeat(40)}`],
    ['an error whose class has a longer name as an error', named('E'.repeat(41)), 'it threw an error'],
    ['an error whose class has no name as an error', named(''), 'it threw an error'],
    ['an error whose class begins with another sign as an error', named('?secret'), 'it threw an error'],
    ['an error whose class ends with another sign as an error', named('secret?'), 'it threw an error'],
    [
      'an error without a class by its type',
      Object.setPrototypeOf(new Error(SECRET), { __proto__: Error.prototype, constructor: undefined }),
      'it threw object',
    ],
    ['a text by its type', SECRET, 'it threw string'],
    ['undefined by its type', undefined, 'it threw undefined'],
    ['null as null', null, 'it threw null'],
    ['a bare object by its type', Object.create(null), 'it threw object'],
    [
      'an object whose properties throw by its type',
      new Proxy(
        {},
        {
          get: () => {
            throw new Error(SECRET);
          },
        },
      ),
      'it threw object',
    ],
    ['issues that are not a list like any other error', Object.assign(new TypeError(SECRET), { issues: SECRET }), 'it threw TypeError'],
    [
      'issues that are not objects like an error without a class',
      Object.assign(new Error(SECRET), { issues: [undefined] }),
      'it threw object',
    ],
  ])('names %s', (_, thrown, message) => {
    expect(messageOf(thrown)).toBe(message);
  });

  it.each<[string, readonly unknown[], string]>([
    ['the attribute and what the schema expects', [{ path: ['count'], expected: 'number' }], 'count is not a valid number'],
    ['the attribute and the format', [{ path: ['at'], format: 'datetime' }], 'at is not a valid datetime'],
    ['what is expected rather than the format', [{ path: ['at'], expected: 'string', format: 'datetime' }], 'at is not a valid string'],
    [
      'the format where what is expected is not a text',
      [{ path: ['at'], expected: 7, format: 'date-time' }],
      'at is not a valid date-time',
    ],
    ['the attribute alone where nothing is expected', [{ path: ['at'] }], 'at is not valid'],
    [
      'the attribute alone where a text could be a value',
      [{ path: ['at'], expected: 'secret value', format: '"secret"' }],
      'at is not valid',
    ],
    ['the attribute alone where a text is empty', [{ path: ['at'], expected: '' }], 'at is not valid'],
    ['a text of 40 characters', [{ path: ['at'], expected: 'e'.repeat(40) }], `at is not a valid ${'e'.repeat(40)}`],
    ['the attribute alone where a text has 41 characters', [{ path: ['at'], expected: 'e'.repeat(41) }], 'at is not valid'],
    [
      'only the first name of a path, because deeper names may be values',
      [{ path: ['emails', 'secret@example.com'], expected: 'string' }],
      'emails has a part that is not a valid string',
    ],
    ['the attribute alone for a part of which nothing is expected', [{ path: ['emails', 'secret'] }], 'emails is not valid'],
    ['a name that is a segment of a path', [{ path: [{ key: 'at' }], expected: 'string' }], 'at is not a valid string'],
    ['the item where the first name is a number', [{ path: [7], expected: 'string' }], 'the item is not a valid string'],
    ['the item where the first name is null', [{ path: [null], expected: 'string' }], 'the item is not a valid string'],
    ['the item where a segment has no key', [{ path: [{ name: SECRET }], expected: 'string' }], 'the item is not a valid string'],
    ['the item where the path is empty', [{ path: [], expected: 'object' }], 'the item is not a valid object'],
    ['the item where the path is not a list', [{ path: SECRET, expected: 'string' }], 'the item is not a valid string'],
    ['the item where there is no path', [{ expected: 'string' }], 'the item is not a valid string'],
    ['the item where a name has no text', [{ path: [Object.create(null)] }], 'the item is not valid'],
    ['each issue', [{ path: ['a'] }, { path: ['b'], expected: 'number' }], 'a is not valid, b is not a valid number'],
  ])('says of the issues of a schema %s', (_, issues, message) => {
    expect(messageOf(Object.assign(new Error(SECRET), { issues }))).toBe(message);
    expect(messageOf({ issues })).toBe(message);
  });

  it('understands the issues of zod', () => {
    const schema = z.object({ id: z.string(), at: z.iso.datetime(), lines: z.array(z.object({ grams: z.number() })) });
    const { error } = schema.safeParse({ id: 7, at: SECRET, lines: [{ grams: SECRET }] });
    expect(messageOf(error)).toBe('id is not a valid string, at is not a valid datetime, lines has a part that is not a valid number');
  });
});
