import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { missing } from '../servers/requires.ts';
import { HOW_TO_GET_VALKEY, valkeyAvailable } from '../servers/valkey.ts';
import { type Backend, type BackendName, startBackend } from './chaos/backends.ts';
import { history } from './chaos/histories.ts';
import type { History } from './chaos/history.ts';
import { live, storyOf } from './chaos/live.ts';
import { Tally } from './world/tally.ts';

const SEED = process.env.SEED === undefined ? undefined : Number(process.env.SEED);
const HOUR_MS = 3_600_000;

/** Each of these must happen in the histories. */
const HAPPENINGS = [
  'workers killed',
  'workers killed, going on from an old checkpoint',
  'replays from TRIM_HORIZON',
  'second workers',
  'shards split',
  'deployments of broken code',
  'function: throttled',
  'function: invoked twice',
  'function: ran on after its deadline',
  'cache: refused',
  'cache: unanswered',
  'cache: in part',
  'letters of the worker',
  'letters: RetryAttemptsExhausted',
  'letters redriven',
  'redrives that died',
  'evictions',
  'fills settled',
  'fills lost',
  'mutations stale',
  'mutations rejected',
  'answers: hit',
  'answers: gone',
  'answers: complete',
];

/** SEED in the environment is the seed of the histories. `npm run chaos` lives through more of them. */
async function liveThrough(backend: Backend, numRuns: number): Promise<void> {
  const tally = new Tally();
  await fc.assert(
    fc.asyncProperty(history, (past) => live(past, backend, tally)),
    // Shrinking must end before the timeout of the test, or nothing is printed.
    { numRuns, seed: SEED, interruptAfterTimeLimit: 0.5 * HOUR_MS, markInterruptAsFailure: true },
  );
  if (numRuns < 100) return;
  for (const what of HAPPENINGS) expect(tally.counts.get(what) ?? 0, what).toBeGreaterThan(numRuns / 50);
}

function chaos(name: BackendName, title: string, histories: number): void {
  describe(title, () => {
    let backend: Backend;
    beforeAll(async () => {
      backend = await startBackend[name]();
    });
    afterAll(async () => {
      await backend?.close();
    });

    it(
      'loses no record, and makes the cache equal to the table at rest, whatever dies, fails, comes twice or is late',
      { timeout: HOUR_MS },
      () => liveThrough(backend, histories),
    );
  });
}

describe('the world of chaos', () => {
  it('repeats a history exactly, so that a fault can be found again', async () => {
    const backend = await startBackend.memory();
    const repeats = async (past: History) => {
      const { story } = await storyOf(past, backend);
      expect(story.length).toBeGreaterThan(past.steps.length);
      expect((await storyOf(past, backend)).story).toEqual(story);
    };
    await fc.assert(fc.asyncProperty(history, repeats), { numRuns: 30, seed: SEED });
  });
});

chaos('memory', 'stream, mapping and function, with the memory cache', 700);
describe.skipIf(missing(valkeyAvailable(), HOW_TO_GET_VALKEY))('with a server', () => {
  chaos('valkey', 'stream, mapping and function, with a Valkey cache', 120);
});
chaos('momento', 'stream, mapping and function, with a Momento cache', 20);
