/** Poison without a sound record in between. */
export interface PoisonRun {
  /** A record was decoded and projected: what comes now is a new run. The poison beside it, by its names, is admitted and does not count. */
  end(beside: readonly string[]): void;
  /**
   * How many of these records, from the first on, may be set aside, by their names. Those that were admitted once take no room again, so that a
   * retry of them changes nothing.
   */
  admits(names: readonly string[]): number;
}

/** Lambda's largest batch: the latest one is remembered whole. */
const REMEMBERED = 10_000;

/**
 * Tells bad records from a bad deployment. A record that cannot be decoded or projected is set aside, but where nothing else comes any more, the fault is
 * probably this code's: then every record of the stream would become a dead letter, in the order of thousands a minute, though all of them could be applied
 * an hour later, by the version that is rolled back to. So at most `limit` records in a row are set aside; what is beyond fails, and the stream keeps it.
 *
 * - The row goes from batch to batch, for with a batch size of 1 every poison is a whole batch of it. A batch with one sound record ends the row, whatever
 *   else it holds: this code can still do its work, so it is the records that are bad. What the cache makes of a record is no matter: a value that it rejects and a
 *   record that it gave no answer for are sound here, and an outage of the cache can neither begin a row nor keep one going.
 * - Of a batch of poison, its first records are admitted, as far as there is room. What is beyond is `failed`, and the first of it is the sequence number that is
 *   reported: what was set aside is not retried, and bisecting there leaves the rest as it is. So the size of a batch is no matter: `limit` letters, then
 *   the shard waits, and an environment that starts takes it up where this one stopped.
 * - What was admitted, in a row or beside a sound record, stays so when that is over (the latest 10,000 records): where a batch fails in part, the sound record
 *   may be done, and its retry be poison alone.
 * - A record counts once, however often it is retried.
 * - The row is kept in memory. An execution environment that starts begins a new one, as it must: with new code, what failed may be sound. While code stays
 *   bad, each environment (one a shard and parallelization factor, replaced every few hours) sets aside `limit` records at most.
 * - Records that are really bad, `limit` of them and more in a row, hold their shard. They are not lost: before they leave the stream, the event source
 *   mapping's own limits (MaximumRecordAgeInSeconds) send them to its on-failure destination. Who knows that they are bad raises the limit.
 *
 * @param limit 0: there is none.
 */
export function poisonRun(limit: number): PoisonRun {
  /** The oldest first. None of the present row is dropped. */
  const admitted = new Set<string>();
  let row = 0;
  return {
    end(beside) {
      row = 0;
      if (limit === 0) return;
      for (const name of beside) {
        admitted.delete(name);
        admitted.add(name);
      }
      for (const name of admitted) {
        if (admitted.size <= REMEMBERED) break;
        admitted.delete(name);
      }
    },
    admits(names) {
      if (limit === 0) return names.length;
      for (const [i, name] of names.entries()) {
        if (admitted.has(name)) continue;
        if (row === limit) return i;
        row += 1;
        admitted.add(name);
      }
      return names.length;
    },
  };
}
