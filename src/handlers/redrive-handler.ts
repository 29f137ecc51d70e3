import { Logger } from '@aws-lambda-powertools/logger';
import type { CacheClient } from '../cache.ts';
import type { LetterStore } from '../letters/store.ts';
import type { KeptCause } from '../redrive/open-letter.ts';
import type { RedriveReport } from '../redrive/redrive.ts';
import { redriveLetters } from '../redrive/redrive-letters.ts';
import { parseRequest, type RedriveRequest } from '../redrive/request.ts';
import type { CurrentItems } from '../redrive/settle-items.ts';
import type { View } from '../view.ts';
import type { StructuredLogger } from './batch-log.ts';
import type { InvocationContext } from './stream-handler.ts';

export interface RedriveHandlerOptions {
  readonly views: readonly View[];
  readonly cache: CacheClient;
  readonly letters: LetterStore;
  readonly table: CurrentItems;
  /** Letters of other tables are left alone. Absent: letters of any table are meant. */
  readonly tableName?: string;
  /** Powertools' logger unless told otherwise. */
  readonly logger?: StructuredLogger;
  /** Told the figures of each run, but not of a dry one. */
  readonly metrics?: (facts: RedriveFacts) => void;
  /** In the last so many ms of the function's time nothing further is begun: keep it above a call of table, cache and store together. 15,000 unless told otherwise. */
  readonly marginMs?: number;
  readonly now?: () => Date;
}

export interface RedriveFacts {
  readonly redriven: number;
  readonly kept: number;
  readonly functionName?: string;
}

/** What a run did, or would do. */
export interface RedriveSummary {
  readonly removed: number;
  readonly kept: number;
  /** How many letters each cause keeps. */
  readonly causes: Readonly<Partial<Record<KeptCause['stage'], number>>>;
  readonly dryRun: boolean;
  /** Why it ended before the last letter; the next run goes on from there. */
  readonly stopped?: RedriveReport['stopped'];
}

/** Where the next run goes on. It has no letter's name. */
const POSITION = 'redrive/position';

/**
 * A Lambda handler that redrives dead letters, on a schedule or by hand with a `RedriveRequest`. It ends in time, and then goes on where it was in
 * the next run: letters are tried by turns, the oldest first, so that those that fail again and again keep no other waiting.
 *
 * It throws when the request is wrong, and when the store of letters does not answer.
 */
export function redriveHandler(
  options: RedriveHandlerOptions,
): (request?: RedriveRequest | null, context?: InvocationContext) => Promise<RedriveSummary> {
  const { views, cache, letters, table, tableName, logger = new Logger(), metrics, marginMs = 15_000, now = () => new Date() } = options;
  return async (request, context) => {
    const started = Date.now();
    const { filter, limit, dryRun } = parseRequest(request, now());
    const remaining = context?.getRemainingTimeInMillis?.();
    let names: readonly string[] = [];
    const from = await readPosition(letters);
    let hasPosition = from !== undefined;
    const goOnAt = async (next: string): Promise<void> => {
      await letters.put(POSITION, JSON.stringify({ next }));
      hasPosition = true;
    };
    const report = await redriveLetters({
      views,
      cache: dryRun ? undefined : cache,
      table,
      store: letters,
      filter: { ...filter, table: filter.table ?? tableName },
      from,
      limit,
      signal: remaining === undefined ? undefined : AbortSignal.timeout(Math.max(0, Math.floor(remaining - marginMs))),
      // A run that is killed, by its timeout or its memory, has got so far.
      onStep: dryRun ? undefined : goOnAt,
      onNames(all) {
        names = all;
      },
    });
    const summary = summaryOf(report, dryRun);
    const { kept, removed } = summary;
    const line = { ...summary, ...exampleOf(report), milliseconds: Date.now() - started };
    if (kept > 0 || report.stopped === 'unavailable') logger.warn('redrive', line);
    else logger.info('redrive', line);
    if (dryRun) return summary;
    metrics?.({ redriven: removed, kept, functionName: context?.functionName });
    let next = report.next;
    if (next !== undefined && report.letters.length === 0 && report.stopped === 'aborted') {
      logger.error('a letter takes longer than the function has', {
        answer: 'raise the timeout of the function, or READ_UNITS_PER_SECOND; meanwhile the next letter has its turn',
        letter: next,
      });
      next = names[names.indexOf(next) + 1];
    }
    if (next !== undefined) await goOnAt(next);
    else if (hasPosition) await letters.delete(POSITION);
    return summary;
  };
}

async function readPosition(letters: LetterStore): Promise<string | undefined> {
  const text = await letters.get(POSITION);
  try {
    const { next } = JSON.parse(text ?? '{}') as { readonly next?: unknown };
    return typeof next === 'string' ? next : undefined;
  } catch {
    return undefined;
  }
}

export function summaryOf({ letters, stopped }: RedriveReport, dryRun: boolean): RedriveSummary {
  const causes: Partial<Record<KeptCause['stage'], number>> = {};
  for (const { causes: its } of letters) {
    for (const stage of new Set(its.map(({ stage }) => stage))) causes[stage] = (causes[stage] ?? 0) + 1;
  }
  const removed = letters.filter(({ status }) => status === 'removed').length;
  return { removed, kept: letters.length - removed, causes, dryRun, ...(stopped && { stopped }) };
}

/** One letter that was kept, and why. */
function exampleOf({ letters }: RedriveReport) {
  const kept = letters.find(({ status }) => status === 'kept');
  const [cause] = kept?.causes ?? [];
  return (
    kept && cause && { letter: kept.name, cause: { stage: cause.stage, error: { name: cause.error.name, message: cause.error.message } } }
  );
}
