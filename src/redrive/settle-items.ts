import { isDeepStrictEqual } from 'node:util';
import type { CacheClient } from '../cache.ts';
import type { Cause, Stage } from '../cause.ts';
import type { Attributes } from '../change.ts';
import { attributesOf, type Hint } from '../dynamodb/record.ts';
import { asError } from '../errors.ts';
import { type PastImage, settlementOf } from '../plan/settlement.ts';
import { shownItem } from '../plan/shown-keys.ts';
import type { TableAnswer, TableReader } from '../table.ts';
import type { View } from '../view.ts';
import type { CircuitBreaker } from './circuit-breaker.ts';

/** An item, and what letters tell of its past. */
export interface ItemHints {
  /** The item is settled at the version of this hint. */
  readonly newest: Hint;
  readonly images: readonly PastImage[];
  /** There are past images that cannot be read. */
  readonly hasUnknownPast: boolean;
}

export interface SettleInput {
  readonly views: readonly View[];
  /** Absent: nothing is written, and the outcomes are those of a cache that takes every value. */
  readonly cache?: Pick<CacheClient, 'apply'>;
  /** Absent: the newest hint says what an item is now. */
  readonly table?: TableReader;
  readonly breaker: CircuitBreaker;
  /** Once aborted, no further item is begun. */
  readonly signal?: AbortSignal;
}

/** `untried`: the item was not begun, or not brought to its end. */
export type ItemOutcome =
  | { readonly type: 'settled' }
  | { readonly type: 'kept'; readonly causes: readonly Cause[] }
  | { readonly type: 'untried' };

/** The keys of one BatchGetItem. */
const READ_AT_ONCE = 100;
const WRITTEN_AT_ONCE = 16;
/** After this number of reads, an item that changed between all of them is kept. */
const MOST_READS = 4;

interface Work {
  readonly item: ItemHints;
  /** Images that this loop wrote and then found outdated. */
  readonly earlierWrites: PastImage[];
  /** The image written last. `outcome` holds if the next read still shows that image. */
  lastWrite?: { readonly image: Attributes | undefined; readonly outcome: ItemOutcome };
  outcome: ItemOutcome;
}

/**
 * Brings the addresses that an item is known to have had to what the item is now, at the version of its newest hint; see `settlementOf`. An item
 * that was written is read again, and written again if it has changed. Without the second read, a change between read and write could be applied
 * and evicted; the write would then stay for ever, because the change's record does not come again. One outcome an item. Never throws.
 */
export async function settleItems(items: readonly ItemHints[], input: SettleInput): Promise<readonly ItemOutcome[]> {
  const works = items.map((item): Work => ({ item, earlierWrites: [], outcome: { type: 'untried' } }));
  for (let i = 0; i < works.length && !isHalted(input); i += READ_AT_ONCE) await settleSome(works.slice(i, i + READ_AT_ONCE), input);
  return works.map(({ outcome }) => outcome);
}

function isHalted({ signal, breaker }: SettleInput): boolean {
  return signal?.aborted === true || breaker.isOpen;
}

async function settleSome(works: readonly Work[], input: SettleInput): Promise<void> {
  let open = works;
  for (let reads = 1; open.length > 0 && !isHalted(input); reads += 1) {
    const found = await readItems(open, input);
    const written: Work[] = [];
    for (let i = 0; i < found.length && !isHalted(input); i += WRITTEN_AT_ONCE) {
      const some = found.slice(i, i + WRITTEN_AT_ONCE);
      const isWritten = await Promise.all(some.map(({ work, now }) => settle(work, now, reads === MOST_READS, input)));
      written.push(...some.flatMap(({ work }, n) => (isWritten[n] ? [work] : [])));
    }
    open = written;
  }
}

interface Found {
  readonly work: Work;
  readonly now: Attributes | undefined;
}

/** The items that could be read. The others are kept. */
async function readItems(works: readonly Work[], { table, breaker, signal }: SettleInput): Promise<readonly Found[]> {
  const found: Found[] = [];
  const take = (work: Work, answer: TableAnswer, stage: Stage): void => {
    if ('error' in answer) keep(work, { stage, error: answer.error });
    else found.push({ work, now: answer.item });
  };
  if (!table) {
    for (const work of works) take(work, newestImage(work.item.newest), 'decode');
    return found;
  }
  for (const arn of new Set(works.map(({ item }) => item.newest.tableArn))) {
    const some = works.filter(({ item }) => item.newest.tableArn === arn);
    const keys = some.map(({ item }) => item.newest.key);
    try {
      const answers = await table.read(arn, keys, signal);
      for (const [i, work] of some.entries()) take(work, answers[i] as TableAnswer, 'table');
      breaker.record(true);
    } catch (error) {
      // Out of time: the items stay untried.
      if (signal?.aborted) continue;
      for (const work of some) keep(work, { stage: 'table', error: asError(error) });
      breaker.record(false);
    }
  }
  return found;
}

function newestImage({ after }: Hint): TableAnswer {
  return 'error' in after ? after : { item: after.attributes };
}

function keep(work: Work, ...causes: readonly Cause[]): false {
  work.outcome = { type: 'kept', causes };
  return false;
}

/** Returns whether the item was written, so that it must be read again. */
async function settle(
  work: Work,
  now: Attributes | undefined,
  isLast: boolean,
  { views, cache, table, breaker }: SettleInput,
): Promise<boolean> {
  const { newest, images: known, hasUnknownPast } = work.item;
  if (work.lastWrite && isDeepStrictEqual(work.lastWrite.image, now)) {
    work.outcome = work.lastWrite.outcome;
    return false;
  }
  // An image that cannot be read may be of any entity.
  const all = hasUnknownPast ? [] : [...known.map(({ attributes }) => attributes), now];
  const shown = shownItem(views, attributesOf(newest.key), all);
  if (isLast) return keep(work, { stage: 'changing', error: new Error(`${shown} changes as fast as it is read`) });
  if (work.lastWrite?.image) work.earlierWrites.push({ as: 'after', attributes: work.lastWrite.image });
  // With a complete past, the earlier writes of this loop went only to known addresses, so they need no undoing.
  const images = hasUnknownPast ? [...known, ...work.earlierWrites] : known;
  const { mutations, poison } = settlementOf(views, { ...newest, shown, images, hasUnknownPast, now });
  const causes: Cause[] = [...poison];
  let isStale = true;
  try {
    const outcomes = cache && mutations.length > 0 ? await cache.apply(mutations) : [];
    if (mutations.length > 0) breaker.record(true);
    if (cache && outcomes.length !== mutations.length) {
      throw new TypeError(`the cache gave ${outcomes.length} outcomes for ${mutations.length} mutations`);
    }
    for (const [i, outcome] of outcomes.entries()) {
      isStale &&= outcome.type === 'stale' || outcome.type === 'skipped';
      if (outcome.type !== 'rejected' && outcome.type !== 'skipped') continue;
      const mutation = mutations[i];
      const [view] = (mutation?.kind === 'member' ? mutation.list : mutation?.key)?.split(':', 1) ?? [];
      const stage = outcome.type === 'rejected' ? 'rejected' : 'cache';
      causes.push({ stage, view, error: new Error(`${view}: ${outcome.reason}`) });
    }
  } catch (error) {
    breaker.record(false);
    return keep(work, { stage: 'cache', error: asError(error) });
  }
  const outcome: ItemOutcome = causes.length > 0 ? { type: 'kept', causes } : { type: 'settled' };
  if (!isStale && table) {
    work.lastWrite = { image: now, outcome };
    return true;
  }
  work.outcome = outcome;
  return false;
}
