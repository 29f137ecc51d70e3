import { itemOf } from '../change.ts';
import { attributesOf, type StreamRecord } from '../dynamodb/record.ts';
import type { MappingEvent } from '../event-source-mapping/index.ts';
import type { Mutation, Outcome } from '../mutation.ts';
import type { Report } from '../sync/sync.ts';
import type { Version } from '../version.ts';
import { bounded } from './bounded.ts';
import type { HistoryLine, Move, Point, StreamRow } from './wire.ts';

const MOST_ROWS = 40;
const MOST_RECORDS = 80;
const MOST_NUMBERS = 30_000;
const MOST_HISTORIES = 3_000;
const MOST_LINES = 40;
const MOST_MOVES = 12;

/** The records of the stream, what became of them, and which entries they wrote. Records are numbered from 1, in the order in which they were seen. */
export class RecordLog {
  readonly #rows = new Map<string, StreamRow>();
  readonly #records = new Map<string, StreamRecord>();
  readonly #numbers = new Map<string, number>();
  readonly #writtenAt = new Map<string, number>();
  readonly #histories = new Map<string, HistoryLine[]>();
  #newest: string | undefined;
  #counts = { records: 0, applied: 0, stale: 0 };
  #moves: Move[] = [];
  #second = { records: 0, calls: 0, lags: [] as number[] };

  get counts(): { readonly records: number; readonly applied: number; readonly stale: number } {
    return this.#counts;
  }

  /** The sequence number of the newest record. */
  get newest(): string | undefined {
    return this.#newest;
  }

  /** The newest first. */
  get rows(): readonly StreamRow[] {
    return [...this.#rows.values()].reverse();
  }

  has(sequenceNumber: string): boolean {
    return this.#numbers.has(placeOf(sequenceNumber));
  }

  numberOf(version: Version): number | undefined {
    return this.#numbers.get(placeOf(version));
  }

  /** What came to an entry, the newest first. */
  historyOf(name: string): readonly HistoryLine[] {
    return this.#histories.get(name) ?? [];
  }

  /** The newest records of an item, the newest last. */
  recordsOf(item: string, count: number): readonly StreamRecord[] {
    return [...this.#records.values()].filter(({ dynamodb }) => itemOf(attributesOf(dynamodb?.Keys ?? {})) === item).slice(-count);
  }

  add(record: StreamRecord, sequenceNumber: string, item: string): void {
    const place = placeOf(sequenceNumber);
    this.#newest = sequenceNumber;
    this.#counts = { ...this.#counts, records: this.#counts.records + 1 };
    const number = this.#counts.records;
    bounded(this.#numbers, MOST_NUMBERS).set(place, number);
    bounded(this.#writtenAt, MOST_NUMBERS).set(place, Date.now());
    bounded(this.#records, MOST_RECORDS).set(place, record);
    bounded(this.#rows, MOST_ROWS).set(place, { number, item, kind: record.eventName ?? '', state: 'waiting', result: 'on its way' });
    this.#second.records += 1;
    this.#move({ number, from: 'table', views: [] });
  }

  /** A call of the cache begins. */
  called(): void {
    this.#second.calls += 1;
  }

  wrote(mutations: readonly Mutation[], outcomes: readonly Outcome[]): void {
    for (const [i, mutation] of mutations.entries()) {
      const outcome = outcomes[i]?.type ?? 'unknown';
      const type = mutation.kind === 'document' ? mutation.type : `${mutation.type} ${mutation.member}`;
      const lines = this.#histories.get(nameIn(mutation)) ?? [];
      lines.unshift({ at: Date.now(), number: this.numberOf(mutation.version), type, outcome });
      lines.splice(MOST_LINES);
      bounded(this.#histories, MOST_HISTORIES).set(nameIn(mutation), lines);
      if (outcome === 'applied') this.#counts.applied += 1;
      if (outcome === 'stale') this.#counts.stale += 1;
    }
    const number = mutations[0] && this.numberOf(mutations[0].version);
    const views = new Set(mutations.map((mutation) => nameIn(mutation).split(':', 1)[0] as string));
    if (number !== undefined) this.#move({ number, from: 'stream', views: [...views] });
  }

  reported({ records }: Report): void {
    for (const { change, status, applied, stale, causes } of records) {
      const place = change ? placeOf(change.version) : '';
      const row = this.#rows.get(place);
      if (!row) continue;
      const parts = [applied > 0 && `${applied} applied`, stale > 0 && `${stale} stale`, causes.length > 0 && `${causes.length} set aside`];
      const state = status === 'failed' ? 'failed' : causes.length > 0 ? 'letter' : 'done';
      const result = status === 'failed' ? 'failed, and comes again' : parts.filter(Boolean).join(', ') || 'of no view';
      this.#rows.set(place, { ...row, state, result });
    }
  }

  event(event: MappingEvent): void {
    if (event.type !== 'invoked' && event.type !== 'succeeded') return;
    for (const place of event.sequenceNumbers.map(placeOf)) {
      const row = this.#rows.get(place);
      if (event.type === 'invoked' && row?.state === 'waiting')
        this.#rows.set(place, { ...row, state: 'delivered', result: 'in the worker' });
      const at = this.#writtenAt.get(place);
      if (event.type === 'invoked' || at === undefined) continue;
      this.#second.lags.push(Date.now() - at);
      this.#writtenAt.delete(place);
    }
  }

  /** The moves since the last call. */
  takeMoves(): readonly Move[] {
    const moves = this.#moves;
    this.#moves = [];
    return moves;
  }

  /** What happened since the last call, which was a second ago. */
  takePoint(): Point {
    const { records, calls, lags } = this.#second;
    this.#second = { records: 0, calls: 0, lags: [] };
    const lagMs = lags.length === 0 ? 0 : Math.round(lags.reduce((sum, lag) => sum + lag, 0) / lags.length);
    return { at: Math.floor(Date.now() / 1_000), lagMs, records, roundTrips: calls };
  }

  #move(move: Move): void {
    if (this.#moves.length < MOST_MOVES) this.#moves.push(move);
  }
}

/** A sequence number, or that of a version, without zeros before it. */
function placeOf(version: string): string {
  return version.slice(version.indexOf('/') + 1).replace(/^0+(?=\d)/, '');
}

function nameIn(mutation: Mutation): string {
  return mutation.kind === 'document' ? mutation.key : mutation.list;
}
