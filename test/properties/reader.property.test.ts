import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { missing } from '../servers/requires.ts';
import { HOW_TO_GET_VALKEY, startValkey, type ValkeyServer, valkeyAvailable } from '../servers/valkey.ts';
import { chanceOf } from './reader-world/chance.ts';
import { type History, history } from './reader-world/history.ts';
import { inRealTime, inVirtualTime, type Run } from './reader-world/time.ts';
import { ReaderWorld } from './reader-world/world.ts';
import { type Backend, memoryBackend, momentoBackend, type Opened, valkeyBackend } from './world/backend.ts';
import { Tally } from './world/tally.ts';

vi.mock('node:timers/promises', async () => ({ setTimeout: (await import('./reader-world/time.ts')).sleep }));

const SEED = process.env.SEED === undefined ? undefined : Number(process.env.SEED);
const HISTORIES = process.env.HISTORIES === undefined ? undefined : Number(process.env.HISTORIES);

const TIMEOUT_MS = Math.max(120_000, (HISTORIES ?? 0) * 200);

/** Each of these must happen in the histories. */
const HAPPENINGS = [
  'found cache',
  'found table',
  'absent cache',
  'absent table',
  'document with a ticket',
  'page with a ticket',
  'page by cache, complete',
  'page by table, complete',
  'page by table, incomplete',
  'page by index, incomplete',
  'page by cache, incomplete',
  'rejected TableUnavailableError',
  'rejected ViewError',
  'rejected IncompleteListError',
  'evicted',
  'set aside',
  'letter removed',
  'letter kept',
];

async function live(past: History, backend: Backend, run: Run, tally: Tally, cacheDeadlineMs: number): Promise<void> {
  const random = chanceOf(past.seed);
  let opened: Opened | undefined;
  let world: ReaderWorld | undefined;
  try {
    await run(async () => {
      // A cache takes the clock that it finds.
      opened = await backend.open();
      world = new ReaderWorld({ history: past, opened, random, tally, cacheDeadlineMs });
      await world.live();
      await world.rest();
    }, random);
  } catch (error) {
    throw new Error(`${(error as Error).stack}\n  ${world?.story.join('\n  ')}`);
  } finally {
    await opened?.cache.close();
  }
  if (world && world.faults.length > 0) throw new Error(`${world.faults.slice(0, 3).join('\n')}\n  ${world.story.join('\n  ')}`);
}

/**
 * HISTORIES and SEED in the environment are the number of histories and their seed, HISTORY is the `path` that a failure prints. NO_SHRINK ends at the
 * first failure. SHOW_TALLY prints how often each thing happened.
 */
function show(tally: Tally): void {
  if (process.env.SHOW_TALLY) console.log(tally.counts);
}

/** Real time passes in many histories at once. */
async function liveTogether(backend: Backend, histories: number, atOnce: number): Promise<void> {
  const numRuns = HISTORIES ?? histories;
  const seed = SEED ?? Math.floor(Math.random() * 2 ** 31);
  const tally = new Tally();
  const waiting = fc.sample(history, { numRuns, seed });
  const liveNext = async (): Promise<void> => {
    for (let past = waiting.pop(); past; past = waiting.pop()) {
      const n = waiting.length;
      await live(past, backend, inRealTime, tally, 1_000).catch((error) => {
        waiting.length = 0;
        throw new Error(`history ${n} of ${numRuns} with SEED=${seed}: ${error.message}\n${JSON.stringify(past)}`);
      });
    }
  };
  await Promise.all(Array.from({ length: atOnce }, liveNext));
  show(tally);
}

const TITLE = 'never shows what is older than promised, calls no wrong page complete, and equals the table at rest';

describe('createReader, in random histories with the memory cache', () => {
  it(TITLE, { timeout: TIMEOUT_MS }, async () => {
    const tally = new Tally();
    const numRuns = HISTORIES ?? 400;
    const backend = memoryBackend();
    await fc.assert(
      fc.asyncProperty(history, (past) => live(past, backend, inVirtualTime, tally, 30)),
      { numRuns, seed: SEED, path: process.env.HISTORY ?? '', endOnFailure: Boolean(process.env.NO_SHRINK) },
    );
    show(tally);
    if (numRuns < 100) return;
    for (const what of HAPPENINGS) expect(tally.counts.get(what) ?? 0, what).toBeGreaterThan(numRuns / 20);
    expect(tally.counts.get('redrive overtaken') ?? 0).toBeGreaterThan(numRuns / 100);
  });
});

describe.skipIf(missing(valkeyAvailable(), HOW_TO_GET_VALKEY))('createReader, in random histories with a Valkey cache', () => {
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

  it(TITLE, { timeout: TIMEOUT_MS }, () => liveTogether(backend, 60, 15));
});

describe('createReader, in random histories with a Momento cache that is late, refuses and loses replies', () => {
  let backend: Backend;
  beforeAll(async () => {
    backend = await momentoBackend();
  });
  afterAll(async () => {
    await backend.close();
  });

  it(TITLE, { timeout: TIMEOUT_MS }, () => liveTogether(backend, 30, 8));
});
