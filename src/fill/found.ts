import type { FoundDocument, FoundList, FoundMember } from '../cache.ts';
import { type Attributes, itemOf } from '../change.ts';
import { ViewError } from '../errors.ts';
import type { Entry } from '../mutation.ts';
import { asViewError, entriesOf, jsonOf, parse } from '../plan/projection.ts';
import { shownItem } from '../plan/shown-keys.ts';
import { type DocumentView, keyOf, type ListView, type View } from '../view.ts';

/** What is known of the items from which `found` makes a list. */
export interface FoundOptions {
  /** Names of the table's key attributes. They give the members their default names. */
  readonly keys: readonly string[];
  /**
   * The items are the first ones of a query whose descending order is that of the scores, and the query has further items. Default: these are all
   * items of the list.
   */
  readonly more?: boolean;
}

/**
 * Makes what `CacheClient.settle` takes of a document: the value that the view gives for the key, as the worker writes it.
 *
 * @param key the key that the view gives, as `keyOf` takes it
 * @param item the item of the table, as `attributesOf` decodes it; `undefined` if the table has none
 * @returns no value where the item is absent, is not of the view's entity, or gives no document with this key
 * @throws ViewError when the schema or the view throws on the item
 */
export function found(view: DocumentView<unknown, unknown>, key: string, item: Attributes | undefined): FoundDocument;
/**
 * Makes what `CacheClient.settle` takes of a list: its newest members, at most `keep` of them, and `next`, as the worker writes them.
 *
 * Items that are not of the view's entity, or give no member of this list, are left out. If two items give one member, the first of the two counts: an
 * index may give one item twice. With `more`, the last member may tie with members that were not read. So it is no part of `newest`, unless more than
 * `keep` members were read; its score is then `next`.
 *
 * @param list the list that the view gives, as `keyOf` takes it
 * @param items the items of the table, as `attributesOf` decodes them
 * @throws ViewError when the schema or the view throws on an item, or with `more` when the members do not come by descending score
 * @throws RangeError with `more` when there are fewer than two members, because the cache then learns nothing of the list: read further
 * @throws TypeError when an item lacks a key attribute
 */
export function found(view: ListView<unknown, unknown>, list: string, items: Iterable<Attributes>, options: FoundOptions): FoundList;
export function found(
  view: View,
  key: string,
  given: Attributes | Iterable<Attributes> | undefined,
  options?: FoundOptions,
): FoundDocument | FoundList {
  return view.kind === 'document'
    ? foundDocument(view, key, given as Attributes | undefined)
    : foundList(view, key, given as Iterable<Attributes>, options as FoundOptions);
}

function foundDocument(view: DocumentView<unknown, unknown>, key: string, item: Attributes | undefined): FoundDocument {
  const json = jsonIn(view, key, item);
  return json === undefined ? { kind: 'document' } : { kind: 'document', json };
}

function foundList(
  view: ListView<unknown, unknown>,
  list: string,
  items: Iterable<Attributes>,
  { keys, more = false }: FoundOptions,
): FoundList {
  const given = [...entriesIn(view, list, items, keys)];
  if (more) checkDescending(view, given);
  const members = newestFirst(given);
  if (!more || members.length > view.keep) {
    return { kind: 'list', newest: members.slice(0, view.keep), next: members[view.keep]?.score };
  }
  const last = members.at(-1);
  if (!last || members.length < 2) {
    const fewer = last ? 'one member' : 'no member';
    throw new RangeError(`view ${view.name}: the items give ${fewer} of the list, and further items follow: read on, until they give two`);
  }
  return { kind: 'list', newest: members.slice(0, -1), next: last.score };
}

/** Otherwise an item that follows may have any score. */
function checkDescending({ name }: View, members: readonly FoundMember[]): void {
  if (members.every(({ score }, i) => score <= (members[i - 1]?.score ?? Infinity))) return;
  throw new ViewError(
    `view ${name}: the items do not come by descending score, so the items that follow may have any score: read all items, or give valueAt only if the sort keys have the order of the scores`,
  );
}

/** A value as JSON text, and as a reader of the cache gets it. */
interface ReadValue {
  readonly json: string;
  readonly value: unknown;
}

/** What a document view gives for a key of one item; `undefined` where `found` finds no value. @throws ViewError as `found` does. */
export function valueIn(view: DocumentView<unknown, unknown>, key: string, item: Attributes | undefined): ReadValue | undefined {
  const json = jsonIn(view, key, item);
  return json === undefined ? undefined : { json, value: JSON.parse(json) };
}

/**
 * The members that items give of one list, each once, in the order of descending pages: greatest score first, members of equal score by the bytes of
 * their names, the greatest first. @throws as `found` does.
 */
export function membersIn(
  view: ListView<unknown, unknown>,
  list: string,
  items: Iterable<Attributes>,
  keys: readonly string[],
): readonly (FoundMember & ReadValue)[] {
  return newestFirst(entriesIn(view, list, items, keys)).map((member) => ({ ...member, value: JSON.parse(member.json) }));
}

function jsonIn(view: DocumentView<unknown, unknown>, key: string, item: Attributes | undefined): string | undefined {
  const full = keyOf(view, key);
  // A document's entry does not have the item's name, and without the names of the keys, the item has none.
  return project(view, item, '', () => 'the item of a document').find((entry) => entry.kind === 'document' && entry.key === full)?.json;
}

/** The members of a list, in the order of the items. */
function* entriesIn(
  view: ListView<unknown, unknown>,
  list: string,
  items: Iterable<Attributes>,
  keys: readonly string[],
): Generator<FoundMember> {
  const full = keyOf(view, list);
  for (const item of items) {
    const key = keyIn(item, keys);
    for (const entry of project(view, item, itemOf(key), () => shownItem([view], key, [item]))) {
      if (entry.kind === 'member' && entry.list === full) yield { member: entry.member, score: entry.score, json: entry.json };
    }
  }
}

function keyIn(item: Attributes, keys: readonly string[]): Attributes {
  if (keys.length === 0) throw new TypeError('keys is empty: give the names of the key attributes of the table');
  const missing = keys.find((key) => item[key] === undefined);
  if (missing !== undefined) {
    throw new TypeError(`an item lacks "${missing}": give the names of the key attributes of the table as keys, and items that have them`);
  }
  return Object.fromEntries(keys.map((key) => [key, item[key]]));
}

/** @param shown how a message shows the item */
function project(view: View, item: Attributes | undefined, name: string, shown: () => string): readonly Entry[] {
  try {
    return entriesOf(view, parse(view.entity, item), name, jsonOf);
  } catch (cause) {
    throw asViewError(view, shown(), cause);
  }
}

function newestFirst(members: Iterable<FoundMember>): readonly FoundMember[] {
  const byName = new Map<string, FoundMember>();
  for (const member of members) if (!byName.has(member.member)) byName.set(member.member, member);
  return [...byName.values()].sort((a, b) => b.score - a.score || Buffer.compare(Buffer.from(b.member), Buffer.from(a.member)));
}
