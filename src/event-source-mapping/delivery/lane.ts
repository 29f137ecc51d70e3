import type { StreamRecord } from '../../dynamodb/record.ts';
import { itemHash } from '../item-hash.ts';
import type { Run } from '../run.ts';
import { Bell } from '../time/bell.ts';
import { largestBatch, type QueuedRecord } from './batch.ts';

/** Which of so many lanes a record belongs to: that of its item. */
export function laneOf(record: StreamRecord, lanes: number): number {
  return lanes === 1 ? 0 : itemHash(record) % lanes;
}

/** A queue of records whose batches go to the function one after the other. All records of an item are in one lane of their shard. */
export class Lane {
  readonly #run: Run;
  #queue: QueuedRecord[] = [];
  #closed = false;
  readonly #bell = new Bell();

  constructor(run: Run) {
    this.#run = run;
    run.onStop(() => this.#bell.ring());
  }

  add(entries: readonly QueuedRecord[]): void {
    if (entries.length === 0) return;
    for (const entry of entries) this.#queue.push(entry);
    this.#bell.ring();
  }

  /** No record will be added. */
  close(): void {
    this.#closed = true;
    this.#bell.ring();
  }

  /** The next batch, once it is full or the window is over. Undefined: there is none, or the mapping is to stop. */
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
