import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { missing } from '../servers/requires.ts';
import { HOW_TO_GET_VALKEY, startValkey, type ValkeyServer, valkeyAvailable } from '../servers/valkey.ts';
import { type Backend, memoryBackend, momentoBackend, valkeyBackend } from './world/backend.ts';
import { type History, history } from './world/history.ts';
import { MAX_VALUE_BYTES } from './world/items.ts';
import { differences, fillQuietly, gaps, Witness } from './world/oracle.ts';
import { Tally } from './world/tally.ts';
import { World } from './world/world.ts';

const SEED = process.env.SEED === undefined ? undefined : Number(process.env.SEED);

/** Each of these must happen in the histories. */
const HAPPENINGS = [
  'hit',
  'gone',
  'miss',
  'complete',
  'incomplete',
  'applied',
  'stale',
  'rejected',
  'poison',
  'settled',
  'lost',
  'retried',
  'evicted',
];

async function live(past: History, backend: Backend, tally: Tally): Promise<void> {
  const opened = await backend.open({ maxValueBytes: MAX_VALUE_BYTES });
  const world = new World(past, opened, tally);
  const witness = new Witness();
  const demand = (when: string, faults: readonly string[]) => {
    const all = [...world.misdeeds, ...faults];
    if (all.length > 0) throw new Error(`${when}: ${all.slice(0, 3).join('; ')}\n  ${world.story.join('\n  ')}`);
  };
  try {
    for (const step of past.steps) {
      await world.take(step);
      if (past.mode === 'calm') demand('on the way', await witness.observe(world));
    }
    await world.comeToRest();
    if (past.mode === 'calm') demand('on the way', await witness.observe(world));
    demand('at rest', await differences(world));
    world.mendAndReplay();
    await world.comeToRest();
    demand('after the views were mended', [...(await differences(world)), ...(await gaps(world))]);
    demand('when filled', await fillQuietly(world));
    demand('after it was filled', await differences(world));
  } finally {
    await opened.cache.close();
  }
}

const HISTORIES = process.env.HISTORIES === undefined ? undefined : Number(process.env.HISTORIES);
const minutes = (histories: number) => Math.max(5, (HISTORIES ?? histories) / 500);

/** HISTORIES and SEED in the environment are the number of histories and their seed. SHOW_TALLY prints how often each thing happened. */
async function liveThrough(backend: Backend, histories: number): Promise<void> {
  const tally = new Tally();
  const numRuns = HISTORIES ?? histories;
  await fc.assert(
    fc.asyncProperty(history, (past) => live(past, backend, tally)),
    // Shrinking must end before the timeout of the test, or nothing is printed.
    { numRuns, seed: SEED, interruptAfterTimeLimit: (minutes(histories) - 1) * 60_000, markInterruptAsFailure: true },
  );
  if (process.env.SHOW_TALLY) console.log(tally.counts);
  if (numRuns < 100) return;
  for (const what of HAPPENINGS) expect(tally.counts.get(what) ?? 0, what).toBeGreaterThan(numRuns / 20);
}

const TITLE = 'makes the cache equal to the table at rest, and lets no answer step back, whatever is repeated, lost, refused or late';

describe('streamHandler, in random histories with the memory cache', () => {
  it(TITLE, { timeout: minutes(3_000) * 60_000 }, () => liveThrough(memoryBackend(), 3_000));
});

describe.skipIf(missing(valkeyAvailable(), HOW_TO_GET_VALKEY))('streamHandler, in random histories with a Valkey cache', () => {
  let server: ValkeyServer;
  let backend: Backend;
  beforeAll(async () => {
    server = await startValkey();
    backend = valkeyBackend(server.url);
  });
  afterAll(async () => {
    await backend?.close();
    await server?.close();
  });

  it(TITLE, { timeout: minutes(300) * 60_000 }, () => liveThrough(backend, 300));
});

describe('streamHandler, in random histories with a Momento cache that is late, refuses and loses replies', () => {
  let backend: Backend;
  beforeAll(async () => {
    backend = await momentoBackend();
  });
  afterAll(async () => {
    await backend.close();
  });

  it(TITLE, { timeout: minutes(40) * 60_000 }, () => liveThrough(backend, 40));
});
