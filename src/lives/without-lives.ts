import type { CacheClient } from '../cache.ts';
import { ConfigurationError } from '../errors.ts';
import { REGISTER_KEY, registerIn } from './register.ts';

/**
 * Looks whether the views of a cache have lives, of which this client of the cache knows nothing. `withLives` shows no register.
 *
 * @param otherwise who has the client, what that would do, and the way out
 * @throws ConfigurationError when they have
 */
export async function checkWithoutLives(cache: Pick<CacheClient, 'get'>, otherwise: string): Promise<void> {
  const lookup = await cache.get(REGISTER_KEY);
  if (lookup.type === 'hit' && registerIn(lookup.value).lives.size > 0)
    throw new ConfigurationError(`the views of this cache have lives (key "${REGISTER_KEY}"), and ${otherwise}`);
}
