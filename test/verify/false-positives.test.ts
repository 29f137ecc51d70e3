import { describe, expect, it } from 'vitest';
import { liveCorrect } from './correct-worker.ts';
import { BOUND_MS } from './world.ts';

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
      const life = await liveCorrect({ seed: SEED, stragglers }, (observations) => observations >= OBSERVATIONS / 2);
      const { violations, wrong, ...counts } = life;
      console.log(`seed ${SEED}: ${JSON.stringify(counts)}`);
      // Otherwise there would be violations.
      expect(life.greatestLagMs, `seed ${SEED}`).toBeLessThan(BOUND_MS);
      expect(violations, `seed ${SEED}`).toEqual([]);
      expect(wrong, `seed ${SEED}`).toEqual([]);
      for (const what of [life.late, life.failures, life.fills]) expect(what, `seed ${SEED}`).toBeGreaterThan(20);
    },
    600_000,
  );
});
