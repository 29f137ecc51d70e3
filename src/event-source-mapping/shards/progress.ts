import type { QueuedRecord } from '../delivery/batch.ts';

/** The records of a shard from the first on that is not done. */
export class Ledger {
  #entries: QueuedRecord[] = [];
  #head = 0;
  #finished = 0;
  #last: QueuedRecord | undefined;
  /** Not done yet. */
  unfinished = 0;
  unfinishedBytes = 0;

  /** How many were ever added. */
  get read(): number {
    return this.#finished + this.#entries.length - this.#head;
  }

  /** How many of them, from the first on, are done without a gap. */
  get finished(): number {
    return this.#finished;
  }

  /** The last of those. */
  get last(): QueuedRecord | undefined {
    return this.#last;
  }

  add(entry: QueuedRecord): void {
    this.#entries.push(entry);
    this.unfinished += 1;
    this.unfinishedBytes += entry.bytes;
  }

  /** Returns whether the checkpoint moved. */
  finish(entries: readonly QueuedRecord[]): boolean {
    for (const entry of entries) {
      entry.done = true;
      this.unfinished -= 1;
      this.unfinishedBytes -= entry.bytes;
    }
    const before = this.#finished;
    for (let next = this.#entries[this.#head]; next?.done; next = this.#entries[this.#head]) {
      this.#last = next;
      this.#head += 1;
      this.#finished += 1;
    }
    if (this.#head > 1_000) {
      this.#entries = this.#entries.slice(this.#head);
      this.#head = 0;
    }
    return this.#finished > before;
  }
}

/** Somebody who waits until all that was in a shard is done. */
interface Waiter {
  /** Polls that had begun when it came. */
  readonly polls: number;
  /** The shard was closed by then: only its end tells that there is nothing more. */
  readonly closed: boolean;
  /** How many records must be done; unknown until a later poll finds nothing more. */
  upTo?: number;
  readonly resolve: () => void;
}

export class Waiters {
  readonly #waiters = new Set<Waiter>();

  /** Resolves when what a poll after these finds to be all is done, or the shard has ended. */
  add(polls: number, closed: boolean): Promise<void> {
    return new Promise((resolve) => this.#waiters.add({ polls, closed, resolve }));
  }

  /** This poll found nothing more than `read` records; maybe because the shard is at its end. */
  found(poll: number, atEnd: boolean, read: number): void {
    for (const waiter of this.#waiters) if (waiter.polls < poll && (atEnd || !waiter.closed)) waiter.upTo ??= read;
  }

  /** So many records are done, from the first on. */
  done(finished: number): void {
    for (const waiter of this.#waiters) {
      if (waiter.upTo === undefined || waiter.upTo > finished) continue;
      this.#waiters.delete(waiter);
      waiter.resolve();
    }
  }

  ended(): void {
    for (const { resolve } of this.#waiters) resolve();
  }
}
