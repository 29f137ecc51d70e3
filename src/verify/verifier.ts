import type { CacheClient } from '../cache.ts';
import type { Version } from '../version.ts';
import { type View, viewName } from '../view.ts';
import { type Probe, ProbeTally } from './counts.ts';
import {
  type Looked,
  type LookOptions,
  look,
  MOST_LOOKS,
  MOST_MOVES,
  type Observer,
  PROCESS_CLOCK,
  repeated,
  type ToLook,
  type VerifyClock,
} from './look.ts';
import { type Decision, nextLookAt } from './looks.ts';
import { type Claim, type Fault, nameOfSubject, type Observed, type Subject, type Truth } from './observation.ts';
import { readTruths } from './read-truths.ts';
import type { VerifiedTable } from './table.ts';
import { Waiting } from './waiting.ts';

/** A violation, as it was found. */
export interface Violation {
  readonly probe: Probe;
  readonly subject: Subject;
  readonly fault: Fault;
  /** The version that the cache has. Absent for a member that it has not. */
  readonly version?: Version;
  /** Since when the address was seen to differ, ms. */
  readonly ageMs: number;
}

export interface VerifierOptions {
  readonly cache: Pick<CacheClient, 'getMany' | 'list'>;
  readonly table: VerifiedTable;
  readonly views: readonly View[];
  /** How long the cache may lag behind the table, ms. */
  readonly boundMs: number;
  /** Ends all waits. Addresses whose second look is still to come are then undecided. */
  readonly signal: AbortSignal;
  /** Called with the violations of each look. */
  readonly onViolations?: (violations: readonly Violation[]) => Promise<void>;
  readonly clock?: VerifyClock;
  /** For how long calls are repeated that get no answer, ms. Default: 60,000. */
  readonly retryForMs?: number;
  /** The most addresses that wait for another look. `observe` waits for room. Default: 100,000. */
  readonly mostWaiting?: number;
}

interface Waiter extends ToLook {
  readonly probe: Probe;
  /** How often the member was found at another score. */
  readonly moves: number;
}

/** The number of different times at which looks within one bound take place. */
const GRAINS = 600;

/**
 * Observes addresses: looks at the cache, then reads the table, and looks again at what differs. Feed it by `observe` and `observeLater`, let `run` look
 * again meanwhile, and call `end` when nothing more comes.
 */
export class Verifier implements Observer {
  readonly tally: ProbeTally;
  readonly clock: VerifyClock;
  /** Read units so far. */
  units = 0;
  readonly #options: VerifierOptions;
  readonly #views: ReadonlyMap<string, View>;
  readonly #looking: LookOptions;
  readonly #waiting: Waiting<Waiter>;
  readonly #mostWaiting: number;
  readonly #ended = new AbortController();
  /** When addresses, and lists, were repaired, ms since 1970. */
  readonly #repaired = new Map<string, number>();

  constructor(options: VerifierOptions) {
    this.#options = options;
    this.#views = new Map(options.views.map((view) => [viewName(view), view]));
    this.#waiting = new Waiting(options.boundMs / GRAINS);
    this.#mostWaiting = options.mostWaiting ?? 100_000;
    this.clock = options.clock ?? PROCESS_CLOCK;
    this.tally = new ProbeTally(options.views, options.boundMs);
    this.#looking = { ...options, clock: this.clock, viewOf: (subject) => this.viewOf(subject) };
  }

  /** Addresses that wait for another look. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /** Observes addresses now. @throws CacheUnavailableError, and as `VerifiedTable` does */
  async observe(probe: Probe, observed: readonly Observed[]): Promise<void> {
    for (let i = 0; i < observed.length; i += MOST_LOOKS) {
      while (this.#waiting.size >= this.#mostWaiting && !this.#options.signal.aborted) {
        await this.clock.sleep(this.#options.boundMs / 60, this.#options.signal);
      }
      this.#options.signal.throwIfAborted();
      await this.#look(observed.slice(i, i + MOST_LOOKS).map((one) => ({ ...one, probe, moves: 0 })));
    }
  }

  /** Observes an address at a later time, ms since 1970. @returns false if too many wait already; the address is then left out */
  observeLater(at: number, probe: Probe, observed: Observed): boolean {
    if (this.#waiting.size >= this.#mostWaiting) return false;
    this.#waiting.add(at, { ...observed, probe, moves: 0 });
    return true;
  }

  /** Nothing more comes: `run` ends when nothing waits. */
  end(): void {
    this.#ended.abort();
  }

  /** Looks again at what waits, until the end. @throws as `observe` */
  async run(): Promise<void> {
    const { signal, boundMs } = this.#options;
    const grainMs = Math.max(1, boundMs / GRAINS);
    const wake = AbortSignal.any([signal, this.#ended.signal]);
    while (!signal.aborted && !(this.#ended.signal.aborted && this.#waiting.size === 0)) {
      const due = this.#waiting.take(this.clock.now(), MOST_LOOKS);
      if (due.length > 0) await this.#look(due);
      // What is added meanwhile may be due earlier than what waits now.
      else
        await this.clock.sleep(
          Math.max(1, Math.min(this.#waiting.next - this.clock.now(), 10 * grainMs)),
          this.#ended.signal.aborted ? signal : wake,
        );
    }
    for (const { subject, probe } of this.#waiting.drain()) this.tally.add(subject.view, probe, { type: 'undecided' });
  }

  /** Notes that a repair has just written to addresses: what comes right there by now has not healed by itself. */
  repaired(subjects: readonly Subject[]): void {
    const now = this.clock.now();
    for (const subject of subjects) {
      this.#repaired.set(nameOfSubject(subject), now);
      if (subject.kind === 'member') this.#repaired.set(subject.list, now);
    }
  }

  viewOf(subject: Subject): View {
    const view = this.#views.get(subject.view);
    if (!view) throw new RangeError(`the view ${subject.view} is not verified`);
    return view;
  }

  async #look(waiters: readonly Waiter[]): Promise<void> {
    const { looked, units } = await look(this.#looking, waiters);
    this.units += units;
    const found = waiters.flatMap((waiter, i) => {
      const { claim, decision } = looked[i] as Looked;
      return this.#conclude(waiter, claim, decision) ?? [];
    });
    if (found.length > 0) await this.#options.onViolations?.(found);
  }

  /** What the table says of subjects, now. @throws as `VerifiedTable` does */
  async truthsOf(subjects: readonly Subject[]): Promise<readonly Truth[]> {
    const { table, signal } = this.#options;
    const { truths, units } = await repeated(this.#looking, () => readTruths(table, this.#looking.viewOf, subjects, signal));
    this.units += units;
    return truths;
  }

  /** What a verdict is if a repair came between the looks. */
  #unlessRepaired({ subject, before }: Waiter, verdict: Decision): Decision {
    if (verdict.type !== 'late' || !before) return verdict;
    const isSince = (name: string): boolean => before.since <= (this.#repaired.get(name) ?? -Infinity);
    if (isSince(nameOfSubject(subject))) return { type: 'violation', fault: before.fault, ageMs: verdict.lagMs };
    // The repair of its list came before its bound was over.
    return subject.kind === 'member' && isSince(subject.list) ? { type: 'undecided' } : verdict;
  }

  #conclude(waiter: Waiter, claim: Claim, seen: Decision): Violation | undefined {
    const verdict = this.#unlessRepaired(waiter, seen);
    const { subject, probe, cluster, moves } = waiter;
    const { boundMs } = this.#options;
    const now = this.clock.now();
    switch (verdict.type) {
      case 'suspect':
        this.#waiting.add(nextLookAt(verdict.suspect, now, boundMs), { subject, probe, moves, cluster, before: verdict.suspect });
        return undefined;
      case 'moved':
        if (subject.kind === 'member' && moves < MOST_MOVES) {
          this.#waiting.add(now, { subject: { ...subject, score: verdict.score }, probe, cluster, moves: moves + 1 });
          return undefined;
        }
        this.tally.add(subject.view, probe, { type: 'undecided' });
        return undefined;
      case 'violation': {
        this.tally.add(subject.view, probe, verdict, cluster);
        const version = claim.type === 'none' ? undefined : claim.version;
        return { probe, subject, fault: verdict.fault, ageMs: verdict.ageMs, ...(version !== undefined && { version }) };
      }
      default:
        this.tally.add(subject.view, probe, verdict, cluster);
        return undefined;
    }
  }
}
