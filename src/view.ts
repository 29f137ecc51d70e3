import type { Attributes } from './change.ts';
import { ViewError } from './errors.ts';

/** A kind of item in the table. */
export interface Entity<Item> {
  readonly name: string;
  /** Whether an item is of this kind. Views of the entity see no other items. */
  owns(item: Attributes): boolean;
  /**
   * A zod schema, or another object whose `parse` returns the typed item or throws. `owns` and `parse` receive the item as `attributesOf` decodes it:
   *
   * - a set (SS, NS, BS) is an array;
   * - binary (B, and in BS) is base64 text;
   * - a number (N, and in NS) is a number, but text if a double cannot hold it exactly: `"12345678901234567890"`.
   */
  readonly schema: { parse(item: unknown): Item };
  /**
   * Names of key attributes whose values no log, report or message may show, for example an id that grants access. A short hash is shown instead:
   * `#` and the first 8 hex digits of the SHA-256. Default: none.
   */
  readonly secretKeys?: readonly string[];
}

/**
 * The primary key of an item: the values of the table's one or two key attributes. A string is of DynamoDB's type S, a number of type N. Other keys
 * have no such form: binary, and numbers that a double cannot hold exactly.
 */
export type KeyAttributes = Readonly<Record<string, string | number>>;

/** A query of the table, or of an index, that selects all items of a list. It may select other items too: readers leave them out. */
export interface ListQuery {
  /** The partition key of the table or the index, and its value: a string of type S, or a number of type N. */
  readonly partition: { readonly name: string; readonly value: string | number };
  /** The sort key of the table or the index. Default: the query selects the whole partition, in no order. */
  readonly sort?: {
    readonly name: string;
    /** The text that the sort keys of all items of the list begin with. Default: the query selects the whole partition. */
    readonly beginsWith?: string;
    /**
     * The sort key of the items that have this score. Give it only if the order of the sort keys is that of the scores: a reader then stops after
     * the newest items, and begins at a score. DynamoDB orders numbers by value, and strings by the bytes of their UTF-8. Default: a reader
     * reads all items that the query selects.
     */
    valueAt?(score: number): string | number;
  };
  /** The name of a local or global secondary index that contains all attributes the view needs. Default: the table itself. */
  readonly index?: string;
  /**
   * - `table`: the query can be a consistent read, so it shows each write that came before. The table and its local indexes allow that.
   * - `index`: the query is of a global index, which lags behind the table.
   *
   * Default: `table`.
   */
  readonly trust?: 'table' | 'index';
  /**
   * The longest time that the index lags behind the table, ms. Required with trust `index`, and only then. AWS promises no bound. After a longer lag,
   * a fill may store what the index had, without the newest change of an item, until the item's next change.
   */
  readonly lagMs?: number;
}

interface ViewOf<Item> {
  /** The beginning of the keys of all its entries: letters, digits, `-` and `_`. */
  readonly name: string;
  /** Part of its keys. Raise it when the projection changes, so that old and new values never mix. */
  readonly revision: number;
  readonly entity: Entity<Item>;
}

/**
 * Projects items to documents, which are read by key. `project` is pure: the same item gives the same entries. It receives what the entity's schema
 * returns; see `Entity` for sets, binary and long numbers.
 */
export interface DocumentView<Item, Value> extends ViewOf<Item> {
  readonly kind: 'document';
  project(item: Item): readonly { readonly key: string; readonly value: Value }[];
  /**
   * The inverse of `project`: the primary key of the item that gives the document with this key. Pure. Only a view that has it can be read through to
   * the table. Any text may come as a key, also one that no item gives.
   *
   * @returns `undefined` when no item can give a document with this key
   */
  from?(key: string): KeyAttributes | undefined;
  /**
   * Whether a backfill fills the documents of this item. Pure. It saves memory for items that are seldom read: readers fill their documents on demand,
   * and the stream writes them when the items change. Default: every item's. List views have no such filter, because a list without some of its items
   * could not be called complete.
   */
  worthFilling?(item: Item): boolean;
}

/**
 * Projects items to members of lists, which are read in pages, greatest score first. `project` is pure: the same item gives the same entries. It
 * receives what the entity's schema returns; see `Entity` for sets, binary and long numbers.
 */
export interface ListView<Item, Value> extends ViewOf<Item> {
  readonly kind: 'list';
  /** The number of newest members that each list holds. The cost of a list grows with it. */
  readonly keep: number;
  project(item: Item): readonly {
    readonly list: string;
    /** A finite number. */
    readonly score: number;
    readonly value: Value;
    /** The member's name in the list. Default: the item's name, see `itemOf`. */
    readonly member?: string;
  }[];
  /**
   * The inverse of `project`: the query of the table that selects all items of this list. Pure. Only a view that has it can be read through to the
   * table. Any text may come as a list, also one that no item gives.
   *
   * @returns `undefined` when no query selects the items of this list
   */
  from?(list: string): ListQuery | undefined;
}

export type View<Item = unknown, Value = unknown> = DocumentView<Item, Value> | ListView<Item, Value>;

/** Defines an entity. Its views get items typed by the schema. @throws ViewError when `secretKeys` is not a list of names. */
export function entity<Item>(definition: Entity<Item>): Entity<Item> {
  const { name, secretKeys = [] } = definition;
  // A text in place of the list would hide no key.
  if (!Array.isArray(secretKeys) || !secretKeys.every((key) => typeof key === 'string' && key !== '')) {
    throw new ViewError(`entity ${name}: secretKeys is not a list of attribute names: give, for example, ['pk']`);
  }
  return definition;
}

/** Defines a view of documents. @throws ViewError when the name or the revision cannot be part of a key. */
export function documentView<Item, Value>(definition: Omit<DocumentView<Item, Value>, 'kind'>): DocumentView<Item, Value> {
  check(definition);
  return { ...definition, kind: 'document' };
}

/** Defines a view of lists. @throws ViewError when the name, the revision or `keep` is out of range. */
export function listView<Item, Value>(definition: Omit<ListView<Item, Value>, 'kind'>): ListView<Item, Value> {
  check(definition);
  if ('worthFilling' in definition) {
    throw new ViewError(
      `view ${definition.name}: worthFilling is for document views: a list without some of its items could not be called complete`,
    );
  }
  if (!isPositive(definition.keep)) throw new ViewError(`view ${definition.name}: keep is ${definition.keep}: give a positive integer`);
  return { ...definition, kind: 'list' };
}

declare const VALUE: unique symbol;

/** The key of a document whose value has this type. It is a plain string. */
export type DocumentKey<Value> = string & { readonly [VALUE]: { readonly document: Value } };

/** The key of a list whose members have values of this type. It is a plain string. */
export type ListKey<Value> = string & { readonly [VALUE]: { readonly list: Value } };

/** The type of the value at a key: that of the view if `keyOf` made the key, else `unknown`. */
export type DocumentValue<Key> = Key extends DocumentKey<infer Value> ? Value : unknown;

/** The type of the values of a list's members: that of the view if `keyOf` made the key, else `unknown`. */
export type MemberValue<Key> = Key extends ListKey<infer Value> ? Value : unknown;

/** The type of a view's keys. Of a view whose kind is not known: `string`. */
type KeyOf<Of> = Of extends { readonly kind: 'document'; project(item: never): readonly { readonly value: infer Value }[] }
  ? DocumentKey<Value>
  : Of extends { readonly kind: 'list'; project(item: never): readonly { readonly value: infer Value }[] }
    ? ListKey<Value>
    : string;

/**
 * The key in the cache of the document, or of the list, that a view calls `key`: `detail@1:42`. What the cache reads at the key has the type of the
 * view's values.
 */
export function keyOf<Of extends Pick<View, 'name' | 'revision'>>(view: Of, key: string): KeyOf<Of> {
  return `${viewName(view)}:${key}` as KeyOf<Of>;
}

/** What the keys of a view begin with, and what logs and letters call the view: `detail@1`. */
export function viewName({ name, revision }: Pick<View, 'name' | 'revision'>): string {
  return `${name}@${revision}`;
}

/** @throws ViewError when two of the views have the same keys: each would overwrite what the other one gives */
export function checkDistinct(views: readonly Pick<View, 'name' | 'revision'>[]): void {
  const names = new Set<string>();
  for (const view of views) {
    const name = viewName(view);
    if (names.has(name)) throw new ViewError(`two views have the same keys, ${name}:…: give one of them another name or revision`);
    names.add(name);
  }
}

function check({ name, revision }: { name: string; revision: number }): void {
  if (!/^[\w-]+$/.test(name)) throw new ViewError(`view name "${name}": use letters, digits, "-" and "_"`);
  if (!isPositive(revision)) throw new ViewError(`view ${name}: revision is ${revision}: give a positive integer`);
}

function isPositive(n: number): boolean {
  return Number.isSafeInteger(n) && n >= 1;
}
