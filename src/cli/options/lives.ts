import type { CommandCache } from './cache.ts';

/** Says on stderr which of the views (`detail@1`) cannot be read or written now, and when they can. */
export async function noteLives(cache: CommandCache, views: readonly string[]): Promise<void> {
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
