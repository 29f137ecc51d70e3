import { setMaxListeners } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { retry } from '../backoff.ts';
import { CacheUnavailableError } from '../errors.ts';
import type { BackfillCheckpoint } from './checkpoint.ts';
import { type Counts, sum, Tally } from './counts.ts';
import { ListNames } from './list-names.ts';
import { sealLists, viewOf } from './seal.ts';
import { type Pass, runSegment, type SegmentCheckpoint, type SegmentInput, segmentStart, unsealable } from './segment.ts';

export interface BackfillInput extends Omit<SegmentInput, 'survey' | 'from' | 'known' | 'unsealable' | 'onPage'> {
  /** Where to go on: `begin` makes the first checkpoint. */
  readonly from: BackfillCheckpoint;
  /**
   * How long a call that got no answer may still be on its way to the cache, ms. The pass `fill` begins so long after the pass `mark`. Default: 0, for a
   * cache without a network.
   */
  readonly lateCallsMs?: number;
  /** Whether an earlier process may have been killed. The pass `mark` then begins after `lateCallsMs`. Default: false. */
  readonly isResumed?: boolean;
  /** The most segments that run at the same time. Default: 8. */
  readonly segmentsAtOnce?: number;
  /** The most names of lists that are kept in memory. Of more lists, the last pass scans the table again. Default: 100,000. */
  readonly listsInMemory?: number;
  /** Called after each page, and after each pass. */
  readonly onCheckpoint?: (checkpoint: BackfillCheckpoint) => void;
}

/**
 * Runs the passes over all segments of a table in this process, from where the checkpoint says.
 *
 * @returns where it stopped; its pass is `done` unless the signal ended it
 * @throws as `runSegment` does, when all segments under way have ended
 */
export async function backfill(input: BackfillInput): Promise<BackfillCheckpoint> {
  const { views, signal, lateCallsMs = 0, isResumed = false, listsInMemory = 100_000, onCheckpoint } = input;
  let at = input.from;
  const update = (next: BackfillCheckpoint): void => {
    at = next;
    onCheckpoint?.(at);
  };
  const lateCallsArrive = async (): Promise<void> => {
    if (lateCallsMs > 0) await sleep(lateCallsMs, undefined, { signal }).catch(() => {});
  };
  if (at.pass === 'mark') {
    // A late fill of the earlier process could meet a list that was evicted and that this process marks again.
    if (isResumed) await lateCallsArrive();
    const marked = await runPass(input, at, 'mark', new ListNames(listsInMemory), update);
    if (!marked) return at;
    if (!views.some(({ kind }) => kind === 'list')) {
      await input.checkLives?.();
      update({ ...at, pass: 'done' });
      return at;
    }
    // A late mark, which was sent again, could meet a list that was evicted after the next pass has filled it in part.
    await lateCallsArrive();
    if (signal.aborted) return at;
    update({ ...at, pass: 'fill' });
  }
  // Only a pass that this process runs from its beginning meets every list.
  const filled =
    at.pass === 'fill' && at.fill.every(({ after, isDone }) => after === undefined && !isDone) ? new ListNames(listsInMemory) : undefined;
  if (at.pass === 'fill') {
    if (!(await runPass(input, at, 'fill', filled ?? new ListNames(listsInMemory), update))) return at;
    update({ ...at, pass: 'seal' });
  }
  if (at.pass === 'seal') {
    const lists = filled?.all;
    const isDone = lists
      ? await sealFrom(input, at, lists, update)
      : await runPass(input, at, 'seal', new ListNames(listsInMemory), update);
    if (!isDone) return at;
    await input.checkLives?.();
    update({ ...at, pass: 'done' });
  }
  return at;
}

/** The first checkpoint of a backfill. */
export function begin({
  lives = {},
  ...place
}: Omit<BackfillCheckpoint, 'pass' | 'lives' | Pass> & Partial<Pick<BackfillCheckpoint, 'lives'>>): BackfillCheckpoint {
  const segments = (pass: Pass) => Array.from({ length: place.segments }, (_, segment) => segmentStart(pass, segment, place.segments));
  return { ...place, lives, pass: 'mark', mark: segments('mark'), fill: segments('fill'), seal: segments('seal') };
}

/** What was done in one pass, over all segments. */
export function passCounts(checkpoint: BackfillCheckpoint, pass: Pass): Counts {
  return sum(checkpoint[pass].map(({ counts }) => counts));
}

/** Returns whether the pass is done. */
async function runPass(
  input: BackfillInput,
  from: BackfillCheckpoint,
  pass: Pass,
  known: ListNames,
  update: (checkpoint: BackfillCheckpoint) => void,
): Promise<boolean> {
  const states = [...from[pass]];
  // A failure of one segment ends the others at their next page.
  const stop = new AbortController();
  const signal = AbortSignal.any([input.signal, stop.signal]);
  // Each call of the table listens, and Node warns of more than ten.
  setMaxListeners(0, signal);
  const waiting = states.filter(({ isDone }) => !isDone).values();
  const failures: unknown[] = [];
  const lane = async (): Promise<void> => {
    for (const state of waiting) {
      if (signal.aborted) return;
      try {
        await runSegment({
          ...input,
          survey: from.survey,
          from: state,
          known,
          signal,
          unsealable: unsealable(from.fill),
          onPage(next) {
            states[next.segment] = next;
            update({ ...from, [pass]: [...states] });
          },
        });
      } catch (error) {
        failures.push(error);
        stop.abort();
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(input.segmentsAtOnce ?? 8, states.length) }, lane));
  if (failures.length > 0) throw failures[0];
  return states.every(({ isDone }) => isDone);
}

/** The most lists of one call. */
const SEALS_AT_ONCE = 1_000;

/** Seals lists without a scan. A process that ends before all are sealed leaves the pass to a scan. */
async function sealFrom(
  { cache, signal, checkLives, retryForMs = 60_000 }: BackfillInput,
  from: BackfillCheckpoint,
  lists: readonly string[],
  update: (checkpoint: BackfillCheckpoint) => void,
): Promise<boolean> {
  const not = unsealable(from.fill);
  const wanted = lists.filter((list) => !not.has(viewOf(list)));
  const tally = new Tally();
  for (let i = 0; i < wanted.length; i += SEALS_AT_ONCE) {
    if (signal.aborted) return false;
    const until = performance.now() + retryForMs;
    await checkLives?.();
    await retry(() => sealLists(cache, wanted.slice(i, i + SEALS_AT_ONCE), from.survey, tally), {
      isTransient: (error) => error instanceof CacheUnavailableError && !signal.aborted,
      remainingMs: () => until - performance.now(),
      sleep: (ms) => sleep(ms),
    });
  }
  update({
    ...from,
    seal: from.seal.map((state, i): SegmentCheckpoint => ({ ...state, isDone: true, ...(i === 0 && { counts: tally.counts }) })),
  });
  return true;
}
