import type { CacheClient, Fill, Settled } from '../cache.ts';
import type { MeteredTable } from '../dynamodb/metered-table.ts';
import type { CacheGuard } from './cache-guard.ts';

/** What a reader has done since it was created. */
export interface ReadCounts {
  /** Documents that the cache had. */
  hits: number;
  /** Documents that the cache knew to be absent. */
  gone: number;
  /** Documents that were read from the table. */
  misses: number;
  /** Complete pages that the cache gave. */
  pages: number;
  /** Pages that were read from the table or an index. */
  pageMisses: number;
  /** Looks at an address that another reader was about to fill. */
  waited: number;
  /** Fills that the cache took. */
  filled: number;
  /** Fills that the cache did not take: a change, an eviction or another reader came first, or the value is too large. */
  lost: number;
  /** Reads that went past the cache because of a ticket, or because a value was not fresh. */
  bypassed: number;
}

/** What the verbs of a reader share. */
export interface Surroundings {
  readonly cache: CacheClient;
  readonly guard: CacheGuard;
  readonly table: MeteredTable;
  readonly counts: ReadCounts;
  /** Names of the table's key attributes. */
  readonly keys: readonly string[];
  /** Settles. A cache that gives no answer costs the fills, and nothing else: they are `lost`. */
  settle(fills: readonly Fill[]): Promise<readonly Settled[]>;
  /** Runs work after the answer. Absent if the platform of the reader cannot. */
  readonly runAfter?: ((work: () => Promise<unknown>) => void) | undefined;
}

/** The pause between two looks at what another reader is about to fill, ms: about one read of the table. */
export function lookPauseMs(): number {
  return 10 + Math.random() * 30;
}
