import { type Attributes, itemOf } from '../change.ts';
import type { View } from '../view.ts';
import { bounded } from './bounded.ts';
import { type Projected, projector } from './compare.ts';

/** How long a write of this playground may take to appear in the stream, ms. */
const AWAITED_MS = 30_000;
const MOST_KNOWN = 600;
const MOST_NEWEST = 30_000;

/**
 * What the table has: by the writes of this playground at once, by the writes of others as the stream shows them. Knows where the entries of items are,
 * and were.
 */
export class Mirror {
  readonly #views: readonly View[];
  readonly #keys: readonly string[];
  readonly #items = new Map<string, Attributes>();
  /** The newest version of each item that the stream has shown. */
  readonly #newest = new Map<string, string>();
  /** Writes of this playground that the stream has not shown yet. */
  readonly #awaited = new Map<string, { readonly json: string; readonly at: number }>();
  readonly #documents = new Map<string, string>();
  readonly #lists = new Map<string, true>();
  readonly #members = new Map<string, string>();
  readonly #orders = new Map<string, string>();
  readonly #creators = new Set<string>();
  #project: ReturnType<typeof projector>;
  #projected: Projected | undefined;

  constructor(views: readonly View[], keys: readonly string[]) {
    this.#views = views;
    this.#keys = keys;
    this.#project = projector(views);
  }

  get items(): ReadonlyMap<string, Attributes> {
    return this.#items;
  }

  /** What the views make of the table. */
  get projected(): Projected {
    this.#projected ??= this.#project(this.#items);
    return this.#projected;
  }

  /** Names of the documents that the table gives or gave, and the items that they are of. */
  get documents(): ReadonlyMap<string, string> {
    const documents = new Map(this.#documents);
    for (const [name, { item }] of this.projected.documents) documents.set(name, item);
    return documents;
  }

  /** Names of the lists that the table gives or gave. */
  get lists(): ReadonlySet<string> {
    return new Set([...this.projected.lists.keys(), ...this.#lists.keys()]);
  }

  /** The ids of the sample's orders that the table has or had, and their items. */
  get orders(): ReadonlyMap<string, string> {
    return this.#orders;
  }

  get creators(): ReadonlySet<string> {
    return this.#creators;
  }

  nameOf(item: Attributes): string {
    return itemOf(Object.fromEntries(this.#keys.map((key) => [key, item[key]])));
  }

  /** The item of a member of a list. */
  itemOfMember(list: string, member: string): string {
    return this.#members.get(`${list} ${member}`) ?? member;
  }

  /** Names of the documents and lists that an item gives now. */
  placesOf(item: string): { readonly documents: readonly string[]; readonly lists: readonly string[] } {
    const attributes = this.#items.get(item);
    const { documents, lists } = this.#project(new Map(attributes ? [[item, attributes]] : []));
    return { documents: [...documents.keys()], lists: [...lists.keys()] };
  }

  /** The views project in another way from now on. */
  reproject(): void {
    this.#project = projector(this.#views);
    this.#projected = undefined;
  }

  /** A write of this playground begins. Absent: the item is deleted. Returns what takes that back. */
  await(name: string, item: Attributes | undefined): () => void {
    // The stream shows no write that changes nothing.
    if (canonical(item) !== canonical(this.#items.get(name))) this.#awaited.set(name, { json: canonical(item), at: Date.now() });
    return () => this.#awaited.delete(name);
  }

  isAwaited(item: string): boolean {
    const awaited = this.#awaited.get(item);
    if (awaited && Date.now() - awaited.at > AWAITED_MS) this.#awaited.delete(item);
    return this.#awaited.has(item);
  }

  get hasAwaited(): boolean {
    return [...this.#awaited.keys()].some((item) => this.isAwaited(item));
  }

  /** The stream shows what an item has become. */
  shows(item: string, version: string, after: Attributes | undefined): void {
    if ((this.#newest.get(item) ?? '') > version) return;
    bounded(this.#newest, MOST_NEWEST).set(item, version);
    // An own write, which is newer than this record, comes later in the stream.
    if (this.isAwaited(item) && this.#awaited.get(item)?.json !== canonical(after)) return;
    this.#awaited.delete(item);
    this.set(item, after);
  }

  /** The table has the item now. */
  set(name: string, item: Attributes | undefined): void {
    if (item && canonical(item) === canonical(this.#items.get(name))) return;
    this.#note(name, this.#items.get(name));
    // Last, because the order is that of the writes.
    this.#items.delete(name);
    if (item) this.#items.set(name, item);
    this.#projected = undefined;
    this.#note(name, item);
  }

  /** Notes where the entries of an item are, so that they are looked at after the item has left. */
  #note(item: string, attributes: Attributes | undefined): void {
    if (!attributes) return;
    const { documents, lists } = this.#project(new Map([[item, attributes]]));
    for (const name of documents.keys()) bounded(this.#documents, MOST_KNOWN).set(name, item);
    for (const [name, [first]] of lists) {
      bounded(this.#lists, MOST_KNOWN / 10).set(name, true);
      if (first) bounded(this.#members, MOST_KNOWN * 10).set(`${name} ${first.entry.member}`, item);
    }
    if (!isOrder(attributes)) return;
    bounded(this.#orders, MOST_KNOWN).set(String(attributes.id), item);
    this.#creators.add(String(attributes.creator));
  }
}

/** Whether an item is an order of the sample. */
export function isOrder(item: Attributes): boolean {
  return typeof item.pk === 'string' && item.pk.startsWith('order#') && typeof item.id === 'string';
}

/** Equal items have equal texts. */
function canonical(item: unknown): string {
  return JSON.stringify(item, sorted) ?? '';
}

function sorted(_: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
}
