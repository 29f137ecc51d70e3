import { setTimeout as sleep } from 'node:timers/promises';
import { cursorOf, type Fill, type Lease, type ListPosition, type Page } from '../cache.ts';
import type { QueryPage } from '../dynamodb/metered-table.ts';
import { IncompleteListError, quoted, TableUnavailableError, ViewError } from '../errors.ts';
import { keyOf, type ListQuery, type ListView } from '../view.ts';
import { found, membersIn } from './found.ts';
import { listQueryOf } from './from.ts';
import { lookPauseMs, type Surroundings } from './surroundings.ts';

type AnyListView = ListView<unknown, unknown>;

export interface ReadPage<Value = unknown> {
  /** Greatest score first. */
  readonly members: readonly { readonly member: string; readonly score: number; readonly value: Value }[];
  /** Where the next page starts; absent when the list ends with this page. */
  readonly cursor?: string;
  /** True if no member of this page's range can be missing. */
  readonly complete: boolean;
  /** `index`: a global index, which lags behind the table, so the page is not complete. */
  readonly by: 'cache' | 'table' | 'index';
}

export interface ListRequest {
  readonly limit: number;
  readonly after: string | undefined;
  readonly position: ListPosition | undefined;
  readonly partial: boolean;
  /** How long ago the caller wrote to the list, ms; absent if the caller may see any state. */
  readonly wroteMs: number | undefined;
}

/** A lease on a list of a global index. It is settled by a read that begins `lagMs` after it. */
interface Pending {
  readonly lease: Lease;
  readonly takenAt: number;
}

/** The most leases that wait for their index. */
const MOST_PENDING = 1_000;

/**
 * The most leases of other readers that a reader waits for. A page may stay incomplete after a fill, because its last members tie with one that the
 * list does not keep.
 */
const MOST_WAITED = 2;

/** Reads pages of lists through the cache. */
export function listReads(surroundings: Surroundings) {
  const { cache, guard, table, counts, keys, settle, runAfter } = surroundings;
  const pending = new Map<string, Pending>();

  const cached = async (key: string, { limit, after }: ListRequest): Promise<Page | undefined> =>
    guard.call(() => cache.list(key, { limit, ...(after !== undefined && { after }) }));

  const leaseOn = async (key: string, keep: number): Promise<Lease | undefined> =>
    (await guard.call(() => cache.lease([{ kind: 'list', list: key, keep }])))?.[0];

  /**
   * The items of a query, greatest score first, until `needed` members are certain, or all of them if the query is not in the order of the scores.
   * `wanted`: the most items of one page.
   */
  const itemsOf = async (
    view: AnyListView,
    list: string,
    query: ListQuery,
    position: ListPosition | undefined,
    { needed, wanted }: { readonly needed: number; readonly wanted: number },
    signal: AbortSignal,
  ): Promise<Taken> => {
    const isOrdered = query.sort?.valueAt !== undefined;
    const items: QueryPage['items'][number][] = [];
    // The item at the position comes again.
    let limit = wanted + (position ? 1 : 0);
    const first = () => table.query(query, isOrdered ? { ...(position && { score: position.score }), limit } : {}, signal);
    let pages = 0;
    for (let page: QueryPage | undefined = await first(); ; ) {
      if (!page) return { items, pages, members: membersIn(view, list, items, keys) };
      items.push(...page.items);
      pages += 1;
      const { next }: QueryPage = page;
      if (isOrdered && next) {
        const members = membersIn(view, list, items, keys);
        // Members that tie with the last one may follow, and their names decide which comes first.
        const certain = members.filter(({ score }) => score > (members.at(-1)?.score ?? -Infinity));
        if (certain.filter((member) => isAfter(member, position)).length >= needed) return { items, pages, members: certain, next };
        // One page shows one moment of the table, and two pages do not.
        if (pages === 1 && items.length === limit) {
          limit *= 2;
          items.length = 0;
          pages = 0;
          page = await first();
          continue;
        }
      }
      page = await next?.();
    }
  };

  /** Reads the rest of a long list after the answer, so that the fill has all that the list keeps. */
  const settleLater = (view: AnyListView, list: string, lease: Lease, { items, next }: Taken): void => {
    runAfter?.(async () => {
      const all = [...items];
      let more = next;
      while (more) {
        const page: QueryPage = await more();
        all.push(...page.items);
        more = page.next;
        if (more && membersIn(view, list, all, keys).length > view.keep) break;
      }
      await settle([fillOf(view, list, lease, all, more !== undefined)]);
    });
  };

  const fillOf = (view: AnyListView, list: string, lease: Lease, items: Taken['items'], more: boolean): Fill => ({
    lease,
    found: found(view, list, items, { keys, more }),
  });

  const answerOf = ({ members, next }: Taken, request: ListRequest, by: 'table' | 'index', complete: boolean): ReadPage => {
    const rest = members.filter((member) => isAfter(member, request.position));
    const shown = rest.slice(0, request.limit);
    const last = shown.at(-1);
    const hasMore = rest.length > shown.length || next !== undefined;
    return {
      members: shown.map(({ member, score, value }) => ({ member, score, value })),
      ...(hasMore && last && { cursor: cursorOf(last) }),
      complete,
      by,
    };
  };

  /** A page of a query that can be consistent. The first page fills the list. */
  const fromTable = async (
    view: AnyListView,
    list: string,
    query: ListQuery,
    request: ListRequest,
    signal: AbortSignal,
  ): Promise<ReadPage> => {
    const key = keyOf(view, list) as string;
    const fills = request.wroteMs === undefined && request.position === undefined;
    let lease = fills ? await leaseOn(key, view.keep) : undefined;
    let waited = 0;
    let youngest = Infinity;
    // No fill makes a page complete that is longer than the list.
    while (lease?.standingMs !== undefined && request.limit <= view.keep) {
      // A younger lease than before is another one.
      if (lease.standingMs < youngest) waited += 1;
      if (waited > MOST_WAITED) break;
      youngest = lease.standingMs;
      counts.waited += 1;
      await sleep(lookPauseMs(), undefined, { signal });
      const page = await cached(key, request);
      if (page?.complete) return fromCache(page);
      lease = await leaseOn(key, view.keep);
    }
    const needed = request.limit + 1;
    const wanted = (lease ? Math.max(needed, view.keep) : needed) + 1;
    const taken = await itemsOf(view, list, query, request.position, { needed, wanted }, signal);
    if (lease && taken.next && runAfter) settleLater(view, list, lease, taken);
    else if (lease) await settle([fillOf(view, list, lease, taken.items, taken.next !== undefined)]);
    // While several pages are read, a member may move from one that is not read yet to one that was read.
    return answerOf(taken, request, 'table', taken.pages === 1);
  };

  /**
   * A page of a query of a global index, which lags. A fill needs a lease that is `lagMs` older than the query. So the first read takes the lease and
   * answers with what the index has; a later read settles it.
   */
  const fromIndex = async (
    view: AnyListView,
    list: string,
    query: ListQuery,
    request: ListRequest,
    signal: AbortSignal,
  ): Promise<ReadPage> => {
    const key = keyOf(view, list) as string;
    const { lagMs = 0 } = query;
    const { position, wroteMs, limit } = request;
    if (wroteMs !== undefined && wroteMs < lagMs) await sleep(lagMs - wroteMs, undefined, { signal });
    let ripe: Lease | undefined;
    if (wroteMs === undefined && position === undefined) {
      const held = pending.get(key);
      if (held && performance.now() - held.takenAt >= lagMs) {
        ripe = held.lease;
        pending.delete(key);
      } else if (!held) await beginFill(view, list, key, query);
    }
    const wanted = (ripe ? Math.max(limit + 1, view.keep) : limit + 1) + 1;
    const taken = await itemsOf(view, list, query, position, { needed: limit + 1, wanted }, signal);
    if (ripe) {
      await settle([fillOf(view, list, ripe, taken.items, taken.next !== undefined)]);
      // Unlike the index, the list has what the stream has said since the lease.
      const page = await cached(key, request);
      if (page?.complete) return fromCache(page);
    }
    return answerOf(taken, request, 'index', false);
  };

  const beginFill = async (view: AnyListView, list: string, key: string, query: ListQuery): Promise<void> => {
    const lease = await leaseOn(key, view.keep);
    if (!lease) return;
    if (runAfter) {
      if (lease.standingMs !== undefined) return;
      runAfter(async () => {
        await sleep(query.lagMs);
        const taken = await itemsOf(view, list, query, undefined, { needed: 2, wanted: view.keep + 1 }, NEVER);
        await settle([fillOf(view, list, lease, taken.items, taken.next !== undefined)]);
      });
      return;
    }
    const [oldest] = pending.keys();
    if (pending.size >= MOST_PENDING && oldest !== undefined) pending.delete(oldest);
    pending.set(key, { lease, takenAt: performance.now() });
  };

  const fromCache = ({ members, cursor, complete }: Page): ReadPage => ({
    members: members.map(({ member, score, value }) => ({ member, score, value })),
    ...(cursor !== undefined && { cursor }),
    complete,
    by: 'cache',
  });

  return async (view: AnyListView, list: string, request: ListRequest, signal: AbortSignal): Promise<ReadPage> => {
    const page = request.wroteMs === undefined ? await cached(keyOf(view, list) as string, request) : undefined;
    if (page?.complete) {
      counts.pages += 1;
      return fromCache(page);
    }
    counts.pageMisses += 1;
    try {
      const query = listQueryOf(view, list);
      if (!query) {
        throw new IncompleteListError(
          `view ${view.name}: the cache does not hold the whole page, and no query of the table gives it: fill the list by a scan, or read with partial: 'allow'`,
        );
      }
      checkPosition(query, request);
      const read = query.trust === 'index' ? fromIndex : fromTable;
      return await read(view, list, query, request, signal);
    } catch (error) {
      if (page && request.partial && (error instanceof IncompleteListError || error instanceof TableUnavailableError))
        return fromCache(page);
      throw error;
    }
  };
}

/** Items, the members that they give as far as the order is certain, and what reads on; absent if the query has ended. */
interface Taken {
  readonly items: QueryPage['items'];
  readonly pages: number;
  readonly members: ReturnType<typeof membersIn>;
  readonly next?: () => Promise<QueryPage>;
}

const NEVER = new AbortController().signal;

/** Whether a member comes after a position on descending pages. */
function isAfter({ score, member }: ListPosition, position: ListPosition | undefined): boolean {
  if (!position) return true;
  if (score !== position.score) return score < position.score;
  return Buffer.compare(Buffer.from(member), Buffer.from(position.member)) < 0;
}

/** A cursor of another list, or a forged one, may have a score that no sort key stands for. @throws RangeError that names the cursor */
function checkPosition({ sort }: ListQuery, { position, after }: ListRequest): void {
  if (!position) return;
  try {
    sort?.valueAt?.(position.score);
  } catch (error) {
    if (!(error instanceof ViewError)) throw error;
    throw new RangeError(`cursor ${quoted(after)} was not given by a page of this list: pass a page's cursor unchanged`);
  }
}
