import type { CacheClient } from '../cache.ts';
import type { Cause } from '../cause.ts';
import { type Attributes, type Change, type ChangeFacts, factsOf, itemOf } from '../change.ts';
import { asError } from '../errors.ts';
import type { Mutation, Outcome } from '../mutation.ts';
import { planOf } from '../plan/plan.ts';
import { shownKeys } from '../plan/shown-keys.ts';
import type { View } from '../view.ts';

export interface SyncInput<Record> {
  /** In the order of the stream. */
  readonly records: readonly Record[];
  /** Pure: a throw makes the record poison. */
  decode(record: Record, index: number): Change;
  readonly views: readonly View[];
  readonly cache: Pick<CacheClient, 'apply'>;
  /**
   * Puts a record in a safe place before it is reported as done. Returns the name of its letter, if it has one. A throw means that the record is
   * not safe: the record fails.
   */
  setAside(record: SetAside<Record>): Promise<string | undefined>;
  /**
   * How many of the poison records may be set aside, from the first on. The others fail. Called once a batch that is of any view's business, after
   * all of it was decoded and projected and before any of it is set aside. Default: all of them.
   */
  admit?(planned: PlannedBatch<Record>): number;
  /** Once aborted, no further record is begun. Records that were not begun fail. */
  readonly signal?: AbortSignal;
}

/** A record to set aside, because it, or a part of it, will never be applied. */
export interface SetAside<Record> {
  readonly record: Record;
  /** Its place in the batch, from 0. */
  readonly index: number;
  /** Absent when the record could not be decoded. It has the item's keys in full; for a log, take `shownKeys`. */
  readonly change?: ChangeFacts;
  /** The item's keys as a log may show them: secret values are hashed; see `secretKeys` of an entity. Absent as `change` is. */
  readonly shownKeys?: Attributes;
  /** One or more, of the stages `decode`, `view` and `rejected`. */
  readonly causes: readonly Cause[];
}

/** What decoding and projecting made of a batch. Records that no view projects are counted in neither. */
export interface PlannedBatch<Record> {
  /** How many records were decoded and projected by all views that they concern. */
  readonly sound: number;
  /** In the order of the batch. */
  readonly poison: readonly SetAside<Record>[];
}

/** What became of a batch. One entry a record, in the order of the records. */
export interface Report {
  readonly records: readonly RecordReport[];
}

export interface RecordReport {
  /** Absent when the record could not be decoded. Secret values of `keys` and `item` are hashed, so that a report may be logged. */
  readonly change?: ChangeFacts;
  /** `done`: applied, found stale, skipped, or set aside. `failed`: to be retried from here. */
  readonly status: 'done' | 'failed';
  /** Mutations, as are `stale` and `rejected`. */
  readonly applied: number;
  readonly stale: number;
  readonly rejected: number;
  /** Mutations of views that readers cannot read now; see `withLives`. Absent: none. */
  readonly skipped?: number;
  /** Why parts of the record, or all of it, will never be applied. Of the stages `decode`, `view` and `rejected`. */
  readonly causes: readonly Cause[];
  /** The dead letter that the record was set aside in. */
  readonly letter?: string;
  /** Why the record failed. */
  readonly error?: Error;
}

/** After this number of records the event loop runs, so that calls are sent while further records are planned. */
const RECORDS_A_TURN = 64;

/**
 * Applies records to the cache: those of one item in order, items concurrently. Never throws.
 *
 * 1. An item stops at its first failed record, because its later records must not overtake that one.
 * 2. A record that cannot be decoded belongs to no known item and holds back none. Versions make that harmless.
 * 3. Pure code that throws will always throw: the record, or the view's part of it, is set aside, and the rest goes on.
 * 4. A call that throws may succeed later: the record fails.
 * 5. A record is done only after a call of the cache, also if it changes nothing: a cache with lives ends those of views that this code has not.
 */
export async function sync<Record>(input: SyncInput<Record>): Promise<Report> {
  let nothing: ReturnType<CacheClient['apply']> | undefined;
  const applyNothing = () => {
    nothing ??= input.cache.apply([]);
    return nothing;
  };
  const reports: Promise<RecordReport>[] = [];
  /** The report of the latest record of each item. */
  const latest = new Map<string, Promise<RecordReport>>();
  const poison: SetAside<Record>[] = [];
  let sound = 0;
  let admit = (_: Admission): void => {};
  const admission = new Promise<Admission>((resolve) => {
    admit = resolve;
  });
  for (const [index, record] of input.records.entries()) {
    const planned = plan(input, record, index);
    const { change, shown, mutations, causes } = planned;
    if (causes.length > 0) poison.push({ record, index, change, shownKeys: shown?.keys, causes });
    else if (mutations.length > 0) sound += 1;
    const apply = () => applyRecord(input, record, index, planned, admission, applyNothing);
    const giveUp = () => failed(shown, new Error('an earlier record of this item failed'));
    const item = change && `${change.table} ${change.item}`;
    const previous = item === undefined ? undefined : latest.get(item);
    const report = previous ? previous.then(({ status }) => (status === 'done' ? apply() : giveUp())) : apply();
    reports.push(report);
    if (item !== undefined) latest.set(item, report);
    if (index % RECORDS_A_TURN === RECORDS_A_TURN - 1) await new Promise(setImmediate);
  }
  admit(admissionOf(input, { sound, poison }));
  return { records: await Promise.all(reports) };
}

/** Poison from this place of the batch on fails, with the error that `admit` threw, if it threw one. */
interface Admission {
  readonly before: number;
  readonly error?: Error;
}

function admissionOf<Record>(input: SyncInput<Record>, planned: PlannedBatch<Record>): Admission {
  const { sound, poison } = planned;
  if (!input.admit || (sound === 0 && poison.length === 0)) return { before: Infinity };
  try {
    return { before: poison[input.admit(planned)]?.index ?? Infinity };
  } catch (thrown) {
    return { before: 0, error: asError(thrown) };
  }
}

/** What decoding and projecting made of a record. The images are dropped, so that a large batch does not hold them until its end. */
interface PlannedRecord {
  /** Absent when the record could not be decoded. */
  readonly change?: ChangeFacts;
  /** The change with its secret keys hashed. */
  readonly shown?: ChangeFacts;
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
  const facts = factsOf(change);
  const keys = shownKeys(input.views, change.keys, [change.before, change.after]);
  const shown = keys === change.keys ? facts : { ...facts, keys, item: itemOf(keys) };
  // Projecting takes most of the time, so a record that cannot be begun any more is not projected.
  if (input.signal?.aborted) return { change: facts, shown, mutations: [], causes: [] };
  const { mutations, poison } = planOf(input.views, change);
  return { change: facts, shown, mutations, causes: poison };
}

async function applyRecord<Record>(
  input: SyncInput<Record>,
  record: Record,
  index: number,
  { change, shown, mutations, causes: poison }: PlannedRecord,
  admission: Promise<Admission>,
  applyNothing: () => ReturnType<CacheClient['apply']>,
): Promise<RecordReport> {
  if (input.signal?.aborted) return failed(shown, new Error('out of time before this record was begun'));
  const causes = [...poison];
  let [applied, stale, rejected, skipped] = [0, 0, 0, 0];
  try {
    const outcomes = await (mutations.length > 0 ? input.cache.apply(mutations) : applyNothing());
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
        case 'rejected':
          rejected += 1;
          causes.push(rejection(mutation, outcome.reason));
          break;
        case 'skipped':
          skipped += 1;
          break;
      }
    }
    if (poison.length > 0) {
      const { before, error } = await admission;
      if (index >= before) throw error ?? new Error('there is nothing but poison, and more of it in a row than may be set aside');
    }
    const letter = causes.length > 0 ? await input.setAside({ record, index, change, shownKeys: shown?.keys, causes }) : undefined;
    return { change: shown, status: 'done', applied, stale, rejected, ...(skipped > 0 && { skipped }), causes, letter };
  } catch (error) {
    return { change: shown, status: 'failed', applied, stale, rejected, ...(skipped > 0 && { skipped }), causes, error: asError(error) };
  }
}

/** Keys begin with their view: `detail@1:42`. */
function rejection(mutation: Mutation, reason: string): Cause {
  const address = mutation.kind === 'document' ? mutation.key : mutation.list;
  return { stage: 'rejected', view: address.split(':', 1)[0], address, error: new Error(reason) };
}

function failed(change: ChangeFacts | undefined, error: Error): RecordReport {
  return { change, status: 'failed', applied: 0, stale: 0, rejected: 0, causes: [], error };
}
