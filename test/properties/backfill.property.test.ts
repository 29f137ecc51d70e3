import { expect, it, vi } from 'vitest';
import { BackfillWorld, type Rule } from './backfill-world.ts';
import { Tally } from './world/tally.ts';

/** Whether the backfill seals lists of views that threw. */
const poison = vi.hoisted(() => ({ isSealed: false }));

// Pauses take no time.
vi.mock('node:timers/promises', async (original) => ({ ...(await original<object>()), setTimeout: async () => {} }));
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
];

/** The first fault of a number of histories, with the seed of its history. */
async function faultOf(histories: number, tally: Tally, broken?: Rule): Promise<string | undefined> {
  for (let seed = SEED; seed < SEED + histories; seed += 1) {
    const world = new BackfillWorld(randomOf(seed), tally, broken);
    const faults = await world.live();
    if (faults.length > 0) return `SEED=${seed} HISTORIES=1: ${faults.slice(0, 3).join('; ')}\n  ${world.story.join('\n  ')}`;
  }
  return undefined;
}

/** Environment: HISTORIES is the number of histories, SEED is that of the first one, SHOW_TALLY prints how often each thing happened. */
it('makes no answer wrong, beside writers, readers, evictions, other backfills and kills', { timeout: 600_000 }, async () => {
  const tally = new Tally();
  expect(await faultOf(HISTORIES, tally)).toBeUndefined();
  if (process.env.SHOW_TALLY) console.log(SEED, tally.counts);
  if (HISTORIES >= 1_000) {
    for (const what of MUST_HAPPEN) expect(tally.counts.get(what) ?? 0, `${what}, from SEED=${SEED}`).toBeGreaterThan(HISTORIES / 50);
  }
});

/** Each rule that is broken on purpose is found within this number of histories. */
it.each<[Rule, number]>([
  ['consistent', 10_000],
  ['lease-first', 10_000],
  ['mark-fill', 10_000],
  ['mark-seal', 10_000],
  ['poison-seal', 10_000],
])('finds a fault when the rule %s is broken', { timeout: 600_000 }, async (rule, histories) => {
  poison.isSealed = rule === 'poison-seal';
  try {
    expect(await faultOf(histories, new Tally(), rule), `from SEED=${SEED}`).toBeDefined();
  } finally {
    poison.isSealed = false;
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
