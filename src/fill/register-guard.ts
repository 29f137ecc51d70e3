import type { CacheClient } from '../cache.ts';
import { ConfigurationError } from '../errors.ts';
import { REGISTER_KEY, registerIn } from '../lives/register.ts';
import type { CacheGuard } from './cache-guard.ts';

/** Caches that had no register when a reader of this process looked, or whose lives the reader knows. */
const known = new WeakSet<CacheClient>();

/**
 * Looks before the first call of a cache whether the cache has a register of lives. `withLives` shows none. A reader that uses the keys without lives
 * would fill keys that no worker keeps up to date.
 */
export function registerGuard(guard: CacheGuard, cache: CacheClient): CacheGuard {
  const look = async (): Promise<void> => {
    const lookup = await guard.call(() => cache.get(REGISTER_KEY));
    if (!lookup) return;
    if (lookup.type === 'hit' && registerIn(lookup.value).lives.size > 0) {
      throw new ConfigurationError(
        `the views of this cache have lives (key "${REGISTER_KEY}"), and the reader has the cache without them, so it would fill keys that no worker keeps up to date: give it withLives(cache) of millrace/lives`,
      );
    }
    known.add(cache);
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
