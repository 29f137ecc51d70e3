import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { type Life, life, MappingLife, type Tally } from './mapping-life.ts';

const SEED = process.env.SEED === undefined ? undefined : Number(process.env.SEED);
const HISTORIES = Number(process.env.HISTORIES ?? 1_000);

/** What must happen in the histories, or else they would prove nothing. */
const MUST_HAPPEN = [
  ...['split', 'roll', 'kill', 'stop', 'refused', 'timeouts', 'letters', 'lost', 'succeeded', 'failed', 'retried', 'dropped', 'delivered'],
  ...[
    'delivery-failed',
    'checkpoint-failed',
    'read-failed',
    'gap',
    'filtered',
    'shard-ended',
    'not-invoked',
    'no iterator',
    'same iterator',
  ],
];

async function live(past: Life, tally: Tally): Promise<void> {
  const world = new MappingLife(past, tally);
  const withStory = (fault: unknown) =>
    new Error(`${fault}\n  ${JSON.stringify(past.settings)}\n  ${world.story.join('\n  ')}`, { cause: fault });
  try {
    await world.live();
  } catch (error) {
    throw withStory(error);
  }
  if (world.faults.length > 0) throw withStory(world.faults.slice(0, 3).join('; '));
}

/** Environment: HISTORIES is the number of histories, SEED chooses them, SHOW_TALLY prints how often each thing happened. */
it('delivers each record in order until it is done, and reports what was lost, when anything fails', {
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
