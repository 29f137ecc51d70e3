import { randomBytes } from 'node:crypto';
import {
  ABSENT_TTL_MS,
  type CacheClient,
  cursorOf,
  type Fill,
  type FoundList,
  hitOf,
  isComplete,
  type Lease,
  type LeaseTarget,
  type ListPosition,
  type LookupOrLease,
  parseQuery,
} from '../cache.ts';
import { CacheUnavailableError } from '../errors.ts';
import { VERSION_LENGTH, type Version } from '../version.ts';
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
import { checkNamespace, checkWholeNumbers, overLimit } from './checks.ts';
import { batcher, ENOUGH_CHARACTERS } from './valkey/batch.ts';
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
  /** How long it lives that the table lacks an item, or the members of a list, of which the cache knew no version, ms. Default: 60,000. */
  readonly absentTtlMs?: number;
  /** A larger value is `rejected`, bytes. Default: 1 MiB. */
  readonly maxValueBytes?: number;
}

interface ValkeyLease extends Lease {
  /** Of a document; empty if the server had no memory for the lease. */
  readonly token?: string;
  /** Of a list: what the script LEASE_LIST returned. */
  readonly seen?: readonly string[];
}

type ListTarget = Extract<LeaseTarget, { readonly kind: 'list' }>;

type ValkeyFill = Fill & { readonly lease: ValkeyLease };

/** What a script says of a document's lease. `age`: of a standing lease, ms; else -1. */
type TakenLease = readonly [token: string, age: number];

interface DocumentFill {
  readonly key: string;
  readonly token: string;
  readonly json: string | undefined;
}

/** The most documents or lists of one script call. Between the calls the server serves other clients. */
const MOST_TARGETS = 256;

/**
 * Valkey 7.2 or later, or Redis 6.2 or later; a single server or a cluster.
 *
 * @throws TypeError when an option is out of its range
 */
export function valkeyCache(options: ValkeyOptions): CacheClient {
  const { namespace = 'millrace', maxValueBytes = 1_048_576, cluster = false } = options;
  const { entryTtlMs = 0, tombstoneTtlMs = 90_000_000, absentTtlMs = ABSENT_TTL_MS } = options;
  checkNamespace(namespace);
  checkWholeNumbers([
    ['entryTtlMs', entryTtlMs, 0],
    ['tombstoneTtlMs', tombstoneTtlMs, 1],
    ['absentTtlMs', absentTtlMs, 1],
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

  /**
   * Sends scripts on documents or lists, and returns one answer for each: on a single server one script for up to `MOST_TARGETS`; on a cluster one for
   * each, because a script call may not span slots.
   *
   * @param charactersOf characters of the value that a target sends
   */
  const inScripts = async <T, Answer>(
    targets: readonly T[],
    send: (targets: readonly T[]) => Promise<readonly Answer[]>,
    charactersOf: (target: T) => number = () => 0,
  ): Promise<readonly Answer[]> => {
    const most = cluster ? 1 : MOST_TARGETS;
    const chunks: T[][] = [];
    let characters = 0;
    for (const target of targets) {
      const last = chunks.at(-1);
      if (last && last.length < most && characters < ENOUGH_CHARACTERS) last.push(target);
      else {
        chunks.push([target]);
        characters = 0;
      }
      characters += charactersOf(target);
    }
    if (chunks.length === 1) return await send(chunks[0] as T[]);
    return (await Promise.all(chunks.map(send))).flat();
  };
  const leaseDocuments = (names: readonly string[]): Promise<readonly ValkeyLease[]> =>
    inScripts(names, async (some) => {
      const wanted = some.map(keys.document);
      const taken = await connection.call((commands) => commands.millraceLeaseDocuments(wanted.length, ...wanted, newToken()));
      return (taken as readonly TakenLease[]).map((lease, i) => documentLeaseOf(some[i] as string, lease));
    });
  const getOrLease = (names: readonly string[]): Promise<readonly LookupOrLease[]> =>
    inScripts(names, async (some) => {
      const wanted = some.map(keys.document);
      const reply = await connection.call((commands) => commands.millraceGetOrLeaseDocuments(wanted.length, ...wanted, newToken()));
      const answers = (typeof reply === 'string' ? [reply] : reply) as readonly (string | TakenLease)[];
      const lookups = answers.map((answer, i): LookupOrLease | undefined => {
        if (typeof answer !== 'string') return { type: 'miss', lease: documentLeaseOf(some[i] as string, answer) };
        const lookup = lookupOf(answer);
        return lookup.type === 'miss' ? undefined : lookup;
      });
      if (!lookups.includes(undefined)) return lookups as readonly LookupOrLease[];
      // Only another program's bytes look like a document to the script and are none.
      const leases = (await leaseDocuments(some.filter((_, i) => lookups[i] === undefined))).values();
      return lookups.map((lookup) => lookup ?? { type: 'miss', lease: leases.next().value as ValkeyLease });
    });
  const settleDocuments = (fills: readonly DocumentFill[]): Promise<readonly boolean[]> =>
    inScripts(
      fills,
      async (some) => {
        const rows = some.flatMap(({ token, json }) => [token, json === undefined ? STATES.delete : STATES.put, json ?? '']);
        const packed = packStrings([...[entryTtlMs, tombstoneTtlMs, absentTtlMs].map(String), ...rows]);
        const wanted = some.map(({ key }) => keys.document(key));
        const digits = await connection.call((commands) => commands.millraceSettleDocuments(wanted.length, ...wanted, packed));
        return [...(digits as string)].map((digit) => digit === '1');
      },
      ({ json }) => json?.length ?? 0,
    );
  const surveyLists = (
    step: 'mark' | 'fill' | 'seal',
    names: readonly string[],
    survey: string,
    rows: readonly (readonly (string | number)[])[] = [],
  ): Promise<readonly boolean[]> =>
    inScripts(
      [...names.entries()],
      async (some) => {
        const wanted = some.flatMap(([, name]) => keys.list(name));
        const packed = packStrings([entryTtlMs, tombstoneTtlMs, step, survey, ...some.flatMap(([i]) => rows[i] ?? [])].map(String));
        const digits = await connection.call((commands) => commands.millraceSurveyLists(wanted.length, ...wanted, packed));
        return [...(digits as string)].map((digit) => digit === '1');
      },
      ([i]) => (rows[i] ?? []).reduce((sum: number, part) => sum + String(part).length, 0),
    );
  const leaseList = async (target: ListTarget): Promise<ValkeyLease> => {
    const [age, ...seen] = (await connection.call((commands) =>
      commands.millraceLeaseList(4, ...keys.leasedList(target.list), entryTtlMs, tombstoneTtlMs, absentTtlMs),
    )) as [number, ...unknown[]];
    return { target, seen: seen.map(String), ...(age >= 0 && { standingMs: age }) };
  };
  const settleList = async (list: string, keep: number, seen: readonly string[], { newest, next }: FoundList): Promise<boolean> => {
    const [birth, bottom, lost, settled, ...members] = seen as [string, string, string, string, ...string[]];
    const found = newest.flatMap(({ member, score, json }) =>
      tooLarge(json) ? [STATES.forget, member, score, ''] : [STATES.put, member, score, json],
    );
    const lease = [birth, bottom, lost, settled];
    const args = [entryTtlMs, tombstoneTtlMs, keep, ...lease, next ?? '-inf', members.length / 2, ...members, ...found];
    const packed = packStrings(args.map(String));
    return (await connection.call((commands) => commands.millraceSettleList(4, ...keys.leasedList(list), packed, absentTtlMs))) === 1;
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
    async getOrLease(names) {
      checkOpen();
      checkKeys(names);
      return await getOrLease(names);
    },
    async lease(targets): Promise<readonly ValkeyLease[]> {
      checkOpen();
      checkTargets(targets);
      const [documents, lists] = await Promise.all([
        leaseDocuments(targets.flatMap((target) => (target.kind === 'document' ? target.key : []))),
        Promise.all(targets.flatMap((target) => (target.kind === 'list' ? leaseList(target) : []))),
      ]);
      const [nextDocument, nextList] = [documents.values(), lists.values()];
      return targets.map(({ kind }) => (kind === 'document' ? nextDocument : nextList).next().value as ValkeyLease);
    },
    async settle(fills: readonly ValkeyFill[]) {
      checkOpen();
      checkFills(fills);
      const settled = fills.map(() => false);
      const documents: (DocumentFill & { readonly at: number })[] = [];
      const lists: Promise<void>[] = [];
      for (const [at, { lease, found }] of fills.entries()) {
        const { target, token, seen } = lease;
        if (target.kind === 'document' && found.kind === 'document') {
          const fits = found.json === undefined || !tooLarge(found.json);
          if (token && fits) documents.push({ at, key: target.key, token, json: found.json });
        } else if (target.kind === 'list' && found.kind === 'list' && seen) {
          lists.push(
            settleList(target.list, target.keep, seen, found).then((answer) => {
              settled[at] = answer;
            }),
          );
        }
      }
      const [answers] = await Promise.all([settleDocuments(documents), ...lists]);
      for (const [i, { at }] of documents.entries()) settled[at] = answers[i] === true;
      return settled.map((is) => (is ? 'settled' : 'lost'));
    },
    async mark(lists, survey) {
      checkOpen();
      checkMarked(lists, survey);
      const names = lists.map(({ list }) => list);
      const rows = lists.map(({ keep }) => [keep]);
      await surveyLists('mark', names, survey, rows);
    },
    async fill(lists, survey) {
      checkOpen();
      checkSurveyed(lists, survey);
      const rows = lists.map(({ keep, members }) => [
        keep,
        members.length,
        ...members.flatMap(({ member, score, json }) =>
          tooLarge(json) ? [STATES.forget, member, score, ''] : [STATES.put, member, score, json],
        ),
      ]);
      const names = lists.map(({ list }) => list);
      return await surveyLists('fill', names, survey, rows);
    },
    async seal(names, survey) {
      checkOpen();
      checkSurvey(names, survey);
      return (await surveyLists('seal', names, survey)).map((done) => (done ? 'settled' : 'lost'));
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

/** Random text, and where the unused part begins. One call of the system for each token would cost more than the rest of a hit. */
const random = { text: '', at: 0 };

function newToken(): string {
  if (random.at + TOKEN_LENGTH > random.text.length) {
    random.text = randomBytes(768).toString('base64url');
    random.at = 0;
  }
  random.at += TOKEN_LENGTH;
  return random.text.slice(random.at - TOKEN_LENGTH, random.at);
}

function documentLeaseOf(key: string, [token, age]: TakenLease): ValkeyLease {
  return { target: { kind: 'document', key }, token, ...(age >= 0 && { standingMs: age }) };
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
