import assert from 'node:assert/strict';
import type { CacheClient, Found, FoundList, Lease, LeaseTarget, Lookup, PageQuery, Settled } from '../../cache.ts';
import type { DocumentMutation, MemberMutation, Mutation } from '../../mutation.ts';
import { FLOOR, type Version, versionOf } from '../../version.ts';

export interface Section {
  readonly about: string;
  readonly cases: readonly Case[];
}

export interface Case {
  /** What the backend does, as a sentence that begins with a verb. */
  readonly it: string;
  /** The abilities of the backend without which the case is skipped. */
  readonly needs?: readonly ('maxValueBytes' | 'shared' | 'evict' | 'evictPart' | 'plantBytes' | 'plantType' | 'elapse')[];
  run(trial: Trial): Promise<void>;
}

/** A client of an empty namespace, and the abilities of its backend. */
export interface Trial {
  readonly client: CacheClient;
  /** Opens another client of the same namespace. */
  open(ttls?: Partial<TimesToLive>): Promise<CacheClient>;
  /** The largest value in bytes. Infinity: the backend has no limit. */
  readonly maxValueBytes: number;
  readonly histories: number;
  readonly seed?: number;
  readonly evict?: (target: LeaseTarget) => Promise<void>;
  readonly evictPart?: (list: string, part: number) => Promise<boolean>;
  readonly plantBytes?: (target: LeaseTarget, bytes: string) => Promise<void>;
  readonly plantType?: (target: LeaseTarget, part: number) => Promise<void>;
  readonly elapse?: (ms: number) => Promise<void>;
}

/** How long entries, tombstones, and fills of items that the table lacks live, ms. */
export interface TimesToLive {
  readonly entryTtlMs: number;
  readonly tombstoneTtlMs: number;
  readonly absentTtlMs: number;
}

const OLD = '2026-01-31T23:59:59.999';
const NEW = '2026-02-01T00:00:00.000';

/** Ascending versions that are hard to compare: of different lengths, equal as doubles, and of a newer stream that counts from 1 again. */
export const VERSIONS: readonly Version[] = [
  FLOOR,
  versionOf(OLD, '9'),
  versionOf(OLD, '10'),
  versionOf(OLD, '111111111111111111111'),
  versionOf(OLD, '111111111111111111112'),
  versionOf(OLD, '1111111111111111111110'),
  versionOf(OLD, '9'.repeat(40)),
  versionOf(NEW, '1'),
  versionOf(NEW, '2'),
  versionOf(NEW, '10'),
];

/** The `rank`th version, from 1; 0 is `FLOOR`. */
export function at(rank: number): Version {
  const version = VERSIONS[rank];
  assert.ok(version !== undefined, `there is no version ${rank}`);
  return version;
}

export function put(key: string, rank: number, value: unknown): DocumentMutation {
  return { kind: 'document', type: 'put', key, version: at(rank), json: JSON.stringify(value) };
}

export function del(key: string, rank: number): DocumentMutation {
  return { kind: 'document', type: 'delete', key, version: at(rank) };
}

export function forget(key: string, rank: number): DocumentMutation {
  return { kind: 'document', type: 'forget', key, version: at(rank) };
}

/** Makes the mutations of one list's members. The value of a member is its name and version. */
export function membersOf(list: string, keep: number) {
  const common = (member: string, rank: number, score: number) =>
    ({ kind: 'member', list, keep, member, score, version: at(rank) }) as const;
  return {
    put: (member: string, rank: number, score: number, more: { from?: number; json?: string } = {}): MemberMutation => ({
      ...common(member, rank, score),
      type: 'put',
      json: JSON.stringify(`${member} ${rank}`),
      ...more,
    }),
    del: (member: string, rank: number, score: number): MemberMutation => ({ ...common(member, rank, score), type: 'delete' }),
    forget: (member: string, rank: number, score: number): MemberMutation => ({ ...common(member, rank, score), type: 'forget' }),
    target: { kind: 'list', list, keep } satisfies LeaseTarget,
  };
}

/** What a reader found in the table: members by name and score. */
export function found(scores: Readonly<Record<string, number>>, next?: number): FoundList {
  const newest = Object.entries(scores).map(([member, score]) => ({ member, score, json: JSON.stringify(`${member} read`) }));
  return { kind: 'list', newest, next };
}

export function documentAt(key: string): LeaseTarget {
  return { kind: 'document', key };
}

/** Takes one lease. */
export async function leaseOn(client: CacheClient, target: LeaseTarget): Promise<Lease> {
  const leases = await client.lease([target]);
  assert.equal(leases.length, 1);
  return leases[0] as Lease;
}

/** Settles one lease. */
export async function settleOn(client: CacheClient, lease: Lease, given: Found): Promise<Settled> {
  const outcomes = await client.settle([{ lease, found: given }]);
  assert.equal(outcomes.length, 1);
  return outcomes[0] as Settled;
}

/** Applies the mutations, and returns the types of their outcomes. */
export async function outcomes(client: CacheClient, ...mutations: readonly Mutation[]): Promise<string[]> {
  return (await client.apply(mutations)).map((outcome) => outcome.type);
}

export function hit(value: unknown, rank: number): Lookup {
  return { type: 'hit', value, version: at(rank) };
}

export function gone(rank: number): Lookup {
  return { type: 'gone', version: at(rank) };
}

export const MISSED: Lookup = { type: 'miss' };

/** Asserts the answer to a read of a document. */
export async function reads(client: CacheClient, key: string, expected: Lookup, why?: string): Promise<void> {
  assert.deepEqual(await client.get(key), expected, why);
}

/** Asserts that a call is rejected with a TypeError, and does not throw at once. */
export async function refuses(call: () => Promise<unknown>, why?: string): Promise<void> {
  const answer = call();
  await assert.rejects(answer, TypeError, why);
}

/** Asserts the values of a page, and whether it is complete. */
export async function shows(
  client: CacheClient,
  list: string,
  values: readonly unknown[],
  complete: boolean,
  query: PageQuery = { limit: 100 },
): Promise<void> {
  const page = await client.list(list, query);
  assert.deepEqual({ values: page.members.map(({ value }) => value), complete: page.complete }, { values, complete });
}
