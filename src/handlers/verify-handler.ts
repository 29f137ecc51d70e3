import { Logger } from '@aws-lambda-powertools/logger';
import type { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import type { CacheClient } from '../cache.ts';
import { followable } from '../dynamodb/followable.ts';
import { readBudget } from '../dynamodb/read-budget.ts';
import { asError, CacheUnavailableError, TableUnavailableError } from '../errors.ts';
import type { ProbeCounts, ProbeTally } from '../verify/counts.ts';
import { type KeyTypes, keyTypesOf } from '../verify/keys.ts';
import { type LookOptions, PROCESS_CLOCK, type ToLook, type VerifyClock } from '../verify/look.ts';
import { nextMessageAt } from '../verify/looks.ts';
import { MemberNames } from '../verify/member-names.ts';
import { AGES, type Check, checkText, parseCheck } from '../verify/messages.ts';
import { type LookedAt, OneLook, violationOf } from '../verify/one-look.ts';
import { probeCache } from '../verify/probe-cache.ts';
import { probeTable } from '../verify/probe-table.ts';
import { exampleOf } from '../verify/report.ts';
import { type VerifiedTable, verifiedTable } from '../verify/table.ts';
import type { Violation } from '../verify/verifier.ts';
import { smallSegments } from '../verify/verify.ts';
import { checkDistinct, type View, viewName } from '../view.ts';
import type { StructuredLogger } from './batch-log.ts';
import { once } from './once.ts';
import { type Sample, type SampleCounts, type SamplerOptions, sampler } from './sampler.ts';
import { type CheckMessage, type CheckQueue, type SqsQueueOptions, sqsQueue } from './sqs-queue.ts';
import type { InvocationContext } from './stream-handler.ts';
import { timeNearlyOver } from './time-nearly-over.ts';

export { type CheckMessage, type CheckQueue, type Sample, type SampleCounts, type SamplerOptions, type SqsQueueOptions, sampler, sqsQueue };

export interface VerifyHandlerOptions {
  /** The views to verify. Checks of other views are left out. */
  readonly views: readonly View[];
  /** The worker's cache, as readers open it. */
  readonly cache: Pick<CacheClient, 'getMany' | 'list'>;
  /** The table that the worker follows. */
  readonly table: {
    /** Needs `dynamodb:DescribeTable`, `dynamodb:Scan`, `dynamodb:BatchGetItem` and `dynamodb:Query`. */
    readonly client: Pick<DynamoDBClient, 'send'>;
    readonly name: string;
  };
  /** The queue whose messages this function gets. */
  readonly queue: CheckQueue;
  /** Names of documents and lists of the cache at random, as `keyOf` makes them, without end. Absent: a run does not look from the cache to the table. */
  readonly keys?: (() => AsyncIterable<readonly string[]>) | undefined;
  /** How long the cache may lag behind the table, ms: 1,000 to 180,000. Default: 60,000. */
  readonly boundMs?: number;
  /** Read units of the table to use per second. Default: 500. */
  readonly readUnitsPerSecond?: number;
  /** Read units that the probes of one run use, about. Default: 1,000. */
  readonly probeReadUnits?: number;
  /** Default: Powertools' logger. */
  readonly logger?: StructuredLogger;
  /** Called with the figures of each invocation. The handler then does not log them, because the line of `verifyMetrics` is its log line. */
  readonly metrics?: ((facts: VerifyFacts) => void) | undefined;
  /** In the last `marginMs` of the function's time no page is begun. Default: 20,000. */
  readonly marginMs?: number;
  /** For how long calls are repeated that get no answer, ms. Default: 5,000. */
  readonly retryForMs?: number;
  readonly clock?: VerifyClock;
  readonly random?: () => number;
}

/** What one invocation found. */
export interface VerifyFacts {
  readonly action: 'check' | 'probe';
  readonly views: readonly { readonly view: string; readonly counts: ProbeCounts }[];
  readonly readUnits: number;
  readonly milliseconds: number;
  readonly functionName?: string | undefined;
}

/** The part of an event of SQS that the handler reads. */
export interface ChecksEvent {
  readonly Records: readonly { readonly messageId: string; readonly body: string }[];
}

/** Asks for a run of the probes. */
export interface ProbeEvent {
  readonly action: 'probe';
}

/** What Lambda's `ReportBatchItemFailures` reads: the messages that come again. */
export interface ChecksAnswer {
  readonly batchItemFailures: { readonly itemIdentifier: string }[];
}

export interface VerifyHandler {
  (event: ChecksEvent, context?: InvocationContext): Promise<ChecksAnswer>;
  (event: ProbeEvent, context?: InvocationContext): Promise<VerifyFacts>;
}

/**
 * Makes the Lambda handler of the continuous verifier, such as that of `deploy/verifier.yaml`. It takes two kinds of events:
 *
 * - Messages of `sampler`, from SQS: looks at the addresses of each change after one, five and ten bounds. What differs is looked at again after another
 *   bound. Between two looks, what is known of an address waits in the queue.
 * - `{ "action": "probe" }`, from a schedule: looks at the items of random segments of the table, and at random keys of the cache. What differs goes into the
 *   queue.
 *
 * A message whose addresses could not be looked at, or whose next look could not be sent, is reported as failed, comes again, and counts only then. A
 * message that cannot be read is logged and left out. For another event the handler throws a TypeError.
 */
export function verifyHandler(options: VerifyHandlerOptions): VerifyHandler {
  checkDistinct(options.views);
  const scene: Scene = {
    ...options,
    logger: options.logger ?? new Logger(),
    boundMs: options.boundMs ?? 60_000,
    marginMs: options.marginMs ?? 20_000,
    // The times of messages are those of other machines.
    clock: options.clock ?? { ...PROCESS_CLOCK, now: Date.now },
    random: options.random ?? Math.random,
    known: once(() => describe(options)),
  };
  const handle = async (event: Partial<ChecksEvent & ProbeEvent> | undefined, context?: InvocationContext): Promise<unknown> => {
    if (Array.isArray(event?.Records)) return await check(scene, event.Records, context);
    if (event?.action === 'probe') return await probe(scene, context);
    throw new TypeError('the event is wrong: give messages of SQS, or { "action": "probe" }');
  };
  return handle as VerifyHandler;
}

interface Scene extends VerifyHandlerOptions {
  readonly logger: StructuredLogger;
  readonly boundMs: number;
  readonly marginMs: number;
  readonly clock: VerifyClock;
  readonly random: () => number;
  known(): Promise<Described>;
}

/** What is known of the table. */
interface Described {
  readonly table: VerifiedTable;
  readonly keyTypes: KeyTypes;
  readonly items: number;
}

async function describe({
  table: { client, name },
  readUnitsPerSecond = 500,
  retryForMs = 5_000,
}: VerifyHandlerOptions): Promise<Described> {
  const found = await followable(client, name);
  const keyTypes = keyTypesOf(found);
  const budget = readBudget(readUnitsPerSecond);
  const table = verifiedTable({ client, arn: found.TableArn ?? name, keys: Object.keys(keyTypes), budget, retryForMs });
  return { table, keyTypes, items: found.ItemCount ?? 0 };
}

function lookerOf(scene: Scene, table: VerifiedTable, signal: AbortSignal): OneLook {
  const { views, cache, boundMs, clock, retryForMs = 5_000 } = scene;
  const byName = new Map(views.map((view) => [viewName(view), view]));
  const looking: LookOptions = { cache, table, boundMs, clock, retryForMs, signal, viewOf: ({ view }) => byName.get(view) as View };
  return new OneLook({ ...looking, views });
}

/** A message, and what has become of its addresses. */
interface Checked {
  readonly id: string;
  readonly check: Check;
  readonly looked: readonly LookedAt[];
  /** The messages that follow. */
  readonly next: readonly Check[];
}

async function check(scene: Scene, records: ChecksEvent['Records'], context: InvocationContext | undefined): Promise<ChecksAnswer> {
  const { clock, logger } = scene;
  const started = clock.now();
  const timeOver = timeNearlyOver(context, scene.marginMs);
  const checks = records.flatMap(({ messageId: id, body }) => {
    const check = readable(scene, id, body);
    return check ? [{ id, check }] : [];
  });
  const failures = new Set<string>();
  let looker: OneLook | undefined;
  try {
    looker = lookerOf(scene, (await scene.known()).table, timeOver);
    const checked = await lookAt(scene, looker, checks);
    for (const id of await sendNext(scene, checked, timeOver)) failures.add(id);
    for (const one of checked) if (!failures.has(one.id)) count(scene, looker.tally, one);
  } catch (thrown) {
    const error = asError(thrown);
    if (!(error instanceof CacheUnavailableError || error instanceof TableUnavailableError) && !timeOver.aborted) throw error;
    logger.warn('checks come again', { messages: checks.length, error: { name: error.name, message: error.message } });
    for (const { id } of checks) failures.add(id);
  }
  if (looker) publish(scene, 'check', looker, clock.now() - started, context);
  return { batchItemFailures: [...failures].map((itemIdentifier) => ({ itemIdentifier })) };
}

function readable({ logger, views }: Scene, id: string, body: string): Check | undefined {
  try {
    const check = parseCheck(body);
    // The worker may have other code, while one of the two is deployed.
    const looks = check.looks.filter(({ subject }) => views.some((view) => viewName(view) === subject.view && isOf(view, subject.kind)));
    return looks.length > 0 ? { ...check, looks } : undefined;
  } catch (error) {
    logger.warn('a check is left out', { messageId: id, error: (error as Error).message });
    return undefined;
  }
}

function isOf(view: View, kind: 'document' | 'member'): boolean {
  return (view.kind === 'document') === (kind === 'document');
}

async function lookAt(
  { clock, boundMs }: Scene,
  looker: OneLook,
  checks: readonly { readonly id: string; readonly check: Check }[],
): Promise<readonly Checked[]> {
  const now = clock.now();
  const isDue = ({ due, at, age }: Check): boolean => (due ?? at + (AGES[age] ?? 0) * boundMs) <= now + EARLY_MS;
  const due = checks.filter(({ check }) => isDue(check));
  const looked = (
    await looker.look(
      due.flatMap(({ check: { looks, version } }) =>
        // A suspect is compared with the table, whatever its version.
        looks.map(({ subject, before }): ToLook => ({ subject, before, ...(!before && { expected: version }) })),
      ),
    )
  ).values();
  return checks.map(({ id, check }): Checked => {
    if (!isDue(check)) return { id, check, looked: [], next: [check] };
    const results = check.looks.map(() => looked.next().value as LookedAt);
    return { id, check, looked: results, next: nextOf(check, results, now, boundMs) };
  });
}

/** A message may come so much before its time, because a delay has whole seconds. */
const EARLY_MS = 1_000;

/** Suspects are looked at again after the bound. What is decided, and right, is looked at again when the change is older. */
function nextOf(check: Check, looked: readonly LookedAt[], now: number, boundMs: number): readonly Check[] {
  const suspects = looked.flatMap(({ decision, subject }) => (decision.type === 'suspect' ? [{ subject, before: decision.suspect }] : []));
  const first = Math.min(...suspects.map(({ before }) => nextMessageAt(before, now, boundMs)));
  const right = looked.filter(({ decision }) => decision.type !== 'suspect' && decision.type !== 'violation');
  const age = check.age + 1;
  const later = check.probe === 'stream' ? AGES[age] : undefined;
  const rest: Check = { ...check, age, due: check.at + (later ?? 0) * boundMs, looks: right.map(({ subject }) => ({ subject })) };
  return [
    ...(suspects.length > 0 ? [{ ...check, due: first, looks: suspects }] : []),
    ...(later !== undefined && right.length > 0 ? [rest] : []),
  ];
}

/** @returns the ids of the messages of which something could not be sent */
async function sendNext(scene: Scene, checked: readonly Checked[], signal: AbortSignal): Promise<readonly string[]> {
  const next = checked.flatMap(({ id, next }) => next.map((check) => ({ id, check })));
  const taken = await sent(
    scene,
    next.map(({ check }) => check),
    signal,
  );
  return next.filter((_, i) => !taken[i]).map(({ id }) => id);
}

async function sent({ queue, clock, logger }: Scene, checks: readonly Check[], signal: AbortSignal): Promise<readonly boolean[]> {
  if (checks.length === 0) return [];
  const messages = checks.map((check) => {
    const delaySeconds = Math.min(MOST_DELAY_SECONDS, Math.max(0, Math.ceil(((check.due ?? 0) - clock.now()) / 1_000)));
    return { text: checkText(check), delaySeconds };
  });
  try {
    return await queue.send(messages, signal);
  } catch (thrown) {
    const { name, message } = asError(thrown);
    logger.warn('looks could not be sent', { messages: messages.length, error: { name, message } });
    return checks.map(() => false);
  }
}

/** SQS API Reference, SendMessage. */
const MOST_DELAY_SECONDS = 900;

function count({ logger, views }: Scene, tally: ProbeTally, { check: { probe }, looked }: Checked): void {
  for (const one of looked) {
    tally.add(one.subject.view, probe, one.decision);
    const violation = violationOf(probe, one);
    if (violation) logViolation(logger, views, violation);
  }
}

function logViolation(logger: StructuredLogger, views: readonly View[], violation: Violation): void {
  const view = views.find((view) => viewName(view) === violation.subject.view);
  if (view) logger.error('violation', { view: viewName(view), ...exampleOf(view, violation) });
}

async function probe(scene: Scene, context: InvocationContext | undefined): Promise<VerifyFacts> {
  const { cache, clock, keys, logger, probeReadUnits = 1_000, random, views } = scene;
  const started = clock.now();
  const { table, keyTypes, items } = await scene.known();
  const timeOver = timeNearlyOver(context, scene.marginMs);
  const looker = lookerOf(scene, table, timeOver);
  const names = new MemberNames();
  const isOver = (share: number): boolean => timeOver.aborted || looker.units >= share * probeReadUnits;
  try {
    const of = smallSegments(items);
    // The table gets half of the budget, unless nothing lists the keys of the cache.
    const share = keys ? 0.5 : 1;
    // A segment without items costs next to nothing, so the number of segments is limited, too.
    for (let n = 0; n < Math.min(of, probeReadUnits) && !isOver(share); n += 1) {
      const enough = new AbortController();
      const signal = AbortSignal.any([timeOver, enough.signal]);
      const onPage = (): void => {
        if (isOver(share)) enough.abort();
      };
      await probeTable({ verifier: looker, table, views, names, segments: [Math.floor(random() * of)], of, signal, onPage });
    }
    let seen = 0;
    for await (const some of keys && !isOver(1) ? keys() : []) {
      await probeCache({ verifier: looker, cache, views, names, keyTypes }, some);
      seen += some.length;
      // Misses cost nothing.
      if (isOver(1) || seen >= probeReadUnits) break;
    }
  } catch (thrown) {
    const error = asError(thrown);
    // What was seen until then counts.
    if (!(error instanceof CacheUnavailableError || error instanceof TableUnavailableError) && !timeOver.aborted) throw error;
    if (!timeOver.aborted) logger.warn('the probes ended early', { error: { name: error.name, message: error.message } });
  }
  await sendSuspects(scene, looker);
  return publish(scene, 'probe', looker, clock.now() - started, context);
}

/** Suspects that cannot be sent count as undecided. */
async function sendSuspects(scene: Scene, { later, tally }: OneLook): Promise<void> {
  const now = scene.clock.now();
  const checks = later.map(
    ({ probe, subject, before }): Check => ({
      ...{ probe, at: before.from, age: 0, due: nextMessageAt(before, now, scene.boundMs) },
      looks: [{ subject, before }],
    }),
  );
  const taken = await sent(scene, checks, AbortSignal.timeout(SENDING_MS));
  for (const [i, { probe, subject }] of later.entries()) if (!taken[i]) tally.add(subject.view, probe, { type: 'undecided' });
}

const SENDING_MS = 10_000;

function publish(
  { metrics, logger, views }: Scene,
  action: VerifyFacts['action'],
  { tally, units: readUnits }: OneLook,
  milliseconds: number,
  context: InvocationContext | undefined,
): VerifyFacts {
  const counts = views.map((view) => ({ view: viewName(view), counts: tally.sum(viewName(view)) }));
  const facts: VerifyFacts = { action, views: counts, readUnits, milliseconds, functionName: context?.functionName };
  if (metrics) metrics(facts);
  else logger.info('verify', { ...facts });
  return facts;
}
