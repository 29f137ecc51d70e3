import type { Checkpoint } from '../checkpoints/checkpoints.ts';
import { Saver } from '../checkpoints/saver.ts';
import { MAXIMUM_EVENT_BYTES, numbersOf, type QueuedRecord, queuedRecordOf } from '../delivery/batch.ts';
import { Delivery } from '../delivery/delivery.ts';
import { Lane, laneOf } from '../delivery/lane.ts';
import type { Run } from '../run.ts';
import type { Shard } from '../streams/reader.ts';
import { Bell } from '../time/bell.ts';
import { type CursorPage, ShardCursor } from './cursor.ts';
import { ShardProgress } from './progress.ts';

/** Largest page of `GetRecords`, records (DynamoDB API Reference, "GetRecords"). */
const PAGE = 1_000;
/** Largest number of records between the first one that is not done and the last one that was read. */
const MAXIMUM_SPAN = 100_000;

/** Follows one shard from a checkpoint to its end: reads and filters records, hands them to lanes, and moves the checkpoint. */
export class ShardPoller {
  readonly #run: Run;
  readonly #shardId: string;
  readonly #from: Checkpoint;
  readonly #cursor: ShardCursor;
  readonly #lanes: readonly Lane[];
  readonly #delivery: Delivery;
  readonly #saver: Saver;
  readonly #progress = new ShardProgress();
  readonly #space = new Bell();
  #atEnd = false;

  /**
   * @param fresh whether this mapping has just made the checkpoint, so that no earlier mapping was here.
   * @param list as for `ShardCursor`.
   */
  constructor(run: Run, shardId: string, from: Checkpoint, fresh: boolean, list: () => Promise<readonly Shard[]>) {
    this.#run = run;
    this.#shardId = shardId;
    this.#from = from;
    this.#cursor = new ShardCursor(run, shardId, from, fresh, list);
    this.#lanes = Array.from({ length: run.settings.parallelizationFactor }, () => new Lane(run));
    this.#delivery = new Delivery(run, shardId, (records) => this.#finish(records));
    this.#saver = new Saver(run, shardId);
    run.onStop(() => this.#space.ring());
  }

  /** Resolves with true when the shard has ended, or with false when the mapping is stopping and running invocations are over. */
  async follow(): Promise<boolean> {
    await Promise.all([this.#read(), ...this.#lanes.map((lane) => this.#deliver(lane))]);
    const ended = this.#atEnd && this.#progress.unfinished === 0;
    if (ended) this.#saver.save({ type: 'ended', at: this.#run.settings.clock.now() });
    await this.#saver.saved();
    if (!ended || this.#run.killed) return false;
    this.#run.emit({ type: 'shard-ended', shardId: this.#shardId });
    this.#progress.end();
    return true;
  }

  /** Resolves when all records that are in the shard now are done, and the checkpoint is saved. May be called before `follow`. */
  async caughtUp(closed: boolean): Promise<void> {
    await this.#progress.caughtUp(closed);
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
      const poll = this.#progress.startPoll();
      const page = await this.#cursor.next(PAGE);
      if (this.#run.killed) return;
      if (!page) continue;
      this.#take(page, poll);
      if (page.follows === 'nothing') this.#atEnd = true;
      else if (page.follows === 'more' && page.records.length < PAGE) await this.#run.pause(started + pollIntervalMs - clock.now());
    }
    for (const lane of this.#lanes) lane.close();
  }

  /** Whether the records that are not done take the memory that they may take, by number or by bytes. */
  #isFull(): boolean {
    const { batchSize, parallelizationFactor } = this.#run.settings;
    const { unfinished, unfinishedBytes, read, finished } = this.#progress;
    const records = Math.max(PAGE, 2 * batchSize * parallelizationFactor);
    const bytes = (parallelizationFactor + 1) * MAXIMUM_EVENT_BYTES;
    return unfinished >= records || unfinishedBytes >= bytes || read - finished >= MAXIMUM_SPAN;
  }

  #take(page: CursorPage, poll: number): void {
    const { clock, passes, parallelizationFactor } = this.#run.settings;
    const shardId = this.#shardId;
    if (page.records.length > 0) this.#run.emit({ type: 'polled', shardId, records: page.records.length });
    const records = page.records.map((record) => queuedRecordOf(record, clock.now()));
    this.#savePlace(records[0], page.lost);
    const filtered: QueuedRecord[] = [];
    const perLane: QueuedRecord[][] = this.#lanes.map(() => []);
    for (const record of records) {
      this.#progress.add(record);
      if (passes(record.record)) perLane[laneOf(record.record, parallelizationFactor)]?.push(record);
      else filtered.push(record);
    }
    if (filtered.length > 0) {
      this.#run.emit({ type: 'filtered', shardId, sequenceNumbers: numbersOf(filtered) });
      this.#finish(filtered);
    }
    for (const [i, lane] of this.#lanes.entries()) lane.add(perLane[i] ?? []);
    const atEnd = page.follows === 'nothing';
    if (records.length === 0 || atEnd) this.#progress.pollFoundNoMore(poll, atEnd);
  }

  /**
   * Saves a checkpoint at the first record of a page in two cases: no record was read before, or records before the page are lost. The next
   * mapping then starts there, and does not report the same gap again.
   */
  #savePlace(first: QueuedRecord | undefined, lost: boolean): void {
    const isFirstRead = first !== undefined && this.#progress.read === 0 && this.#from.type !== 'after';
    if (this.#progress.unfinished > 0 || !(lost || isFirstRead)) return;
    const at = this.#run.settings.clock.now();
    this.#saver.save(first ? { type: 'at', sequenceNumber: first.sequenceNumber, at } : { type: 'start', position: 'TRIM_HORIZON', at });
  }

  async #deliver(lane: Lane): Promise<void> {
    for (let records = await lane.next(); records; records = await lane.next()) await this.#delivery.deliver(records);
  }

  #finish(records: readonly QueuedRecord[]): void {
    if (this.#progress.finish(records)) {
      const sequenceNumber = this.#progress.last?.sequenceNumber ?? '';
      this.#saver.save({ type: 'after', sequenceNumber, at: this.#run.settings.clock.now() });
    }
    this.#space.ring();
  }
}
