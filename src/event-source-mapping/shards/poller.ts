import type { Checkpoint } from '../checkpoints/checkpoints.ts';
import { Saver } from '../checkpoints/saver.ts';
import { MAXIMUM_EVENT_BYTES, type QueuedRecord, queuedRecordOf } from '../delivery/batch.ts';
import { Delivery } from '../delivery/delivery.ts';
import { Lane, laneOf } from '../delivery/lane.ts';
import type { Run } from '../run.ts';
import type { RecordPage } from '../streams/reader.ts';
import { Bell } from '../time/bell.ts';
import { ShardCursor } from './cursor.ts';
import { Ledger, Waiters } from './progress.ts';

/** The most that `GetRecords` gives. */
const PAGE = 1_000;
/** So many records may be read after one that is not done. */
const MAXIMUM_SPAN = 100_000;

/** Follows one shard, from a checkpoint to its end: reads, filters, hands out to lanes, keeps the checkpoint. */
export class ShardPoller {
  readonly #run: Run;
  readonly #shardId: string;
  readonly #from: Checkpoint;
  readonly #cursor: ShardCursor;
  readonly #lanes: readonly Lane[];
  readonly #delivery: Delivery;
  readonly #saver: Saver;
  readonly #ledger = new Ledger();
  readonly #waiters = new Waiters();
  readonly #space = new Bell();
  #polls = 0;
  #atEnd = false;
  #ended = false;

  /** `fresh`: the checkpoint was made just now, and not by a mapping before this one. */
  constructor(run: Run, shardId: string, from: Checkpoint, fresh: boolean) {
    this.#run = run;
    this.#shardId = shardId;
    this.#from = from;
    this.#cursor = new ShardCursor(run, shardId, from, fresh);
    this.#lanes = Array.from({ length: run.settings.parallelizationFactor }, () => new Lane(run));
    this.#delivery = new Delivery(run, shardId, (entries) => this.#finish(entries));
    this.#saver = new Saver(run, shardId);
    run.onStop(() => this.#space.ring());
  }

  /** Resolves with true when the shard has ended, or with false when the mapping is to stop and what was under way is done. */
  async follow(): Promise<boolean> {
    await Promise.all([this.#read(), ...this.#lanes.map((lane) => this.#work(lane))]);
    const ended = this.#atEnd && this.#ledger.unfinished === 0;
    if (ended) this.#saver.save({ type: 'ended', at: this.#run.settings.clock.now() });
    await this.#saver.saved();
    if (!ended || this.#run.killed) return false;
    this.#ended = true;
    this.#run.emit({ type: 'shard-ended', shardId: this.#shardId });
    this.#waiters.ended();
    return true;
  }

  /** Resolves when all that is in the shard now is done, and saved. Can be called before `follow`, too. `closed`: nothing will be added. */
  async caughtUp(closed: boolean): Promise<void> {
    if (this.#ended) return;
    await this.#waiters.add(this.#polls, closed);
    await this.#saver.saved();
  }

  async #read(): Promise<void> {
    const { clock, pollIntervalMs } = this.#run.settings;
    while (!this.#run.stopping.aborted && !this.#atEnd) {
      if (this.#isFull()) {
        await this.#space.heard();
        continue;
      }
      const started = clock.now();
      this.#polls += 1;
      const poll = this.#polls;
      const page = await this.#cursor.next(PAGE);
      if (this.#run.killed) return;
      if (!page) continue;
      this.#take(page, poll);
      if (page.next === undefined) this.#atEnd = true;
      else if (page.records.length < PAGE) await this.#run.pause(started + pollIntervalMs - clock.now());
    }
    for (const lane of this.#lanes) lane.close();
  }

  #isFull(): boolean {
    const { batchSize, parallelizationFactor } = this.#run.settings;
    const { unfinished, unfinishedBytes, read, finished } = this.#ledger;
    const records = Math.max(PAGE, 2 * batchSize * parallelizationFactor);
    const bytes = (parallelizationFactor + 1) * MAXIMUM_EVENT_BYTES;
    return unfinished >= records || unfinishedBytes >= bytes || read - finished >= MAXIMUM_SPAN;
  }

  #take({ records, next, lost }: RecordPage & { readonly lost: boolean }, poll: number): void {
    const { clock, passes, parallelizationFactor } = this.#run.settings;
    const shardId = this.#shardId;
    if (records.length > 0) this.#run.emit({ type: 'polled', shardId, records: records.length });
    const entries = records.map((record) => queuedRecordOf(record, clock.now()));
    const [first] = entries;
    // The old place is not known, or gone: the next mapping need not look for it again.
    if (this.#ledger.unfinished === 0 && (lost || (first && this.#ledger.read === 0 && this.#from.type !== 'after'))) {
      const at = clock.now();
      this.#saver.save(first ? { type: 'at', sequenceNumber: first.sequenceNumber, at } : { type: 'start', position: 'TRIM_HORIZON', at });
    }
    const filtered: QueuedRecord[] = [];
    const perLane: QueuedRecord[][] = this.#lanes.map(() => []);
    for (const entry of entries) {
      this.#ledger.add(entry);
      if (passes(entry.record)) perLane[laneOf(entry.record, parallelizationFactor)]?.push(entry);
      else filtered.push(entry);
    }
    if (filtered.length > 0) {
      this.#run.emit({ type: 'filtered', shardId, sequenceNumbers: filtered.map(({ sequenceNumber }) => sequenceNumber) });
      this.#finish(filtered);
    }
    for (const [i, lane] of this.#lanes.entries()) lane.add(perLane[i] ?? []);
    if (records.length === 0 || next === undefined) this.#waiters.found(poll, next === undefined, this.#ledger.read);
    this.#waiters.done(this.#ledger.finished);
  }

  async #work(lane: Lane): Promise<void> {
    for (let entries = await lane.next(); entries; entries = await lane.next()) await this.#delivery.deliver(entries);
  }

  #finish(entries: readonly QueuedRecord[]): void {
    if (this.#ledger.finish(entries)) {
      const sequenceNumber = this.#ledger.last?.sequenceNumber ?? '';
      this.#saver.save({ type: 'after', sequenceNumber, at: this.#run.settings.clock.now() });
    }
    this.#space.ring();
    this.#waiters.done(this.#ledger.finished);
  }
}
