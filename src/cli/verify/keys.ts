import { openNames } from '../../app.ts';
import type { Config } from '../../config/worker.ts';
import type { CommandCache } from '../options/cache.ts';

/**
 * The keys of a cache, as `keyOf` makes them: those that readers read now, and not those of ended lives. `undefined` for a cache that lists no keys.
 */
export function keysOf(config: Config, cache: CommandCache): (() => AsyncIterable<readonly string[]>) | undefined {
  if (config.backend !== 'valkey') return undefined;
  return async function* () {
    for await (const names of openNames(config)) {
      const lives = await cache.lives?.();
      yield names.flatMap((name) => {
        const [, view = '', life, key = ''] = /^([\w-]+@[1-9]\d*)(?:\.([a-z\d]+))?:(.+)$/s.exec(name) ?? [];
        const isRead = view !== '' && life === lives?.get(view)?.life;
        return isRead ? `${view}:${key}` : [];
      });
    }
  };
}
