import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { BoundedList } from '../../src/caches/list/bounded-list.ts';
import { missing } from '../servers/requires.ts';
import { HOW_TO_GET_VALKEY, startValkey, type ValkeyServer, valkeyAvailable } from '../servers/valkey.ts';
import { BackfillWorld, type Rule } from './backfill-world.ts';
import { type Backend, memoryBackend, valkeyBackend } from './world/backend.ts';
import { MAX_VALUE_BYTES } from './world/items.ts';
import { Tally } from './world/tally.ts';

/** Whether the backfill seals lists of views that threw. */
const poison = vi.hoisted(() => ({ isSealed: false }));

/** Whether pauses take no time. */
const pauses = vi.hoisted(() => ({ areSkipped: false }));

vi.mock('node:timers/promises', async (original) => {
  const timers = await original<typeof import('node:timers/promises')>();
  const setTimeout = (...args: [number]) => (pauses.areSkipped ? Promise.resolve() : timers.setTimeout(...args));
  return { ...timers, setTimeout };
});
vi.mock('../../src/backfill/segment.ts', async (original) => {
  const segment = await original<typeof import('../../src/backfill/segment.ts')>();
  const unsealable: typeof segment.unsealable = (filled) => (poison.isSealed ? new Set() : segment.unsealable(filled));
  return { ...segment, unsealable };
});

const SEED = process.env.SEED === undefined ? Math.trunc(Math.random() * 2 ** 31) : Number(process.env.SEED);
const HISTORIES = Number(process.env.HISTORIES ?? 1_500);

/** What must happen in the histories, or else they would prove nothing. */
const MUST_HAPPEN = [
  ...['write', 'deliver', 'evict', 'flush', 'replay', 'kill', 'resume', 'begin', 'end', 'reader settled', 'reader lost'],
  ...['mark filled', 'mark held', 'mark lost', 'fill threw', 'seal sealed', 'seal settled', 'seal unsealed'],
  ...['sealed complete', 'complete', 'hit', 'letter removed'],
  ...['forget', 'afresh', 'rollback of lives', 'resync of lives', 'eviction of lives', 'life ended'],
];

/** The first fault of a number of histories, with the seed of its history. */
async function faultOf(backend: Backend, histories: number, tally: Tally, broken?: Rule): Promise<string | undefined> {
  for (let seed = SEED; seed < SEED + histories; seed += 1) {
    const opened = await backend.open({ maxValueBytes: MAX_VALUE_BYTES });
    const world = new BackfillWorld(randomOf(seed), opened, tally, broken);
    pauses.areSkipped = true;
    const faults = await world.live();
    pauses.areSkipped = false;
    await opened.cache.close();
    if (faults.length > 0) return `SEED=${seed} HISTORIES=1: ${faults.slice(0, 3).join('; ')}\n  ${world.story.join('\n  ')}`;
  }
  return undefined;
}

const TITLE = 'makes no answer wrong, beside writers, readers, evictions, other backfills, kills, and ends of lives';
const minutes = (histories: number) => ({ timeout: Math.max(10, histories / 100) * 60_000 });

/** Environment: HISTORIES is the number of histories, SEED is that of the first one, SHOW_TALLY prints how often each thing happened. */
async function demand(backend: Backend, histories: number): Promise<void> {
  const tally = new Tally();
  expect(await faultOf(backend, histories, tally)).toBeUndefined();
  if (process.env.SHOW_TALLY) console.log(backend.name, SEED, histories, tally.counts);
  if (histories < 1_000) return;
  for (const what of MUST_HAPPEN) expect(tally.counts.get(what) ?? 0, `${what}, from SEED=${SEED}`).toBeGreaterThan(histories / 50);
}

describe('backfills in random histories, with the memory cache', () => {
  it(TITLE, minutes(HISTORIES), () => demand(memoryBackend(), HISTORIES));
});

describe.skipIf(missing(valkeyAvailable(), HOW_TO_GET_VALKEY))('backfills in random histories, with a Valkey cache', () => {
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
  const histories = Math.ceil(HISTORIES / 15);

  it(TITLE, minutes(histories), () => demand(backend, histories));
});

/** Each rule that is broken on purpose is found within this number of histories. */
it.each<[Rule, number]>([
  ['consistent', 10_000],
  ['lease-first', 10_000],
  ['mark-fill', 10_000],
  ['mark-seal', 10_000],
  ['poison-seal', 10_000],
  ['mark-afresh', 10_000],
  ['usable', 40_000],
])('finds a fault when the rule %s is broken', { timeout: 600_000 }, async (rule, histories) => {
  poison.isSealed = rule === 'poison-seal';
  if (rule === 'mark-afresh') vi.spyOn(BoundedList.prototype, 'needsFresh').mockReturnValue(false);
  try {
    const fault = await faultOf(memoryBackend(), histories, new Tally(), rule);
    if (process.env.SHOW_TALLY) console.log(rule, fault?.slice(0, 160));
    expect(fault, `from SEED=${SEED}`).toBeDefined();
  } finally {
    poison.isSealed = false;
    vi.restoreAllMocks();
  }
});

function randomOf(seed: number): () => number {
  let a = seed >>> 0;
  return () => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}
