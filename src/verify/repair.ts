import type { CacheClient, Fill, Found, FoundMember, Lease } from '../cache.ts';
import type { Attributes } from '../change.ts';
import { CacheUnavailableError, TableUnavailableError, ViewError } from '../errors.ts';
import { found as foundIn } from '../fill/found.ts';
import { keyOf, type ListView } from '../view.ts';
import { claimsOf } from './claims.ts';
import { type KeyTypes, keyOfItem } from './keys.ts';
import type { MemberNames } from './member-names.ts';
import { compared, type MemberSubject, type Subject } from './observation.ts';
import { completeMembers } from './probe-cache.ts';
import { exactQuery } from './read-truths.ts';
import type { VerifiedTable } from './table.ts';
import type { Verifier } from './verifier.ts';

export interface RepairInput {
  readonly verifier: Verifier;
  readonly cache: Pick<CacheClient, 'getMany' | 'list' | 'lease' | 'settle' | 'apply'>;
  readonly table: VerifiedTable;
  readonly names: MemberNames;
  readonly keyTypes: KeyTypes;
  readonly signal: AbortSignal;
}

/** The stream may write an address between lease and settle, and a call may get no answer. */
const MOST_TRIES = 5;
/** After a call without an answer, ms. */
const PAUSE_MS = 500;

/**
 * Repairs addresses: takes a lease, reads the table after it, consistently, and settles what was read. So a change of the stream always wins. Then it looks
 * again.
 *
 * - A document is settled with what its item gives.
 * - A list is settled with what its query gives, where a consistent query gives its items.
 * - Any other list is settled with the members that it has, and with those that are to be repaired. The item of each is read by its key, as far as the
 *   members have the names of their items. The list then still lacks the members that neither the cache nor the verifier knows. If none of its
 *   members is right, it forgets them, so that its pages are not complete.
 *
 * @returns for each subject whether the cache is now right, or claims nothing
 */
export async function repair(input: RepairInput, subjects: readonly Subject[]): Promise<readonly boolean[]> {
  let open: ReadonlySet<Subject> = new Set(subjects);
  for (let tries = 0; open.size > 0 && tries <= MOST_TRIES; tries += 1) {
    // What was settled before a call got no answer is not settled again.
    if (tries > 0) await answered(input, () => settle(input, [...open]));
    await answered(input, async () => {
      open = await wrong(input, [...open]);
    });
  }
  return subjects.map((subject) => !open.has(subject));
}

/** Waits after a call without an answer, because a later one may get an answer. */
async function answered({ verifier, signal }: RepairInput, call: () => Promise<void>): Promise<void> {
  try {
    await call();
  } catch (error) {
    if (!(error instanceof CacheUnavailableError || error instanceof TableUnavailableError)) throw error;
    await verifier.clock.sleep(PAUSE_MS, signal);
  }
}

async function settle(input: RepairInput, subjects: readonly Subject[]): Promise<void> {
  await settleDocuments(
    input,
    subjects.filter(({ kind }) => kind === 'document'),
  );
  const lists = new Map<string, MemberSubject[]>();
  for (const subject of subjects) {
    if (subject.kind === 'member') lists.set(subject.list, [...(lists.get(subject.list) ?? []), subject]);
  }
  for (const [list, members] of lists) await settleList(input, list, members);
}

/** Those of the subjects of which the cache says something else than the table, now. */
async function wrong({ verifier, cache }: RepairInput, subjects: readonly Subject[]): Promise<ReadonlySet<Subject>> {
  const claims = await claimsOf(cache, subjects);
  const truths = await verifier.truthsOf(subjects);
  return new Set(
    subjects.filter((subject, i) => {
      const [claim, truth] = [claims[i], truths[i]];
      if (!claim || claim.type === 'none') return false;
      if (!truth || truth.type === 'unknown') return true;
      const result = compared(subject, claim, truth);
      return result !== 'equal' && result !== 'moved';
    }),
  );
}

async function settleDocuments({ verifier, cache }: RepairInput, subjects: readonly Subject[]): Promise<void> {
  const documents = subjects.filter((subject) => subject.kind === 'document');
  if (documents.length === 0) return;
  const leases = await cache.lease(documents.map(({ key }) => ({ kind: 'document', key })));
  const truths = await verifier.truthsOf(documents);
  const fills = documents.flatMap((_, i): readonly Fill[] => {
    const truth = truths[i];
    if (!truth || truth.type === 'unknown') return [];
    return [{ lease: leases[i] as Lease, found: { kind: 'document', ...(truth.type === 'value' && { json: truth.json }) } }];
  });
  await cache.settle(fills);
}

async function settleList(input: RepairInput, list: string, members: readonly MemberSubject[]): Promise<void> {
  const { verifier, cache, table, signal } = input;
  const view = verifier.viewOf(members[0] as Subject);
  if (view.kind !== 'list') return;
  const [lease] = await cache.lease([{ kind: 'list', list, keep: view.keep }]);
  if (!lease) return;
  const query = exactQuery(view, list);
  let found: Found | undefined;
  if (query) {
    const { items, units } = await table.query(query, signal);
    verifier.units += units;
    found = foundByQuery(view, list, items, table.keys);
  } else found = await foundByKeys(input, view, list, members);
  if (found) await cache.settle([{ lease, found }]);
}

/** `undefined` if the view throws on an item: nobody knows of which list the item is a member. */
function foundByQuery(
  view: ListView<unknown, unknown>,
  list: string,
  items: readonly Attributes[],
  keys: readonly string[],
): Found | undefined {
  try {
    return foundIn(view, list.slice(keyOf(view, '').length), items, { keys });
  } catch (error) {
    if (error instanceof ViewError) return undefined;
    throw error;
  }
}

/** What a list has, with the values of the table. `undefined`: the list claims nothing any more, or a view throws on an item. */
async function foundByKeys(
  { verifier, cache, names, keyTypes }: RepairInput,
  view: ListView<unknown, unknown>,
  list: string,
  suspects: readonly MemberSubject[],
): Promise<Found | undefined> {
  const known = await completeMembers(cache, list);
  if (!known) return undefined;
  const { members: held, isWhole } = known;
  const name = (suspects[0] as Subject).view;
  const newest = new Map<string, FoundMember>();
  const subjects = new Map<string, MemberSubject>();
  for (const { member, score, value } of held) {
    const item = names.areItems(name) ? keyOfItem(member, keyTypes) : undefined;
    if (item) subjects.set(member, { kind: 'member', view: name, list, member, score, item });
    // What the cache has of it stays: nobody can find its item.
    else newest.set(member, { member, score, json: JSON.stringify(value) });
  }
  for (const suspect of suspects) if (suspect.item) subjects.set(suspect.member, suspect);
  const wanted = [...subjects.values()];
  const truths = await verifier.truthsOf(wanted);
  for (const [i, { member }] of wanted.entries()) {
    const truth = truths[i];
    if (!truth || truth.type === 'unknown') return undefined;
    if (truth.type === 'value') newest.set(member, { member, score: truth.score ?? 0, json: truth.json });
    else newest.delete(member);
  }
  const sorted = [...newest.values()].sort((a, b) => b.score - a.score);
  // Nobody knows which members the list lacks below the last one that it has. It has all others, because a page is complete down to its last member.
  const lowest = isWhole ? undefined : held.at(-1)?.score;
  const certain = lowest === undefined ? sorted : sorted.filter(({ score }) => score >= lowest);
  if (certain.length === 0 && lowest !== undefined) {
    const { keep } = view;
    await cache.apply(held.map(({ member, score, version }) => ({ kind: 'member', type: 'forget', list, member, score, keep, version })));
    return undefined;
  }
  return {
    kind: 'list',
    newest: certain.slice(0, view.keep),
    next: certain[view.keep]?.score ?? (lowest === undefined ? undefined : greatestBelow(lowest)),
  };
}

/** The greatest number below. */
function greatestBelow(score: number): number {
  if (score === 0) return -Number.MIN_VALUE;
  const bytes = new DataView(new ArrayBuffer(8));
  bytes.setFloat64(0, score);
  bytes.setBigInt64(0, bytes.getBigInt64(0) + (score > 0 ? -1n : 1n));
  return bytes.getFloat64(0);
}
