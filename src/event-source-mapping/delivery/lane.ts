import type { StreamRecord } from '../../dynamodb/record.ts';
import { itemHash } from '../item-hash.ts';
import type { Run } from '../run.ts';
import { Bell } from '../time/bell.ts';
import { largestBatch, type QueuedRecord } from './batch.ts';

/** The lane of a record, from 0 to below `lanes`. All records of an item are in the same lane. */
export function laneOf(record: StreamRecord, lanes: number): number {
  return lanes === 1 ? 0 : itemHash(record) % lanes;
}

/** A queue of records whose batches go to the function one after the other. A shard has `parallelizationFactor` lanes. */
export class Lane {
  readonly #run: Run;
  #queue: QueuedRecord[] = [];
  #closed = false;
  /** Rings when there may be something to deliver, or the lane shall stop. */
  readonly #bell = new Bell();

  constructor(run: Run) {
    this.#run = run;
    run.onStop(() => this.#bell.ring());
  }

  add(records: readonly QueuedRecord[]): void {
    if (records.length === 0) return;
    for (const record of records) this.#queue.push(record);
    this.#bell.ring();
  }

  /** Declares that no record will be added. */
  close(): void {
    this.#closed = true;
    this.#bell.ring();
  }

  /**
   * Resolves with the next batch when it is full, or when the batching window of its first record is over. Resolves with undefined when
   * the lane is closed and empty, or the mapping is stopping.
   */
  async next(): Promise<readonly QueuedRecord[] | undefined> {
    const { batchSize, windowMs, clock } = this.#run.settings;
    while (!this.#run.stopping.aborted) {
      const [first] = this.#queue;
      if (!first) {
        if (this.#closed) return undefined;
        await this.#bell.heard();
        continue;
      }
      const { count, full } = largestBatch(this.#queue, batchSize);
      const wait = first.readAt + windowMs - clock.now();
      if (full || this.#closed || wait <= 0) return this.#queue.splice(0, count);
      await this.#bell.heard(clock, wait);
    }
    return undefined;
  }
}
