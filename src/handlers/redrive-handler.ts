import { Logger } from '@aws-lambda-powertools/logger';
import type { CacheClient } from '../cache.ts';
import { plainCause, type Stage } from '../cause.ts';
import { MalformedLetterError } from '../errors.ts';
import type { LetterStore } from '../letters/store.ts';
import { type RedriveReport, redrive } from '../redrive/redrive.ts';
import { parseRequest, type RedriveRequest } from '../redrive/request.ts';
import type { TableReader } from '../table.ts';
import { checkDistinct, type View } from '../view.ts';
import type { StructuredLogger } from './batch-log.ts';
import type { InvocationContext } from './stream-handler.ts';

export interface RedriveHandlerOptions {
  readonly views: readonly View[];
  readonly cache: Pick<CacheClient, 'apply'>;
  readonly letters: LetterStore;
  readonly table: TableReader;
  /** Letters of other tables are left alone. Default: letters of every table are taken. */
  readonly tableName?: string;
  /** Default: Powertools' logger. */
  readonly logger?: StructuredLogger;
  /**
   * Called with the figures of each run, except a dry one. The handler then does not log a run that settled every letter, because the line of
   * `redriveMetrics` is its log line.
   */
  readonly metrics?: (facts: RedriveFacts) => void;
  /**
   * In the last `marginMs` of the function's time nothing further is begun. Keep it above one call of the table, the cache and the store together.
   * Default: 15,000.
   */
  readonly marginMs?: number;
  readonly now?: () => Date;
}

export interface RedriveFacts {
  readonly redriven: number;
  readonly kept: number;
  /** Duration of the run, ms. */
  readonly milliseconds: number;
  readonly functionName?: string;
}

/** What a run did, or would do. */
export interface RedriveSummary {
  readonly removed: number;
  readonly kept: number;
  /** The number of letters that each stage keeps. */
  readonly causes: Readonly<Partial<Record<Stage, number>>>;
  readonly dryRun: boolean;
  /** Why the run ended before the last letter. The next run goes on from there. */
  readonly stopped?: RedriveReport['stopped'];
}

/** The name of the position in the store. Not a valid letter name, so it cannot collide with one. */
const POSITION = 'redrive/position';
const MAXIMUM_POSITION_BYTES = 1_000_000;

/** Where the next run goes on. */
interface Position {
  /** The letter to begin with. Absent: the oldest, or the one after `trying`. */
  readonly next?: string;
  /** The letters that were being tried. A run that comes to its end leaves none, so one of these may have killed the run. */
  readonly trying: readonly string[];
  /** Letters that may have killed an earlier run, and have not come to their end since. */
  readonly suspects: readonly string[];
}

/**
 * Makes a Lambda handler that redrives dead letters, on a schedule or by hand with a `RedriveRequest`. A run ends in time, and the next run goes on
 * where it ended. Letters take turns, oldest first, so a letter that fails again and again does not keep the others waiting.
 *
 * The position is saved before letters are tried, so a letter that kills the function does not stop the redrive. The next run begins after the
 * letters that were being tried; when their turn comes again, each is tried by itself.
 *
 * The handler throws when the request is wrong, and when the letter store does not answer.
 */
export function redriveHandler(
  options: RedriveHandlerOptions,
): (request?: RedriveRequest | null, context?: InvocationContext) => Promise<RedriveSummary> {
  const { views, cache, letters, table, tableName, logger = new Logger(), metrics, marginMs = 15_000, now = () => new Date() } = options;
  checkDistinct(views);
  return async (request, context) => {
    const started = Date.now();
    const { filter, limit, dryRun } = parseRequest(request, now());
    const remaining = context?.getRemainingTimeInMillis?.();
    let names: readonly string[] = [];
    const before = await readPosition(letters);
    const suspects = new Set([...(before?.suspects ?? []), ...(before?.trying ?? [])]);
    if (before && before.trying.length > 0) {
      logger.error('the redrive before this one did not come to its end', {
        answer:
          'one of these letters may have killed the function: the redrive goes on after them, and when their turn comes again, each is tried by itself; if one is at fault, give the function more memory or time, or remove the letter (no harm if that redrive is still running)',
        letters: before.trying.slice(0, 5),
        count: before.trying.length,
      });
    }
    let trying: readonly string[] = [];
    let hasPosition = before !== undefined;
    const savePosition = async (next: string | undefined): Promise<void> => {
      await letters.put(POSITION, JSON.stringify({ next, trying, suspects: [...suspects] } satisfies Position));
      hasPosition = true;
    };
    /** The letters of the step before have come to their end. */
    const endStep = (): void => {
      for (const name of trying) suspects.delete(name);
      trying = [];
    };
    const report = await redrive({
      views,
      cache: dryRun ? undefined : cache,
      table,
      store: letters,
      filter: { ...filter, table: filter.table ?? tableName },
      from: before?.next,
      after: before?.trying.at(-1),
      suspects,
      limit,
      signal: remaining === undefined ? undefined : AbortSignal.timeout(Math.max(0, Math.floor(remaining - marginMs))),
      // A run may be killed by its timeout or its memory.
      ...(!dryRun && {
        onStep(some) {
          endStep();
          trying = some;
          return savePosition(undefined);
        },
      }),
      onNames(all) {
        names = all;
      },
    });
    endStep();
    const summary = summaryOf(report, dryRun);
    const { kept, removed } = summary;
    const milliseconds = Date.now() - started;
    const line = { ...summary, ...exampleOf(report), milliseconds };
    if (kept > 0 || report.stopped === 'unavailable') logger.warn('redrive', line);
    else if (!metrics || dryRun || report.stopped) logger.info('redrive', line);
    if (dryRun) return summary;
    metrics?.({ redriven: removed, kept, milliseconds, functionName: context?.functionName });
    let next = report.next;
    if (next !== undefined && report.letters.length === 0 && report.stopped === 'aborted') {
      logger.error('a letter takes longer than the function has', {
        answer: 'raise the timeout of the function, or READ_UNITS_PER_SECOND; the next run begins with the letter after this one',
        letter: next,
      });
      next = names[names.indexOf(next) + 1];
    }
    // A run that lists all letters finds out which suspects are gone.
    if (!filter.since && !filter.until) for (const name of suspects) if (!names.includes(name)) suspects.delete(name);
    if (next !== undefined || suspects.size > 0) await savePosition(next);
    else if (hasPosition) await letters.delete(POSITION);
    return summary;
  };
}

/** A position that cannot be read is one that says nothing: the run begins with the oldest letter. */
async function readPosition(letters: LetterStore): Promise<Position | undefined> {
  let text: string | undefined;
  try {
    text = await letters.get(POSITION, MAXIMUM_POSITION_BYTES);
  } catch (error) {
    if (!(error instanceof MalformedLetterError)) throw error;
    text = '';
  }
  return text === undefined ? undefined : positionIn(text);
}

function positionIn(text: string): Position {
  try {
    const { next, trying, suspects } = (JSON.parse(text) ?? {}) as Readonly<Record<string, unknown>>;
    return { next: typeof next === 'string' ? next : undefined, trying: namesIn(trying), suspects: namesIn(suspects) };
  } catch {
    return { trying: [], suspects: [] };
  }
}

function namesIn(list: unknown): readonly string[] {
  return Array.isArray(list) ? list.filter((name) => typeof name === 'string') : [];
}

function summaryOf({ letters, stopped }: RedriveReport, dryRun: boolean): RedriveSummary {
  const causes: Partial<Record<Stage, number>> = {};
  for (const letter of letters) {
    for (const stage of new Set(letter.causes.map(({ stage }) => stage))) causes[stage] = (causes[stage] ?? 0) + 1;
  }
  const removed = letters.filter(({ status }) => status === 'removed').length;
  return { removed, kept: letters.length - removed, causes, dryRun, ...(stopped && { stopped }) };
}

/** One letter that was kept, and its first cause. */
function exampleOf({ letters }: RedriveReport) {
  const kept = letters.find(({ status }) => status === 'kept');
  const [cause] = kept?.causes ?? [];
  return kept && cause && { letter: kept.name, cause: plainCause(cause) };
}
