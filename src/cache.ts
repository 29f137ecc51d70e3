import { quoted } from './errors.ts';
import type { Mutation, Outcome } from './mutation.ts';
import type { Version } from './version.ts';
import type { DocumentValue, MemberValue } from './view.ts';

/**
 * A cache that keeps the law: **apply a mutation unless its address holds a newer version.**
 *
 * Duplicates, retries, replays and disorder are therefore harmless. An equal version is applied again, so a retry completes a write that
 * was cut short. The cache may evict, expire or flush any key at any moment; the key's version is lost with its value. A read of a lost key
 * answers `miss`, or `complete: false` for a list. A wrong list is never called complete.
 *
 * Every method rejects with `CacheUnavailableError` when the cache gives no answer, and after `close`. A failed call may have taken effect;
 * repeat it. Every method rejects with `TypeError` for an argument that is not as follows; the call then changes nothing:
 *
 * - The key of a document, the name of a list and the name of a member are strings of 1 to `MAX_NAME_BYTES` bytes of UTF-8, without half a
 *   surrogate pair. All other characters are allowed, and different strings are different names. A document and a list may have the same
 *   name.
 * - A value is JSON text without half a surrogate pair; an escaped half, as `JSON.stringify` writes it, is allowed. The cache does not
 *   parse the text. A reader of a text that is not JSON gets a miss, and in a list a page without that member, which is not complete.
 * - A score is a finite number. -0 is 0.
 * - `keep` is a positive integer. It may differ from call to call: each mutation and each settle trims the list to its own.
 * - A version is one that `versionOf` made, or `FLOOR`.
 *
 * Where entries or tombstones have a time to live, these restart it: a mutation that is applied or rejected, a mutation of a member that is
 * stale but raises the member's peak, and a settle. Reads, leases and other stale mutations do not. A list expires as a whole.
 *
 * Something that another program wrote at a key of the cache counts as nothing. A read misses it, and the next write replaces it. A backend
 * that cannot replace a key of another type rejects the call with `CacheUnavailableError`.
 */
export interface CacheClient {
  /**
   * Applies the mutations in the order given, each of them atomically. Returns one outcome per mutation, in the same order; none for none.
   * One call may have several mutations of one address.
   */
  apply(mutations: readonly Mutation[]): Promise<readonly Outcome[]>;

  /** @param key as `keyOf` makes it: the value then has the type of the view's values. */
  get<Key extends string>(key: Key): Promise<Lookup<DocumentValue<Key>>>;

  /** Returns one answer per key, in the order of the keys: the same for the same key, none for none. */
  getMany<Key extends string>(keys: readonly Key[]): Promise<readonly Lookup<DocumentValue<Key>>[]>;

  /**
   * Returns a page of a list's members, by score and then by the bytes of their names.
   *
   * @throws RangeError when the limit is not a positive integer, the order is neither `desc` nor `asc`, or no page gave the cursor.
   */
  list<Key extends string>(list: Key, query: PageQuery): Promise<Page<MemberValue<Key>>>;

  /**
   * Reads documents, and takes a lease on each that the cache does not know, in the same round trip. Returns one answer per key, in the order of
   * the keys; none for none.
   */
  getOrLease<Key extends string>(keys: readonly Key[]): Promise<readonly LookupOrLease<DocumentValue<Key>>[]>;

  /**
   * Announces that the table is about to be read for these documents and lists. Take the lease first and read the table after it; otherwise a
   * change between the read and the lease is lost. Returns one lease per target, in the order of the targets.
   *
   * Until a document is written to, all leases on it are the same lease. A lease on a document that the cache does not hold can be settled
   * for `LEASE_TTL_MS` after it was first taken. Leases on a list are independent, and one of them can be settled.
   */
  lease(targets: readonly LeaseTarget[]): Promise<readonly Lease[]>;

  /**
   * Fills in what the table had (`ConsistentRead`) after each lease was taken. Each filled value gets the version that the lease saw, or
   * `FLOOR` where the lease saw none, so the stream always wins. Returns one answer per fill, in the order of the fills; the fills are made in any
   * order, each of them atomically.
   *
   * - A document is `settled` if nothing was written to it since the lease.
   * - A list is `settled` if no other lease on it was settled since. Members that changed since the lease keep what the stream said.
   * - `lost`: nothing was written, because the target was written to, evicted or settled since the lease, also by this lease, or because the
   *   document's value is too large for the cache. The reader may still use what it read. After a value that is too large, the lease can
   *   still be settled.
   *
   * An item that the table lacks, and of which the cache knew no version, is `gone` for the backend's `absentTtlMs` only. The same holds for a list in
   * which nothing was found, and of which the cache knew nothing, and for the lease on it. Otherwise guessed keys would fill the cache.
   *
   * @throws TypeError when what was found does not fit its lease. No lease was settled then, and each still can be.
   */
  settle(fills: readonly Fill[]): Promise<readonly Settled[]>;

  /**
   * Marks lists for a survey, which completes all lists of a table in two scans. A list that is absent is created. The mark of another survey is
   * replaced. A list that the survey could not complete is replaced by an empty one: a list with a forgotten member, and one that lacks members and has
   * fewer than half of `keep`.
   *
   * A survey scans the table and marks each list that it finds; it scans the table again, with `ConsistentRead`, and gives the members to `fill`; then it
   * seals each list. If a view threw on an item, seal none of the view's lists.
   *
   * @param survey tells this survey from all others: 1 to 64 letters, digits and `-`
   */
  mark(lists: readonly MarkedList[], survey: string): Promise<void>;

  /**
   * Puts members that the second scan of a survey found, at `FLOOR`, into the lists that still have the survey's mark. Repeat a failed call only after a
   * new read of the table. Returns for each list whether it has the mark.
   */
  fill(lists: readonly SurveyedList[], survey: string): Promise<readonly boolean[]>;

  /**
   * Ends a survey. A list that still has the mark now lacks no member above its bottom, and counts as settled. The bottom stays where it is.
   *
   * @returns `lost` for a list that was evicted or settled since it was marked, or that another survey marked
   */
  seal(lists: readonly string[], survey: string): Promise<readonly Settled[]>;

  /**
   * Returns for each document whether it has a lease that can be settled, for people who look into the cache. Absent where the backend does not
   * tell.
   */
  leased?(keys: readonly string[]): Promise<readonly boolean[]>;

  /** Waits for the calls under way, and ends connections. A second call does nothing. */
  close(): Promise<void>;
}

/**
 * The type of a value that a backend parsed from JSON. `any`, because the reader's key gives the value its type: a backend returns `Lookup`, and a
 * reader gets `Lookup<Value>`.
 */
// biome-ignore lint/suspicious/noExplicitAny: see above
type Parsed = any;

/** The answer to a read. `gone`: the item does not exist. `miss`: the cache does not know; ask the table. */
export type Lookup<Value = Parsed> =
  | { readonly type: 'hit'; readonly value: Value; readonly version: Version }
  | { readonly type: 'gone'; readonly version: Version }
  | { readonly type: 'miss' };

/** A lookup, and for a miss a lease on the document. */
export type LookupOrLease<Value = Parsed> =
  | Exclude<Lookup<Value>, { readonly type: 'miss' }>
  | { readonly type: 'miss'; readonly lease: Lease };

export const MISS: Lookup = { type: 'miss' };

/** The answer for a stored value: a miss if the value is not JSON text. The error of the parser would quote the value. */
export function hitOf(json: string, version: Version): Lookup {
  try {
    return { type: 'hit', value: JSON.parse(json), version };
  } catch {
    return MISS;
  }
}

/** How long a lease on a document that the cache does not hold can be settled, ms. */
export const LEASE_TTL_MS = 60_000;

/** How long a lease stands, ms: so long other readers may expect that the reader that took it will settle it. */
export const STANDING_MS = 500;

/** Default of the backends' `absentTtlMs`. */
export const ABSENT_TTL_MS = 60_000;

export interface PageQuery {
  /** The number of members on a full page, a positive integer of any size. */
  readonly limit: number;
  /**
   * The `cursor` of the previous page. Default: the first page. A cursor names a position, a score and a member's name. So a page of the other
   * order, or of another list, starts after the same position.
   */
  readonly after?: string;
  /** `desc`: greatest score first. Default: `desc`. */
  readonly order?: 'desc' | 'asc';
}

export interface Page<Value = Parsed> {
  readonly members: readonly PageMember<Value>[];
  /** Where the next page starts; absent when the list ends with this page. */
  readonly cursor?: string;
  /** True if no member of this page's range can be missing. If false, ask the table. */
  readonly complete: boolean;
}

export interface PageMember<Value = Parsed> {
  readonly member: string;
  readonly score: number;
  readonly value: Value;
  readonly version: Version;
}

export type LeaseTarget =
  | { readonly kind: 'document'; readonly key: string }
  | { readonly kind: 'list'; readonly list: string; readonly keep: number };

/** A backend adds what the lease saw. Pass the lease to `settle` unchanged. */
export interface Lease {
  readonly target: LeaseTarget;
  /**
   * How long ago another reader took a lease on the same target, ms, by the cache's clock; on Momento by the clocks of the readers. Present while
   * that lease stands: for `STANDING_MS`, of a document only as long as it is a miss, and of a list until it is settled. Then wait for about one read of the table, and look into
   * the cache again. After that, the next reader's lease stands in its place; it has no `standingMs`.
   */
  readonly standingMs?: number;
}

/** A lease, and what the table had after it was taken. */
export interface Fill {
  readonly lease: Lease;
  readonly found: Found;
}

/** A list that a scan found. */
export interface MarkedList {
  readonly list: string;
  readonly keep: number;
}

/** What a scan found of one list: members in any order, each once. */
export interface SurveyedList extends MarkedList {
  readonly members: readonly FoundMember[];
}

/** What became of a fill. */
export type Settled = 'settled' | 'lost';

/** What a reader found in the table. */
export type Found = FoundDocument | FoundList;

export interface FoundDocument {
  readonly kind: 'document';
  /** The value as JSON text; absent if the table has no such item. */
  readonly json?: string;
}

export interface FoundList {
  readonly kind: 'list';
  /** The newest members that the table has, `keep` or fewer, greatest score first. Each member once: a query of an index may give one twice. */
  readonly newest: readonly FoundMember[];
  /**
   * The score of the member that follows these in the table; absent if none follows. To know it, ask the table for one member more than
   * `keep`.
   */
  readonly next?: number | undefined;
}

export interface FoundMember {
  readonly member: string;
  readonly score: number;
  readonly json: string;
}

/** A position in the order of a list: that of this member, even if the list no longer has it. */
export interface ListPosition {
  readonly score: number;
  readonly member: string;
}

/** The cursor of a page that starts after this position. */
export function cursorOf({ score, member }: ListPosition): string {
  return Buffer.from(JSON.stringify([score, member])).toString('base64url');
}

/** @throws RangeError when the limit is not a positive integer, the order is neither `desc` nor `asc`, or `cursorOf` did not make the cursor. */
export function parseQuery(query: PageQuery): { limit: number; after?: ListPosition; descending: boolean } {
  const { limit, after, order = 'desc' } = query ?? {};
  if (!Number.isSafeInteger(limit) || limit < 1) throw new RangeError(`limit is ${limit}: give a positive integer`);
  if (order !== 'desc' && order !== 'asc') throw new RangeError(`order is "${order}": give "desc" or "asc"`);
  const descending = order === 'desc';
  if (after === undefined) return { limit, descending };
  try {
    const [score, member] = JSON.parse(Buffer.from(after, 'base64url').toString());
    const isPosition = typeof score === 'number' && typeof member === 'string' && member.isWellFormed();
    if (isPosition && cursorOf({ score, member }) === after) return { limit, after: { score, member }, descending };
  } catch {}
  throw new RangeError(`cursor ${quoted(after)} was not given by a page: pass a page's cursor unchanged`);
}

/** What decides, besides its members, whether a list's pages are complete. See docs/bounded-list.md. */
export interface Coverage {
  /** The list may lack members at or below this score. -Infinity: it lacks none for want of room. */
  readonly bottom: number;
  /** True if the list was filled from the table at least once. */
  readonly settled: boolean;
  /** True if the list has a forgotten member. */
  readonly forgotten: boolean;
}

/** R12: whether no member of a page's range can be missing. `last`: the page's last member; absent if the list ends with the page. */
export function isComplete(
  { bottom, settled, forgotten }: Coverage,
  descending: boolean,
  after: ListPosition | undefined,
  last: ListPosition | undefined,
): boolean {
  const lowest = descending ? last : after;
  const withinCoverage = bottom === -Infinity || (lowest !== undefined && lowest.score > bottom);
  return settled && !forgotten && withinCoverage;
}
