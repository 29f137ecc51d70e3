import { type StreamRecord, writtenAt } from '../dynamodb/record.ts';
import type { RecordReport, Report } from '../sync/sync.ts';
import type { Headroom } from './retention.ts';

/** What is measured of a batch. */
export interface BatchFacts {
  readonly records: number;
  /** Mutations, as are `stale` and `rejected`. */
  readonly applied: number;
  readonly stale: number;
  readonly rejected: number;
  /** Faults of records that could not be decoded, and of views that could not project. */
  readonly poison: number;
  /** Letters that were put into the store. */
  readonly setAside: number;
  /** Calls of the cache and of the store that were repeated. */
  readonly retries: number;
  /** Records that the stream is asked for again. */
  readonly failed: number;
  /** Of these, poison that was not set aside because there was nothing else. */
  readonly withheld: number;
  /** From the write of a record, known to the second, to the end of the batch that applied it, ms. */
  readonly lagsMs: readonly number[];
  /** Of the cache's answers, ms. */
  readonly cacheMs: readonly number[];
  /** Absent when no record tells when it was written. */
  readonly headroom?: Headroom;
  readonly functionName?: string;
}

/** What was counted while the batch was at work. */
export interface BatchCounts {
  setAside: number;
  retries: number;
  withheld: number;
  readonly cacheMs: number[];
}

export function factsOf(
  { records }: Report,
  counts: BatchCounts,
  more: { readonly now: number; readonly headroom?: Headroom; readonly functionName?: string },
): BatchFacts {
  const sum = (count: (record: RecordReport) => number): number => records.reduce((total, record) => total + count(record), 0);
  return {
    records: records.length,
    applied: sum(({ applied }) => applied),
    stale: sum(({ stale }) => stale),
    rejected: sum(({ rejected }) => rejected),
    poison: sum(({ causes }) => causes.filter(({ stage }) => stage !== 'rejected').length),
    ...counts,
    failed: sum(({ status }) => (status === 'failed' ? 1 : 0)),
    lagsMs: records.flatMap(({ applied, change }) => (applied > 0 && change?.at !== undefined ? Math.max(0, more.now - change.at) : [])),
    headroom: more.headroom,
    functionName: more.functionName,
  };
}

/** When the oldest and the newest record were written, ms since the epoch; of records that cannot be decoded too. */
export function timesOf(records: readonly StreamRecord[]): { readonly oldest: number; readonly newest: number } | undefined {
  let [oldest, newest] = [Infinity, -Infinity];
  for (const record of records) {
    const ms = writtenAt(record) ?? Number.NaN;
    if (ms < oldest) oldest = ms;
    if (ms > newest) newest = ms;
  }
  return oldest === Infinity ? undefined : { oldest, newest };
}
