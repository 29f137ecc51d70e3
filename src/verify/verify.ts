import type { CacheClient } from '../cache.ts';
import type { StreamRecord } from '../dynamodb/record.ts';
import type { View } from '../view.ts';
import type { Probe } from './counts.ts';
import type { KeyTypes } from './keys.ts';
import { PROCESS_CLOCK, type VerifyClock } from './look.ts';
import { MemberNames } from './member-names.ts';
import { probeCache } from './probe-cache.ts';
import { observedIn } from './probe-stream.ts';
import { probeTable } from './probe-table.ts';
import { repair } from './repair.ts';
import { Findings } from './report.ts';
import type { VerifiedTable } from './table.ts';
import { Verifier, type Violation } from './verifier.ts';

export interface VerifyInput {
  readonly cache: Pick<CacheClient, 'getMany' | 'list' | 'lease' | 'settle' | 'apply'>;
  readonly table: VerifiedTable;
  readonly keyTypes: KeyTypes;
  readonly views: readonly View[];
  readonly boundMs: number;
  readonly probes: readonly Probe[];
  /** The segments of the table to read, of `of`; see `sampledSegments`. */
  readonly segments: readonly number[];
  readonly of: number;
  /** Which part of the keys of the cache, and of the changes, is observed: above 0, to 1. */
  readonly sample: number;
  /** Lists the keys of the cache, as `keyOf` makes them. Absent: this cache lists none, so the probe `cache` gives no evidence. */
  readonly keys?: () => AsyncIterable<readonly string[]>;
  /** How long at least the stream is followed, ms. Default: 0, as long as the other probes run. */
  readonly followMs?: number;
  /** Whether to repair what is wrong. */
  readonly repairs?: boolean;
  readonly signal: AbortSignal;
  readonly clock?: VerifyClock;
  readonly random?: () => number;
  /** See `VerifierOptions`. */
  readonly retryForMs?: number;
  readonly onProgress?: (progress: VerifyProgress) => void;
  /** Called with each violation, after its repair. */
  readonly onViolation?: (violation: Violation) => void;
}

/** How far a run is. */
export interface VerifyProgress {
  readonly phase: 'table' | 'cache' | 'stream' | 'waiting';
  readonly items: number;
  readonly segmentsDone: number;
  readonly keys: number;
  /** Addresses that wait for another look. */
  readonly waiting: number;
  readonly violations: number;
}

/** A run that compares cache and table while both are in use. */
export interface Verification {
  /** Takes a record of the stream, for the probe `stream`. Records that come after the other probes have ended are left out. */
  saw(record: StreamRecord, streamArn?: string): void;
  /**
   * Runs the probes, and looks again at what differs, until each address is decided.
   *
   * @throws CacheUnavailableError and TableUnavailableError when one gives no answer for `retryForMs`; TableRefusalError
   */
  run(): Promise<Findings>;
}

export function verification(input: VerifyInput): Verification {
  const { cache, table, views, boundMs, probes, sample, signal: given, clock = PROCESS_CLOCK, random = Math.random } = input;
  const stop = new AbortController();
  const signal = AbortSignal.any([given, stop.signal]);
  const names = new MemberNames();
  const findings = new Findings(views, boundMs);
  const onViolations = async (violations: readonly Violation[]): Promise<void> => {
    const subjects = violations.map(({ subject }) => subject);
    const repaired = input.repairs ? await repair({ ...input, verifier, names, signal }, subjects) : undefined;
    if (repaired) verifier.repaired(subjects);
    for (const [i, violation] of violations.entries()) {
      findings.add(violation, repaired?.[i]);
      input.onViolation?.(violation);
    }
  };
  const verifier = new Verifier({ ...input, signal, clock, onViolations });
  findings.tally = verifier.tally;
  const progress = { phase: 'table' as VerifyProgress['phase'], items: 0, segmentsDone: 0, keys: 0 };
  const tell = (): void => input.onProgress?.({ ...progress, waiting: verifier.waiting, violations: findings.count });
  let follows = probes.includes('stream');

  const probe = async (): Promise<void> => {
    const begun = clock.now();
    if (probes.includes('table')) {
      await probeTable({
        ...input,
        verifier,
        table,
        names,
        signal,
        onPage({ items, isLast }) {
          progress.items += items;
          if (isLast) progress.segmentsDone += 1;
          tell();
        },
      });
    }
    if (probes.includes('cache') && input.keys) {
      progress.phase = 'cache';
      for await (const some of input.keys()) {
        if (signal.aborted) break;
        const sampled = sample < 1 ? some.filter(() => random() < sample) : some;
        progress.keys += some.length;
        await probeCache({ ...input, verifier, cache, names }, sampled);
        tell();
      }
    }
    progress.phase = 'stream';
    const until = begun + (input.followMs ?? 0);
    while (follows && clock.now() < until && !signal.aborted) {
      await clock.sleep(Math.min(1_000, until - clock.now()), signal);
      tell();
    }
    follows = false;
    progress.phase = 'waiting';
    verifier.end();
    tell();
    while (verifier.waiting > 0 && !signal.aborted) {
      await clock.sleep(Math.min(1_000, boundMs / 60), signal);
      tell();
    }
  };
  const guarded = async (work: Promise<void>): Promise<void> => {
    try {
      await work;
    } catch (error) {
      const isOver = signal.aborted;
      stop.abort();
      if (!isOver) throw error;
    }
  };

  return {
    saw(record, streamArn) {
      if (!follows || random() >= sample) return;
      for (const observed of observedIn(views, record, streamArn)) verifier.observeLater(clock.now() + boundMs, 'stream', observed);
    },
    async run() {
      const results = await Promise.allSettled([guarded(verifier.run()), guarded(probe())]);
      for (const result of results) if (result.status === 'rejected') throw result.reason;
      findings.units = verifier.units;
      findings.isInterrupted = given.aborted;
      return findings;
    },
  };
}

/** The items of one segment of a sample, about. */
const ITEMS_A_SEGMENT = 250;
/** DynamoDB takes no more (DynamoDB API Reference, Scan). */
const MOST_SEGMENTS = 1_000_000;
/** The fewest segments of a sample. */
const FEWEST_SAMPLED = 20;

/**
 * Which segments to read. For a sample, the table is divided into many small segments, and some of these are chosen at random.
 *
 * @param items of the table, about
 */
export function sampledSegments(
  sample: number,
  items: number,
  segments: number,
  random: () => number = Math.random,
): Pick<VerifyInput, 'segments' | 'of'> {
  if (sample >= 1) return { segments: Array.from({ length: segments }, (_, i) => i), of: segments };
  const of = Math.min(MOST_SEGMENTS, Math.max(smallSegments(items), Math.ceil(FEWEST_SAMPLED / sample)));
  const wanted = Math.max(1, Math.round(of * sample));
  const chosen = new Set<number>();
  while (chosen.size < wanted) chosen.add(Math.floor(random() * of));
  return { segments: [...chosen].sort((a, b) => a - b), of };
}

/** Into how many segments a table is divided so that each has few items. @param items of the table, about */
export function smallSegments(items: number): number {
  return Math.min(MOST_SEGMENTS, Math.max(1, Math.ceil(items / ITEMS_A_SEGMENT)));
}
