/** Poison without a sound record in between. */
export interface PoisonRun {
  /** A record was decoded and projected: what comes now is a new run. */
  end(): void;
  /** Whether these records, by their names, may be set aside. Those that were admitted once always are, so that a retry of them changes nothing. */
  admits(names: readonly string[]): boolean;
}

/**
 * Tells bad records from a bad deployment. A record that cannot be decoded or projected is set aside, but where nothing else comes any more, the fault is
 * probably this code's: then every record of the stream would become a dead letter, in the order of thousands a minute, though all of them could be applied
 * an hour later, by the version that is rolled back to. So at most `limit` records in a row are set aside; what is beyond fails, and the stream keeps it.
 *
 * - The row goes from batch to batch, for with a batch size of 1 every poison is a whole batch of it. A batch with one sound record ends the row, whatever
 *   else it holds: this code can still do its work, so it is the records that are bad. What the cache makes of a record is no matter: a value that it rejects and a
 *   record that it gave no answer for are sound here, and an outage of the cache can neither begin a row nor keep one going.
 * - A batch of poison is admitted as a whole or not at all. Size 1: `limit` letters, then the shard waits. Size 10: one batch or none. Size 1,000:
 *   nothing of a first batch without a sound record. All of it is `failed`, from the first poison on, and that is the sequence number that is
 *   reported: bisecting there leaves the batch as it is. Were it halved all the same, because the function ran out of time say, no half is admitted either.
 * - A record counts once, however often it is retried.
 * - The row is kept in memory. An execution environment that starts begins a new one, as it must: with new code, what failed may be sound. While code stays
 *   bad, each environment (one a shard and parallelization factor, replaced every few hours) sets aside `limit` records at most.
 * - Records that are really bad, `limit` of them and more in a row, hold their shard. They are not lost: before they leave the stream, the event source
 *   mapping's own limits (MaximumRecordAgeInSeconds) send them to its on-failure destination. Who knows that they are bad raises the limit.
 *
 * @param limit 0: there is none.
 */
export function poisonRun(limit: number): PoisonRun {
  const admitted = new Set<string>();
  return {
    end() {
      admitted.clear();
    },
    admits(names) {
      if (limit === 0) return true;
      const more = new Set(names.filter((name) => !admitted.has(name)));
      if (admitted.size + more.size > limit) return false;
      for (const name of more) admitted.add(name);
      return true;
    },
  };
}
