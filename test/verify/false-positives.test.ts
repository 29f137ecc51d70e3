import { describe, expect, it } from 'vitest';
import { violationsIn } from '../../src/verify/counts.ts';
import { BOUND_MS, World } from './world.ts';

const SEED = process.env.SEED === undefined ? Math.trunc(Math.random() * 2 ** 31) : Number(process.env.SEED);
/** 100,000 and more show more; see docs/verify.md. */
const OBSERVATIONS = Number(process.env.VERIFY_OBSERVATIONS ?? 20_000);

describe('the verifier, of a correct worker', () => {
  it.each([
    ['evictions', false],
    ['late records', true],
  ])(
    'finds no violation under load, with retries, fills, failovers, deployments, varying lag, and %s',
    async (_, stragglers) => {
      const world = new World({ seed: SEED, stragglers });
      await world.begin();
      world.load();
      const counts = { observations: 0, equal: 0, late: 0, misses: 0, violations: 0, undecided: 0 };
      for (let run = 0; counts.observations < OBSERVATIONS / 2; run += 1) {
        if (run % 3 === 2) await world.clock.run(world.deploy());
        const { report, violations } = await world.verify({ followMs: 120_000 });
        for (const view of report.views) {
          for (const what of ['observations', 'equal', 'late', 'misses', 'undecided'] as const) counts[what] += view[what];
          counts.violations += violationsIn(view);
        }
        // Otherwise there would be violations.
        expect(world.greatestLagMs, `seed ${SEED}, run ${run}`).toBeLessThan(BOUND_MS);
        expect(violations, `seed ${SEED}, run ${run}`).toEqual([]);
      }
      await world.rest();
      await world.stop();
      const { writes, failures, evictions, fills, greatestLagMs } = world;
      console.log(`seed ${SEED}: ${JSON.stringify({ ...counts, writes, failures, evictions, fills, greatestLagMs })}`);
      expect([...(await world.wrong())], `seed ${SEED}`).toEqual([]);
      for (const what of [counts.late, failures, fills]) expect(what, `seed ${SEED}`).toBeGreaterThan(20);
    },
    600_000,
  );
});
