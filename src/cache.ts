import type { Mutation, Outcome } from './mutation.ts';
import type { Version } from './version.ts';

/**
 * A cache that keeps the law: **apply a mutation unless its address holds a newer version.**
 *
 * Hence duplicates, retries, replays and disorder are harmless. An equal version is applied again, so a retry completes a write that was
 * cut short. Loss is normal: any key may be evicted, expire or be flushed at any moment, and a version lives and dies with its value;
 * then a read says `miss` or `complete: false`, and never shows a wrong list as complete.
 *
 * Every method throws `CacheUnavailableError` when the cache gives no answer. A call that threw may have taken effect; repeat it.
 */
export interface CacheClient {
  /** Atomic at each address; applied in the order given. One outcome a mutation. */
  apply(mutations: readonly Mutation[]): Promise<readonly Outcome[]>;

  get(key: string): Promise<Lookup>;

  /** One answer a key, in the order of the keys. */
  getMany(keys: readonly string[]): Promise<readonly Lookup[]>;

  /** A page of a list's members, by score and then by the bytes of their names. */
  list(list: string, query: PageQuery): Promise<Page>;

  /**
   * Say that the table is about to be read for this document or list. Take the lease first and read after it: the other way round, a
   * change that lands in between is lost.
   */
  lease(target: LeaseTarget): Promise<Lease>;

  /**
   * Fill in what the table had (`ConsistentRead`) after the lease was taken, at the versions that the lease saw, or at `FLOOR` where there
   * was none: the stream always wins. `lost`: nothing was written, for the lease is over (the target was written to, evicted or settled by
   * another since). What was read is good for its reader all the same.
   *
   * - A document is settled if nothing was written to it since the lease.
   * - A list is settled if no other settled it since; members that changed since keep what the stream said.
   */
  settle(lease: Lease, found: Found): Promise<'settled' | 'lost'>;

  /** Ends connections. No call may follow. */
  close(): Promise<void>;
}

/** What a read finds. `gone`: the item is known not to be there. `miss`: the cache does not know; ask the table. */
export type Lookup =
  | { readonly type: 'hit'; readonly value: unknown; readonly version: Version }
  | { readonly type: 'gone'; readonly version: Version }
  | { readonly type: 'miss' };

export const MISS: Lookup = { type: 'miss' };

/** How long a lease on an absent document can be settled, ms. */
export const LEASE_TTL_MS = 60_000;

export interface PageQuery {
  /** How many members at the most: 1 or more. */
  readonly limit: number;
  /** The `cursor` of the page before. */
  readonly after?: string;
  /** `desc` (newest first) unless told otherwise. */
  readonly order?: 'desc' | 'asc';
}

export interface Page {
  readonly members: readonly PageMember[];
  /** Where the next page starts; absent when the list ends here. */
  readonly cursor?: string;
  /** No member of this page's range can be missing. If false, ask the table. */
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

/** What a lease saw is the backend's own business: hand it back to `settle` as it is. */
export interface Lease {
  readonly target: LeaseTarget;
}

/** What the table had: the document's value (absent: no such item), or the newest `keep` members of the list, and whether it had more. */
export type Found = FoundDocument | FoundList;

export interface FoundDocument {
  readonly kind: 'document';
  readonly json?: string;
}

export interface FoundList {
  readonly kind: 'list';
  /** Greatest score first, `keep` at the most. */
  readonly newest: readonly FoundMember[];
  readonly more: boolean;
}

export interface FoundMember {
  readonly member: string;
  readonly score: number;
  readonly json: string;
}

/** @throws TypeError when what was found is not of the lease's kind, or is no list of its newest members. */
export function checkFound({ target }: Lease, found: Found): void {
  if (target.kind !== found.kind) throw new TypeError(`a lease on a ${target.kind} was settled with a ${found.kind}`);
  if (target.kind !== 'list' || found.kind !== 'list') return;
  const { newest, more } = found;
  if (newest.length > target.keep) throw new TypeError(`list ${target.list} keeps ${target.keep}: ${newest.length} members were found`);
  if (more && newest.length === 0) throw new TypeError(`list ${target.list}: there are more members, but the newest are not given`);
  if (newest.some(({ score }, i) => !(score <= (newest[i - 1]?.score ?? Infinity)))) {
    throw new TypeError(`list ${target.list}: give the members that were found by descending score`);
  }
}

/** A place in a list: after this member, whether or not it is still there. */
export interface Place {
  readonly score: number;
  readonly member: string;
}

export function cursorOf({ score, member }: Place): string {
  return Buffer.from(JSON.stringify([score, member])).toString('base64url');
}

/** @throws RangeError when the limit is not a positive integer or the cursor is not one that a page gave. */
export function parseQuery({ limit, after, order = 'desc' }: PageQuery): { limit: number; after?: Place; descending: boolean } {
  if (!Number.isSafeInteger(limit) || limit < 1) throw new RangeError(`limit is ${limit}: give a positive integer`);
  const descending = order === 'desc';
  if (after === undefined) return { limit, descending };
  try {
    const [score, member] = JSON.parse(Buffer.from(after, 'base64url').toString());
    if (typeof score === 'number' && typeof member === 'string') return { limit, after: { score, member }, descending };
  } catch {}
  throw new RangeError(`cursor "${after}" was not given by a page: pass a page's cursor as it is`);
}

/** What is known of a list's completeness, beside its members. */
export interface Holding {
  /** What lies at or below this score is not held: a full list has no room for it. */
  readonly bottom: number;
  /** It was filled from the table. */
  readonly settled: boolean;
  /** It has forgotten members. */
  readonly forgotten: boolean;
}

/** Whether a page's range lies within what the list is sure to hold. `last` is absent when the page reached the list's end. */
export function isComplete(holding: Holding, descending: boolean, after: Place | undefined, last: Place | undefined): boolean {
  const lowest = descending ? last : after;
  const within = holding.bottom === -Infinity || (lowest !== undefined && lowest.score > holding.bottom);
  return holding.settled && !holding.forgotten && within;
}
