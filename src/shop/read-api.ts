import { createHash } from 'node:crypto';
import { Logger } from '@aws-lambda-powertools/logger';
import { Metrics, MetricUnit } from '@aws-lambda-powertools/metrics';
import type { CacheClient } from '../cache.ts';
import { createReader, type PageOptions, type Reader, type ReadPage } from '../fill/reader.ts';
import { admin } from '../views/admin.ts';
import { cart } from '../views/cart.ts';
import { detail } from '../views/detail.ts';
import { orders } from '../views/orders.ts';
import { type ApiOptions, type ApiRequest, api, callerOf, cartIdOf, headerOf, RefusedError, requireScope } from './api.ts';
import { TICKET_SECONDS, ticketsIn } from './cart-ticket.ts';
import type { ShopTable } from './table.ts';

export interface ReadApiOptions extends ShopTable, Partial<ApiOptions> {
  readonly cache: CacheClient;
  /** The scope that a token needs for the routes of `/admin`. */
  readonly adminScope: string;
  /** The read units of the table that the handler may use a second. Default: no limit. */
  readonly readUnitsPerSecond?: number;
  /** How long one call of the cache may take, ms. Then the table answers. Default: 100. */
  readonly cacheDeadlineMs?: number;
  /** Gets `CacheHits`, `CacheMisses`, `TableReads` and `IncompletePages` of each request that reads. Default: the metrics of Powertools. */
  readonly metrics?: Pick<Metrics, 'addMetric' | 'publishStoredMetrics'>;
}

/** What a route answers, and where it was read. */
interface Shown {
  readonly body: object;
  readonly by: ReadPage<unknown>['by'];
}

type Route = (request: ApiRequest, signal: AbortSignal) => Promise<Shown>;

/**
 * The routes that read orders and carts through the cache:
 *
 * - `GET /orders/{id}`: an order of the signed-in user (claim `sub`). 404 for any other.
 * - `GET /orders?cursor=`: `{ orders, cursor, complete }`, 20 of the user's orders in brief, the newest first. `cursor` is absent on the last page.
 * - `GET /cart`: `{ products, complete }`, the user's cart. `GET /cart/anonymous`: the anonymous cart (header or cookie `cartId`).
 * - `GET /admin/orders/{id}`: any order, with its creator. `GET /admin/orders?cursor=`: 20 of all orders. Both need the scope.
 *
 * `complete: false`: what is shown may lack the newest changes, because the global index lags, or because the cache does not hold all orders. No
 * query of the table gives all orders.
 *
 * An answer has a strong `ETag`, a hash of the body; a request with that value in `If-None-Match` gets 304 without a body. `Server-Timing` has the
 * time of the read, ms, and names where the answer came from: `cache`, `table` or `index`. The other answers:
 *
 * - 400 `Invalid user`, `Invalid cart id`, `Invalid cursor`.
 * - 403 without the scope, 404 `Not found`.
 * - 503 if neither the cache nor DynamoDB answers, if the read units are used up, or if the time runs out.
 */
export function readApi(options: ReadApiOptions) {
  const { cache, client, tableName, adminScope, readUnitsPerSecond, cacheDeadlineMs } = options;
  const { allowedOrigins = [], logger = new Logger(), metrics = new Metrics() } = options;
  const reader = createReader({
    cache,
    table: { client, name: tableName, keys: ['pk', 'sk'] },
    lagBoundMs: TICKET_SECONDS * 1_000,
    readUnitsPerSecond,
    cacheDeadlineMs,
  });

  const measure = measuring(reader, metrics);

  const routes: Readonly<Record<string, Route>> = {
    'GET /orders/{id}': (request, signal) => ownOrder(reader, callerOf(request), idIn(request), signal),
    'GET /orders': (request, signal) => ordersOf(reader, `creator:${callerOf(request)}`, request, { signal }),
    'GET /cart': (request, signal) => cartOf(reader, `user#${callerOf(request)}`, request, signal),
    'GET /cart/anonymous': (request, signal) => cartOf(reader, `cart#${cartIdOf(request)}`, request, signal),
    'GET /admin/orders/{id}': (request, signal) => {
      requireScope(request, adminScope);
      return anyOrder(reader, idIn(request), signal);
    },
    'GET /admin/orders': (request, signal) => {
      requireScope(request, adminScope);
      // Only the cache can give this list.
      return ordersOf(reader, 'all', request, { partial: 'allow', signal });
    },
  };

  return api({ ...options, allowedOrigins, logger }, async (request, _, signal) => {
    const { routeKey = '' } = request;
    const route = Object.hasOwn(routes, routeKey) ? routes[routeKey] : undefined;
    if (!route) throw notFound();
    const begin = performance.now();
    const { body, by } = await measure(route(request, signal));
    const ms = performance.now() - begin;
    const text = JSON.stringify(body);
    const etag = `"${createHash('sha256').update(text).digest('base64url').slice(0, 22)}"`;
    const headers = { etag, 'cache-control': 'private, no-cache', 'server-timing': `${by};dur=${ms.toFixed(1)}` };
    return isKnown(request, etag) ? { status: 304, headers, text: '' } : { headers, text };
  });
}

/**
 * Publishes what a read took. A count of 0 is left out. What several reads at once took is published by the first of them that ends, because the
 * reader counts for all.
 */
function measuring(reader: Reader, metrics: Pick<Metrics, 'addMetric' | 'publishStoredMetrics'>) {
  const totals = () => {
    const { hits, gone, pages, misses, pageMisses, tableCalls } = reader.counts();
    return { CacheHits: hits + gone + pages, CacheMisses: misses + pageMisses, TableReads: tableCalls };
  };
  let before = totals();
  return async (read: Promise<Shown>): Promise<Shown> => {
    let incomplete = 0;
    try {
      const shown = await read;
      if ('complete' in shown.body && shown.body.complete === false) incomplete = 1;
      return shown;
    } finally {
      const now = totals();
      const taken = {
        CacheHits: now.CacheHits - before.CacheHits,
        CacheMisses: now.CacheMisses - before.CacheMisses,
        TableReads: now.TableReads - before.TableReads,
        IncompletePages: incomplete,
      };
      before = now;
      const some = Object.entries(taken).filter(([, count]) => count > 0);
      for (const [name, count] of some) metrics.addMetric(name, MetricUnit.Count, count);
      if (some.length > 0) metrics.publishStoredMetrics();
    }
  };
}

/**
 * The detail has no creator. The admin's document of the same item says whose the order is, and has all that the detail shows. So one document is
 * read, and a miss costs one read of the table.
 */
async function ownOrder(reader: Reader, caller: string, id: string, signal: AbortSignal): Promise<Shown> {
  const whole = await reader.look(admin, id, { signal });
  // The answer for an order of another user must not show that the order exists.
  if (whole.type !== 'found' || whole.value.creator !== caller) throw notFound();
  const [visible] = detail.project(whole.value);
  if (!visible) throw notFound();
  return { body: visible.value, by: whole.by };
}

async function anyOrder(reader: Reader, id: string, signal: AbortSignal): Promise<Shown> {
  const look = await reader.look(admin, id, { signal });
  if (look.type !== 'found') throw notFound();
  return { body: look.value, by: look.by };
}

async function ordersOf(reader: Reader, list: string, request: ApiRequest, options: PageOptions): Promise<Shown> {
  const after = request.queryStringParameters?.cursor || undefined;
  try {
    const { members, cursor, complete, by } = await reader.page(orders, list, { ...options, after });
    return { body: { orders: members.map(({ value }) => value), cursor, complete }, by };
  } catch (error) {
    if (!(error instanceof RangeError) || after === undefined) throw error;
    throw new RefusedError(400, 'Invalid cursor', { faults: ["give a page's cursor unchanged, or none for the first page"] });
  }
}

async function cartOf(reader: Reader, owner: string, request: ApiRequest, signal: AbortSignal): Promise<Shown> {
  const ticket = ticketsIn(request);
  try {
    return await wholeCart(reader, owner, ticket, signal);
  } catch (error) {
    if (!(error instanceof RangeError) || ticket === undefined) throw error;
    // The browser changed the ticket. It may have the cart that everyone else sees.
    return await wholeCart(reader, owner, undefined, signal);
  }
}

/** The products in the order of their ids, as a migration answers with them. */
async function wholeCart(reader: Reader, owner: string, ticket: readonly string[] | undefined, signal: AbortSignal): Promise<Shown> {
  const pages: ReadPage<unknown>[] = [];
  for (let after: string | undefined; ; ) {
    const page = await reader.page(cart, owner, { limit: cart.keep, after, ticket, signal });
    pages.push(page);
    after = page.cursor;
    if (after === undefined) break;
  }
  // All scores are equal, so the pages are in the descending order of the ids.
  const products = pages.flatMap(({ members }) => members.map(({ value }) => value)).reverse();
  const by = pages.every((page) => page.by === 'cache') ? 'cache' : 'table';
  return { body: { products, complete: pages.every(({ complete }) => complete) }, by };
}

/** @throws RefusedError 404 for an id that no key can have. */
function idIn({ pathParameters }: ApiRequest): string {
  const id = pathParameters?.id;
  if (!id?.isWellFormed()) throw notFound();
  return id;
}

/** Whether the client has this body. A proxy may have made a tag weak. */
function isKnown(request: ApiRequest, etag: string): boolean {
  const tags = headerOf(request, 'if-none-match')?.split(',') ?? [];
  return tags.some((tag) => tag.trim() === '*' || tag.trim().replace(/^W\//, '') === etag);
}

function notFound(): RefusedError {
  return new RefusedError(404, 'Not found');
}
