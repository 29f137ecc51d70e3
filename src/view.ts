import type { Attributes, Change } from './change.ts';
import { ViewError } from './errors.ts';
import { type Address, type Entry, type Mutation, nameOf } from './mutation.ts';
import type { Version } from './version.ts';

/** A kind of item in the table. */
export interface Entity<Item> {
  readonly name: string;
  /** Whether an item is of this kind. Items that are not are none of its views' business. */
  owns(item: Attributes): boolean;
  /** A zod schema, or anything else with a `parse` that returns the typed item or throws. */
  readonly schema: { parse(item: unknown): Item };
}

interface ViewOf<Item> {
  /** Begins the keys of all its entries: letters, digits, `-` and `_`. */
  readonly name: string;
  /** Part of its keys. Raise it when the projection changes, so that old and new shapes never mix. */
  readonly revision: number;
  readonly entity: Entity<Item>;
}

/** Values that are read by key. `project` is pure: same item, same entries. */
export interface DocumentView<Item, Value> extends ViewOf<Item> {
  readonly kind: 'document';
  project(item: Item): readonly { readonly key: string; readonly value: Value }[];
}

/** Values that are read in pages, greatest score first. `project` is pure: same item, same entries. */
export interface ListView<Item, Value> extends ViewOf<Item> {
  readonly kind: 'list';
  /** How many of its newest members each list holds. What a cache of lists costs grows with it. */
  readonly keep: number;
  project(item: Item): readonly {
    readonly list: string;
    /** A finite number. */
    readonly score: number;
    readonly value: Value;
    /** The item's key, unless the view says otherwise. */
    readonly member?: string;
  }[];
}

export type View<Item = unknown, Value = unknown> = DocumentView<Item, Value> | ListView<Item, Value>;

export function entity<Item>(definition: Entity<Item>): Entity<Item> {
  return definition;
}

/** @throws ViewError when the name or the revision cannot be part of a key. */
export function documentView<Item, Value>(definition: Omit<DocumentView<Item, Value>, 'kind'>): DocumentView<Item, Value> {
  check(definition);
  return { ...definition, kind: 'document' };
}

/** @throws ViewError when the name, the revision or `keep` is out of range. */
export function listView<Item, Value>(definition: Omit<ListView<Item, Value>, 'kind'>): ListView<Item, Value> {
  check(definition);
  if (!isPositive(definition.keep)) throw new ViewError(`view ${definition.name}: keep is ${definition.keep}: give a positive integer`);
  return { ...definition, kind: 'list' };
}

/** The full key, as the cache knows it, of what a view calls `key` (of a document, or of a list). */
export function keyOf(view: Pick<View, 'name' | 'revision'>, key: string): string {
  return `${view.name}@${view.revision}:${key}`;
}

/** A view that could not say what an item is to it. */
export interface Poison {
  readonly view: string;
  readonly error: ViewError;
}

export interface Plan {
  readonly mutations: readonly Mutation[];
  readonly poison: readonly Poison[];
}

/** What a change does to the views: the difference of two projections each. A view that throws harms only itself. */
export function planOf(views: readonly View[], change: Change): Plan {
  const images = new Map<Entity<unknown>, { before: Parsed; after: Parsed }>();
  const mutations: Mutation[] = [];
  const poison: Poison[] = [];
  for (const view of views) {
    // An image is parsed once for all views of its entity.
    let of = images.get(view.entity);
    if (!of) {
      of = { before: parse(view.entity, change.before), after: parse(view.entity, change.after) };
      images.set(view.entity, of);
    }
    const error = plan(view, change, of.before, of.after, mutations);
    if (error) poison.push({ view: view.name, error });
  }
  return { mutations, poison };
}

/** What an item was: `before` a change whose part was set aside, or `after` one. */
export interface KnownImage {
  readonly as: 'before' | 'after';
  readonly attributes: Attributes;
}

/** What an item is known to have been, and what it is. */
export interface Settlement {
  /** See `itemOf`. */
  readonly item: string;
  readonly images: readonly KnownImage[];
  /** An image is missing, so the item may have been anywhere: also where it is now. */
  readonly isMissingImages: boolean;
  /** Absent when there is no such item. */
  readonly now: Attributes | undefined;
  readonly version: Version;
}

/**
 * What brings the addresses that an item is known to have had to what the item is now, all at one version: those that it still has are put, the others
 * deleted. Where it is since then is left to the change that brought it there. A view that cannot project the item as it is now forgets what it held
 * of it. One that cannot project an image from before is poison, too: the code before this one, or the code after it, may have projected it, and left
 * entries nobody knows where. An image from after may be passed over: the change that ended it has it as its own image from before.
 */
export function settlementOf(views: readonly View[], { item, images, isMissingImages, now, version }: Settlement): Plan {
  const mutations: Mutation[] = [];
  const poison: Poison[] = [];
  for (const view of views) {
    const { left, error } = entriesLeft(view, images, item);
    if (error) poison.push({ view: view.name, error });
    try {
      for (const entry of entriesOf(view, parse(view.entity, now), item, jsonOf)) {
        const held = left.get(nameOf(entry));
        if (!held && !isMissingImages) continue;
        left.delete(nameOf(entry));
        mutations.push(put(entry, held?.kind === 'member' ? held.score : undefined, version));
      }
      for (const entry of left.values()) mutations.push(without(entry, 'delete', version));
    } catch (cause) {
      for (const entry of left.values()) mutations.push(without(entry, 'forget', version));
      poison.push({ view: view.name, error: asViewError(view, `${item} as it is now`, cause) });
    }
  }
  return { mutations, poison };
}

/** By address; of a list's member, at the highest score that it is known to have had: its marker must block what is older there. */
function entriesLeft(view: View, images: readonly KnownImage[], item: string) {
  const left = new Map<string, Entry>();
  let error: ViewError | undefined;
  for (const { as, attributes } of images) {
    let entries: readonly Entry[] = [];
    try {
      entries = entriesOf(view, parse(view.entity, attributes), item, noText);
    } catch (cause) {
      if (as === 'before') error = asViewError(view, `the old image of ${item}`, cause);
    }
    for (const entry of entries) {
      const other = left.get(nameOf(entry));
      if (entry.kind === 'member' && other?.kind === 'member' && other.score > entry.score) continue;
      left.set(nameOf(entry), entry);
    }
  }
  return { left, error };
}

/**
 * What a change does to one view: entries of the old image that the new one lacks are deleted, those of the new image are put.
 *
 * @throws ViewError when the view cannot project the change; `planOf` tells what is done then.
 */
export function mutationsOf(view: View, change: Change): readonly Mutation[] {
  const { mutations, poison } = planOf([view], change);
  if (poison[0]) throw poison[0].error;
  return mutations;
}

/** What an image is to an entity: an item, nothing (absent, or not of this entity), or a fault. */
type Parsed = { readonly item?: unknown } | { readonly error: unknown };

function parse(entity: Entity<unknown>, image: Attributes | undefined): Parsed {
  try {
    return image && entity.owns(image) ? { item: entity.schema.parse(image) } : {};
  } catch (error) {
    return { error };
  }
}

function plan(view: View, change: Change, old: Parsed, now: Parsed, into: Mutation[]): ViewError | undefined {
  const { version } = change;
  let before: readonly Entry[] = [];
  let after: readonly Entry[] = [];
  let error: ViewError | undefined;
  try {
    before = entriesOf(view, old, change.item, noText);
  } catch (cause) {
    error = asViewError(view, `the old image of ${change.item}`, cause);
  }
  try {
    after = entriesOf(view, now, change.item, jsonOf);
  } catch (cause) {
    // What the view held of this item is known to be old now, and what it should hold is not known.
    for (const entry of before) into.push(without(entry, 'forget', version));
    return asViewError(view, `the new image of ${change.item}`, cause);
  }
  const [wasAt, isAt] = [finder(before), finder(after)];
  after.forEach((entry, i) => {
    const held = wasAt(entry, i);
    into.push(put(entry, held?.kind === 'member' ? held.score : undefined, version));
  });
  before.forEach((entry, i) => {
    if (!isAt(entry, i)) into.push(without(entry, 'delete', version));
  });
  return error;
}

function isSame(a: Address, b: Address): boolean {
  if (a.kind === 'document') return b.kind === 'document' && a.key === b.key;
  return b.kind === 'member' && a.list === b.list && a.member === b.member;
}

/** A view mostly gives its entries in one order, and few of them: to look costs less than to index. */
function finder(entries: readonly Entry[]): (wanted: Address, likely: number) => Entry | undefined {
  let index: Map<string, Entry> | undefined;
  return (wanted, likely) => {
    const there = entries[likely];
    if (there && isSame(there, wanted)) return there;
    if (entries.length <= FEW) return entries.find((entry) => isSame(entry, wanted));
    index ??= new Map(entries.map((entry) => [nameOf(entry), entry]));
    return index.get(nameOf(wanted));
  };
}

function put(entry: Entry, from: number | undefined, version: Mutation['version']): Mutation {
  if (entry.kind === 'document') return { kind: 'document', type: 'put', key: entry.key, json: entry.json, version };
  const { list, member, score, keep, json } = entry;
  return { kind: 'member', type: 'put', list, member, score, keep, json, version, from };
}

function without(entry: Entry, type: 'delete' | 'forget', version: Mutation['version']): Mutation {
  switch (entry.kind) {
    case 'document':
      return { kind: 'document', key: entry.key, type, version };
    case 'member':
      return { kind: 'member', list: entry.list, member: entry.member, type, version, score: entry.score, keep: entry.keep };
  }
}

/** The entries of one item, checked: an entry that no cache could hold is the view's fault, to be found here and not by an outage. */
function entriesOf(view: View, parsed: Parsed, itemName: string, textOf: (value: unknown) => string): readonly Entry[] {
  if ('error' in parsed) throw parsed.error;
  const { item } = parsed;
  if (item === undefined) return [];
  const entries: Entry[] = [];
  switch (view.kind) {
    case 'document':
      for (const { key, value } of view.project(item)) {
        entries.push({ kind: 'document', key: fullKey(view, key), json: textOf(value) });
      }
      break;
    case 'list': {
      let last: unknown;
      let json: string | undefined;
      for (const { list, score, value, member = itemName } of view.project(item)) {
        if (!Number.isFinite(score)) throw new EntryFault('a score is not a finite number');
        if (member === '') throw new EntryFault('the name of a list member is empty');
        checkText(member);
        // An item often gives several lists one value.
        if (json === undefined || value !== last) json = textOf(value);
        last = value;
        entries.push({ kind: 'member', list: fullKey(view, list), member, score, keep: view.keep, json });
      }
      break;
    }
  }
  if (hasTwins(entries)) throw new EntryFault('it gives one address twice');
  return entries;
}

/** So many are compared with each other faster than they are indexed. */
const FEW = 8;

function hasTwins(entries: readonly Entry[]): boolean {
  if (entries.length > FEW) return new Set(entries.map(nameOf)).size < entries.length;
  return entries.some((entry, i) => entries.findIndex((other) => isSame(other, entry)) < i);
}

/** Of the old image only the addresses and the scores matter. */
const noText = (): string => '';

function fullKey(view: View, key: string): string {
  if (typeof key !== 'string' || key === '') {
    throw new EntryFault(`a key is ${key === '' ? 'empty' : `a ${typeof key}`}: give a string of one character or more`);
  }
  checkText(key);
  return keyOf(view, key);
}

/** In UTF-8 half a surrogate pair becomes a replacement character, and two names become one. */
function checkText(name: string): void {
  if (/\p{Surrogate}/u.test(name)) throw new EntryFault('a key or a name has half a character: it was cut inside a surrogate pair');
}

function jsonOf(value: unknown): string {
  let json: string | undefined;
  try {
    json = JSON.stringify(value);
  } catch {
    throw new EntryFault('a value has no JSON form: it has a BigInt or a cycle');
  }
  if (json === undefined) throw new EntryFault(`a value of type ${typeof value} has no JSON form`);
  return json;
}

/** A fault that is found here, whose message has no values of the item. What a view throws is never taken for one. */
class EntryFault extends Error {}

/**
 * The message is fit for a log: it has no values of the item. What the view itself threw may quote some, so that stays the `cause`.
 */
function asViewError(view: View, what: string, cause: unknown): ViewError {
  return new ViewError(`view ${view.name} cannot project ${what}: ${reasonOf(cause)}`, { cause });
}

function reasonOf(cause: unknown): string {
  if (cause instanceof EntryFault) return cause.message;
  try {
    const { issues } = cause as { issues?: unknown };
    if (Array.isArray(issues)) return issues.map(describeIssue).join(', ');
    if (cause instanceof Error) return `it threw ${/^\w{1,40}$/.test(cause.constructor.name) ? cause.constructor.name : 'an error'}`;
  } catch {
    // A thrown value may be anything, an object that throws when it is looked at too.
  }
  return `it threw ${cause === null ? 'null' : typeof cause}`;
}

/** An issue of zod, or of another schema library with paths. Below the first name a path may hold keys of a record, which are values. */
function describeIssue({ path, expected, format }: { path?: unknown; expected?: unknown; format?: unknown }): string {
  const [first] = Array.isArray(path) ? path : [];
  const name = typeof first === 'object' && first !== null && 'key' in first ? first.key : first;
  const wanted = [expected, format].find((word) => typeof word === 'string' && /^[\w-]{1,40}$/.test(word));
  const at = typeof name === 'string' ? name : 'the item';
  return wanted === undefined
    ? `${at} is not valid`
    : `${at}${(path as unknown[]).length > 1 ? ' has a part that' : ''} is not a valid ${wanted}`;
}

function check({ name, revision }: { name: string; revision: number }): void {
  if (!/^[\w-]+$/.test(name)) throw new ViewError(`view name "${name}": use letters, digits, "-" and "_"`);
  if (!isPositive(revision)) throw new ViewError(`view ${name}: revision is ${revision}: give a positive integer`);
}

function isPositive(n: number): boolean {
  return Number.isSafeInteger(n) && n >= 1;
}
