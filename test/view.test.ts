import { describe, expect, it } from 'vitest';
import { memoryCache } from '../src/caches/memory.ts';
import { ViewError } from '../src/errors.ts';
import { backfillHandler } from '../src/handlers/backfill-handler.ts';
import { redriveHandler } from '../src/handlers/redrive-handler.ts';
import { streamHandler } from '../src/handlers/stream-handler.ts';
import { verifyHandler } from '../src/handlers/verify-handler.ts';
import { checkDistinct, documentView, keyOf, listView, type View, viewName } from '../src/view.ts';
import { views as shop } from '../src/views/index.ts';
import { anything } from './plan/fixtures.ts';

const definition = { name: 'v', revision: 1, entity: anything, project: () => [] };

describe.each([
  ['documentView', documentView],
  ['listView', (of: typeof definition) => listView({ ...of, keep: 1 })],
])('%s', (_, define) => {
  it.each(['v', 'V-1', '_', '0'])('takes the name %j', (name) => {
    expect(define({ ...definition, name })).toMatchObject({ name, revision: 1 });
  });

  it.each(['', 'a:b', 'a b', 'a@b', '?a', 'a?', 'ä'])('refuses the name %j, which cannot be part of a key', (name) => {
    const error = new ViewError(`view name "${name}": use letters, digits, "-" and "_"`);
    expect(() => define({ ...definition, name })).toThrow(error);
    expect(() => define({ ...definition, name })).toThrow(ViewError);
  });

  it.each([0, -1, 1.5, Number.NaN, Infinity])('refuses the revision %s', (revision) => {
    expect(() => define({ ...definition, revision })).toThrow(new ViewError(`view v: revision is ${revision}: give a positive integer`));
  });
});

describe('listView', () => {
  it.each([1, 1_000])('takes %d members to keep', (keep) => {
    expect(listView({ ...definition, keep })).toEqual({ ...definition, kind: 'list', keep });
  });

  it.each([0, -1, 1.5, Infinity])('refuses %s members to keep', (keep) => {
    expect(() => listView({ ...definition, keep })).toThrow(new ViewError(`view v: keep is ${keep}: give a positive integer`));
  });

  it('refuses worthFilling, because a list without some of its items could not be called complete', () => {
    const filtered = { ...definition, keep: 1, worthFilling: () => true };
    expect(() => listView(filtered)).toThrow(/^view v: worthFilling is for document views/);
  });
});

describe('keyOf', () => {
  it('puts the name and the revision of the view before the key', () => {
    expect(keyOf({ name: 'detail', revision: 2 }, 'a:b')).toBe('detail@2:a:b');
    expect(viewName({ name: 'detail', revision: 2 })).toBe('detail@2');
  });
});

describe('two views with the same keys', () => {
  const twins = [
    { ...shop.detail, revision: 7 },
    { ...shop.admin, name: 'detail', revision: 7 },
  ] as unknown as readonly View[];
  const message = 'two views have the same keys, detail@7:…: give one of them another name or revision';
  const given = { views: twins, cache: memoryCache(), table: { client: {} as never, name: 't' } } as never;

  it('are refused by all handlers', () => {
    for (const make of [streamHandler, redriveHandler, backfillHandler, verifyHandler]) expect(() => make(given)).toThrow(message);
  });

  it('are views of one name and one revision', () => {
    expect(() => checkDistinct(Object.values(shop))).not.toThrow();
    expect(() => checkDistinct([shop.detail, { ...shop.detail, revision: 2 }])).not.toThrow();
    expect(() => checkDistinct(twins)).toThrow(ViewError);
  });
});
