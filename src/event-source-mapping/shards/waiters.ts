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
