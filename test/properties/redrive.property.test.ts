import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type RedriveStep, RedriveWorld } from './redrive-world.ts';
import type { OrderStep } from './world/history.ts';
import { MAX_VALUE_BYTES } from './world/items.ts';
import { differences } from './world/oracle.ts';
import { Tally } from './world/tally.ts';

const SEED = process.env.SEED === undefined ? Math.trunc(Math.random() * 2 ** 31) : Number(process.env.SEED);
const HISTORIES = Number(process.env.HISTORIES ?? 1_000);

const upTo = (n: number) => fc.nat(n - 1);
const order: fc.Arbitrary<OrderStep> = fc.record({
  type: fc.constant('order' as const),
  id: upTo(4),
  how: fc.constantFrom('replace', 'status', 'creator', 'creator', 'rank', 'rank', 'listed', 'delete', 'delete'),
  day: upTo(4),
  rank: upTo(10),
  creator: upTo(2),
  status: fc.constantFrom('plain', 'plain', 'plain', 'plain', 'plain', 'plain', 'plain', 'plain', 'plain', 'cursed', 'cursed', 'large'),
  curse: upTo(5),
  largeItems: upTo(30).map((dice) => dice === 0),
  listed: upTo(5).map((dice) => dice > 0),
});
const fate = fc.constantFrom('none', 'none', 'none', 'none', 'none', 'none', 'before', 'after', 'part');

const { step } = fc.letrec<{ step: RedriveStep; calm: RedriveStep; redrive: RedriveStep }>((tie) => ({
  step: fc.oneof({ weight: 12, arbitrary: tie('calm') }, { weight: 3, arbitrary: tie('redrive') }),
  calm: fc.oneof(
    { weight: 40, arbitrary: order },
    {
      weight: 20,
      arbitrary: fc.record({ type: fc.constant('deliver' as const), item: upTo(5), count: fc.integer({ min: 1, max: 4 }), fate }),
    },
    {
      weight: 14,
      arbitrary: fc.record({
        type: fc.constant('discard' as const),
        items: fc.array(upTo(5), { minLength: 1, maxLength: 4 }),
        applied: upTo(3),
      }),
    },
    { weight: 3, arbitrary: fc.record({ type: fc.constant('replay' as const), item: upTo(5), back: upTo(5) }) },
    { weight: 8, arbitrary: fc.record({ type: fc.constant('evict' as const), target: fc.nat(40) }) },
    { weight: 8, arbitrary: fc.record({ type: fc.constant('overtake' as const), change: order }) },
    { weight: 5, arbitrary: fc.record({ type: fc.constant('lease' as const), list: fc.nat(10) }) },
    { weight: 5, arbitrary: fc.record({ type: fc.constant('settle' as const), lease: fc.nat(10) }) },
  ),
  redrive: fc.record({
    type: fc.constant('redrive' as const),
    letters: fc.array(fc.nat(20), { minLength: 1, maxLength: 6, size: 'max' }),
    during: fc.array(fc.array(tie('step'), { maxLength: 4, size: 'max', depthIdentifier: 'during' }), {
      maxLength: 5,
      depthIdentifier: 'during',
    }),
    fates: fc.array(fate, { maxLength: 4 }),
    storeFails: fc.array(
      upTo(6).map((dice) => dice === 0),
      { maxLength: 4 },
    ),
    killedAt: fc.option(upTo(6), { nil: undefined, freq: 5 }),
  }),
}));

/** In a lossless history the cache has every item in the end. */
const history = fc.record({ lossless: fc.boolean(), steps: fc.array(step, { minLength: 1, maxLength: 60, size: 'max' }) });

async function live(steps: readonly RedriveStep[], lossless: boolean, tally: Tally): Promise<void> {
  const world = new RedriveWorld(lossless);
  for (const step of steps) await world.take(step);
  const { table, cache, bug } = world;
  const wrong = async () => {
    const letters = { has: (letter: string) => world.waiting.has(letter.slice(letter.indexOf(' ') + 1)) };
    return await differences({ table, cache, tally: new Tally(), bug, letters });
  };
  await world.comeToRest();
  const faults = await wrong();
  bug.mended = true;
  await world.comeToRest();
  faults.push(...(await wrong()));
  for (const name of world.store.texts.keys()) faults.push(...(await needless(world, name)));
  for (const key of lossless ? table.documents.keys() : []) {
    const json = table.documentAt(key)?.json;
    const { type } = await cache.get(key);
    if (json !== undefined && Buffer.byteLength(json) <= MAX_VALUE_BYTES && type !== 'hit') faults.push(`${key} is a ${type}, not a hit`);
  }
  tally.addAll(world.tally.counts);
  if (faults.length > 0) throw new Error(`${faults.slice(0, 3).join('; ')}\n  ${world.story.join('\n  ')}`);
}

/** In the end a letter is only kept for a value that does not fit. Returns a fault for any other letter. */
async function needless({ store, table }: RedriveWorld, name: string): Promise<string[]> {
  const { payload, millrace } = JSON.parse(store.texts.get(name) ?? '{}');
  const { Records: records } = JSON.parse(payload) as {
    Records: readonly { dynamodb: { Keys: { pk: { S: string }; sk: { S: string } } } }[];
  };
  const rows = records.map(({ dynamodb: { Keys } }) => table.rows.get(JSON.stringify([Keys.pk.S, Keys.sk.S])));
  const isLarge = rows.some((row) => row?.projected.some(({ json }) => Buffer.byteLength(json) > MAX_VALUE_BYTES));
  return isLarge ? [] : [`letter ${name} stays: ${millrace?.redrives?.cause}`];
}

describe('redrive, in random histories', () => {
  it('makes the cache equal to the table in the end, whenever and in whatever order letters are redriven', {
    timeout: 600_000,
  }, async () => {
    const tally = new Tally();
    await fc.assert(
      fc.asyncProperty(history, ({ lossless, steps }) => live(steps, lossless, tally)),
      {
        numRuns: HISTORIES,
        seed: SEED,
        interruptAfterTimeLimit: 300_000,
        markInterruptAsFailure: true,
      },
    );
    if (process.env.SHOW_TALLY) console.log(SEED, tally.counts);
    const happenings = [
      'order',
      'deliver',
      'discard',
      'replay',
      'evict',
      'lease',
      'settled',
      'redrive',
      'removed',
      'kept',
      'view',
      'rejected',
      'cache',
      'store',
    ];
    // The histories must contain each of these.
    if (HISTORIES >= 500) for (const what of happenings) expect(tally.counts.get(what) ?? 0, what).toBeGreaterThan(HISTORIES / 50);
  });
});
