import * as fc from 'fast-check';
import { Tally } from '../world/tally.ts';
import { type BackendName, startBackend } from './backends.ts';
import { history } from './histories.ts';
import type { History } from './history.ts';
import { live } from './live.ts';

/** The histories of one job: those that fast-check makes of this seed. */
export interface Chunk {
  readonly seed: number;
  readonly histories: number;
  /** Only the history of this path, as fast-check names it. */
  readonly path?: string;
  readonly shrinks: boolean;
}

/** A message of a job: it waits for a chunk; it lived through histories since the last message; the cache and the table differ. */
export type News =
  | { readonly type: 'ready' }
  | { readonly type: 'lived'; readonly histories: number; readonly tally: readonly (readonly [string, number])[] }
  | { readonly type: 'divergence'; readonly seed: number; readonly path: string; readonly history: History; readonly story: string };

/** The time between two messages, ms. */
const NEWS_MS = 500;

const tell = (news: News) => process.send?.(news);
const backend = await startBackend[process.argv[2] as BackendName]();
let busy = Promise.resolve();

process.on('message', (chunk: Chunk) => {
  busy = busy.then(() => liveThrough(chunk));
});
process.on('disconnect', async () => {
  await backend.close();
  process.exit();
});
tell({ type: 'ready' });

async function liveThrough({ seed, histories, path, shrinks }: Chunk): Promise<void> {
  let tally = new Tally();
  let lived = 0;
  let reportedAt = performance.now();
  const report = () => {
    tell({ type: 'lived', histories: lived, tally: [...tally.counts] });
    [tally, lived, reportedAt] = [new Tally(), 0, performance.now()];
  };
  let isShrinking = false;
  const property = fc.asyncProperty(history, async (past) => {
    try {
      await live(past, backend, isShrinking ? new Tally() : tally);
    } catch (error) {
      isShrinking = true;
      throw error;
    }
    if (isShrinking) return;
    lived += 1;
    if (performance.now() - reportedAt > NEWS_MS) report();
  });
  const outcome = await fc.check(property, { seed, numRuns: histories, path, endOnFailure: !shrinks });
  report();
  if (outcome.failed) {
    const [past] = outcome.counterexample ?? [];
    const story = outcome.errorInstance instanceof Error ? outcome.errorInstance.message : String(outcome.errorInstance);
    tell({ type: 'divergence', seed, path: outcome.counterexamplePath ?? '', history: past as History, story });
  }
  tell({ type: 'ready' });
}
