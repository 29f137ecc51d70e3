import { itemOf } from '../change.ts';
import { attributesOf, hashed } from '../dynamodb/attributes.ts';
import { shownItem } from '../plan/shown-keys.ts';
import type { Version } from '../version.ts';
import { type View, viewName } from '../view.ts';
import { consistencyOf, PROBES, type Probe, type ProbeCounts, ProbeTally } from './counts.ts';
import { lagClasses } from './looks.ts';
import type { Fault } from './observation.ts';
import type { Violation } from './verifier.ts';

/** What a run found. Plain data. It has keys of items, and no values. */
export interface VerifyReport {
  readonly table: string;
  /** `interrupted`: the run ended before all addresses were decided. */
  readonly status: 'done' | 'interrupted';
  readonly boundMs: number;
  /** The segments that were read, of all. */
  readonly segments: { readonly read: number; readonly of: number };
  readonly readUnits: number;
  /** The upper ends of the classes of `lags`, ms. */
  readonly lagClassesMs: readonly number[];
  readonly views: readonly ViewReport[];
}

export interface ViewReport extends ViewCounts {
  /** `detail@1` */
  readonly view: string;
  readonly kind: View['kind'];
  readonly probes: Readonly<Record<Probe, ViewCounts>>;
  /** Absent unless the run repairs. */
  readonly repairs?: { readonly repaired: number; readonly failed: number };
  /** The first violations. */
  readonly examples: readonly Example[];
}

/** `consistency`: 1 minus the highest share of violations that the observations allow, with 95 % confidence. `null`: no evidence. */
type ViewCounts = ProbeCounts & { readonly consistency: number | null };

/** A violation as people see it. The keys of an entity with secret keys are hashed. */
export interface Example {
  readonly fault: Fault;
  readonly probe: Probe;
  /** The key of the document, or the list. */
  readonly key: string;
  readonly member?: string;
  /** The name of the item, see `itemOf`; absent if it is not known. */
  readonly item?: string;
  readonly version?: Version;
  readonly ageMs: number;
  readonly repaired?: boolean;
}

const EXAMPLES = 10;

/** What a run has found so far. */
export class Findings {
  tally: ProbeTally;
  units = 0;
  isInterrupted = false;
  readonly #views: readonly View[];
  readonly #boundMs: number;
  readonly #repairs = new Map<string, { repaired: number; failed: number }>();
  readonly #examples = new Map<string, Example[]>();
  #count = 0;

  constructor(views: readonly View[], boundMs: number) {
    this.#views = views;
    this.#boundMs = boundMs;
    this.tally = new ProbeTally(views, boundMs);
  }

  /** Violations. */
  get count(): number {
    return this.#count;
  }

  /** @param repaired absent unless the run repairs */
  add(violation: Violation, repaired?: boolean): void {
    this.#count += 1;
    const { view } = violation.subject;
    if (repaired !== undefined) {
      const repairs = this.#repairs.get(view) ?? { repaired: 0, failed: 0 };
      this.#repairs.set(view, repairs);
      repairs[repaired ? 'repaired' : 'failed'] += 1;
    }
    const examples = this.#examples.get(view) ?? [];
    this.#examples.set(view, examples);
    const of = this.#views.find((other) => viewName(other) === view);
    if (examples.length < EXAMPLES && of) examples.push({ ...exampleOf(of, violation), ...(repaired !== undefined && { repaired }) });
  }

  /** @param repairs whether the run repairs */
  report({ table, segments, repairs }: Pick<VerifyReport, 'table' | 'segments'> & { readonly repairs: boolean }): VerifyReport {
    return {
      table,
      status: this.isInterrupted ? 'interrupted' : 'done',
      boundMs: this.#boundMs,
      segments,
      readUnits: this.units,
      lagClassesMs: lagClasses(this.#boundMs),
      views: this.#views.map((view): ViewReport => {
        const name = viewName(view);
        const clusters = this.tally.clusters(name);
        const counts = this.tally.sum(name);
        const of = (probe: Probe): ViewCounts => {
          const some = this.tally.of(name, probe);
          return { ...some, consistency: consistencyOf(some, probe === 'table' ? clusters : []) ?? null };
        };
        return {
          view: name,
          kind: view.kind,
          ...counts,
          // Two probes may find one claim, so only the observations of one probe are sure to be of different claims.
          consistency: consistencyOf(counts, clusters, Math.max(...PROBES.map((probe) => this.tally.of(name, probe).observations))) ?? null,
          probes: Object.fromEntries(PROBES.map((probe) => [probe, of(probe)])) as ViewReport['probes'],
          ...(repairs && { repairs: this.#repairs.get(name) ?? { repaired: 0, failed: 0 } }),
          examples: this.#examples.get(name) ?? [],
        };
      }),
    };
  }
}

/** A violation as people see it: without values, and without secret keys. */
export function exampleOf(view: View, { probe, subject, fault, version, ageMs }: Violation): Example {
  const { item } = subject;
  const key = subject.kind === 'document' ? subject.key : subject.list;
  const isSecret = (view.entity.secretKeys ?? []).length > 0;
  // A view may put a secret key anywhere into an address.
  const shown = (text: string): string => (isSecret ? hashed(text) : text);
  const start = `${viewName(view)}:`;
  return {
    fault,
    probe,
    key: `${start}${shown(key.slice(start.length))}`,
    ...(subject.kind === 'member' && { member: shown(subject.member) }),
    // The item is of the entity, so its own names of secret keys are those of the entity.
    ...(item && { item: isSecret ? shownItem([view], attributesOf(item), []) : itemOf(attributesOf(item)) }),
    ...(version !== undefined && { version }),
    ageMs,
  };
}
