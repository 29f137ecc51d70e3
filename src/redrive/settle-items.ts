import type { CacheClient } from '../cache.ts';
import type { Attributes, Hint } from '../change.ts';
import { type KnownImage, settlementOf } from '../plan/settlement.ts';
import type { View } from '../view.ts';
import type { Outage } from './outage.ts';

/** An item, and what is known of its past. */
export interface ItemHints {
  /** At its version the item is settled. */
  readonly newest: Hint;
  /** What it is known to have been. */
  readonly images: readonly KnownImage[];
  /** There are more, which cannot be read. */
  readonly isMissingImages: boolean;
}

export interface SettleInput {
  readonly views: readonly View[];
  /** Absent: nothing is written, and the outcomes are those of caches that take everything. */
  readonly cache?: CacheClient;
  /** Absent: what an item is now is what its newest hint says it became. */
  readonly table?: CurrentItems;
  readonly outage: Outage;
  /** Once aborted, no further item is begun. */
  readonly signal?: AbortSignal;
}

export interface CurrentItems {
  /**
   * Items as they are now (`ConsistentRead`): one answer a key, in the order of the keys.
   *
   * @throws when the table gives no answer, or the signal ends the wait for one.
   */
  read(tableArn: string, keys: readonly Hint['key'][], signal?: AbortSignal): Promise<readonly CurrentItem[]>;
}

/** `item` is absent where the table has none. `error`: to ask again gives no other answer. */
export type CurrentItem = { readonly item?: Attributes } | { readonly error: Error };

/** `untried`: not begun, or not brought to its end. */
export type ItemOutcome =
  | { readonly type: 'settled' }
  | { readonly type: 'kept'; readonly causes: readonly Hindrance[] }
  | { readonly type: 'untried' };

/** Why an item is not settled. */
export interface Hindrance {
  /**
   * `decode`: what it is now cannot be read; `view`: a view cannot project it; `rejected`: the cache will not take a value; `changing`: it changed
   * as fast as it was read; `table`, `cache`: no answer, or none that helps.
   */
  readonly stage: 'decode' | 'view' | 'rejected' | 'changing' | 'table' | 'cache';
  /** Fit for a log: it has no values of the item. */
  readonly error: Error;
  /** Of this image nobody knows where it was: a matter of the letters that tell of it. */
  readonly image?: Attributes;
}

/** As many as BatchGetItem takes. */
const READ_AT_ONCE = 100;
const WRITTEN_AT_ONCE = 16;
/** An item that changes from read to read is given up then. */
const MOST_READS = 4;

interface Work {
  readonly item: ItemHints;
  /** What it was when it was written before. */
  readonly elsewhere: KnownImage[];
  /** What it was when it was written last, and what becomes of it if it still is. */
  written?: { readonly as: Attributes | undefined; readonly outcome: ItemOutcome };
  outcome: ItemOutcome;
}

/**
 * Brings the addresses that an item is known to have had to what the item is now, at the version of its newest hint; see `settlementOf`. An item that
 * was written is read once more, and written again if it has changed: a change in between, applied and evicted before the write, would else be
 * overwritten for ever, for its record does not come again. One outcome an item; never throws.
 */
export async function settleItems(items: readonly ItemHints[], input: SettleInput): Promise<readonly ItemOutcome[]> {
  const works = items.map((item): Work => ({ item, elsewhere: [], outcome: { type: 'untried' } }));
  for (let i = 0; i < works.length && !isHalted(input); i += READ_AT_ONCE) await settleSome(works.slice(i, i + READ_AT_ONCE), input);
  return works.map(({ outcome }) => outcome);
}

function isHalted({ signal, outage }: SettleInput): boolean {
  return signal?.aborted === true || outage.isOn;
}

async function settleSome(works: readonly Work[], input: SettleInput): Promise<void> {
  let open = works;
  for (let reads = 1; open.length > 0 && !isHalted(input); reads += 1) {
    const found = await itemsNow(open, input);
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

/** The others are kept. */
async function itemsNow(works: readonly Work[], { table, outage, signal }: SettleInput): Promise<readonly Found[]> {
  const found: Found[] = [];
  const see = (work: Work, current: CurrentItem, stage: Hindrance['stage']): void => {
    if ('error' in current) keep(work, { stage, error: current.error });
    else found.push({ work, now: current.item });
  };
  if (!table) {
    for (const work of works) see(work, newestImage(work.item.newest), 'decode');
    return found;
  }
  for (const arn of new Set(works.map(({ item }) => item.newest.tableArn))) {
    const some = works.filter(({ item }) => item.newest.tableArn === arn);
    try {
      const items = await table.read(
        arn,
        some.map(({ item }) => item.newest.key),
        signal,
      );
      for (const [i, work] of some.entries()) see(work, items[i] as CurrentItem, 'table');
      outage.saw(true);
    } catch (error) {
      // What there was no time for is not tried.
      if (signal?.aborted) continue;
      for (const work of some) keep(work, { stage: 'table', error: error as Error });
      outage.saw(false);
    }
  }
  return found;
}

function newestImage({ after }: Hint): CurrentItem {
  return 'error' in after ? after : { item: after.attributes };
}

function keep(work: Work, ...causes: readonly Hindrance[]): false {
  work.outcome = { type: 'kept', causes };
  return false;
}

/** Whether it was written, so that it must be read once more. */
async function settle(
  work: Work,
  now: Attributes | undefined,
  isLast: boolean,
  { views, cache, table, outage }: SettleInput,
): Promise<boolean> {
  const { newest, images: known, isMissingImages } = work.item;
  if (work.written && isSame(work.written.as, now)) {
    work.outcome = work.written.outcome;
    return false;
  }
  if (isLast) return keep(work, { stage: 'changing', error: new Error(`${newest.item} changes as fast as it is read`) });
  if (work.written?.as) work.elsewhere.push({ as: 'after', attributes: work.written.as });
  // Only then it was written to where it is not known to have been.
  const images = isMissingImages ? [...known, ...work.elsewhere] : known;
  const { mutations, poison } = settlementOf(views, { ...newest, images, isMissingImages, now });
  const causes: Hindrance[] = poison.map(({ error, image }) => ({ stage: 'view', error, image: image?.attributes }));
  let isStale = true;
  try {
    const outcomes = cache && mutations.length > 0 ? await cache.apply(mutations) : [];
    if (mutations.length > 0) outage.saw(true);
    if (cache && outcomes.length !== mutations.length) {
      throw new TypeError(`the cache gave ${outcomes.length} outcomes for ${mutations.length} mutations`);
    }
    for (const [i, outcome] of outcomes.entries()) {
      isStale &&= outcome.type === 'stale';
      if (outcome.type !== 'rejected') continue;
      const mutation = mutations[i];
      const [view] = (mutation?.kind === 'member' ? mutation.list : mutation?.key)?.split(':', 1) ?? [];
      causes.push({ stage: 'rejected', error: new Error(`${view}: ${outcome.reason}`) });
    }
  } catch (error) {
    outage.saw(false);
    return keep(work, { stage: 'cache', error: error as Error });
  }
  const outcome: ItemOutcome = causes.length > 0 ? { type: 'kept', causes } : { type: 'settled' };
  if (!isStale && table) {
    work.written = { as: now, outcome };
    return true;
  }
  work.outcome = outcome;
  return false;
}

/** Attributes are plain data; the order of their names says nothing. */
function isSame(a: unknown, b: unknown): boolean {
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return a === b;
  const [names, others] = [Object.keys(a), Object.keys(b)];
  if (Array.isArray(a) !== Array.isArray(b) || names.length !== others.length) return false;
  return names.every((name) => Object.hasOwn(b, name) && isSame(a[name as keyof typeof a], b[name as keyof typeof b]));
}
