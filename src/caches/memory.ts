import { type CacheClient, checkFound, LEASE_TTL_MS, type Lease, type LeaseTarget, type Lookup, MISS } from '../cache.ts';
import { CacheUnavailableError } from '../errors.ts';
import { APPLIED, type DocumentMutation, forgetInstead, type Mutation, type Outcome, STALE } from '../mutation.ts';
import { FLOOR, type Version } from '../version.ts';
import { BoundedList, type ListLease } from './list/bounded-list.ts';

export interface MemoryOptions {
  /** Documents and members of lists together; beyond it what was used longest ago is evicted. */
  readonly maxEntries?: number;
  /** A larger value is `rejected`, bytes. */
  readonly maxValueBytes?: number;
  /** Ends entries that long after they were written, ms; 0: never. */
  readonly entryTtlMs?: number;
  /** Must outlast the longest replay: the stream's retention is 24 h. */
  readonly tombstoneTtlMs?: number;
  readonly now?: () => number;
}

export interface MemoryCache extends CacheClient {
  /** Drops one document or list, as a cache under pressure would. */
  evict(target: LeaseTarget): void;
  flush(): void;
}

interface Document {
  readonly version: Version;
  readonly state: 'live' | 'gone' | 'forgotten';
  readonly json: string;
  /** Set by a lease, gone with the next write: while it stands nothing was written. */
  lease?: symbol;
}

type Holder = { readonly held: Document | BoundedList; readonly weight: number; readonly expiresAt: number };

interface MemoryLease extends Lease {
  readonly list?: BoundedList;
  readonly seen?: ListLease;
  readonly document?: symbol;
}

/** The reference of what a cache does, and the embedded default. Lives in this process alone. */
export function memoryCache(options: MemoryOptions = {}): MemoryCache {
  const { maxEntries = 100_000, maxValueBytes = 1_048_576, entryTtlMs = 0, tombstoneTtlMs = 90_000_000, now = Date.now } = options;
  /** Used longest ago first. */
  const holders = new Map<string, Holder>();
  let weight = 0;
  let closed = false;

  const drop = (name: string): void => {
    weight -= holders.get(name)?.weight ?? 0;
    holders.delete(name);
  };
  const hold = (name: string, held: Document | BoundedList, ttl: number): void => {
    drop(name);
    const holder = { held, weight: held instanceof BoundedList ? 1 + held.size : 1, expiresAt: ttl === 0 ? Infinity : now() + ttl };
    holders.set(name, holder);
    weight += holder.weight;
    while (weight > maxEntries) drop(holders.keys().next().value as string);
  };
  const find = (name: string): Document | BoundedList | undefined => {
    const holder = holders.get(name);
    if (!holder) return undefined;
    holders.delete(name);
    if (holder.expiresAt <= now()) {
      weight -= holder.weight;
      return undefined;
    }
    holders.set(name, holder);
    return holder.held;
  };
  const document = (key: string) => find(`document ${key}`) as Document | undefined;
  const list = (name: string) => find(`list ${name}`) as BoundedList | undefined;
  const holdDocument = (key: string, held: Document): void =>
    hold(`document ${key}`, held, held.state === 'live' ? entryTtlMs : tombstoneTtlMs);
  const holdList = (name: string, held: BoundedList): void => {
    const living = entryTtlMs === 0 ? 0 : Math.max(entryTtlMs, tombstoneTtlMs);
    hold(`list ${name}`, held, held.isEmpty ? tombstoneTtlMs : living);
  };

  const tooLarge = (json: string): boolean => json.length > maxValueBytes || Buffer.byteLength(json) > maxValueBytes;
  const applyDocument = (mutation: DocumentMutation): boolean => {
    const { key, version } = mutation;
    const held = document(key);
    if (held && held.version > version) return false;
    if (mutation.type === 'put') holdDocument(key, { version, state: 'live', json: mutation.json });
    else holdDocument(key, { version, state: mutation.type === 'delete' ? 'gone' : 'forgotten', json: '' });
    return true;
  };
  const applyOne = (mutation: Mutation): boolean => {
    if (mutation.kind === 'document') return applyDocument(mutation);
    const held = list(mutation.list) ?? new BoundedList();
    const effect = held.apply(mutation, now(), tombstoneTtlMs);
    if (effect === 'applied') holdList(mutation.list, held);
    return effect === 'applied';
  };
  const apply = (mutation: Mutation): Outcome => {
    if (mutation.type !== 'put' || !tooLarge(mutation.json)) return applyOne(mutation) ? APPLIED : STALE;
    const reason = `value of ${Buffer.byteLength(mutation.json)} bytes is over the limit of ${maxValueBytes}`;
    return applyOne(forgetInstead(mutation)) ? { type: 'rejected', reason } : STALE;
  };
  const get = (key: string): Lookup => {
    const held = document(key);
    if (!held || held.state === 'forgotten') return MISS;
    if (held.state === 'gone') return { type: 'gone', version: held.version };
    return { type: 'hit', value: JSON.parse(held.json), version: held.version };
  };
  const open = (): void => {
    if (closed) throw new CacheUnavailableError('the memory cache was closed');
  };

  return {
    async apply(mutations) {
      open();
      return mutations.map(apply);
    },
    async get(key) {
      open();
      return get(key);
    },
    async getMany(keys) {
      open();
      return keys.map(get);
    },
    async list(name, query) {
      open();
      return (list(name) ?? new BoundedList()).page(query);
    },
    async lease(target): Promise<MemoryLease> {
      open();
      if (target.kind === 'list') {
        const held = list(target.list) ?? new BoundedList();
        holdList(target.list, held);
        return { target, list: held, seen: held.lease() };
      }
      const held = document(target.key);
      const lease = held?.lease ?? Symbol('lease');
      if (held) held.lease = lease;
      else hold(`document ${target.key}`, { version: FLOOR, state: 'forgotten', json: '', lease }, LEASE_TTL_MS);
      return { target, document: lease };
    },
    async settle(lease: MemoryLease, found) {
      open();
      checkFound(lease, found);
      const { target } = lease;
      if (target.kind === 'list' && found.kind === 'list') {
        const held = list(target.list);
        if (!held || held !== lease.list || !lease.seen) return 'lost';
        if (!held.settle(lease.seen, found, target.keep, now(), tooLarge)) return 'lost';
        holdList(target.list, held);
        return 'settled';
      }
      if (target.kind !== 'document' || found.kind !== 'document') return 'lost';
      const held = document(target.key);
      if (!held?.lease || held.lease !== lease.document) return 'lost';
      const { json } = found;
      if (json !== undefined && tooLarge(json)) return 'lost';
      holdDocument(target.key, { version: held.version, state: json === undefined ? 'gone' : 'live', json: json ?? '' });
      return 'settled';
    },
    async close() {
      closed = true;
      holders.clear();
    },
    evict(target) {
      drop(target.kind === 'document' ? `document ${target.key}` : `list ${target.list}`);
    },
    flush() {
      holders.clear();
      weight = 0;
    },
  };
}
