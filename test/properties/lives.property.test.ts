import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { missing } from '../servers/requires.ts';
import { HOW_TO_GET_VALKEY, startValkey, type ValkeyServer, valkeyAvailable } from '../servers/valkey.ts';
import { type Counts, liveThrough, type Rule } from './lives-world.ts';
import { type Backend, memoryBackend, momentoBackend, valkeyBackend } from './world/backend.ts';

const HISTORIES = process.env.HISTORIES === undefined ? undefined : Number(process.env.HISTORIES);
/** The seed of the first history. A fault names the seed of its own. */
const SEED = process.env.SEED === undefined ? Math.floor(Math.random() * 1_000_000_000) : Number(process.env.SEED);

interface Lived {
  readonly fault: string | undefined;
  readonly counts: Counts;
}

/** Lives through histories until one goes wrong. */
async function run(backend: Backend, histories: number, without?: Rule, first = SEED): Promise<Lived> {
  const counts: Counts = { hits: 0, restHits: 0, skipped: 0, lives: 0 };
  for (let seed = first; seed < first + histories; seed += 1) {
    const opened = await backend.open();
    try {
      const fault = await liveThrough(seed, opened, counts, without);
      if (fault) return { fault, counts };
    } finally {
      await opened.cache.close();
    }
  }
  return { fault: undefined, counts };
}

async function demand(backend: Backend, usual: number): Promise<void> {
  const histories = HISTORIES ?? usual;
  const { fault, counts } = await run(backend, histories);
  if (process.env.SHOW_TALLY) console.log(counts);
  if (fault) throw new Error(`SEED=${SEED}: ${fault}`);
  for (const [what, count] of Object.entries(counts)) expect(count, what).toBeGreaterThan(histories / 4);
}

const TITLE =
  'serves at rest what the table has, and on the way nothing much older, through deployments, rollbacks, canaries and evictions';
const minutes = (usual: number) => ({ timeout: Math.max(5, (HISTORIES ?? usual) / 100) * 60_000 });

describe('lives of views, in random histories with the memory cache', () => {
  it(TITLE, minutes(1_000), () => demand(memoryBackend(), 1_000));

  // A few histories before the first one that goes wrong, because without the waits few do.
  it.each<[Rule, number]>([
    ['ask-again', 1],
    ['new-life', 1],
    ['end', 1],
    ['write-wait', 1],
    ['forget', 700],
    ['read-wait', 5_600],
  ])('goes wrong without the rule %s', minutes(5_000), async (rule, first) => {
    const { fault } = await run(memoryBackend(), 5_000, rule, first);
    if (process.env.SHOW_TALLY) console.log(rule, fault?.slice(0, 120));
    expect(fault).toBeDefined();
  });
});

describe.skipIf(missing(valkeyAvailable(), HOW_TO_GET_VALKEY))('lives of views, in random histories with a Valkey cache', () => {
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

  it(TITLE, minutes(150), () => demand(backend, 150));
});

describe('lives of views, in random histories with a Momento cache that is late, refuses and loses replies', () => {
  let backend: Backend;
  beforeAll(async () => {
    backend = await momentoBackend();
  });
  afterAll(() => backend?.close());

  it(TITLE, minutes(60), () => demand(backend, 60));
});
