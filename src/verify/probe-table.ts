import type { Marshalled } from '../dynamodb/record.ts';
import { type View, viewName } from '../view.ts';
import type { Observer } from './look.ts';
import type { MemberNames } from './member-names.ts';
import type { Observed } from './observation.ts';
import type { VerifiedTable } from './table.ts';
import { entriesIn, subjectOf, tableItem, truthOfEntry } from './truth.ts';

export interface TableProbeInput {
  readonly verifier: Observer;
  readonly table: VerifiedTable;
  readonly views: readonly View[];
  readonly names: MemberNames;
  /** The segments to read, of `of`. */
  readonly segments: readonly number[];
  readonly of: number;
  readonly signal: AbortSignal;
  /** The most segments that are read at the same time. Default: 8. */
  readonly atOnce?: number;
  /** Called after each page. */
  readonly onPage?: (page: { readonly items: number; readonly isLast: boolean }) => void;
}

/**
 * From the table to the cache: scans segments, consistently, and observes the address of each entry that the views give.
 *
 * @throws as `Observer.observe`, when all segments under way have ended
 */
export async function probeTable(input: TableProbeInput): Promise<void> {
  const { segments, atOnce = 8 } = input;
  const waiting = segments.values();
  const stop = new AbortController();
  const signal = AbortSignal.any([input.signal, stop.signal]);
  const failures: unknown[] = [];
  const lane = async (): Promise<void> => {
    for (const segment of waiting) {
      if (signal.aborted) return;
      try {
        await probeSegment({ ...input, signal }, segment);
      } catch (error) {
        failures.push(error);
        stop.abort();
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, segments.length) }, lane));
  if (failures.length > 0 && !input.signal.aborted) throw failures[0];
}

async function probeSegment(input: TableProbeInput, segment: number): Promise<void> {
  const { verifier, table, segments, of, signal, onPage } = input;
  const isSample = segments.length < of;
  let after: Marshalled | undefined;
  do {
    const page = await table.scan({ segment, segments: of, after, consistent: true }, signal);
    verifier.units += page.units;
    const observed = page.items.flatMap((item) => observedIn(input, item));
    await verifier.observe('table', isSample ? observed.map((one) => ({ ...one, cluster: segment })) : observed);
    after = page.next;
    onPage?.({ items: page.items.length, isLast: after === undefined });
  } while (after);
}

/** The addresses of an item. An item that a view cannot project counts as undecided. */
function observedIn({ verifier, table, views, names }: TableProbeInput, given: Marshalled): readonly Observed[] {
  const item = tableItem(given, table.keys);
  const observed: Observed[] = [];
  for (const view of views) {
    const name = viewName(view);
    const entries = item && entriesIn(view, item.attributes, item.name);
    if (!entries) {
      verifier.tally.add(name, 'table', { type: 'undecided' });
      continue;
    }
    names.learn(name, entries, item.name);
    for (const entry of entries) observed.push({ subject: subjectOf(view, entry, item.key), scanned: truthOfEntry(entry) });
  }
  return observed;
}
