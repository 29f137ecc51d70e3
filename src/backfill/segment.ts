import { setTimeout as sleep } from 'node:timers/promises';
import { fullJitter } from '../backoff.ts';
import type { FoundMember, MarkedList } from '../cache.ts';
import type { Marshalled } from '../dynamodb/record.ts';
import type { ScannedTable, ScanPage } from '../dynamodb/scanned-table.ts';
import { CacheUnavailableError, TableUnavailableError } from '../errors.ts';
import { jsonOf } from '../plan/projection.ts';
import { type View, viewName } from '../view.ts';
import { type Counts, NO_COUNTS, sum, Tally } from './counts.ts';
import { fillDocuments, type ItemDocuments } from './documents.ts';
import { ended } from './ended.ts';
import type { ItemLetters } from './item-letters.ts';
import { ListNames } from './list-names.ts';
import type { BackfillCache } from './lives.ts';
import { type Groups, grouped, type PageItem, type ProjectedItem, pageItem, projected } from './project.ts';
import { sealLists } from './seal.ts';

/**
 * The passes of a backfill, in their order. Each begins after every segment of the one before is done, and no worker of that one may run any more.
 *
 * - `mark`: fills the documents, and marks the lists.
 * - `fill`: puts the members into the lists that have the mark.
 * - `seal`: seals the lists that have the mark.
 */
export type Pass = 'mark' | 'fill' | 'seal';

/** What was done in a pass over a segment. */
export interface SegmentResult {
  /** Of the pages that were written. */
  readonly counts: Counts;
  /** The first items on which each view threw. */
  readonly examples: readonly Example[];
}

/** Where a pass over a segment stands. It is plain data, so that another process can go on. */
export interface SegmentCheckpoint extends SegmentResult {
  readonly pass: Pass;
  /** From 0 to below `segments`. */
  readonly segment: number;
  readonly segments: number;
  /** The key after which the next page begins, with the types of its attributes. Absent at the segment's beginning, and when it is done. */
  readonly after?: Marshalled;
  /** Whether all of the segment was read and written. */
  readonly isDone: boolean;
}

/** An item on which a view threw. The message names the item, but no secret keys. */
interface Example {
  readonly view: string;
  readonly message: string;
}

export interface SegmentInput {
  readonly table: ScannedTable;
  readonly cache: BackfillCache;
  /** All views of the backfill, in every pass. */
  readonly views: readonly View[];
  /** Tells this backfill from all others: 1 to 64 letters, digits and `-`. */
  readonly survey: string;
  readonly from: SegmentCheckpoint;
  /** Where the items go on which a view throws. Absent: they are only counted. */
  readonly letters?: ItemLetters | undefined;
  /** In the pass `seal`: the views of which no list may be sealed; see `unsealable`. */
  readonly unsealable?: ReadonlySet<string>;
  /** Lists that a pass has marked, filled or sealed already, of all its segments in this process. It saves calls. */
  readonly known?: ListNames;
  /** Once aborted, the worker ends: the page that it is writing is written, as far as it needs no read. */
  readonly signal: AbortSignal;
  /** Called after each page. */
  readonly onPage?: (checkpoint: SegmentCheckpoint) => void;
  /** Called before each page is written. It throws what `checkLives` of `lives.ts` throws. Absent: the views have no lives. */
  readonly checkLives?: (() => Promise<void>) | undefined;
  /** For how long a page is tried again while the cache gives no answer, or the table none to reads by key, ms. Default: 60,000. */
  readonly retryForMs?: number;
  /**
   * In the pass `fill`, a page that was read longer ago than this is read again, ms: a list remembers a deleted member for a limited time only, and a
   * process may have stood still. Default: 600,000.
   */
  readonly pageAgeMs?: number;
}

/** Names of lists that a worker keeps when nobody shares `known`. */
const KNOWN_LISTS = 10_000;
/** Examples of one view. */
const EXAMPLES = 3;

export function segmentStart(pass: Pass, segment: number, segments: number): SegmentCheckpoint {
  return { pass, segment, segments, isDone: false, counts: NO_COUNTS, examples: [] };
}

/**
 * Runs one pass over one segment of a table, page by page, from where the checkpoint says. While a page is written, the next one is read.
 *
 * The worker may be killed at any moment. Then another one goes on from any earlier checkpoint of this segment: writing a page again is harmless.
 *
 * @returns where it stopped: at the end of the segment, or where the signal ended it
 * @throws LifeEndedError when the life of a view has ended
 * @throws CacheUnavailableError when the cache gives no answer for `retryForMs`, TableUnavailableError or TableRefusalError as `ScannedTable` does, and
 * what the store of letters throws. The checkpoint of the last `onPage` stands.
 */
export async function runSegment(input: SegmentInput): Promise<SegmentCheckpoint> {
  const { table, from, signal, onPage, retryForMs = 60_000, pageAgeMs = 600_000 } = input;
  const { segment, segments, pass } = from;
  const documents = input.views.filter(({ kind }) => kind === 'document');
  const groups = { groups: grouped(viewsOf(input)), all: grouped(input.views), documents: grouped(documents) };
  const work: Work = { ...input, ...groups, known: input.known ?? new ListNames(KNOWN_LISTS) };
  const read = async (after: Marshalled | undefined): Promise<ReadPage> => {
    const page = await table.scan({ segment, segments, after, consistent: pass === 'fill' }, signal);
    return { ...page, readAt: Date.now() };
  };
  let at = from;
  let page: Promise<ReadPage> | undefined;
  let failures = 0;
  let failingSince = 0;
  try {
    while (!at.isDone) {
      const { readAt, ...current } = await (page ?? read(at.after));
      page = undefined;
      signal.throwIfAborted();
      if (pass === 'fill' && Date.now() - readAt > pageAgeMs) continue;
      page = current.next && read(current.next);
      // It is awaited later, or never.
      page?.catch(() => {});
      let written: Written;
      try {
        await input.checkLives?.();
        written = await write(work, current);
      } catch (error) {
        if (!(error instanceof CacheUnavailableError || error instanceof TableUnavailableError)) throw error;
        // The next attempt reads the page again: a fill may be repeated only then.
        page = undefined;
        failures += 1;
        if (failures === 1) failingSince = performance.now();
        const pauseMs = fullJitter(failures, 100, 5_000);
        if (performance.now() - failingSince + pauseMs > retryForMs) throw error;
        await sleep(pauseMs, undefined, { signal });
        continue;
      }
      failures = 0;
      const { after: _, ...rest } = at;
      at = {
        ...rest,
        ...(current.next && { after: current.next }),
        isDone: current.next === undefined,
        counts: sum([at.counts, written.counts]),
        examples: firstOfEach([...at.examples, ...written.examples]),
      };
      onPage?.(at);
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
  return at;
}

/** The views of which an item was found that they cannot project. Of these, no list may be sealed: nobody knows which list the item belongs to. */
export function unsealable(filled: readonly Pick<SegmentResult, 'counts'>[]): ReadonlySet<string> {
  const { views } = sum(filled.map(({ counts }) => counts));
  return new Set(Object.entries(views).flatMap(([name, { threw }]) => (threw > 0 ? [name] : [])));
}

/** Of each view, its first examples. */
export function firstOfEach(examples: readonly Example[]): readonly Example[] {
  const counts = new Map<string, number>();
  return examples.filter(({ view }) => {
    const count = (counts.get(view) ?? 0) + 1;
    counts.set(view, count);
    return count <= EXAMPLES;
  });
}

interface ReadPage extends ScanPage {
  /** ms since the epoch: other clocks stand still while a machine sleeps or a function is frozen. */
  readonly readAt: number;
}

interface Written {
  readonly counts: Counts;
  readonly examples: readonly Example[];
}

interface Work extends SegmentInput {
  readonly known: ListNames;
  /** The views of the pass. */
  readonly groups: Groups;
  /** The views of the backfill. */
  readonly all: Groups;
  /** The document views of the backfill. */
  readonly documents: Groups;
}

function viewsOf({ views, from, unsealable: none }: SegmentInput): readonly View[] {
  if (from.pass === 'mark') return views;
  const lists = views.filter(({ kind }) => kind === 'list');
  return from.pass === 'fill' ? lists : lists.filter((view) => !none?.has(viewName(view)));
}

async function write(work: Work, { items, units }: ScanPage): Promise<Written> {
  const { table, groups, from } = work;
  const tally = new Tally();
  tally.add('items', items.length);
  tally.add('units', units);
  const examples: Example[] = [];
  const aside = async (item: PageItem, { causes }: ProjectedItem): Promise<void> => {
    for (const { view, error } of causes) {
      tally.of(view, 'threw');
      examples.push({ view, message: error.message });
    }
    await writeLetter(work, item, causes);
  };
  const page: ProjectedItem[] = [];
  const documents: ItemDocuments[] = [];
  for (const given of items) {
    const item = pageItem(given, table.keys);
    const result = projected(groups, table.keys, item, from.pass === 'fill' ? jsonOf : undefined);
    if (!result.isOwned) tally.add('strange');
    for (const view of result.skipped) tally.of(view, 'skipped');
    for (const { view, entries } of result.projections) tally.of(view.name, 'entries', entries.length);
    if (result.causes.length > 0) await aside(item, result);
    page.push(result);
    if (from.pass === 'mark') documents.push(...documentsOf(item, result));
  }
  switch (from.pass) {
    case 'mark':
      await ended([markLists(work, page), fillDocuments({ ...work, groups: work.documents, setAside: aside }, documents, tally)]);
      break;
    case 'fill':
      await fillLists(work, page);
      break;
    case 'seal':
      await sealNewLists(work, page, tally);
  }
  return { counts: tally.counts, examples };
}

async function writeLetter({ all, table, letters, from }: Work, item: PageItem, causes: ProjectedItem['causes']): Promise<void> {
  if (!letters || from.pass === 'seal') return;
  // With the causes of all views, so that an item has the same letter in each pass.
  const every = projected(all, table.keys, item, jsonOf).causes;
  await letters.put(item.key, item.item, every.length > 0 ? every : causes);
}

function documentsOf(item: PageItem, { projections }: ProjectedItem): readonly ItemDocuments[] {
  const keys = new Map<string, string>();
  for (const { view, entries } of projections) {
    for (const entry of entries) if (entry.kind === 'document') keys.set(entry.key, view.name);
  }
  return keys.size > 0 ? [{ item, keys }] : [];
}

/** The lists of a page, each once, without those that are known. */
function newLists(known: ListNames, page: readonly ProjectedItem[]): readonly MarkedList[] {
  const lists = new Map<string, MarkedList>();
  for (const { projections } of page) {
    for (const { entries } of projections) {
      for (const entry of entries) {
        if (entry.kind === 'member' && !known.has(entry.list)) lists.set(entry.list, { list: entry.list, keep: entry.keep });
      }
    }
  }
  return [...lists.values()];
}

async function markLists({ cache, known, survey }: Work, page: readonly ProjectedItem[]): Promise<void> {
  const lists = newLists(known, page);
  if (lists.length === 0) return;
  await cache.mark(lists, survey);
  known.add(lists.map(({ list }) => list));
}

async function sealNewLists({ cache, known, survey }: Work, page: readonly ProjectedItem[], tally: Tally): Promise<void> {
  const lists = newLists(known, page).map(({ list }) => list);
  if (lists.length === 0) return;
  await sealLists(cache, lists, survey, tally);
  known.add(lists);
}

/** The most members of a list that one script of a cache puts, so that the cache serves others in between. */
const MEMBERS_AT_ONCE = 250;

async function fillLists({ cache, known, survey }: Work, page: readonly ProjectedItem[]): Promise<void> {
  const lists = new Map<string, { readonly keep: number; readonly members: Map<string, FoundMember> }>();
  for (const { projections } of page) {
    for (const { entries } of projections) {
      for (const entry of entries) {
        if (entry.kind !== 'member') continue;
        let list = lists.get(entry.list);
        if (!list) {
          list = { keep: entry.keep, members: new Map() };
          lists.set(entry.list, list);
        }
        const { member, score, json } = entry;
        if (!list.members.has(member)) list.members.set(member, { member, score, json });
      }
    }
  }
  const fills = [...lists].flatMap(([list, { keep, members }]) => {
    // Greatest first: of a full list, the rest of the members is then dropped at once.
    const sorted = [...members.values()].sort((a, b) => b.score - a.score);
    const parts = Math.ceil(sorted.length / MEMBERS_AT_ONCE);
    return Array.from({ length: parts }, (_, i) => ({ list, keep, members: sorted.slice(i * MEMBERS_AT_ONCE, (i + 1) * MEMBERS_AT_ONCE) }));
  });
  if (fills.length === 0) return;
  // A list without the mark is not filled. The pass `seal` counts it.
  await cache.fill(fills, survey);
  known.add(lists.keys());
}
