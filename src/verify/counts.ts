import { type View, viewName } from '../view.ts';
import { type Cluster, upperBound } from './interval.ts';
import { type Decision, lagClasses } from './looks.ts';
import { FAULTS, type Fault } from './observation.ts';

/**
 * Which way an address was found.
 *
 * - `table`: from an item of the table to the cache.
 * - `cache`: from a key of the cache to the table.
 * - `stream`: from a change to the cache.
 */
export const PROBES = ['table', 'cache', 'stream'] as const;
export type Probe = (typeof PROBES)[number];

export interface ProbeCounts {
  /** Claims of the cache that were compared with the table: `equal`, `late`, and all violations. */
  readonly observations: number;
  readonly equal: number;
  /** Addresses of which the cache claimed nothing. */
  readonly misses: number;
  /** Claims that differed, and healed within the bound. */
  readonly late: number;
  /** Addresses of which nobody can say: the item cannot be projected, or all changed at every look, or the run ended too early. */
  readonly undecided: number;
  /** Addresses of the cache whose item cannot be found, because the view has no `from` that says where. */
  readonly unfindable: number;
  readonly violations: Readonly<Record<Fault, number>>;
  /** How many of `late` healed within each of `lagClasses`, and not within the one before. */
  readonly lags: readonly number[];
}

type Mutable = { -readonly [Name in keyof ProbeCounts]: ProbeCounts[Name] } & { violations: Record<Fault, number>; lags: number[] };

function noCounts(boundMs: number): Mutable {
  return {
    observations: 0,
    equal: 0,
    misses: 0,
    late: 0,
    undecided: 0,
    unfindable: 0,
    violations: Object.fromEntries(FAULTS.map((fault) => [fault, 0])) as Record<Fault, number>,
    lags: lagClasses(boundMs).map(() => 0),
  };
}

export function violationsIn({ violations }: Pick<ProbeCounts, 'violations'>): number {
  return Object.values(violations).reduce((sum, times) => sum + times, 0);
}

/** Adds the counts of another part of the same kind, with the same bound. */
function add(into: Mutable, counts: ProbeCounts): void {
  for (const name of ['observations', 'equal', 'misses', 'late', 'undecided', 'unfindable'] as const) into[name] += counts[name];
  for (const fault of FAULTS) into.violations[fault] += counts.violations[fault];
  for (const [i, times] of counts.lags.entries()) into.lags[i] = (into.lags[i] ?? 0) + times;
}

/** Counts a decision that is the last of an observation. `suspect` and `moved` are none. */
function count(counts: Mutable, verdict: Decision, boundMs: number): void {
  switch (verdict.type) {
    case 'equal':
      counts.equal += 1;
      counts.observations += 1;
      break;
    case 'late': {
      counts.late += 1;
      counts.observations += 1;
      const classes = lagClasses(boundMs);
      const at = classes.findIndex((end) => verdict.lagMs <= end);
      const i = at === -1 ? classes.length - 1 : at;
      counts.lags[i] = (counts.lags[i] ?? 0) + 1;
      break;
    }
    case 'violation':
      counts.violations[verdict.fault] += 1;
      counts.observations += 1;
      break;
    case 'miss':
      counts.misses += 1;
      break;
    case 'undecided':
      counts.undecided += 1;
  }
}

/** Counts by view and probe, and of a sample of segments by segment. */
export class ProbeTally {
  readonly #boundMs: number;
  readonly #counts = new Map<string, Map<Probe, Mutable>>();
  readonly #clusters = new Map<string, Map<number, { observations: number; violations: number }>>();

  constructor(views: readonly View[], boundMs: number) {
    this.#boundMs = boundMs;
    for (const view of views) this.#counts.set(viewName(view), new Map(PROBES.map((probe) => [probe, noCounts(boundMs)])));
  }

  of(view: string, probe: Probe): Mutable {
    const counts = this.#counts.get(view)?.get(probe);
    if (!counts) throw new RangeError(`the view ${view} is not verified`);
    return counts;
  }

  /** @param cluster the segment of a sample */
  add(view: string, probe: Probe, verdict: Decision, cluster?: number): void {
    const counts = this.of(view, probe);
    const before = counts.observations;
    count(counts, verdict, this.#boundMs);
    if (cluster === undefined || counts.observations === before) return;
    const clusters = this.#clusters.get(view) ?? new Map<number, { observations: number; violations: number }>();
    this.#clusters.set(view, clusters);
    const of = clusters.get(cluster) ?? { observations: 0, violations: 0 };
    clusters.set(cluster, of);
    of.observations += 1;
    if (verdict.type === 'violation') of.violations += 1;
  }

  /** The counts of a view over all probes. */
  sum(view: string): ProbeCounts {
    const sum = noCounts(this.#boundMs);
    for (const counts of this.#counts.get(view)?.values() ?? []) add(sum, counts);
    return sum;
  }

  clusters(view: string): readonly Cluster[] {
    return [...(this.#clusters.get(view)?.values() ?? [])];
  }
}

/**
 * 1 minus the highest share of violations that the observations allow, with 95 % confidence; `undefined` without observations: no evidence.
 *
 * @param observations those that are sure to be of different claims. Default: all
 */
export function consistencyOf(
  counts: ProbeCounts,
  clusters: readonly Cluster[] = [],
  observations = counts.observations,
): number | undefined {
  if (observations === 0) return undefined;
  return 1 - upperBound(Math.min(violationsIn(counts), observations), observations, clusters);
}
