import { randomUUID } from 'node:crypto';
import {
  type CacheClient,
  checkFound,
  checkKeys,
  checkListName,
  checkMutations,
  checkTarget,
  cursorOf,
  type FoundList,
  hitOf,
  isComplete,
  LEASE_TTL_MS,
  type Lease,
  type ListPosition,
  parseQuery,
} from '../cache.ts';
import { CacheUnavailableError } from '../errors.ts';
import { FLOOR, VERSION_LENGTH, type Version } from '../version.ts';
import { checkNamespace, checkWholeNumbers, overLimit } from './checks.ts';
import { batcher } from './valkey/batch.ts';
import { connectValkey, type ValkeyConnectionOptions } from './valkey/client.ts';
import { isLeased, keysIn, lookupOf, MEMBER_HEADER_BYTES, STATES, TOKEN_LENGTH } from './valkey/layout.ts';
import { packStrings } from './valkey/msgpack.ts';

export interface ValkeyOptions extends ValkeyConnectionOptions {
  /** First part of all keys: letters, digits, `-` and `_`. Default: `millrace`. */
  readonly namespace?: string;
  /**
   * How long a document lives after it was written, ms; 0: until it is deleted or evicted. A list expires as a whole, when nothing was
   * written to it for this time and for the tombstones' time. Default: 0.
   */
  readonly entryTtlMs?: number;
  /** How long a tombstone (the mark of a deleted entry) lives, ms; longer than the longest replay (a stream keeps 24 h). Default: 25 h. */
  readonly tombstoneTtlMs?: number;
  /** A larger value is `rejected`, bytes. Default: 1 MiB. */
  readonly maxValueBytes?: number;
}

interface ValkeyLease extends Lease {
  /** Of a document. */
  readonly token?: string;
  /** Of a list: what the script LEASE_LIST returned. */
  readonly seen?: readonly string[];
}

/**
 * Valkey 7.2 or later, or Redis 6.2 or later; a single server or a cluster.
 *
 * @throws TypeError when an option is out of its range
 */
export function valkeyCache(options: ValkeyOptions): CacheClient {
  const { namespace = 'millrace', entryTtlMs = 0, tombstoneTtlMs = 90_000_000, maxValueBytes = 1_048_576, cluster = false } = options;
  checkNamespace(namespace);
  checkWholeNumbers([
    ['entryTtlMs', entryTtlMs, 0],
    ['tombstoneTtlMs', tombstoneTtlMs, 1],
    ['maxValueBytes', maxValueBytes, 1],
  ]);
  const connection = connectValkey(options);
  const keys = keysIn(namespace);
  const batches = batcher(connection, keys, { entryTtlMs, tombstoneTtlMs, maxValueBytes, cluster });
  let closed = false;
  const checkOpen = (): void => {
    if (closed) throw new CacheUnavailableError('the cache client was closed');
  };
  const tooLarge = (json: string): boolean => overLimit(json, maxValueBytes) !== undefined;

  const settleDocument = async (key: string, token: string, json: string | undefined): Promise<boolean> => {
    if (json !== undefined && tooLarge(json)) return false;
    const [state, ttl] = json === undefined ? [STATES.delete, tombstoneTtlMs] : [STATES.put, entryTtlMs];
    return (
      (await connection.call((commands) => commands.millraceSettleDocument(1, keys.document(key), token, state, json ?? '', ttl))) === 1
    );
  };
  const settleList = async (list: string, keep: number, seen: readonly string[], { newest, next }: FoundList): Promise<boolean> => {
    const [birth, bottom, lost, settled, ...members] = seen as [string, string, string, string, ...string[]];
    const found = newest.flatMap(({ member, score, json }) =>
      tooLarge(json) ? [STATES.forget, member, score, ''] : [STATES.put, member, score, json],
    );
    const lease = [birth, bottom, lost, settled];
    const args = [entryTtlMs, tombstoneTtlMs, keep, ...lease, next ?? '-inf', members.length / 2, ...members, ...found];
    const packed = packStrings(args.map(String));
    return (await connection.call((commands) => commands.millraceSettleList(3, ...keys.list(list), packed))) === 1;
  };
  /** MGET gives null for a key of another type, where GET fails. On a cluster the keys of one command share a slot. */
  const readDocuments = async (names: readonly string[]): Promise<readonly (string | null | undefined)[]> => {
    if (names.length === 0) return [];
    const wanted = names.map(keys.document);
    return await connection.call(async (commands) =>
      cluster ? (await Promise.all(wanted.map((key) => commands.mget([key])))).flat() : await commands.mget(wanted),
    );
  };

  return {
    async apply(mutations) {
      checkOpen();
      checkMutations(mutations);
      return batches.apply(mutations);
    },
    async get(key) {
      checkOpen();
      checkKeys([key]);
      const [stored] = await readDocuments([key]);
      return lookupOf(stored);
    },
    async getMany(names) {
      checkOpen();
      checkKeys(names);
      return (await readDocuments(names)).map(lookupOf);
    },
    async list(list, query) {
      checkOpen();
      checkListName(list);
      const { limit, after, descending } = parseQuery(query);
      const args = [limit, descending ? 'desc' : 'asc', after?.score ?? '', after?.member ?? ''];
      const [bottom, settled, forgotten, ...rows] = (await connection.call((commands) =>
        commands.millracePage(3, ...keys.list(list), ...args),
      )) as [string, number, number, ...string[]];
      if (bottom === undefined) return { members: [], complete: false };
      const positions = positionsIn(rows);
      const members = positions.flatMap(({ member, score, field }) => {
        const lookup = hitOf(field.slice(MEMBER_HEADER_BYTES), field.slice(0, VERSION_LENGTH) as Version);
        return lookup.type === 'hit' ? { member, score, value: lookup.value, version: lookup.version } : [];
      });
      const coverage = { bottom: bottom === '-inf' ? -Infinity : Number(bottom), settled: settled > 0, forgotten: forgotten > 0 };
      const last = positions.length === limit ? positions.at(-1) : undefined;
      const isReadable = members.length === positions.length;
      return { members, ...(last && { cursor: cursorOf(last) }), complete: isReadable && isComplete(coverage, descending, after, last) };
    },
    async lease(target): Promise<ValkeyLease> {
      checkOpen();
      checkTarget(target);
      if (target.kind === 'list') {
        const seen = await connection.call((commands) =>
          commands.millraceLeaseList(3, ...keys.list(target.list), entryTtlMs, tombstoneTtlMs),
        );
        return { target, seen: (seen as unknown[]).map(String) };
      }
      const fresh = randomUUID().replaceAll('-', '').slice(0, TOKEN_LENGTH);
      const token = await connection.call((commands) =>
        commands.millraceLeaseDocument(1, keys.document(target.key), fresh, FLOOR + STATES.forget, LEASE_TTL_MS),
      );
      return { target, token: String(token) };
    },
    async settle(lease: ValkeyLease, found) {
      checkOpen();
      checkFound(lease, found);
      const { target, token, seen } = lease;
      let settled = false;
      if (target.kind === 'document' && found.kind === 'document' && token) settled = await settleDocument(target.key, token, found.json);
      if (target.kind === 'list' && found.kind === 'list' && seen) settled = await settleList(target.list, target.keep, seen, found);
      return settled ? 'settled' : 'lost';
    },
    async leased(names) {
      checkOpen();
      checkKeys(names);
      return (await readDocuments(names)).map(isLeased);
    },
    async close() {
      batches.flush();
      closed = true;
      await connection.close();
    },
  };
}

/** @param rows name, score and field of each member */
function positionsIn(rows: readonly string[]): readonly (ListPosition & { readonly field: string })[] {
  const positions: (ListPosition & { readonly field: string })[] = [];
  for (let i = 0; i < rows.length; i += 3) {
    const [member, score, field] = rows.slice(i, i + 3) as [string, string, string];
    positions.push({ member, score: Number(score), field });
  }
  return positions;
}
