/** Counts consecutive poison records; see `poisonRun`. */
export interface PoisonRun {
  /** Call when a batch contains a sound record. Resets the count. The batch's own poison, by its names, is admitted without counting. */
  reset(admit: readonly string[]): void;
  /** How many of these poison records, by their names, may be set aside, from the first on. */
  admit(names: readonly string[]): number;
}

/** Lambda's largest batch, so the latest batch is remembered whole. */
const REMEMBERED = 10_000;

/**
 * Tells bad records from a bad deployment. Poison is set aside; but when nothing except poison comes, the fault is probably in this code, and
 * every record of the stream would become a dead letter within minutes, although the version that is rolled back to could apply them all. So
 * at most `limit` records of a run are set aside. The next one fails, and the stream keeps it.
 *
 * 1. A run is consecutive poison, across batches. A batch with one sound record ends the run: this code still works, so the records are bad.
 * 2. A record is sound when it was decoded and projected. The cache's answer does not count, so an outage can neither start nor prolong a run.
 * 3. Within a run the first `limit` records are admitted. Lambda retries from the next one, whatever the size of the batch.
 * 4. An admitted record stays admitted (the last 10,000), so its retry costs nothing.
 * 5. The run lives in memory. A new environment starts at 0, because new code may project what failed. While the code stays bad, each
 *    environment (one for each shard and parallelization factor, replaced every few hours) sets aside at most `limit` records.
 * 6. More than `limit` bad records in a row hold up their shard. They are not lost: before they leave the stream, the limits of the event source
 *    mapping (`MaximumRecordAgeInSeconds`) send them to its on-failure destination. A higher limit sets them aside at once.
 *
 * @param limit the records of a run that may be set aside; 0: all
 */
export function poisonRun(limit: number): PoisonRun {
  /** Oldest first. The records of the present run are never dropped. */
  const admitted = new Set<string>();
  let count = 0;
  return {
    reset(admit) {
      count = 0;
      if (limit === 0) return;
      for (const name of admit) {
        admitted.delete(name);
        admitted.add(name);
      }
      for (const name of admitted) {
        if (admitted.size <= REMEMBERED) break;
        admitted.delete(name);
      }
    },
    admit(names) {
      if (limit === 0) return names.length;
      for (const [i, name] of names.entries()) {
        if (admitted.has(name)) continue;
        if (count === limit) return i;
        count += 1;
        admitted.add(name);
      }
      return names.length;
    },
  };
}
