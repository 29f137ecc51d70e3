import { type View, viewName } from '../view.ts';
import { countsOf, sum } from './counts.ts';
import { type Pass, type SegmentResult, unsealable } from './segment.ts';

/** What became of a backfill. */
export interface BackfillSummary {
  readonly table: string;
  /** `interrupted`: a pass is not done. */
  readonly status: 'done' | 'interrupted';
  readonly items: number;
  readonly readUnits: number;
  /** Items that no view projects. */
  readonly strange: number;
  /** Where the items lie on which a view threw. */
  readonly letters?: string;
  /** Views whose lives ended while the backfill ran. What was filled for them is not read. */
  readonly ended?: readonly string[];
  readonly views: readonly ViewSummary[];
}

export interface ViewSummary {
  readonly view: string;
  readonly kind: View['kind'];
  /** Documents, or members of lists. */
  readonly entries: number;
  readonly documents?: { readonly filled: number; readonly held: number; readonly lost: number; readonly skipped: number };
  readonly lists?: {
    readonly sealed: number;
    readonly settledByReaders: number;
    readonly incomplete: number;
    readonly unsealed: number;
    readonly isSealable: boolean;
  };
  /** Items on which the view threw. */
  readonly threw: number;
  readonly examples: readonly string[];
}

const EXAMPLES = 3;

/** What was done so far: of each pass, the parts that count. */
export interface PassResults extends Readonly<Record<Pass, readonly SegmentResult[]>> {
  readonly pass: Pass | 'done';
}

export function summaryOf(
  results: PassResults,
  tableName: string,
  views: readonly View[],
  { letters, ended = [] }: { readonly letters?: string | undefined; readonly ended?: readonly string[] } = {},
): BackfillSummary {
  const countsOfPass = (pass: Pass) => sum(results[pass].map(({ counts }) => counts));
  const [mark, fill, seal] = [countsOfPass('mark'), countsOfPass('fill'), countsOfPass('seal')];
  const poisoned = unsealable(results.fill);
  const examples = [...results.mark, ...results.fill].flatMap((state) => state.examples);
  return {
    table: tableName,
    status: results.pass === 'done' ? 'done' : 'interrupted',
    items: mark.items,
    readUnits: mark.units + fill.units + seal.units,
    strange: mark.strange,
    ...(letters !== undefined && { letters }),
    ...(ended.length > 0 && { ended }),
    views: views.map((view): ViewSummary => {
      const name = viewName(view);
      const [marked, filled, sealed] = [countsOf(mark, name), countsOf(fill, name), countsOf(seal, name)];
      const ofView = examples.flatMap((example) => (example.view === name ? example.message : []));
      const common = { view: name, kind: view.kind, examples: [...new Set(ofView)].slice(0, EXAMPLES) };
      if (view.kind === 'document') {
        const { held, lost, skipped } = marked;
        return { ...common, entries: marked.entries, documents: { filled: marked.filled, held, lost, skipped }, threw: marked.threw };
      }
      const isSealable = !poisoned.has(name);
      const { settled: settledByReaders, incomplete, unsealed } = sealed;
      const lists = { sealed: sealed.sealed, settledByReaders, incomplete, unsealed, isSealable };
      return { ...common, entries: filled.entries, lists, threw: filled.threw };
    }),
  };
}

/** Whether all was done. Documents that are `lost` were written by the stream, or the cache can never take them. */
export function isAllDone({ status, views, ended }: BackfillSummary): boolean {
  return (
    status === 'done' && !ended && views.every(({ threw, lists }) => threw === 0 && (lists ? lists.unsealed + lists.incomplete : 0) === 0)
  );
}
