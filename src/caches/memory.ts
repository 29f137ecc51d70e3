import {
  ABSENT_TTL_MS,
  type CacheClient,
  type Fill,
  hitOf,
  LEASE_TTL_MS,
  type Lease,
  type LeaseTarget,
  type Lookup,
  MISS,
  STANDING_MS,
} from '../cache.ts';
import { CacheUnavailableError } from '../errors.ts';
import { type DocumentMutation, type Mutation, type Outcome, STALE } from '../mutation.ts';
import { FLOOR, type Version } from '../version.ts';
import {
  checkFills,
  checkKeys,
  checkListName,
  checkMarked,
  checkMutations,
  checkSurvey,
  checkSurveyed,
  checkTargets,
} from './arguments.ts';
import { admit, overLimit } from './checks.ts';
import { BoundedList, type ListLease } from './list/bounded-list.ts';

export interface MemoryOptions {
  /** The most documents and list members that are kept; the least recently used are evicted. Default: 100,000. */
  readonly maxEntries?: number;
  /** A larger value is `rejected`, bytes. Default: 1 MiB. */
  readonly maxValueBytes?: number;
  /** How long an entry lives after it was written, ms; 0: until it is deleted or evicted. Default: 0. */
  readonly entryTtlMs?: number;
  /** How long a tombstone (the mark of a deleted entry) lives, ms; longer than the longest replay (a stream keeps 24 h). Default: 25 h. */
  readonly tombstoneTtlMs?: number;
  /** How long it lives that the table lacks an item, or the members of a list, of which the cache knew no version, ms. Default: 60,000. */
  readonly absentTtlMs?: number;
  /** ms since 1970. Default: `Date.now`. */
  readonly now?: () => number;
}

export interface MemoryCache extends CacheClient {
  /** Drops one document or list, as a full cache would. */
  evict(target: LeaseTarget): void;
  /** Drops everything. */
  flush(): void;
}

interface Document {
  readonly version: Version;
  readonly state: 'live' | 'gone' | 'forgotten';
  readonly json: string;
  /** Set by a lease, and removed by the next write: while it is set, nothing was written since the lease. */
  lease?: symbol;
  /** When the lease was taken, ms since 1970. */
  leasedAt?: number;
}

interface Holder {
  readonly held: Document | BoundedList;
  /** Counts towards `maxEntries`. */
  readonly weight: number;
  /** ms since 1970 */
  readonly expiresAt: number;
}

type ListTarget = Extract<LeaseTarget, { readonly kind: 'list' }>;

interface MemoryLease extends Lease {
  /** The leased list itself, which serves as its birth (R13). */
  readonly list?: BoundedList;
  readonly seen?: ListLease;
  /** The `lease` of the leased document. */
  readonly token?: symbol;
}

/** A cache in the memory of this process. It is the default backend, and the reference for the others. */
export function memoryCache(options: MemoryOptions = {}): MemoryCache {
  const {
    maxEntries = 100_000,
    maxValueBytes = 1_048_576,
    entryTtlMs = 0,
    tombstoneTtlMs = 90_000_000,
    absentTtlMs = ABSENT_TTL_MS,
  } = options;
  const { now = Date.now } = options;
  /** By name, least recently used first. */
  const holders = new Map<string, Holder>();
  /** When the lease on a list was taken that stands, ms since 1970. */
  const leasedLists = new WeakMap<BoundedList, number>();
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
  /** R21 (expiry) */
  const holdList = (name: string, held: BoundedList): void => {
    const ttlWithMembers = entryTtlMs === 0 ? 0 : Math.max(entryTtlMs, tombstoneTtlMs);
    const ttlWithout = held.isUnknown ? absentTtlMs : tombstoneTtlMs;
    hold(`list ${name}`, held, held.isEmpty ? ttlWithout : ttlWithMembers);
  };
  const tooLarge = (json: string): boolean => overLimit(json, maxValueBytes) !== undefined;

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
    if (effect !== 'stale') holdList(mutation.list, held);
    return effect === 'applied';
  };
  const apply = (given: Mutation): Outcome => {
    const { mutation, ifApplied } = admit(given, ({ json }) => overLimit(json, maxValueBytes));
    return applyOne(mutation) ? ifApplied : STALE;
  };
  const get = (key: string): Lookup => {
    const held = document(key);
    if (!held || held.state === 'forgotten') return MISS;
    if (held.state === 'gone') return { type: 'gone', version: held.version };
    return hitOf(held.json, held.version);
  };
  /** Whether a lease stands; if it does not, the present one does from now on. */
  const standing = (takenAt: number | undefined, take: (at: number) => void): Pick<Lease, 'standingMs'> => {
    const at = now();
    const age = takenAt === undefined ? -1 : at - takenAt;
    if (age >= 0 && age < STANDING_MS) return { standingMs: age };
    take(at);
    return {};
  };
  const leaseDocument = (key: string): MemoryLease => {
    const known = document(key);
    const held: Document = known ?? { version: FLOOR, state: 'forgotten', json: '' };
    if (!known) hold(`document ${key}`, held, LEASE_TTL_MS);
    const token = held.lease ?? Symbol('lease');
    held.lease = token;
    const isMiss = get(key).type === 'miss';
    return {
      target: { kind: 'document', key },
      token,
      ...(isMiss &&
        standing(held.leasedAt, (at) => {
          held.leasedAt = at;
        })),
    };
  };
  const leaseList = (target: ListTarget): MemoryLease => {
    const known = list(target.list);
    const held = known ?? new BoundedList();
    if (!known) holdList(target.list, held);
    return { target, list: held, seen: held.lease(), ...standing(leasedLists.get(held), (at) => leasedLists.set(held, at)) };
  };
  const settle = ({ lease, found }: { readonly lease: MemoryLease; readonly found: Fill['found'] }): boolean => {
    const { target } = lease;
    if (target.kind === 'list' && found.kind === 'list') {
      const held = list(target.list);
      if (!held || held !== lease.list || !lease.seen) return false;
      if (!held.settle(lease.seen, found, target.keep, now(), tooLarge)) return false;
      leasedLists.delete(held);
      holdList(target.list, held);
      return true;
    }
    if (target.kind !== 'document' || found.kind !== 'document') return false;
    const held = document(target.key);
    if (!held?.lease || held.lease !== lease.token) return false;
    const { version } = held;
    const { json } = found;
    if (json === undefined) {
      hold(`document ${target.key}`, { version, state: 'gone', json: '' }, version === FLOOR ? absentTtlMs : tombstoneTtlMs);
      return true;
    }
    if (tooLarge(json)) return false;
    holdDocument(target.key, { version, state: 'live', json });
    return true;
  };
  const open = (): void => {
    if (closed) throw new CacheUnavailableError('the memory cache was closed');
  };

  return {
    async apply(mutations) {
      open();
      checkMutations(mutations);
      return mutations.map(apply);
    },
    async get(key) {
      open();
      checkKeys([key]);
      return get(key);
    },
    async getMany(keys) {
      open();
      checkKeys(keys);
      return keys.map(get);
    },
    async list(name, query) {
      open();
      checkListName(name);
      return (list(name) ?? new BoundedList()).page(query);
    },
    async getOrLease(keys) {
      open();
      checkKeys(keys);
      return keys.map((key) => {
        const lookup = get(key);
        return lookup.type === 'miss' ? { type: 'miss', lease: leaseDocument(key) } : lookup;
      });
    },
    async lease(targets) {
      open();
      checkTargets(targets);
      return targets.map((target) => (target.kind === 'document' ? leaseDocument(target.key) : leaseList(target)));
    },
    async settle(fills) {
      open();
      checkFills(fills);
      return fills.map((fill) => (settle(fill) ? 'settled' : 'lost'));
    },
    async mark(lists, survey) {
      open();
      checkMarked(lists, survey);
      for (const { list: name, keep } of lists) {
        const held = list(name);
        const marked = held && !held.needsFresh(survey, keep) ? held : new BoundedList();
        marked.mark(survey);
        holdList(name, marked);
      }
    },
    async fill(lists, survey) {
      open();
      checkSurveyed(lists, survey);
      return lists.map(({ list: name, keep, members }) => {
        const held = list(name);
        if (!held?.fill(survey, members, keep, now(), tooLarge)) return false;
        holdList(name, held);
        return true;
      });
    },
    async seal(names, survey) {
      open();
      checkSurvey(names, survey);
      return names.map((name) => {
        const held = list(name);
        if (!held?.seal(survey)) return 'lost';
        holdList(name, held);
        return 'settled';
      });
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
