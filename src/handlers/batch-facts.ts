import { type StreamRecord, writtenAt } from '../dynamodb/record.ts';
import type { RecordReport, Report } from '../sync/sync.ts';
import type { Headroom } from './retention.ts';

/** What is measured of a batch. */
export interface BatchFacts {
  readonly records: number;
  /** Mutations, as are `stale`, `rejected` and `skipped`. */
  readonly applied: number;
  readonly stale: number;
  readonly rejected: number;
  /** Mutations of views that readers cannot read now; see `withLives`. */
  readonly skipped: number;
  /** Failures to decode a record, and failures of a view to project one. */
  readonly poison: number;
  /** Records that were set aside in a dead letter. */
  readonly setAside: number;
  /** Repeated calls of the cache and of the letter store. */
  readonly retries: number;
  /** Records that the stream delivers again. */
  readonly failed: number;
  /** Failed records that are poison beyond the poison run limit. */
  readonly withheld: number;
  /** Changes that were sent to be checked; see `sampler`. */
  readonly sampled: number;
  /** Changes that could not be sent to be checked. 1 for a batch whose sample came to no end. */
  readonly sampleFailed: number;
  /** From the write of a record, known to the second, to the end of the batch that applied it, ms. */
  readonly lagsMs: readonly number[];
  /** Duration of each call of the cache, ms. */
  readonly cacheMs: readonly number[];
  /** Absent when no record has a time. */
  readonly headroom?: Headroom;
  /** Duration of the batch, ms. */
  readonly milliseconds: number;
  readonly functionName?: string;
}

/** What the handler counts while a batch is under way. */
export interface BatchCounts {
  setAside: number;
  retries: number;
  withheld: number;
  readonly cacheMs: number[];
}

export function batchFactsOf(
  { records }: Report,
  counts: BatchCounts,
  more: Pick<BatchFacts, 'headroom' | 'milliseconds' | 'functionName' | 'sampled' | 'sampleFailed'> & { readonly now: number },
): BatchFacts {
  const { now, ...rest } = more;
  const sum = (count: (record: RecordReport) => number): number => records.reduce((total, record) => total + count(record), 0);
  return {
    records: records.length,
    applied: sum(({ applied }) => applied),
    stale: sum(({ stale }) => stale),
    rejected: sum(({ rejected }) => rejected),
    skipped: sum(({ skipped = 0 }) => skipped),
    poison: sum(({ causes }) => causes.filter(({ stage }) => stage !== 'rejected').length),
    ...counts,
    failed: sum(({ status }) => (status === 'failed' ? 1 : 0)),
    lagsMs: records.flatMap(({ applied, change }) => (applied > 0 && change?.at !== undefined ? Math.max(0, now - change.at) : [])),
    ...rest,
  };
}

/** When the oldest and the newest record were written, ms since the epoch. Counts records that cannot be decoded too. */
export function timesOf(records: readonly StreamRecord[]): { readonly oldest: number; readonly newest: number } | undefined {
  let [oldest, newest] = [Infinity, -Infinity];
  for (const record of records) {
    const at = writtenAt(record);
    if (at === undefined) continue;
    if (at < oldest) oldest = at;
    if (at > newest) newest = at;
  }
  return oldest === Infinity ? undefined : { oldest, newest };
}
