import { type Lease, STANDING_MS } from '../../cache.ts';
import type { Deadline } from './deadline.ts';
import type { Store } from './store.ts';

/** The shortest TTL of Momento that is not below `STANDING_MS`. */
const TTL_SECONDS = Math.ceil(STANDING_MS / 1_000);
const ENDED = Buffer.from('0');

export interface Standing extends Pick<Lease, 'standingMs'> {
  /** Of what stands at the lease's key; absent if another reader's lease stands, or Momento does not return the hash of a write. */
  readonly hash?: Uint8Array | undefined;
}

/**
 * Which lists have a lease that stands. Each has a key of its own, which holds when a reader took the lease, ms since 1970 by the reader's clock: noting
 * it in the list would write the whole list.
 */
export function standingLeases(store: Store) {
  const now = (): Buffer => Buffer.from(String(Date.now()));
  const write = async (key: string, bytes: () => Buffer, expected: Uint8Array | undefined, deadline: Deadline) =>
    await store.write(key, bytes, TTL_SECONDS, expected, deadline);

  return {
    /**
     * Takes a lease's place if none stands. Returns `standingMs` if another reader's lease stands. `{}`: the lease that stood ended just now, and
     * nothing was written, so other readers see no lease.
     */
    async take(key: string, deadline: Deadline): Promise<Standing> {
      const first = await write(key, now, undefined, deadline);
      if (first.stored) return { hash: first.hash };
      const other = await store.read(key, deadline);
      if (!other) return {};
      const age = Date.now() - Number(Buffer.from(other.bytes).toString());
      if (age >= 0 && age < STANDING_MS) return { standingMs: age };
      const next = await write(key, now, other.hash, deadline);
      return next.stored ? { hash: next.hash } : { standingMs: 0 };
    },
    /** Ends the reader's lease, unless another reader has taken its place. */
    async end(key: string, hash: Uint8Array, deadline: Deadline): Promise<void> {
      await write(key, () => ENDED, hash, deadline);
    },
  };
}
