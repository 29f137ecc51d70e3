import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { type Life, life, MappingLife, type Tally } from './mapping-life.ts';

const SEED = process.env.SEED === undefined ? undefined : Number(process.env.SEED);
const HISTORIES = Number(process.env.HISTORIES ?? 1_000);

/** A world in which nothing happens proves nothing. */
const MUST_HAPPEN = [
  ...['split', 'roll', 'kill', 'stop', 'refused', 'timeouts', 'letters', 'lost', 'succeeded', 'failed', 'retried', 'dropped', 'delivered'],
  ...['delivery-failed', 'checkpoint-failed', 'read-failed', 'gap', 'filtered', 'shard-ended', 'not-invoked'],
];

async function live(past: Life, tally: Tally): Promise<void> {
  const world = new MappingLife(past, tally);
  const tell = (fault: unknown) =>
    new Error(`${fault}\n  ${JSON.stringify(past.settings)}\n  ${world.story.join('\n  ')}`, { cause: fault });
  try {
    await world.live();
  } catch (error) {
    throw tell(error);
  }
  if (world.misdeeds.length > 0) throw tell(world.misdeeds.slice(0, 3).join('; '));
}

/** HISTORIES and SEED in the environment choose how many, and which; SHOW_TALLY prints how often each thing happened. */
it('delivers each record in order until it is done, whatever fails, and says what was lost', {
  timeout: 600_000 + HISTORIES * 50,
}, async () => {
  const tally: Tally = {};
  await fc.assert(
    fc.asyncProperty(life, (past) => live(past, tally)),
    {
      numRuns: HISTORIES,
      ...(SEED !== undefined && { seed: SEED }),
      interruptAfterTimeLimit: 540_000 + HISTORIES * 50,
      markInterruptAsFailure: true,
    },
  );
  if (process.env.SHOW_TALLY) console.log(tally);
  if (HISTORIES >= 500) for (const what of MUST_HAPPEN) expect(tally[what] ?? 0, what).toBeGreaterThan(HISTORIES / 50);
});
