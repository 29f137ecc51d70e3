import type { AppCache } from '../../app.ts';
import type { Config } from '../../config/worker.ts';
import type { View } from '../../view.ts';
import { viewName } from '../../view.ts';
import { type CacheChoice, openReachableCache } from './cache.ts';

/** Says on stderr which of the views (`detail@1`) cannot be read or written now, and when they can. */
export async function noteLives(cache: AppCache, views: readonly string[]): Promise<void> {
  const lives = await cache.lives?.();
  if (!lives) return;
  for (const view of new Set(views)) {
    const { from = Infinity } = lives.get(view) ?? {};
    if (from <= Date.now()) continue;
    const state = lives.has(view) ? `becomes usable ${timeText(from)}` : 'has no life, because no worker contains it';
    process.stderr.write(`millrace: the view ${view} ${state}: until then reads miss, and changes are skipped\n`);
  }
}

function timeText(from: number): string {
  return from === Infinity ? 'soon' : `at ${new Date(from).toTimeString().slice(0, 8)}`;
}

/**
 * Opens the cache for a command that writes and is no worker. Where no worker has started lives, nobody else writes, and the command starts those of its
 * views.
 */
export async function openForWrites(config: Config, choice: CacheChoice, views: readonly View[]): Promise<AppCache> {
  const cache = await openReachableCache(config, choice);
  if ((await cache.lives?.())?.size !== 0) {
    await noteLives(cache, views.map(viewName));
    return cache;
  }
  await cache.close();
  return await openReachableCache(config, choice, { views, waitMs: 0 });
}
