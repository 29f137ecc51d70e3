import { randomUUID } from 'node:crypto';
import {
  type CacheClient,
  checkFound,
  cursorOf,
  isComplete,
  LEASE_TTL_MS,
  type Lease,
  type Lookup,
  MISS,
  type PageMember,
  parseQuery,
} from '../cache.ts';
import { CacheUnavailableError } from '../errors.ts';
import { FLOOR, VERSION_LENGTH, type Version } from '../version.ts';
import { batcher, type Keys } from './valkey/batch.ts';
import { type ConnectionOptions, connect } from './valkey/client.ts';
import { packStrings } from './valkey/msgpack.ts';
import { DOCUMENT_HEADER, MEMBER_HEADER, TOKEN_LENGTH } from './valkey/scripts.ts';

export interface ValkeyOptions extends ConnectionOptions {
  /** Begins all keys: letters, digits, `-` and `_`. */
  readonly namespace?: string;
  /**
   * Ends documents that long after they were written, ms; 0: never. Lists end as a whole, when nothing was written to them for that
   * long and for the tombstones' time.
   */
  readonly entryTtlMs?: number;
  /** Must outlast the longest replay: the stream's retention is 24 h. */
  readonly tombstoneTtlMs?: number;
  /** A larger value is `rejected`, bytes. */
  readonly maxValueBytes?: number;
}

interface ValkeyLease extends Lease {
  /** Of a document. */
  readonly token?: string;
  /** Of a list: what the script LEASE_LIST returned. */
  readonly seen?: readonly string[];
}

/** Valkey 7.2 or later, or Redis 6.2 or later; a single server or a cluster. */
export function valkeyCache(options: ValkeyOptions): CacheClient {
  const { namespace = 'millrace', entryTtlMs = 0, tombstoneTtlMs = 90_000_000, maxValueBytes = 1_048_576, cluster = false } = options;
  if (!/^[\w-]+$/.test(namespace)) throw new TypeError(`cache namespace "${namespace}": use letters, digits, "-" and "_"`);
  for (const [name, value, least] of [
    ['entryTtlMs', entryTtlMs, 0],
    ['tombstoneTtlMs', tombstoneTtlMs, 1],
    ['maxValueBytes', maxValueBytes, 1],
  ] as const) {
    if (!Number.isSafeInteger(value) || value < least)
      throw new TypeError(`cache option ${name} is ${value}: give a whole number of ${least} or more`);
  }
  const connection = connect(options);
  const keys = keysIn(namespace);
  const applyInBatches = batcher(connection, keys, [String(entryTtlMs), String(tombstoneTtlMs)], cluster);
  let closed = false;
  const wasClosed = () => new CacheUnavailableError('the cache client was closed');
  const open = (): void => {
    if (closed) throw wasClosed();
  };
  const tooLarge = (json: string): string | undefined => {
    // A character has three bytes at the most in UTF-8, so short values need not be counted.
    if (json.length * 3 <= maxValueBytes) return undefined;
    const bytes = Buffer.byteLength(json);
    return bytes > maxValueBytes ? `value of ${bytes} bytes is over the limit of ${maxValueBytes}` : undefined;
  };

  return {
    apply(mutations) {
      return closed ? Promise.reject(wasClosed()) : applyInBatches.apply(mutations, tooLarge);
    },
    async get(key) {
      open();
      return lookup(await connection.call((commands) => commands.get(keys.document(key))));
    },
    async getMany(names) {
      open();
      if (names.length === 0) return [];
      const wanted = names.map(keys.document);
      const found = await connection.call((commands) =>
        cluster ? Promise.all(wanted.map((key) => commands.get(key))) : commands.mget(wanted),
      );
      return found.map(lookup);
    },
    async list(list, query) {
      open();
      const { limit, after, descending } = parseQuery(query);
      const args = [limit, descending ? 'desc' : 'asc', after?.score ?? '', after?.member ?? ''];
      const [bottom, settled, forgotten, ...rows] = (await connection.call((commands) =>
        commands.millracePage(3, ...keys.list(list), ...args),
      )) as [string, number, number, ...string[]];
      const members = membersOf(rows);
      if (bottom === undefined) return { members, complete: false };
      const holding = { bottom: parseScore(bottom), settled: settled > 0, forgotten: forgotten > 0 };
      const last = members.length === limit ? members.at(-1) : undefined;
      return { members, ...(last && { cursor: cursorOf(last) }), complete: isComplete(holding, descending, after, last) };
    },
    async lease(target): Promise<ValkeyLease> {
      open();
      if (target.kind === 'list') {
        const seen = await connection.call((commands) =>
          commands.millraceLeaseList(3, ...keys.list(target.list), entryTtlMs, tombstoneTtlMs),
        );
        return { target, seen: (seen as unknown[]).map(String) };
      }
      const fresh = randomUUID().replaceAll('-', '').slice(0, TOKEN_LENGTH);
      const token = await connection.call((commands) =>
        commands.millraceLeaseDocument(1, keys.document(target.key), fresh, `${FLOOR}f`, LEASE_TTL_MS),
      );
      return { target, token: String(token) };
    },
    async settle(lease: ValkeyLease, found) {
      open();
      checkFound(lease, found);
      const { target, token, seen } = lease;
      let settled: unknown;
      if (target.kind === 'document' && found.kind === 'document' && token) {
        const { json } = found;
        if (json !== undefined && tooLarge(json)) return 'lost';
        const [state, ttl] = json === undefined ? ['d', tombstoneTtlMs] : ['p', entryTtlMs];
        settled = await connection.call((commands) =>
          commands.millraceSettleDocument(1, keys.document(target.key), token, state, json ?? '', ttl),
        );
      } else if (target.kind === 'list' && found.kind === 'list' && seen) {
        const [born, bottom, lost, times, ...members] = seen as [string, string, string, string, ...string[]];
        const lowest = found.more ? (found.newest.at(-1)?.score ?? '-inf') : '-inf';
        const rows = found.newest.flatMap(({ member, score, json }) =>
          tooLarge(json) ? ['f', member, score, ''] : ['p', member, score, json],
        );
        const args = [
          entryTtlMs,
          tombstoneTtlMs,
          target.keep,
          FLOOR,
          born,
          bottom,
          lost,
          times,
          lowest,
          members.length / 2,
          ...members,
          ...rows,
        ];
        const packed = packStrings(args.map(String));
        settled = await connection.call((commands) => commands.millraceSettleList(3, ...keys.list(target.list), packed));
      }
      return settled === 1 ? 'settled' : 'lost';
    },
    async close() {
      applyInBatches.flush();
      closed = true;
      await connection.close();
    },
  };
}

function keysIn(namespace: string): Keys {
  return {
    document: (key) => `${namespace}:doc:${key}`,
    list(list) {
      // A brace would end the hash tag early; an empty tag is none, and the keys of the list would part.
      const tag = `${namespace}:list:{${list.replace(/[%}]/g, encodeURIComponent)}}`;
      return [`${tag}:members`, `${tag}:scores`, `${tag}:peaks`];
    },
  };
}

function lookup(stored: string | null): Lookup {
  const version = stored?.slice(0, VERSION_LENGTH) as Version;
  switch (stored?.[VERSION_LENGTH]) {
    case 'p':
      return { type: 'hit', value: JSON.parse(stored.slice(DOCUMENT_HEADER)), version };
    case 'd':
      return { type: 'gone', version };
    default:
      return MISS;
  }
}

function membersOf(rows: readonly string[]): readonly PageMember[] {
  const members: PageMember[] = [];
  for (let i = 0; i < rows.length; i += 3) {
    const [member, score, field] = rows.slice(i, i + 3) as [string, string, string];
    const value = JSON.parse(field.slice(MEMBER_HEADER));
    members.push({ member, score: Number(score), value, version: field.slice(0, VERSION_LENGTH) as Version });
  }
  return members;
}

function parseScore(text: string): number {
  return text === '-inf' ? -Infinity : Number(text);
}
