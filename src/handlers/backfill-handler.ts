import { randomUUID } from 'node:crypto';
import { Logger } from '@aws-lambda-powertools/logger';
import type { DynamoDBClient, TableDescription } from '@aws-sdk/client-dynamodb';
import { countsOf, NO_COUNTS, sum } from '../backfill/counts.ts';
import { itemLetters } from '../backfill/item-letters.ts';
import {
  type BackfillCache,
  checkLives,
  endedLives,
  idsOf,
  isLiving,
  LifeEndedError,
  type LivingBackfillCache,
  usableFrom,
} from '../backfill/lives.ts';
import {
  type BackfillEvent,
  type BackfillPlan,
  type BackfillRequest,
  type PlanEvent,
  parseEvent,
  type ReportEvent,
  type RunEvent,
  type SumEvent,
} from '../backfill/request.ts';
import {
  firstOfEach,
  type Pass,
  runSegment,
  type SegmentCheckpoint,
  type SegmentResult,
  segmentStart,
  unsealable,
} from '../backfill/segment.ts';
import { type BackfillSummary, isAllDone, summaryOf } from '../backfill/summary.ts';
import { viewsNamed } from '../backfill/views-named.ts';
import { followable } from '../dynamodb/followable.ts';
import { readBudget } from '../dynamodb/read-budget.ts';
import { scannedTable } from '../dynamodb/scanned-table.ts';
import { asError, CacheUnavailableError, ConfigurationError, quoted, TableUnavailableError } from '../errors.ts';
import type { LetterStore } from '../letters/store.ts';
import { checkDistinct, type View, viewName } from '../view.ts';
import type { StructuredLogger } from './batch-log.ts';
import type { InvocationContext } from './stream-handler.ts';
import { timeNearlyOver } from './time-nearly-over.ts';

export type { BackfillEvent, BackfillPlan, BackfillRequest, BackfillSummary, PlanEvent, ReportEvent, RunEvent, SumEvent };

export interface BackfillHandlerOptions {
  /** All views that the worker fills. */
  readonly views: readonly View[];
  /** With lives, if the worker's cache has them: `withLives(valkeyCache({ … }))`. */
  readonly cache: BackfillCache | LivingBackfillCache;
  /** The table that the worker follows. */
  readonly table: {
    /** Needs `dynamodb:DescribeTable`, `dynamodb:Scan` and `dynamodb:BatchGetItem`. */
    readonly client: Pick<DynamoDBClient, 'send'>;
    readonly name: string;
  };
  /** Where checkpoints, results and reports lie. They have keys of items, so the place must be private. */
  readonly checkpoints: Pick<LetterStore, 'put' | 'get'>;
  /** Where the items go on which a view throws. Default: they are only counted. */
  readonly letters?: Pick<LetterStore, 'put'> | undefined;
  /** Tells the cache from others, without secrets. A backfill fails when the function gets another cache meanwhile. Default: `cache`. */
  readonly cacheId?: string;
  /** Read units of the table to use per second, on average, over all segments. Default: 500. */
  readonly readUnitsPerSecond?: number;
  /** The most segments that are read at the same time. Default: 10. */
  readonly segmentsAtOnce?: number;
  /** Default: Powertools' logger. */
  readonly logger?: StructuredLogger;
  /** Called with the figures of each run of a segment. The handler then does not log such a run, because the line of `backfillMetrics` is its log line. */
  readonly metrics?: (facts: BackfillFacts) => void;
  /** In the last `marginMs` of the function's time no further page is begun. Default: 20,000. */
  readonly marginMs?: number;
  /** For how long a page is tried again while cache or table give no answer, ms. Then the invocation ends. Default: 60,000. */
  readonly retryForMs?: number;
  /** How long a call of the cache by a killed invocation may take effect: the deadline of one call, ms. Default: 5,000. */
  readonly lateCallsMs?: number;
  readonly now?: () => Date;
}

/** What one invocation did for a segment. */
export interface BackfillFacts {
  readonly survey: string;
  readonly pass: Pass;
  readonly segment: number;
  readonly isDone: boolean;
  readonly items: number;
  readonly readUnits: number;
  /** Documents that were settled. */
  readonly filled: number;
  /** Lists that were sealed. */
  readonly sealed: number;
  /** Items on which a view threw; once a view and pass. */
  readonly threw: number;
  /** Duration of the invocation, ms. */
  readonly milliseconds: number;
  readonly functionName?: string;
}

export interface PlanAnswer {
  readonly plan: BackfillPlan;
  /** 0, 1, … */
  readonly segments: readonly number[];
  readonly segmentsAtOnce: number;
  /** When the lives of the views are usable, ISO 8601. The pass `mark` must begin after that. */
  readonly usableAt: string;
  /** Whether the passes `fill` and `seal` follow. */
  readonly hasLists: boolean;
  /** How long an invocation of which nobody knows may still write after the pass `mark`, s. The pass `fill` must begin after that. */
  readonly drainSeconds: number;
}

/** The event of the next invocation; `checkpoint` says where it goes on. */
export type RunAnswer = RunEvent & { readonly checkpoint: string; readonly isDone: boolean };

export interface SumAnswer {
  readonly items: number;
  readonly readUnits: number;
  /** Names of views of which no list may be sealed. */
  readonly unsealable: readonly string[];
}

export interface BackfillReport extends BackfillSummary {
  readonly execution: string;
  readonly survey: string;
  readonly begun: string;
  /** Whether all was filled: no view threw, and all lists are complete. */
  readonly isAllDone: boolean;
  /** The pass that is not done, and its first segments that are not. */
  readonly unfinished?: { readonly pass: Pass; readonly count: number; readonly segments: readonly number[] };
}

/** Read units a second of a segment, if there are as many. With fewer units an invocation would mostly wait for them, and Lambda charges the wait. */
const LEAST_UNITS = 500;
const MOST_SEGMENTS = 10_000;
const SEGMENT_BYTES = 1_000_000_000;
/** Objects of the store that are read at the same time. */
const READS_AT_ONCE = 32;
const SHOWN_SEGMENTS = 20;

/**
 * Makes the Lambda handler of a backfill in parts, which a state machine runs, such as that of `deploy/backfill.yaml`:
 *
 * 1. `plan` looks at the table, cuts it into segments, and starts the lives of the views that have none, or new ones of all.
 * 2. `run` runs one pass over one segment, until the segment is done or the function's time is nearly over. It is invoked with its own answer until
 *    `isDone`. It may be killed at any moment, and may be invoked twice with the same event.
 * 3. `sum` closes a pass: it throws unless all segments are done, and later runs of this pass are refused.
 * 4. `report` says what was done, at any time.
 *
 * The pass `mark` begins at `usableAt`. Each other pass begins after the one before is closed, and the pass `fill` after `drainSeconds` more.
 *
 * The handler throws a TypeError when the event is wrong, and a ConfigurationError when the backfill cannot go on: the function was changed meanwhile, or
 * the life of a view has ended. It also throws what `runSegment` throws if not a single page was written, and what the stores throw.
 */
export function backfillHandler(options: BackfillHandlerOptions): BackfillHandler {
  const { logger = new Logger() } = options;
  checkDistinct(options.views);
  const handle = async (event: unknown, context?: InvocationContext): Promise<unknown> => {
    const parsed = parseEvent(event);
    try {
      switch (parsed.action) {
        case 'plan':
          return await planned(options, parsed, context);
        case 'run':
          return await run({ ...options, logger }, parsed, context);
        case 'sum':
          return await summed(options, parsed);
        case 'report':
          return await reported({ ...options, logger }, parsed);
      }
    } catch (error) {
      if (error instanceof LifeEndedError) throw new ConfigurationError(`${error.message} by a new execution`, { cause: error });
      throw error;
    }
  };
  return handle as BackfillHandler;
}

export interface BackfillHandler {
  (event: PlanEvent, context?: InvocationContext): Promise<PlanAnswer>;
  (event: RunEvent, context?: InvocationContext): Promise<RunAnswer>;
  (event: SumEvent, context?: InvocationContext): Promise<SumAnswer>;
  (event: ReportEvent, context?: InvocationContext): Promise<BackfillReport>;
  (event: BackfillEvent, context?: InvocationContext): Promise<PlanAnswer | RunAnswer | SumAnswer | BackfillReport>;
}

async function planned(
  options: BackfillHandlerOptions,
  { execution, request = {} }: PlanEvent,
  context: InvocationContext | undefined,
): Promise<PlanAnswer> {
  const { table, checkpoints, lateCallsMs = 5_000, now = () => new Date() } = options;
  const views = viewsNamed(
    options.views,
    request.views,
    (name, known) => new TypeError(`the event is wrong: in request, views has ${quoted(name)}, which is no view: give ${known}`),
  );
  const readUnits = request.readUnitsPerSecond ?? options.readUnitsPerSecond ?? 500;
  const wanted = request.segmentsAtOnce ?? options.segmentsAtOnce ?? 10;
  const affordable = Math.max(1, Math.min(wanted, Math.floor(readUnits / LEAST_UNITS)));
  const { TableSizeBytes: bytes = 0, ...found } = await followable(table.client, table.name);
  const segments = request.segments ?? Math.min(MOST_SEGMENTS, Math.max(affordable, Math.ceil(bytes / SEGMENT_BYTES)));
  const segmentsAtOnce = Math.min(affordable, segments);
  if (request.fresh && !isLiving(options.cache)) {
    throw new TypeError(
      'the event is wrong: in request, fresh is "true", and the views of the cache have no lives: give worker, readers and this function another CACHE_NAMESPACE instead',
    );
  }
  const lives = isLiving(options.cache) ? await options.cache.start(views, { fresh: request.fresh }) : undefined;
  const begun = now().toISOString();
  const plan: BackfillPlan = {
    survey: randomUUID(),
    begun,
    tableArn: found.TableArn ?? '',
    tableId: tableIdOf(found),
    streamArn: found.LatestStreamArn,
    keys: (found.KeySchema ?? []).flatMap(({ AttributeName: name }) => name ?? []),
    views: views.map(viewName).sort(),
    cache: cacheIdOf(options),
    segments,
    readUnitsPerSecond: readUnits / segmentsAtOnce,
    ...(lives && { lives: idsOf(lives) }),
  };
  await checkpoints.put(planName(execution), JSON.stringify(plan));
  return {
    plan,
    segments: Array.from({ length: segments }, (_, i) => i),
    segmentsAtOnce,
    usableAt: lives ? new Date(usableFrom(lives, idsOf(lives))).toISOString() : begun,
    hasLists: views.some(({ kind }) => kind === 'list'),
    // An invocation ends with the function's time, and its calls with their deadline.
    drainSeconds: Math.ceil(((context?.getRemainingTimeInMillis?.() ?? 0) + lateCallsMs) / 1_000) + 1,
  };
}

interface LoggedOptions extends BackfillHandlerOptions {
  readonly logger: StructuredLogger;
}

async function run(options: LoggedOptions, event: RunEvent, context: InvocationContext | undefined): Promise<RunAnswer> {
  const { cache, table, checkpoints, letters, logger, metrics, marginMs = 20_000, retryForMs = 60_000 } = options;
  const { plan, pass, segment } = event;
  const started = Date.now();
  const timeOver = timeNearlyOver(context, marginMs);
  const end = new AbortController();
  const views = viewsOf(options, plan);
  const check = checkOf(options, plan);
  if ((await checkpoints.get(sumName(plan, pass))) !== undefined) {
    throw new TypeError(`the event is wrong: pass is "${pass}", which is closed: it ended before this run`);
  }
  const from = await checkpointOf(checkpoints, event);
  const none = new Set(event.unsealable);
  const isNeedless = pass === 'seal' && views.every((view) => view.kind === 'document' || none.has(viewName(view)));
  // Its counts are those of this invocation.
  let at: SegmentCheckpoint = { ...from, counts: NO_COUNTS, isDone: from.isDone || isNeedless };
  let pages = 0;
  try {
    at = await runSegment({
      from: at,
      table: scannedTable({
        client: table.client,
        arn: plan.tableArn,
        keys: plan.keys,
        budget: readBudget(plan.readUnitsPerSecond),
        retryForMs,
      }),
      retryForMs,
      cache,
      checkLives: check,
      views,
      survey: plan.survey,
      letters: letters && itemLetters({ store: letters, streamArn: plan.streamArn, at: new Date(plan.begun) }),
      unsealable: none,
      signal: AbortSignal.any([timeOver, end.signal]),
      onPage(next) {
        pages += 1;
        at = next;
      },
    });
  } catch (thrown) {
    const error = asError(thrown);
    const { name, message } = error;
    logger.warn('backfill failed on a page', { survey: plan.survey, pass, segment, pages, error: { name, message } });
    // The next invocation goes on from here.
    if (pages === 0 || !(error instanceof CacheUnavailableError || error instanceof TableUnavailableError)) throw error;
  } finally {
    // A page that is read ahead would be read on when the function is thawed.
    end.abort();
  }
  if (pages === 0 && !at.isDone) {
    throw new Error(
      `segment ${segment} of the pass ${pass}: no page was filled in the function's time: give more READ_UNITS_PER_SECOND, fewer SEGMENTS_AT_ONCE, or a longer timeout`,
    );
  }
  const total: SegmentCheckpoint = { ...at, counts: sum([from.counts, at.counts]) };
  const checkpoint = at.isDone ? resultName(plan, pass, segment) : nextName(event);
  await checkpoints.put(checkpoint, JSON.stringify(total));
  const facts = factsOf(event, at, { milliseconds: Date.now() - started, functionName: context?.functionName });
  if (!metrics) logger.info('backfill', { ...facts });
  metrics?.(facts);
  return { ...event, checkpoint, isDone: at.isDone };
}

function factsOf(
  { plan: { survey }, pass, segment }: RunEvent,
  { counts, isDone }: SegmentCheckpoint,
  more: Pick<BackfillFacts, 'milliseconds' | 'functionName'>,
): BackfillFacts {
  const { items, units: readUnits, views } = counts;
  const total = (of: 'filled' | 'sealed' | 'threw') => Object.keys(views).reduce((all, view) => all + countsOf(counts, view)[of], 0);
  return {
    survey,
    pass,
    segment,
    isDone,
    items,
    readUnits,
    filled: total('filled'),
    sealed: total('sealed'),
    threw: total('threw'),
    ...more,
  };
}

/** @throws ConfigurationError when the function has other views or another cache than at the beginning */
function viewsOf(options: BackfillHandlerOptions, plan: BackfillPlan): readonly View[] {
  const absent = plan.views.filter((name) => !options.views.some((view) => viewName(view) === name));
  const wayOut = 'start a new execution, or deploy the function as it was';
  if (absent.length > 0) throw new ConfigurationError(`the function has no view ${absent.join(', ')} any more: ${wayOut}`);
  if (plan.cache !== cacheIdOf(options))
    throw new ConfigurationError(`the function has another cache than when the backfill began: ${wayOut}`);
  return options.views.filter((view) => plan.views.includes(viewName(view)));
}

/**
 * What checks that the lives of the plan have not ended. Undefined: the views have none.
 *
 * @throws ConfigurationError when the views had lives at the beginning and have none now, or the other way round
 */
function checkOf({ cache }: BackfillHandlerOptions, { lives }: BackfillPlan): (() => Promise<void>) | undefined {
  if (lives && isLiving(cache)) return () => checkLives(cache, lives);
  if (!lives && !isLiving(cache)) return undefined;
  const [then, today] = lives ? ['with', 'without'] : ['without', 'with'];
  throw new ConfigurationError(
    `the backfill began ${then} lives of views, and the function has its cache ${today} them: start a new execution`,
  );
}

/** DynamoDB Local gives no id. */
function tableIdOf({ TableId, CreationDateTime }: TableDescription): string {
  return TableId ?? CreationDateTime?.toISOString() ?? 'unknown';
}

function cacheIdOf({ cacheId = 'cache' }: BackfillHandlerOptions): string {
  return cacheId;
}

async function summed(options: BackfillHandlerOptions, { plan, pass }: SumEvent): Promise<SumAnswer> {
  const { checkpoints, table } = options;
  if (tableIdOf(await followable(table.client, table.name)) !== plan.tableId) {
    throw new ConfigurationError(`table ${table.name} was deleted and made again since the backfill began: start a new execution`);
  }
  await checkOf(options, plan)?.();
  const { results, unfinished } = await resultsOf(checkpoints, plan, pass);
  if (unfinished.length > 0) {
    throw new Error(
      `the pass ${pass} is not done: ${unfinished.length} segments are not, such as ${unfinished.slice(0, SHOWN_SEGMENTS).join(', ')}`,
    );
  }
  const result = merged(results);
  await checkpoints.put(sumName(plan, pass), JSON.stringify(result));
  return { items: result.counts.items, readUnits: result.counts.units, unsealable: [...unsealable([result])] };
}

async function reported(options: LoggedOptions, { execution }: ReportEvent): Promise<BackfillReport> {
  const { checkpoints, logger, table } = options;
  const text = await checkpoints.get(planName(execution));
  if (text === undefined) {
    throw new TypeError(
      `the event is wrong: execution is "${execution}", which planned no backfill: give the name of an execution of this stack`,
    );
  }
  const plan = JSON.parse(text) as BackfillPlan;
  const views = viewsOf(options, plan);
  const passes: readonly Pass[] = views.some(({ kind }) => kind === 'list') ? ['mark', 'fill', 'seal'] : ['mark'];
  const all: Record<Pass, readonly SegmentResult[]> = { mark: [], fill: [], seal: [] };
  let unfinished: BackfillReport['unfinished'];
  for (const pass of passes) {
    const closed = await checkpoints.get(sumName(plan, pass));
    const found = closed === undefined ? await resultsOf(checkpoints, plan, pass) : { results: [JSON.parse(closed)], unfinished: [] };
    all[pass] = [merged(found.results)];
    if (found.unfinished.length === 0) continue;
    unfinished = { pass, count: found.unfinished.length, segments: found.unfinished.slice(0, SHOWN_SEGMENTS) };
    break;
  }
  const lives = isLiving(options.cache) && plan.lives ? await options.cache.lives().catch(() => undefined) : undefined;
  const ended = lives && plan.lives ? endedLives(lives, plan.lives) : [];
  const summary = summaryOf({ ...all, pass: unfinished?.pass ?? 'done' }, table.name, views, { ended });
  const { survey, begun } = plan;
  const report: BackfillReport = { execution, survey, begun, isAllDone: isAllDone(summary), ...summary, ...(unfinished && { unfinished }) };
  await checkpoints.put(`reports/${execution}.json`, JSON.stringify(report, null, 2));
  if (report.isAllDone) logger.info('backfill report', { ...report });
  else logger.warn('backfill report', { ...report });
  return report;
}

function merged(results: readonly SegmentResult[]): SegmentResult {
  return { counts: sum(results.map(({ counts }) => counts)), examples: firstOfEach(results.flatMap(({ examples }) => examples)) };
}

/** The results of the segments that are done, and the numbers of the others. */
async function resultsOf(
  checkpoints: BackfillHandlerOptions['checkpoints'],
  plan: BackfillPlan,
  pass: Pass,
): Promise<{ readonly results: readonly SegmentResult[]; readonly unfinished: readonly number[] }> {
  const results: SegmentResult[] = [];
  const unfinished: number[] = [];
  const segments = Array.from({ length: plan.segments }, (_, i) => i).values();
  const lane = async (): Promise<void> => {
    for (const segment of segments) {
      const text = await checkpoints.get(resultName(plan, pass, segment));
      if (text === undefined) unfinished.push(segment);
      else results.push(JSON.parse(text));
    }
  };
  await Promise.all(Array.from({ length: READS_AT_ONCE }, lane));
  return { results, unfinished: unfinished.sort((a, b) => a - b) };
}

async function checkpointOf(
  checkpoints: BackfillHandlerOptions['checkpoints'],
  { plan, pass, segment, checkpoint }: RunEvent,
): Promise<SegmentCheckpoint> {
  if (checkpoint === undefined) return segmentStart(pass, segment, plan.segments);
  const text = checkpoint.startsWith(`${plan.survey}/${pass}/${segment}`) ? await checkpoints.get(checkpoint) : undefined;
  const found = text === undefined ? undefined : (JSON.parse(text) as SegmentCheckpoint);
  if (found?.pass !== pass || found.segment !== segment || found.segments !== plan.segments) {
    throw new TypeError(
      `the event is wrong: checkpoint is "${checkpoint}", which is none of segment ${segment} in the pass ${pass}: start a new execution`,
    );
  }
  return found;
}

// Names in the store. A checkpoint has a name of its own, so that an invocation of which nobody knows never replaces a newer checkpoint.

function planName(execution: string): string {
  return `executions/${execution}.json`;
}

function sumName({ survey }: BackfillPlan, pass: Pass): string {
  return `${survey}/${pass}.json`;
}

function resultName({ survey }: BackfillPlan, pass: Pass, segment: number): string {
  return `${survey}/${pass}/${segment}.json`;
}

function nextName({ plan: { survey }, pass, segment, checkpoint }: RunEvent): string {
  const [, n = '0'] = /-(\d+)\.json$/.exec(checkpoint ?? '') ?? [];
  return `${survey}/${pass}/${segment}-${Number(n) + 1}.json`;
}
