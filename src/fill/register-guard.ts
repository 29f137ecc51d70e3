import type { CacheClient } from '../cache.ts';
import { checkWithoutLives } from '../lives/without-lives.ts';
import type { CacheGuard } from './cache-guard.ts';

const WITHOUT_LIVES =
  'the reader has the cache without them, so it would fill keys that no worker keeps up to date: give it withLives(cache) of millrace/lives';

/** Caches that had no register when a reader of this process looked, or whose lives the reader knows. */
const known = new WeakSet<CacheClient>();

/**
 * Looks before the first call of a cache whether the cache has a register of lives. `withLives` shows none. A reader that uses the keys without lives
 * would fill keys that no worker keeps up to date.
 */
export function registerGuard(guard: CacheGuard, cache: CacheClient): CacheGuard {
  const look = async (): Promise<void> => {
    const answered = await guard.call(async () => {
      await checkWithoutLives(cache, WITHOUT_LIVES);
      return {};
    });
    if (answered) known.add(cache);
  };
  return {
    get unanswered() {
      return guard.unanswered;
    },
    async call(send) {
      if (!known.has(cache)) await look();
      return await guard.call(send);
    },
  };
}
