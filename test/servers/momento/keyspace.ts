import { precondition } from './failure.ts';
import { type Collection, copyOf, countOf, emptyCollection, type Item, type Kind, type Of } from './item.ts';
import type { Staleness } from './staleness.ts';

/** Which family of writes a key belongs to: the service's documentation forbids to mix them on one key. */
export type Family = 'conditional' | 'plain';

/** The items of one cache. Expired items are gone for whoever looks. */
export class Keyspace {
  readonly #items = new Map<string, Item>();
  readonly #families = new Map<string, Family>();
  readonly #now: () => number;
  readonly #rejectsMixing: boolean;
  readonly #staleness: Staleness | undefined;

  constructor(options: { now: () => number; rejectsMixing: boolean; staleness?: Staleness | undefined }) {
    this.#now = options.now;
    this.#rejectsMixing = options.rejectsMixing;
    this.#staleness = options.staleness;
  }

  /** The item as it is now: what every write and every comparison sees. */
  current(name: string): Item | undefined {
    const item = this.#items.get(name);
    if (item === undefined || item.expires > this.#now()) return item;
    this.#items.delete(name);
    return undefined;
  }

  /** The item as an ordinary read sees it. */
  seen(name: string): Item | undefined {
    const current = this.current(name);
    if (this.#staleness === undefined) return current;
    const item = this.#staleness.look(name, current, this.#now());
    return item === undefined || item.expires > this.#now() ? item : undefined;
  }

  put(name: string, item: Item): void {
    this.#remember(name);
    this.#items.set(name, item);
  }

  drop(name: string): void {
    this.#remember(name);
    this.#items.delete(name);
  }

  /** The item, to be changed in place; undefined if there is none. Whoever may empty it calls `settled` afterwards. */
  edit<K extends Kind>(name: string, kind: K): Of<K> | undefined {
    const item = only(kind, this.current(name));
    if (item === undefined || this.#staleness === undefined) return item;
    const copy = copyOf(item) as Of<K>;
    this.put(name, copy);
    return copy;
  }

  /** The collection, to be written to: made if it is absent, its TTL renewed if asked. */
  open<K extends Collection['kind']>(name: string, kind: K, ttlMs: number, refresh: boolean): Of<K> {
    const expires = this.#now() + ttlMs;
    const item: Of<K> | undefined = this.edit(name, kind);
    if (item !== undefined) {
      if (refresh) (item as Item).expires = expires;
      return item;
    }
    const made = emptyCollection(kind, expires);
    this.put(name, made);
    return made;
  }

  /** A collection without elements does not exist. */
  settled(name: string, item: Collection): void {
    if (countOf(item) === 0) this.#items.delete(name);
  }

  /** Notes a write, and refuses it if the key was ever written the other way. */
  claim(name: string, family: Family): void {
    if (!this.#rejectsMixing) return;
    const before = this.#families.get(name);
    if (before === undefined) this.#families.set(name, family);
    else if (before !== family) throw precondition(`a ${family} write on a key that had ${before} writes`);
  }

  expiry(ttlMs: number): number {
    return this.#now() + ttlMs;
  }

  names(): string[] {
    return [...this.#items.keys()].filter((name) => this.current(name) !== undefined);
  }

  clear(): void {
    this.#items.clear();
    this.#families.clear();
    this.#staleness?.clear();
  }

  #remember(name: string): void {
    this.#staleness?.keep(name, this.current(name), this.#now());
  }
}

/** The item if it is of this kind, undefined if there is none. */
export function only<K extends Kind>(kind: K, item: Item | undefined): Of<K> | undefined {
  if (item !== undefined && item.kind !== kind) throw precondition(`operation on a ${kind}, but the key holds a ${item.kind}`);
  return item as Of<K> | undefined;
}
