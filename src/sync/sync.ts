import type { CacheClient } from '../cache.ts';
import { type Change, type ChangeFacts, factsOf } from '../change.ts';
import { asError } from '../errors.ts';
import type { Mutation, Outcome } from '../mutation.ts';
import { type Poison, planOf } from '../plan/plan.ts';
import type { View } from '../view.ts';

export interface SyncInput<Record> {
  /** In the order of the stream. */
  readonly records: readonly Record[];
  /** Pure: a throw is poison. */
  decode(record: Record, index: number): Change;
  readonly views: readonly View[];
  readonly cache: Pick<CacheClient, 'apply'>;
  /** Puts a record in a safe place before it is reported as done. A throw means that it is not safe: the record is retried. */
  setAside(letter: Letter<Record>): Promise<void>;
  /**
   * Asked once a batch, when all of it was decoded and projected, and before any of it is set aside. An error: poison is not set aside, its
   * records are `failed` with that error.
   */
  objection?(planned: Planned<Record>): Error | undefined;
  /** Once aborted, no further record is begun; those that were not are `failed`. */
  readonly signal?: AbortSignal;
}

/** A record that, or a part of which, will never be applied, with all the reasons. */
export interface Letter<Record> {
  readonly record: Record;
  readonly index: number;
  /** Absent when the record could not be decoded. */
  readonly change?: ChangeFacts;
  /** One or more. */
  readonly causes: readonly Cause[];
}

/** What the pure stages made of a batch. A record that is no view's business is neither. */
export interface Planned<Record> {
  /** Records that were decoded, and that all views projected which they concern. */
  readonly sound: number;
  readonly poison: readonly Letter<Record>[];
}

/** Where a record failed for good. `rejected`: the cache will never take the value. */
export type Cause =
  | { readonly stage: 'decode'; readonly error: Error }
  | { readonly stage: 'view'; readonly view: string; readonly revision: number; readonly error: Error }
  | { readonly stage: 'rejected'; readonly address: string; readonly error: Error };

/** What became of a batch: facts, for shells to log and to answer with. One entry a record, in the order of the records. */
export interface Report {
  readonly records: readonly RecordReport[];
}

export interface RecordReport {
  /** Absent when the record could not be decoded. */
  readonly change?: ChangeFacts;
  /** `done`: applied, found stale, or set aside. `failed`: to be retried from here. */
  readonly status: 'done' | 'failed';
  readonly applied: number;
  readonly stale: number;
  readonly rejected: number;
  /** Why parts of the record, or all of it, are set aside. */
  readonly causes: readonly Cause[];
  /** Why it failed. */
  readonly error?: Error;
}

/** Then the event loop has its turn, so that what was sent is under way while more is prepared. */
const RECORDS_A_TURN = 64;

/**
 * Applies records to the cache: those of one item in order, items concurrently. An item stops at its first failed record, for its later
 * ones must not overtake it; a record that cannot be decoded is of no known item and holds back none, which versions keep harmless. Failures
 * are told apart by stage: pure code that throws will always throw (the record, or the view's part of it, is set aside and the rest goes on);
 * an effect that throws may work next time (the record is `failed`). Never throws.
 */
export async function sync<Record>(input: SyncInput<Record>): Promise<Report> {
  const reports: Promise<RecordReport>[] = [];
  /** That of the latest record of each item. */
  const latest = new Map<string, Promise<RecordReport>>();
  const poison: Letter<Record>[] = [];
  let sound = 0;
  let judge = (_: Error | undefined): void => {};
  const objection = new Promise<Error | undefined>((resolve) => {
    judge = resolve;
  });
  for (const [index, record] of input.records.entries()) {
    const planned = plan(input, record, index);
    const { change, mutations, causes } = planned;
    if (causes.length > 0) poison.push({ record, index, change, causes });
    else if (mutations.length > 0) sound += 1;
    const apply = () => applyRecord(input, record, index, planned, objection);
    const giveUp = () => failed(change, new Error('an earlier record of this item failed'));
    const item = change && `${change.table} ${change.item}`;
    const previous = item === undefined ? undefined : latest.get(item);
    const report = previous ? previous.then(({ status }) => (status === 'done' ? apply() : giveUp())) : apply();
    reports.push(report);
    if (item !== undefined) latest.set(item, report);
    if (index % RECORDS_A_TURN === RECORDS_A_TURN - 1) await new Promise(setImmediate);
  }
  judge(poison.length > 0 || sound > 0 ? objectionOf(input, { sound, poison }) : undefined);
  return { records: await Promise.all(reports) };
}

/** What the pure stages made of a record. */
interface PlannedRecord {
  /** The images are let go, so that a large batch does not hold them to its end. */
  readonly change?: ChangeFacts;
  readonly mutations: readonly Mutation[];
  readonly causes: readonly Cause[];
}

function plan<Record>(input: SyncInput<Record>, record: Record, index: number): PlannedRecord {
  let change: Change;
  try {
    change = input.decode(record, index);
  } catch (error) {
    return { mutations: [], causes: [{ stage: 'decode', error: asError(error) }] };
  }
  // Projecting takes most of the time, and what there is no time left for is not begun.
  if (input.signal?.aborted) return { change: factsOf(change), mutations: [], causes: [] };
  const { mutations, poison } = planOf(input.views, change);
  return { change: factsOf(change), mutations, causes: poison.map(viewCause) };
}

function objectionOf<Record>(input: SyncInput<Record>, planned: Planned<Record>): Error | undefined {
  try {
    return input.objection?.(planned);
  } catch (error) {
    return asError(error);
  }
}

async function applyRecord<Record>(
  input: SyncInput<Record>,
  record: Record,
  index: number,
  { change, mutations, causes: poison }: PlannedRecord,
  objection: Promise<Error | undefined>,
): Promise<RecordReport> {
  if (input.signal?.aborted) return failed(change, new Error('out of time before this record was begun'));
  const causes = [...poison];
  let [applied, stale, rejected] = [0, 0, 0];
  try {
    const outcomes = mutations.length > 0 ? await input.cache.apply(mutations) : [];
    if (outcomes.length !== mutations.length) {
      throw new TypeError(`the cache gave ${outcomes.length} outcomes for ${mutations.length} mutations`);
    }
    for (let i = 0; i < outcomes.length; i += 1) {
      const [outcome, mutation] = [outcomes[i] as Outcome, mutations[i] as Mutation];
      switch (outcome.type) {
        case 'applied':
          applied += 1;
          break;
        case 'stale':
          stale += 1;
          break;
        case 'rejected': {
          rejected += 1;
          const address = mutation.kind === 'document' ? mutation.key : mutation.list;
          causes.push({ stage: 'rejected', address, error: new Error(outcome.reason) });
          break;
        }
      }
    }
    if (poison.length > 0) {
      const error = await objection;
      if (error) throw error;
    }
    if (causes.length > 0) await input.setAside({ record, index, change, causes });
    return { change, status: 'done', applied, stale, rejected, causes };
  } catch (error) {
    return { change, status: 'failed', applied, stale, rejected, causes, error: asError(error) };
  }
}

function viewCause(poison: Poison): Cause {
  return { stage: 'view', ...poison };
}

function failed(change: ChangeFacts | undefined, error: Error): RecordReport {
  return { change, status: 'failed', applied: 0, stale: 0, rejected: 0, causes: [], error };
}
