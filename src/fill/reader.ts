import { tracingChannel } from 'node:diagnostics_channel';
import type { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { type CacheClient, type Fill, parseQuery } from '../cache.ts';
import { meteredTable } from '../dynamodb/metered-table.ts';
import { type DocumentView, keyOf, type ListView, viewName } from '../view.ts';
import { cacheGuard } from './cache-guard.ts';
import { flights, valuesOf } from './flights.ts';
import { type Look, readDocument, readDocuments, readFromTable } from './read-documents.ts';
import { listReads, type ReadPage } from './read-lists.ts';
import { registerGuard } from './register-guard.ts';
import { giveSettledReads } from './settled-reads.ts';
import type { ReadCounts, Surroundings } from './surroundings.ts';
import { ageOf, wrote } from './ticket.ts';

export { IncompleteListError, ReadBudgetError, TableRefusalError, TableUnavailableError } from '../errors.ts';
export { type FoundOptions, found } from './found.ts';
export { wrote } from './ticket.ts';
export type { Look, ReadCounts, ReadPage };

export interface ReaderOptions {
  /** With lives, if the worker's cache has them: `withLives(valkeyCache({ … }))`. */
  readonly cache: CacheClient;
  /** The table that the worker follows. */
  readonly table: {
    /** Needs `dynamodb:BatchGetItem`, and `dynamodb:Query` for lists. */
    readonly client: Pick<DynamoDBClient, 'send'>;
    readonly name: string;
    /** Names of the table's key attributes. They give the members of lists their default names. */
    readonly keys: readonly string[];
  };
  /** How long one call of the cache may take, ms. Then the reader asks the table. Default: 100. */
  readonly cacheDeadlineMs?: number;
  /**
   * The read units that the reader may use a second, on average; up to one second's units at once. Above that, a miss is rejected with
   * `ReadBudgetError`, so that a cold cache does not exhaust the table. Default: no limit.
   */
  readonly readUnitsPerSecond?: number;
  /** The longest time that the cache lags behind the table, ms. A ticket counts for so long. Default: 60,000. */
  readonly lagBoundMs?: number;
  /**
   * Runs work after the answer, for example `(work) => context.waitUntil(work())`. The reader then answers before it fills the cache. The work never
   * rejects. Default: the reader fills the cache before it answers, because Lambda freezes what is left.
   */
  after?(work: () => Promise<void>): void;
  /** Whether the events of the channel contain keys. Default: false. */
  readonly traceKeys?: boolean;
}

export interface ReadOptions {
  /** Ends this call. Other callers who wait for the same read still get its answer. */
  readonly signal?: AbortSignal | undefined;
  /**
   * What `wrote` gave, for one or several writes. For the address of a ticket the reader asks the table, as long as the ticket is younger than
   * `lagBoundMs`. Tickets of other addresses change nothing.
   */
  readonly ticket?: string | readonly string[] | undefined;
}

export interface DocumentOptions<Value> extends ReadOptions {
  /**
   * Whether a value is new enough, for items with a version of their own: `(order) => order.revision >= 7`. A value of the cache that is not, and an
   * absence that the cache knows, are read from the table.
   */
  fresh?(value: Value): boolean;
}

export interface PageOptions extends ReadOptions {
  /** The number of members on a full page. Default: 20. */
  readonly limit?: number;
  /** The `cursor` of the previous page. Default: the first page. */
  readonly after?: string | undefined;
  /**
   * `allow`: gives what the cache has, with `complete: false`, when the table gives no answer or no query answers the list. Not with a ticket for the
   * list, because the cache may lack the write. Default: such a read is rejected.
   */
  readonly partial?: 'allow' | undefined;
}

/** What the channel `millrace:read` says of one call. */
export interface ReadEvent {
  readonly view: string;
  readonly verb: 'get' | 'getMany' | 'look' | 'page';
  /** With `traceKeys`: the keys, or the list. */
  readonly keys?: readonly string[];
  /** Where the answer came from; `mixed` for several documents from several places. Absent if the call was rejected. */
  by?: 'cache' | 'table' | 'index' | 'mixed';
  /** Of a page. */
  complete?: boolean;
  /** Read units that the reader used while the call was under way, also for other calls. */
  units?: number;
}

/**
 * Reads views through the cache: what the cache does not know is read from the table, and filled in under a lease. No fill overwrites what the stream
 * wrote.
 *
 * Every method rejects with
 * - `TableUnavailableError` when the table must be asked and gives no answer, `ReadBudgetError` when the read units are used up,
 * - `TableRefusalError` when a permission, a name or the view's `from` must be mended first,
 * - `ViewError` when the view throws on the item of the table, or has no `from`; nothing is filled then,
 * - the reason of the signal when the signal ends the call,
 * - `ConfigurationError` when the cache has lives of views, and the reader was not given `withLives(cache)`,
 * - `RangeError` when a cursor or a ticket was not given by this reader, or the limit is not a positive integer.
 *
 * A cache that is down, slow or full rejects no call: the table answers.
 *
 * Several callers may get one value: do not change values.
 */
export interface Reader {
  /** Returns the value, or `undefined` if there is no such item. */
  get<Item, Value>(view: DocumentView<Item, Value>, key: string, options?: DocumentOptions<Value>): Promise<Value | undefined>;
  /** Returns one value per key, in the order of the keys. Takes one call of the cache, and for all misses one `BatchGetItem` per 100. */
  getMany<Item, Value>(
    view: DocumentView<Item, Value>,
    keys: readonly string[],
    options?: DocumentOptions<Value>,
  ): Promise<readonly (Value | undefined)[]>;
  /** Like `get`, and says where the answer came from. */
  look<Item, Value>(view: DocumentView<Item, Value>, key: string, options?: DocumentOptions<Value>): Promise<Look<Value>>;
  /**
   * Returns a page of a list, greatest score first. Where the list in the cache ends, the pages continue in the table, with the same cursors. While
   * nothing is written, the pages contain each member once.
   *
   * A list of a global index is filled by a read that comes `lagMs` after an earlier one of the same reader. Until then, its pages come from the index and are not
   * complete. With a ticket, the reader first waits until the index must have the write.
   *
   * @throws IncompleteListError when the cache does not hold the page, no query answers the list, and `partial` is not `allow`
   */
  page<Item, Value>(view: ListView<Item, Value>, list: string, options?: PageOptions): Promise<ReadPage<Value>>;
  /** Returns all members of a list, page by page. `limit`: members a page. */
  members<Item, Value>(
    view: ListView<Item, Value>,
    list: string,
    options?: Omit<PageOptions, 'after'>,
  ): AsyncGenerator<Value, void, undefined>;
  /**
   * Returns a ticket for a write that the caller has just made, of letters, digits and `-_.`, fit for a cookie. With it, the caller's later reads
   * show the write. Other readers are not affected.
   *
   * @param key the key of the document, or the list, that the write changes
   */
  wrote(view: Pick<DocumentView<unknown, unknown>, 'name' | 'revision'>, key: string): string;
  /** What the reader has done since it was created. */
  counts(): Readonly<ReadCounts & { tableCalls: number; tableUnits: number; unanswered: number }>;
  /** Waits for the reads under way. Later calls are rejected. The cache stays open. */
  close(): Promise<void>;
}

/** @throws TypeError when an option is out of its range */
export function createReader(options: ReaderOptions): Reader {
  const {
    cache,
    table: tableOptions,
    cacheDeadlineMs = 100,
    readUnitsPerSecond = Infinity,
    lagBoundMs = 60_000,
    traceKeys = false,
  } = options;
  check(options, { cacheDeadlineMs, readUnitsPerSecond, lagBoundMs });
  const guard = registerGuard(cacheGuard(cacheDeadlineMs), cache);
  const table = meteredTable({ client: tableOptions.client, name: tableOptions.name, readUnitsPerSecond });
  const counts: ReadCounts = { hits: 0, gone: 0, misses: 0, pages: 0, pageMisses: 0, waited: 0, filled: 0, lost: 0, bypassed: 0 };
  const afterwards = new Set<Promise<void>>();
  const { after } = options;
  const runAfter = (work: () => Promise<unknown>): void => {
    after?.(() => {
      const done = work().then(
        () => {},
        () => {},
      );
      afterwards.add(done);
      return done.finally(() => afterwards.delete(done));
    });
  };
  const surroundings: Surroundings = {
    cache,
    guard,
    table,
    counts,
    keys: tableOptions.keys,
    async settle(fills: readonly Fill[]) {
      const settled = (await guard.call(() => cache.settle(fills))) ?? fills.map(() => 'lost' as const);
      for (const outcome of settled) counts[outcome === 'settled' ? 'filled' : 'lost'] += 1;
      return settled;
    },
    ...(after && { runAfter }),
  };
  const documents = flights<Look>();
  const pages = flights<ReadPage>();
  const readList = listReads(surroundings);
  let closed = false;

  const traced = <T>(event: ReadEvent, read: () => Promise<T>, describe: (answer: T) => Partial<ReadEvent>): Promise<T> => {
    if (closed) return Promise.reject(new Error('the reader was closed'));
    if (!CHANNEL.hasSubscribers) return read();
    const before = table.used.units;
    return CHANNEL.tracePromise(async () => {
      const answer = await read();
      Object.assign(event, describe(answer), { units: table.used.units - before });
      return answer;
    }, event);
  };

  const lookAll = async (
    view: DocumentView<unknown, unknown>,
    keys: readonly string[],
    { signal, ticket, fresh }: DocumentOptions<never>,
  ): Promise<readonly PromiseSettledResult<Look>[]> => {
    const addresses = keys.map((key) => keyOf(view, key) as string);
    const now = Date.now();
    const isNew = (address: string): boolean => (ageOf(ticket, address, now) ?? Infinity) < lagBoundMs;
    const written = addresses.map(isNew);
    const byAddress = new Map(addresses.map((address, i) => [address, keys[i] as string]));
    const wanted = [...new Set(addresses.filter((_, i) => !written[i]))];
    /** Reads that began with this call. Another may have read the table before the caller's write. */
    const begun = new Set<string>();
    const results = await documents.settled(wanted, signal, (missing, flightSignal) => {
      for (const address of missing) begun.add(address);
      const missingKeys = missing.map((address) => byAddress.get(address) as string);
      return readDocuments(surroundings, view, missingKeys, flightSignal);
    });
    const known = new Map(wanted.map((address, i) => [address, results[i] as PromiseSettledResult<Look>]));
    const past = [...byAddress].filter(([address]) => {
      const result = known.get(address);
      if (result?.status === 'rejected') return false;
      const answer = result?.value;
      if (!answer) return true;
      return fresh && !(answer.by === 'table' && begun.has(address)) && !(answer.type === 'found' && fresh(answer.value as never));
    });
    if (past.length > 0) {
      counts.bypassed += past.length;
      const unshared = flights<Look>();
      const fromTable = await unshared.settled(
        past.map(([, key]) => key),
        signal,
        (missing, flightSignal) => readFromTable(surroundings, view, missing, flightSignal),
      );
      for (const [i, [address]] of past.entries()) known.set(address, fromTable[i] as PromiseSettledResult<Look>);
    }
    return addresses.map((address) => known.get(address) as PromiseSettledResult<Look>);
  };
  const lookOne = async (view: DocumentView<unknown, unknown>, key: string, options: DocumentOptions<never>): Promise<Look> => {
    if (options.ticket !== undefined || options.fresh) return valuesOf(await lookAll(view, [key], options))[0] as Look;
    return await documents.one(keyOf(view, key), options.signal, (signal) => readDocument(surroundings, view, key, signal));
  };

  const page = async (view: ListView<unknown, unknown>, list: string, given: PageOptions): Promise<ReadPage> => {
    const { limit = 20, after, partial, ticket, signal } = given;
    const { after: position } = parseQuery({ limit, ...(after !== undefined && { after }) });
    const address = keyOf(view, list) as string;
    const age = ageOf(ticket, address, Date.now());
    const wroteMs = age !== undefined && age < lagBoundMs ? age : undefined;
    const request = { limit, after, position, partial: partial === 'allow', wroteMs };
    const read = (flightSignal: AbortSignal) => readList(view, list, request, flightSignal);
    // A read that was under way before the write must not answer it.
    const shared = wroteMs === undefined ? pages : flights<ReadPage>();
    if (wroteMs !== undefined) counts.bypassed += 1;
    const [answer] = await shared.get([JSON.stringify([address, limit, after, partial])], signal, (addresses, flightSignal) => {
      return addresses.map(() => read(flightSignal()));
    });
    return answer as ReadPage;
  };

  const eventOf = (
    verb: ReadEvent['verb'],
    view: { readonly name: string; readonly revision: number },
    keys: readonly string[],
  ): ReadEvent => ({
    view: viewName(view),
    verb,
    ...(traceKeys && { keys }),
  });

  const reader: Reader = {
    async get(view, key, given = {}) {
      const answer = await traced(
        eventOf('get', view, [key]),
        () => lookOne(view as never, key, given),
        ({ by }) => ({ by }),
      );
      return valueIn(answer) as never;
    },
    async getMany(view, keys, given = {}) {
      const read = async () => valuesOf(await lookAll(view as never, keys, given));
      const answers = await traced(eventOf('getMany', view, keys), read, placeOf);
      return answers.map(valueIn) as never;
    },
    async look(view, key, given = {}) {
      return (await traced(
        eventOf('look', view, [key]),
        () => lookOne(view as never, key, given),
        ({ by }) => ({ by }),
      )) as never;
    },
    async page(view, list, given = {}) {
      const read = () => page(view as never, list, given);
      return (await traced(eventOf('page', view, [list]), read, ({ by, complete }) => ({ by, complete }))) as never;
    },
    async *members(view, list, given = {}) {
      for (let after: string | undefined; ; ) {
        const { members, cursor } = await reader.page(view, list, { limit: 100, ...given, after });
        for (const { value } of members) yield value;
        if (cursor === undefined) return;
        after = cursor;
      }
    },
    wrote,
    counts: () => ({ ...counts, tableCalls: table.used.calls, tableUnits: table.used.units, unanswered: guard.unanswered }),
    async close() {
      closed = true;
      await Promise.all([documents.idle(), pages.idle()]);
      await Promise.all(afterwards);
    },
  };
  giveSettledReads(reader, async (view, keys, given) => {
    const read = () => lookAll(view, keys, given);
    const results = await traced(eventOf('getMany', view, keys), read, (all) => {
      return placeOf(all.flatMap((result) => (result.status === 'fulfilled' ? result.value : [])));
    });
    return results.map((result) => (result.status === 'fulfilled' ? { ...result, value: valueIn(result.value) } : result));
  });
  return reader;
}

function valueIn(answer: Look): unknown {
  return answer.type === 'found' ? answer.value : undefined;
}

function placeOf(answers: readonly Look[]): Partial<ReadEvent> {
  const places = [...new Set(answers.map(({ by }) => by))];
  return places[0] === undefined ? {} : { by: places.length === 1 ? places[0] : 'mixed' };
}

const CHANNEL = tracingChannel<unknown, ReadEvent>('millrace:read');

function check({ table }: ReaderOptions, numbers: Readonly<Record<string, number>>): void {
  for (const [name, value] of Object.entries(numbers)) {
    if (!(value > 0)) throw new TypeError(`reader option ${name} is ${value}: give a number above 0`);
  }
  if (typeof table?.name !== 'string' || table.name === '')
    throw new TypeError('reader option table.name is empty: give the name of the table');
  const { keys } = table;
  if (!Array.isArray(keys) || keys.length < 1 || keys.length > 2) {
    throw new TypeError("reader option table.keys is not one or two names: give the table's key attributes, for example ['pk', 'sk']");
  }
}
