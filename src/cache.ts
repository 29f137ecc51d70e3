import type { Mutation, Outcome } from './mutation.ts';
import type { Version } from './version.ts';

/**
 * A cache that keeps the law: **apply a mutation unless its address holds a newer version.**
 *
 * Duplicates, retries, replays and disorder are therefore harmless. An equal version is applied again, so a retry completes a write that
 * was cut short. The cache may evict, expire or flush any key at any moment; the key's version is lost with its value. A read of a lost key
 * answers `miss`, or `complete: false` for a list. A wrong list is never called complete.
 *
 * Every method throws `CacheUnavailableError` when the cache gives no answer. The failed call may have taken effect; repeat it.
 */
export interface CacheClient {
  /** Applies the mutations in the order given, each of them atomically. Returns one outcome per mutation, in the same order. */
  apply(mutations: readonly Mutation[]): Promise<readonly Outcome[]>;

  get(key: string): Promise<Lookup>;

  /** Returns one answer per key, in the order of the keys. */
  getMany(keys: readonly string[]): Promise<readonly Lookup[]>;

  /**
   * Returns a page of a list's members, by score and then by the bytes of their names.
   *
   * @throws RangeError when the limit is not a positive integer, or the cursor is not one that a page gave.
   */
  list(list: string, query: PageQuery): Promise<Page>;

  /**
   * Announces that the table is about to be read for this document or list. Take the lease first and read the table after it; otherwise a
   * change between the read and the lease is lost.
   */
  lease(target: LeaseTarget): Promise<Lease>;

  /**
   * Fills in what the table had (`ConsistentRead`) after the lease was taken. Each filled value gets the version that the lease saw, or
   * `FLOOR` where the lease saw none, so the stream always wins.
   *
   * - A document is `settled` if nothing was written to it since the lease.
   * - A list is `settled` if no other lease on it was settled since. Members that changed since the lease keep what the stream said.
   * - `lost`: nothing was written, because the target was written to, evicted or settled by another reader since the lease, or because the
   *   document's value is too large for the cache. The reader may still use what it read.
   *
   * @throws TypeError when `found` does not fit the lease.
   */
  settle(lease: Lease, found: Found): Promise<'settled' | 'lost'>;

  /** Ends connections. No call may follow. */
  close(): Promise<void>;
}

/** The answer to a read. `gone`: the item does not exist. `miss`: the cache does not know; ask the table. */
export type Lookup =
  | { readonly type: 'hit'; readonly value: unknown; readonly version: Version }
  | { readonly type: 'gone'; readonly version: Version }
  | { readonly type: 'miss' };

export const MISS: Lookup = { type: 'miss' };

/** How long a lease on a document that the cache does not hold can be settled, ms. */
export const LEASE_TTL_MS = 60_000;

export interface PageQuery {
  /** The number of members on a full page, 1 or more. */
  readonly limit: number;
  /** The `cursor` of the previous page. Default: the first page. */
  readonly after?: string;
  /** `desc`: greatest score first. Default: `desc`. */
  readonly order?: 'desc' | 'asc';
}

export interface Page {
  readonly members: readonly PageMember[];
  /** Where the next page starts; absent when the list ends with this page. */
  readonly cursor?: string;
  /** True if no member of this page's range can be missing. If false, ask the table. */
  readonly complete: boolean;
}

export interface PageMember {
  readonly member: string;
  readonly score: number;
  readonly value: unknown;
  readonly version: Version;
}

export type LeaseTarget =
  | { readonly kind: 'document'; readonly key: string }
  | { readonly kind: 'list'; readonly list: string; readonly keep: number };

/** A backend adds what the lease saw. Pass the lease to `settle` unchanged. */
export interface Lease {
  readonly target: LeaseTarget;
}

/** What a reader found in the table. */
export type Found = FoundDocument | FoundList;

export interface FoundDocument {
  readonly kind: 'document';
  /** The value as JSON text; absent if the table has no such item. */
  readonly json?: string;
}

export interface FoundList {
  readonly kind: 'list';
  /** The newest members that the table has, `keep` or fewer, greatest score first. */
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

/** @throws TypeError when `found` is of another kind than the lease, or cannot be the newest members of the leased list. */
export function checkFound({ target }: Lease, found: Found): void {
  if (target.kind !== found.kind) throw new TypeError(`a lease on a ${target.kind} cannot be settled with a ${found.kind}`);
  if (target.kind !== 'list' || found.kind !== 'list') return;
  const { newest, next } = found;
  const { list, keep } = target;
  if ('more' in found) {
    throw new TypeError(
      `list ${list}: give "next", the score of the member that follows the newest ${keep}, instead of "more"; omit it if none follows`,
    );
  }
  if (newest.length > keep) {
    throw new TypeError(`list ${list} keeps ${keep} members, not ${newest.length}: of the member that follows, give the score as "next"`);
  }
  if (newest.some(({ score }, i) => !(score <= (newest[i - 1]?.score ?? Infinity)))) {
    throw new TypeError(`list ${list}: give the members by descending score`);
  }
  const last = newest.at(-1);
  if (next === undefined) return;
  if (!last) throw new TypeError(`list ${list}: "next" is ${next}, so give the members before it`);
  if (!Number.isFinite(next) || next > last.score) {
    throw new TypeError(`list ${list}: "next" is ${next}: give a finite number, not above ${last.score}, the score of the last member`);
  }
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

/** @throws RangeError when the limit is not a positive integer, or the cursor is not one that `cursorOf` made. */
export function parseQuery({ limit, after, order = 'desc' }: PageQuery): { limit: number; after?: ListPosition; descending: boolean } {
  if (!Number.isSafeInteger(limit) || limit < 1) throw new RangeError(`limit is ${limit}: give a positive integer`);
  const descending = order === 'desc';
  if (after === undefined) return { limit, descending };
  try {
    const [score, member] = JSON.parse(Buffer.from(after, 'base64url').toString());
    if (typeof score === 'number' && typeof member === 'string') return { limit, after: { score, member }, descending };
  } catch {}
  throw new RangeError(`cursor "${after}" was not given by a page: pass a page's cursor unchanged`);
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
