import { describe, expect, it } from 'vitest';
import { PROBES } from '../../src/verify/counts.ts';
import { FAULTS } from '../../src/verify/observation.ts';
import type { Violation } from '../../src/verify/verifier.ts';
import { escapeOf, liveBroken } from './broken-life.ts';
import { BROKEN } from './broken-workers.ts';
import { BOUND_MS } from './world.ts';

const SEED = process.env.SEED === undefined ? Math.trunc(Math.random() * 2 ** 31) : Number(process.env.SEED);

describe('the verifier, of what is broken', () => {
  it.each(BROKEN)(
    'finds at least 99 % of what is wrong, and its kinds: $name',
    async (broken) => {
      const life = await liveBroken(broken, SEED);
      const { lasting, missed, violations, followed, report } = life;
      const byProbe = Object.fromEntries(
        PROBES.map((probe) => [probe, kindsOf([...violations, ...followed].filter((violation) => violation.probe === probe))]),
      );
      const ages = followed.map(({ ageMs }) => ageMs + BOUND_MS).sort((a, b) => a - b);
      const facts = {
        lasting: lasting.length,
        found: lasting.length - missed.length,
        byProbe,
        detectedAfterS: (ages[Math.floor(ages.length / 2)] ?? 0) / 1_000,
      };
      console.log(`${broken.name}, seed ${SEED}: ${JSON.stringify(facts)}`);
      expect(escapeOf(broken, life), `seed ${SEED}`).toBeUndefined();
      expect(report.views.every(({ consistency }) => consistency === null || consistency < 1)).toBe(true);
    },
    300_000,
  );
});

function kindsOf(violations: readonly Violation[]): Readonly<Record<string, number>> {
  const counts = FAULTS.map((fault) => [fault, violations.filter((violation) => violation.fault === fault).length] as const);
  return Object.fromEntries(counts.filter(([, count]) => count > 0));
}
