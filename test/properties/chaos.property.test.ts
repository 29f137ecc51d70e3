import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { missing } from '../servers/requires.ts';
import { HOW_TO_GET_VALKEY, valkeyAvailable } from '../servers/valkey.ts';
import { type Backend, type BackendName, startBackend } from './chaos/backends.ts';
import { history } from './chaos/histories.ts';
import { live, storyOf } from './chaos/live.ts';
import { Tally } from './world/tally.ts';

const SEED = process.env.SEED === undefined ? undefined : Number(process.env.SEED);
const HOUR_MS = 3_600_000;

/** What a world in which nothing happens would lack. */
const HAPPENINGS = [
  'workers killed',
  'workers killed, going on from an old checkpoint',
  'replays from TRIM_HORIZON',
  'second workers',
  'shards split',
  'deployments of broken code',
  'function: throttled',
  'function: invoked twice',
  'function: ran on after it was given up',
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

/** SEED in the environment chooses which; `npm run chaos` lives through more of them. */
async function liveThrough(backend: Backend, numRuns: number): Promise<void> {
  const tally = new Tally();
  await fc.assert(
    fc.asyncProperty(history, (past) => live(past, backend, tally)),
    // Shrinking must end before the test's time does, or nothing is printed.
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

    it('loses no record, and agrees with the table at rest, whatever dies, fails, repeats itself or is late', { timeout: HOUR_MS }, () =>
      liveThrough(backend, histories),
    );
  });
}

describe('a history', () => {
  it('goes the same way whenever it is lived through', async () => {
    const backend = await startBackend.memory();
    for (const past of fc.sample(history, { numRuns: 30, seed: SEED })) {
      const { story } = await storyOf(past, backend);
      expect(story.length).toBeGreaterThan(past.steps.length);
      expect((await storyOf(past, backend)).story).toEqual(story);
    }
  });
});

chaos('memory', 'a stream, its mapping, the function and the memory cache', 700);
describe.skipIf(missing(valkeyAvailable(), HOW_TO_GET_VALKEY))('with a server', () => {
  chaos('valkey', 'a stream, its mapping, the function and a Valkey cache', 120);
});
chaos('momento', 'a stream, its mapping, the function and a Momento cache', 20);
