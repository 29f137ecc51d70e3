import { setTimeout as sleep } from 'node:timers/promises';
import { endedLives, LifeEndedError, type LifeIds, usableFrom } from '../../backfill/lives.ts';
import type { CacheClient } from '../../cache.ts';
import { type LivingCache, withLives } from '../../lives/with-lives.ts';
import { duration } from './progress.ts';

export interface LivesChoice {
  /** True and false: the options --lives and --no-lives. */
  readonly lives?: boolean;
  readonly fresh?: true;
}

const LOOK_EVERY_MS = 1_000;
const LINE_EVERY_MS = 10_000;

/**
 * The cache with lives, if its views have lives.
 *
 * @throws Error that says what to give, if the register of lives does not tell, or tells otherwise
 */
export async function livingCache(backend: CacheClient, { lives, fresh }: LivesChoice): Promise<LivingCache | undefined> {
  const living = withLives(backend);
  const isRegistered = (await living.lives()).size > 0;
  if (isRegistered && lives === false) {
    throw new Error('nothing was done: the views of this cache have lives, and with --no-lives nobody would read what is filled: omit it');
  }
  if (!isRegistered && lives === undefined) {
    throw new Error(
      'nothing was done: the cache has no register of lives, so the command cannot know whether the views have lives. Give --lives if the worker uses withLives, as the functions of the templates and "millrace dev" do, else --no-lives',
    );
  }
  if (lives === false && fresh) {
    throw new Error(
      'nothing was done: --fresh starts new lives, and --no-lives says that there are none: give another --namespace to worker, readers and backfill instead',
    );
  }
  return lives === false ? undefined : living;
}

/**
 * Waits until all of the lives are usable, or the signal is aborted. It says on stderr until when.
 *
 * @throws LifeEndedError when a life has ended
 */
export async function waitForLives(living: LivingCache, ids: LifeIds, signal: AbortSignal): Promise<void> {
  let toldAt = -Infinity;
  while (!signal.aborted) {
    const lives = await living.lives();
    const ended = endedLives(lives, ids);
    if (ended.length > 0) throw new LifeEndedError(ended);
    const from = usableFrom(lives, ids);
    const leftMs = from - Date.now();
    if (leftMs <= 0) return;
    if (performance.now() - toldAt >= LINE_EVERY_MS) {
      toldAt = performance.now();
      const waiting = Object.keys(ids).filter((view) => (lives.get(view)?.from ?? 0) > Date.now());
      const at = new Date(from).toTimeString().slice(0, 8);
      process.stderr.write(`waiting until ${at}, when ${waiting.join(', ')} can be filled: ${duration(leftMs / 1_000)} left\n`);
    }
    await sleep(Math.min(leftMs, LOOK_EVERY_MS), undefined, { signal }).catch(() => {});
  }
}
