import type { CacheClient } from '../cache.ts';
import { CacheUnavailableError } from '../errors.ts';
import type { View } from '../view.ts';

/** Ids of lives, by the names of the views. Empty: the views of the cache have no lives. */
export type LifeIds = Readonly<Record<string, string>>;

/** What a backfill needs of a cache. */
export type BackfillCache = Pick<CacheClient, 'getOrLease' | 'settle' | 'mark' | 'fill' | 'seal' | 'list'>;

type Lives = ReadonlyMap<string, { readonly life: string; readonly from?: number }>;

/** What a backfill asks of a cache whose views have lives. */
export interface BackfillLives {
  lives(): Promise<Lives>;
}

/** A cache whose views have lives, as `withLives` makes it. */
export interface LivingBackfillCache extends BackfillCache, BackfillLives {
  start(views: readonly View[], options: { readonly fresh?: boolean | undefined }): Promise<Lives>;
}

export function isLiving(cache: BackfillCache): cache is LivingBackfillCache {
  return 'start' in cache && 'lives' in cache;
}

/** Lives of views ended while a backfill filled them, so nobody reads what it filled. */
export class LifeEndedError extends Error {
  override readonly name = 'LifeEndedError';
  readonly views: readonly string[];

  /** @param views names of the views, such as `detail@1` */
  constructor(views: readonly string[]) {
    super(`the life of ${views.join(', ')} ended while the backfill ran, so what was filled is not read: begin again`);
    this.views = views;
  }
}

/**
 * @param now ms since 1970
 * @throws LifeEndedError when a view has another life, or none
 * @throws CacheUnavailableError when a life is not usable yet
 */
export async function checkLives(cache: BackfillLives, ids: LifeIds, now: () => number = Date.now): Promise<void> {
  const lives = await cache.lives();
  const ended = endedLives(lives, ids);
  if (ended.length > 0) throw new LifeEndedError(ended);
  const from = usableFrom(lives, ids);
  if (from > now()) throw new CacheUnavailableError(`the lives of the views begin at ${new Date(from).toISOString()}`);
}

/** Names of the views whose lives have ended. */
export function endedLives(lives: Lives, ids: LifeIds): readonly string[] {
  return Object.keys(ids).filter((view) => lives.get(view)?.life !== ids[view]);
}

/** When all of the lives are usable, ms since 1970; 0 if there are none. */
export function usableFrom(lives: Lives, ids: LifeIds): number {
  return Math.max(0, ...Object.keys(ids).map((view) => lives.get(view)?.from ?? 0));
}

export function idsOf(lives: Lives): LifeIds {
  return Object.fromEntries([...lives].map(([view, { life }]) => [view, life]));
}
