import { describe, expect, it } from 'vitest';
import { PROBES } from '../../src/verify/counts.ts';
import { FAULTS } from '../../src/verify/observation.ts';
import type { Violation } from '../../src/verify/verifier.ts';
import { BROKEN } from './broken-workers.ts';
import { BOUND_MS, nameIn, World } from './world.ts';

const SEED = process.env.SEED === undefined ? Math.trunc(Math.random() * 2 ** 31) : Number(process.env.SEED);
const LOAD_MS = 300_000;

describe('the verifier, of what is broken', () => {
  it.each(BROKEN)(
    'finds at least 99 % of what is wrong, and its kinds: $name',
    async ({ name, options, strike, shows, loadMs = LOAD_MS }) => {
      const world = new World({ seed: SEED, ...options });
      await world.begin();
      world.load();
      // From changes, while the faults come. Then little changes, so that faults last.
      const following = world.verify({ probes: ['stream'], followMs: loadMs });
      void world.clock.sleep(loadMs).then(() => {
        world.calm = 30;
      });
      const followed = await following;
      await strike?.(world);
      // What is wrong before the run, and still after it, was wrong for longer than the bound.
      const before = await world.wrong();
      const { violations, report } = await world.verify({ probes: ['table', 'cache'], followMs: 0 });
      const after = await world.wrong();
      const lasting = [...before].filter(([address, claim]) => after.get(address) === claim).map(([address]) => address);
      const found = new Set(violations.map(({ subject }) => nameIn(subject)));
      const hit = lasting.filter((address) => found.has(address));
      const share = lasting.length === 0 ? 1 : hit.length / lasting.length;

      const byProbe = Object.fromEntries(
        PROBES.map((probe) => [probe, kindsOf([...violations, ...followed.violations].filter((violation) => violation.probe === probe))]),
      );
      const ages = followed.violations.map(({ ageMs }) => ageMs + BOUND_MS).sort((a, b) => a - b);
      const facts = {
        lasting: lasting.length,
        found: hit.length,
        byProbe,
        detectedAfterS: (ages[Math.floor(ages.length / 2)] ?? 0) / 1_000,
      };
      console.log(`${name}, seed ${SEED}: ${JSON.stringify(facts)}`);
      expect(lasting.length + followed.violations.length, `seed ${SEED}`).toBeGreaterThan(0);
      const missed = lasting.filter((address) => !found.has(address)).slice(0, 5);
      expect(share, `seed ${SEED}: missed ${missed}`).toBeGreaterThanOrEqual(0.99);
      // A run finds nothing that was not wrong when it looked first.
      const invented = [...found].filter((address) => !before.has(address));
      expect(invented.slice(0, 3), `seed ${SEED}`).toEqual([]);
      const kinds = new Set([...violations, ...followed.violations].map(({ fault }) => fault));
      for (const fault of shows) expect(kinds, `seed ${SEED}`).toContain(fault);
      expect(report.views.every(({ consistency }) => consistency === null || consistency < 1)).toBe(true);

      await world.rest();
      await world.stop();
    },
    300_000,
  );
});

function kindsOf(violations: readonly Violation[]): Readonly<Record<string, number>> {
  const counts = FAULTS.map((fault) => [fault, violations.filter((violation) => violation.fault === fault).length] as const);
  return Object.fromEntries(counts.filter(([, count]) => count > 0));
}
