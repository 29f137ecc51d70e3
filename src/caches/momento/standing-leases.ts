import { type Lease, STANDING_MS } from '../../cache.ts';
import type { Deadline } from './deadline.ts';
import type { Store } from './store.ts';

/** The shortest TTL of Momento that is not below `STANDING_MS`. */
const TTL_SECONDS = Math.ceil(STANDING_MS / 1_000);

/**
 * Which lists have a lease that stands. Each has a key of its own, which holds when a reader took the lease, ms since 1970 by the reader's clock: noting
 * it in the list would write the whole list.
 */
export function standingLeases(store: Store) {
  return {
    /** Takes a lease's place if none stands. */
    async take(key: string, deadline: Deadline): Promise<Pick<Lease, 'standingMs'>> {
      const now = () => Buffer.from(String(Date.now()));
      if ((await store.write(key, now, TTL_SECONDS, undefined, deadline)).stored) return {};
      const other = await store.read(key, deadline);
      if (!other) return {};
      const age = Date.now() - Number(Buffer.from(other.bytes).toString());
      if (age >= 0 && age < STANDING_MS) return { standingMs: age };
      return (await store.write(key, now, TTL_SECONDS, other.hash, deadline)).stored ? {} : { standingMs: 0 };
    },
  };
}
