import type { Entry } from '../delivery/entry.ts';

/** The records of a shard from the first on that is not done. */
export class Ledger {
  #entries: Entry[] = [];
  #head = 0;
  #finished = 0;
  #last: Entry | undefined;
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
  get last(): Entry | undefined {
    return this.#last;
  }

  add(entry: Entry): void {
    this.#entries.push(entry);
    this.unfinished += 1;
    this.unfinishedBytes += entry.bytes;
  }

  /** Returns whether the checkpoint moved. */
  finish(entries: readonly Entry[]): boolean {
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
