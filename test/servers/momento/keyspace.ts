import { precondition } from './failure.ts';
import { type Collection, copyOf, countOf, emptyCollection, type Item, type Kind, type Of } from './item.ts';
import type { Staleness } from './staleness.ts';

/** The kind of writes on a key. The service's documentation forbids to mix both on one key. */
export type Family = 'conditional' | 'plain';

/** The items of one cache. No method returns an expired item. */
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

  /** The current item. Every write and every comparison sees it. */
  current(name: string): Item | undefined {
    const item = this.#items.get(name);
    if (item === undefined || item.expires > this.#now()) return item;
    this.#items.delete(name);
    return undefined;
  }

  /** The item that an ordinary read sees: the current one or an older one. */
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

  /** Returns the item to be changed in place, or undefined. A caller that may empty the item calls `settled` afterwards. */
  edit<K extends Kind>(name: string, kind: K): Of<K> | undefined {
    const item = only(kind, this.current(name));
    if (item === undefined || this.#staleness === undefined) return item;
    const copy = copyOf(item) as Of<K>;
    this.put(name, copy);
    return copy;
  }

  /** Returns the collection to be changed in place. Creates it where it is absent. `refresh` renews its TTL. */
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

  /** Removes a collection without elements. */
  settled(name: string, item: Collection): void {
    if (countOf(item) === 0) this.#items.delete(name);
  }

  /** Records the kind of a write, and refuses it where the key had writes of the other kind. */
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

/** Returns an item of this kind, or undefined where there is none. Throws on an item of another kind. */
export function only<K extends Kind>(kind: K, item: Item | undefined): Of<K> | undefined {
  if (item !== undefined && item.kind !== kind) throw precondition(`operation on a ${kind}, but the key holds a ${item.kind}`);
  return item as Of<K> | undefined;
}
