import { type CacheClient, type Fill, type Lease, type LeaseTarget, type LookupOrLease, parseQuery } from '../cache.ts';
import { CacheUnavailableError } from '../errors.ts';
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
import { checkNamespace } from './checks.ts';
import { BoundedList } from './list/bounded-list.ts';
import { applier, type MomentoKeys } from './momento/apply.ts';
import { cells } from './momento/cell.ts';
import { connectMomento, type MomentoConnectionOptions } from './momento/client.ts';
import { type Deadline, deadlineIn } from './momento/deadline.ts';
import { documentCodec, leaseDocument, lookup, settleDocument } from './momento/document.ts';
import { type LimitOptions, limitsOf } from './momento/limits.ts';
import { fillList, type ListSeen, leaseList, listCodec, markList, sealList, settleList } from './momento/list.ts';
import { memoOf } from './momento/memo.ts';
import { standingLeases } from './momento/standing-leases.ts';
import { store } from './momento/store.ts';

export interface MomentoOptions extends MomentoConnectionOptions, LimitOptions {
  /** First part of all keys, which nothing else in the cache may use: letters, digits, `-` and `_`. Default: `millrace`. */
  readonly namespace?: string;
  /** Memory for what was written or read last, bytes. A change at an address that is remembered takes one call. Default: 16 MiB. */
  readonly memoBytes?: number;
}

interface MomentoLease extends Lease {
  /** Of a document. */
  readonly token?: string;
  /** Of a list. */
  readonly seen?: ListSeen;
  /** Of the bytes that say that the lease stands. */
  readonly hash?: Uint8Array | undefined;
}

type MomentoFill = Fill & { readonly lease: MomentoLease };

const MEMO_BYTES = 16 * 1_048_576;

/**
 * Momento Cache. Each document and each list is one value, and a change of it is a conditional write: one call at an address that this
 * client remembers, two at others. Reads may lag behind a write by some milliseconds.
 *
 * @throws ConfigurationError when the API key or the name of the cache is wrong; one call of Momento finds out
 * @throws TypeError when an option is out of its range
 */
export async function momentoCache(options: MomentoOptions): Promise<CacheClient> {
  const { namespace = 'millrace', memoBytes = MEMO_BYTES, deadlineMs = 5_000 } = options;
  checkNamespace(namespace);
  const keys: MomentoKeys = { document: (key: string) => `${namespace}:doc:${key}`, list: (list: string) => `${namespace}:list:${list}` };
  const limits = limitsOf(options);
  const connection = await connectMomento(options, `${namespace}:start`);
  const stored = store(connection, options.cacheName);
  const listCells = listCodec(limits.listBytes, limits.ttls);
  const documents = cells(stored, documentCodec, memoOf(memoBytes / 2));
  const lists = cells(stored, listCells, memoOf(memoBytes / 2));
  const apply = applier(documents, lists, keys, limits, deadlineMs);
  const running = new Set<Promise<unknown>>();
  let closed = false;

  /** Runs a call, and lets `close` wait for it. */
  const run = async <Result>(call: () => Promise<Result>): Promise<Result> => {
    if (closed) throw new CacheUnavailableError('the cache client was closed');
    const promise = call();
    running.add(promise);
    try {
      return await promise;
    } finally {
      running.delete(promise);
    }
  };
  const deadline = () => deadlineIn(deadlineMs);

  const leases = standingLeases(stored);
  const leaseKey = (list: string): string => `${namespace}:lease:${list}`;
  const lease = async (target: LeaseTarget, at: Deadline): Promise<MomentoLease> => {
    if (target.kind === 'document') return { target, ...(await documents.update(keys.document(target.key), at, leaseDocument())) };
    const [seen, standing] = await Promise.all([
      lists.update(keys.list(target.list), at, leaseList()),
      leases.take(leaseKey(target.list), at),
    ]);
    const { hash, standingMs } = standing;
    return { target, seen, hash, ...(standingMs !== undefined && { standingMs }) };
  };
  const settle = async ({ lease: { target, token, seen, hash }, found }: MomentoFill, at: Deadline): Promise<boolean> => {
    if (target.kind === 'list' && found.kind === 'list' && seen) {
      const tooLarge = (json: string) => limits.member(json) !== undefined;
      const settled = await lists.update(keys.list(target.list), at, settleList(seen, found, target.keep, tooLarge));
      if (settled && hash) await leases.end(leaseKey(target.list), hash, at);
      return settled;
    }
    if (target.kind !== 'document' || found.kind !== 'document' || token === undefined) return false;
    const key = keys.document(target.key);
    const fits = found.json === undefined || limits.document(key, found.json) === undefined;
    return fits && (await documents.update(key, at, settleDocument(token, found.json, limits.ttls)));
  };

  return {
    apply: (mutations) =>
      run(async () => {
        checkMutations(mutations);
        return apply(mutations);
      }),
    get: (key) =>
      run(async () => {
        checkKeys([key]);
        return lookup(await stored.get(keys.document(key), deadline()));
      }),
    getMany: (names) =>
      run(async () => {
        checkKeys(names);
        if (names.length === 0) return [];
        const found = await stored.getMany(names.map(keys.document), deadline());
        return found.map(lookup);
      }),
    list: (name, query) =>
      run(async () => {
        checkListName(name);
        parseQuery(query);
        const bytes = await stored.get(keys.list(name), deadline());
        const list = (bytes && listCells.decode(bytes)?.state.list) ?? new BoundedList();
        return list.page(query);
      }),
    getOrLease: (names) =>
      run(async () => {
        checkKeys(names);
        if (names.length === 0) return [];
        const [at, lookups] = [deadline(), (await stored.getMany(names.map(keys.document), deadline())).map(lookup)];
        return await Promise.all(
          lookups.map(async (found, i): Promise<LookupOrLease> => {
            return found.type === 'miss' ? { type: 'miss', lease: await lease({ kind: 'document', key: names[i] as string }, at) } : found;
          }),
        );
      }),
    lease: (targets) =>
      run(async (): Promise<readonly MomentoLease[]> => {
        checkTargets(targets);
        const at = deadline();
        return await Promise.all(targets.map((target) => lease(target, at)));
      }),
    settle: (fills: readonly MomentoFill[]) =>
      run(async () => {
        checkFills(fills);
        const at = deadline();
        return await Promise.all(fills.map(async (fill) => ((await settle(fill, at)) ? 'settled' : 'lost')));
      }),
    mark: (marked, survey) =>
      run(async () => {
        checkMarked(marked, survey);
        const at = deadline();
        await Promise.all(marked.map(({ list, keep }) => lists.update(keys.list(list), at, markList(survey, keep))));
      }),
    fill: (surveyed, survey) =>
      run(async () => {
        checkSurveyed(surveyed, survey);
        const at = deadline();
        const tooLarge = (json: string) => limits.member(json) !== undefined;
        return await Promise.all(surveyed.map((one) => lists.update(keys.list(one.list), at, fillList(survey, one, tooLarge))));
      }),
    seal: (names, survey) =>
      run(async () => {
        checkSurvey(names, survey);
        const at = deadline();
        const sealed = await Promise.all(names.map((name) => lists.update(keys.list(name), at, sealList(survey))));
        return sealed.map((is) => (is ? 'settled' : 'lost'));
      }),
    async close() {
      closed = true;
      await Promise.allSettled(running);
      connection.close();
    },
  };
}
