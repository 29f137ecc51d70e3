import type { Fault } from '../../src/verify/observation.ts';
import type { VerifyReport } from '../../src/verify/report.ts';
import type { Violation } from '../../src/verify/verifier.ts';
import type { Broken } from './broken-workers.ts';
import { nameIn, World } from './world.ts';

const LOAD_MS = 300_000;

/** What the verifier saw of something that is broken. */
export interface BrokenLife {
  /** Addresses that were wrong before the run of the verifier, and still after it: for longer than its bound. */
  readonly lasting: readonly string[];
  /** Those of `lasting` that it did not find. */
  readonly missed: readonly string[];
  /** Addresses that it found, and that were not wrong before its run. */
  readonly invented: readonly string[];
  /** What it found after the faults, from the table and from the cache. */
  readonly violations: readonly Violation[];
  /** What it found from changes, while the faults came. */
  readonly followed: readonly Violation[];
  readonly kinds: ReadonlySet<Fault>;
  readonly observations: number;
  readonly report: VerifyReport;
}

/** A broken worker lives under load, then under little of it, and is verified. */
export async function liveBroken({ options, strike, loadMs = LOAD_MS }: Broken, seed: number): Promise<BrokenLife> {
  const world = new World({ seed, ...options });
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
  await world.rest();
  await world.stop();
  const lasting = [...before].filter(([address, claim]) => after.get(address) === claim).map(([address]) => address);
  const found = new Set(violations.map(({ subject }) => nameIn(subject)));
  const observations = [followed.report, report].flatMap(({ views }) => views).reduce((sum, view) => sum + view.observations, 0);
  return {
    lasting,
    missed: lasting.filter((address) => !found.has(address)),
    invented: [...found].filter((address) => !before.has(address)),
    violations,
    followed: followed.violations,
    kinds: new Set([...violations, ...followed.violations].map(({ fault }) => fault)),
    observations,
    report,
  };
}

/** Why a break was not caught; `undefined` if it was: there was something wrong, 99 % of what lasted was found, by its kinds, and nothing was invented. */
export function escapeOf({ shows }: Broken, { lasting, missed, invented, followed, kinds }: BrokenLife): string | undefined {
  if (lasting.length + followed.length === 0) return 'nothing was wrong';
  if (missed.length > 0.01 * lasting.length) return `${missed.length} of ${lasting.length} were missed, such as ${missed[0]}`;
  if (invented.length > 0) return `${invented.length} were not wrong, such as ${invented[0]}`;
  const absent = shows.filter((fault) => !kinds.has(fault));
  return absent.length > 0 ? `no ${absent.join(', ')} was found` : undefined;
}
