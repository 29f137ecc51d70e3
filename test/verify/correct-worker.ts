import { violationsIn } from '../../src/verify/counts.ts';
import type { Violation } from '../../src/verify/verifier.ts';
import { World, type WorldOptions } from './world.ts';

/** What the verifier saw of a correct worker. */
export interface CorrectLife {
  readonly observations: number;
  readonly equal: number;
  readonly late: number;
  readonly misses: number;
  readonly undecided: number;
  readonly violations: readonly Violation[];
  /** Calls of the worker that failed, deployments, evictions and late records. */
  readonly faults: number;
  readonly writes: number;
  readonly failures: number;
  readonly evictions: number;
  readonly fills: number;
  /** Between a write and the end of its batch. A lag above the bound gives violations, and rightly so. */
  readonly greatestLagMs: number;
  /** Addresses at which cache and table differ at the end, at rest. */
  readonly wrong: readonly string[];
}

/**
 * A correct worker lives under load, with retries, fills, failovers, deployments, varying lag, and evictions or late records, while it is verified. Ends
 * with the first run of the verifier that has seen a violation, or after which it is enough.
 */
export async function liveCorrect(
  { seed, stragglers }: Pick<WorldOptions, 'seed' | 'stragglers'>,
  isEnough: (observations: number) => boolean,
): Promise<CorrectLife> {
  const world = new World({ seed, stragglers });
  await world.begin();
  world.load();
  const counts = { observations: 0, equal: 0, late: 0, misses: 0, undecided: 0 };
  const found: Violation[] = [];
  let deployments = 0;
  for (let run = 0; found.length === 0 && !isEnough(counts.observations); run += 1) {
    if (run % 3 === 2) {
      deployments += 1;
      await world.clock.run(world.deploy());
    }
    const { report, violations } = await world.verify({ followMs: 120_000 });
    for (const view of report.views) {
      for (const what of ['observations', 'equal', 'late', 'misses', 'undecided'] as const) counts[what] += view[what];
      if (violationsIn(view) > 0 && violations.length === 0) throw new Error('the report has violations that were not told');
    }
    found.push(...violations);
  }
  await world.rest();
  await world.stop();
  const { writes, failures, evictions, fills, late, greatestLagMs } = world;
  const faults = failures + deployments + evictions + late;
  return {
    ...counts,
    violations: found,
    faults,
    writes,
    failures,
    evictions,
    fills,
    greatestLagMs,
    wrong: [...(await world.wrong()).keys()],
  };
}
