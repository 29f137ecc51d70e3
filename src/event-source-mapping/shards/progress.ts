import type { QueuedRecord } from '../delivery/batch.ts';

/** A call of `caughtUp` that is not resolved yet. */
interface Waiter {
  /** Number of polls that had started before the call. */
  readonly polls: number;
  /** The shard was closed by then, so only the end of the shard shows that there is no further record. */
  readonly closed: boolean;
  /** Number of records that must be done. Undefined until a later poll finds no further record. */
  target?: number;
  readonly resolve: () => void;
}

/** How far the records of a shard are done, and who waits for it. Records may become done in any order; the checkpoint moves in order. */
export class ShardProgress {
  /** Records from the first one on that is not done, starting at `#head`. */
  #records: QueuedRecord[] = [];
  #head = 0;
  /** Done records after the first one that is not done. */
  readonly #doneAhead = new Set<QueuedRecord>();
  readonly #waiters = new Set<Waiter>();
  #finished = 0;
  #last: QueuedRecord | undefined;
  #polls = 0;
  #ended = false;
  #unfinished = 0;
  #unfinishedBytes = 0;

  /** Number of records that were read. */
  get read(): number {
    return this.#finished + this.#records.length - this.#head;
  }

  /** Number of records before the first one that is not done. */
  get finished(): number {
    return this.#finished;
  }

  /** The last of the `finished` records. */
  get last(): QueuedRecord | undefined {
    return this.#last;
  }

  /** Number of records that are not done. */
  get unfinished(): number {
    return this.#unfinished;
  }

  /** JSON of the records that are not done, bytes. */
  get unfinishedBytes(): number {
    return this.#unfinishedBytes;
  }

  /** Counts a poll that starts now. Returns its number, for `pollFoundNoMore`. */
  startPoll(): number {
    this.#polls += 1;
    return this.#polls;
  }

  add(record: QueuedRecord): void {
    this.#records.push(record);
    this.#unfinished += 1;
    this.#unfinishedBytes += record.bytes;
  }

  /** Notes that records are done. Returns whether `last` changed. */
  finish(records: readonly QueuedRecord[]): boolean {
    for (const record of records) {
      this.#doneAhead.add(record);
      this.#unfinished -= 1;
      this.#unfinishedBytes -= record.bytes;
    }
    const before = this.#finished;
    for (let next = this.#records[this.#head]; next && this.#doneAhead.delete(next); next = this.#records[this.#head]) {
      this.#last = next;
      this.#head += 1;
      this.#finished += 1;
    }
    if (this.#head > 1_000) {
      this.#records = this.#records.slice(this.#head);
      this.#head = 0;
    }
    this.#resolveWaiters();
    return this.#finished > before;
  }

  /** Notes that a poll found no record beyond those that were added. `atEnd`: it reached the end of the shard. */
  pollFoundNoMore(poll: number, atEnd: boolean): void {
    for (const waiter of this.#waiters) if (waiter.polls < poll && (atEnd || !waiter.closed)) waiter.target ??= this.read;
    this.#resolveWaiters();
  }

  /** Notes that the shard has ended and every record of it is done. */
  end(): void {
    this.#ended = true;
    for (const { resolve } of this.#waiters) resolve();
    this.#waiters.clear();
  }

  /**
   * Resolves when all records that are in the shard now are done. Only a poll that starts after this call can show how many they are.
   *
   * @param closed whether the shard is closed. Then only its end counts, because an empty page may come earlier.
   */
  caughtUp(closed: boolean): Promise<void> {
    if (this.#ended) return Promise.resolve();
    return new Promise((resolve) => this.#waiters.add({ polls: this.#polls, closed, resolve }));
  }

  #resolveWaiters(): void {
    for (const waiter of this.#waiters) {
      if (waiter.target === undefined || waiter.target > this.#finished) continue;
      this.#waiters.delete(waiter);
      waiter.resolve();
    }
  }
}
