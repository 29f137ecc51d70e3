import { retry } from '../backoff.ts';
import type { CacheClient } from '../cache.ts';
import { CacheUnavailableError, TableUnavailableError } from '../errors.ts';
import type { Version } from '../version.ts';
import { type View, viewName } from '../view.ts';
import { claimsOf } from './claims.ts';
import { type Probe, ProbeTally } from './counts.ts';
import { type Decision, decide, needsTable, nextLookAt, type Suspect } from './looks.ts';
import { type Claim, compared, type Fault, nameOfSubject, type Subject, type Truth } from './observation.ts';
import { readTruths } from './read-truths.ts';
import type { VerifiedTable } from './table.ts';
import { Waiting } from './waiting.ts';

export interface VerifyClock {
  /** ms since 1970 */
  now(): number;
  /** Resolves after `ms`, or when the signal is aborted. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

export const SYSTEM_CLOCK: VerifyClock = {
  now: Date.now,
  sleep: (ms, signal) =>
    new Promise((resolve) => {
      if (signal?.aborted) return resolve();
      const done = (): void => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', done);
        resolve();
      };
      const timer = setTimeout(done, ms);
      signal?.addEventListener('abort', done);
    }),
};

/** An address to observe, and what is known of it already. */
export interface Observed {
  readonly subject: Subject;
  /** What the table said a moment ago. A claim that equals it needs no further read. */
  readonly scanned?: Truth;
  /** A version that the cache shall have by now. A claim of this version, or of a newer one, needs no read. */
  readonly expected?: Version;
  /** The segment of a sample. */
  readonly cluster?: number;
}

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

interface Waiter extends Observed {
  readonly probe: Probe;
  readonly before?: Suspect;
  /** How often the member was found at another score. */
  readonly moves: number;
}

/** The most addresses of one look. */
const LOOKS_AT_ONCE = 500;
/** A member that moves at each look is given up after this number of moves. */
const MOST_MOVES = 5;
/** The number of different times at which looks within one bound take place. */
const GRAINS = 600;

/**
 * Observes addresses: looks at the cache, then reads the table, and looks again at what differs. Feed it by `observe` and `observeLater`, let `run` look
 * again meanwhile, and call `end` when nothing more comes.
 */
export class Verifier {
  readonly tally: ProbeTally;
  readonly clock: VerifyClock;
  /** Read units so far. */
  units = 0;
  readonly #options: VerifierOptions;
  readonly #views: ReadonlyMap<string, View>;
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
    this.clock = options.clock ?? SYSTEM_CLOCK;
    this.tally = new ProbeTally(options.views, options.boundMs);
  }

  /** Addresses that wait for another look. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /** Observes addresses now. @throws CacheUnavailableError, and as `VerifiedTable` does */
  async observe(probe: Probe, observed: readonly Observed[]): Promise<void> {
    for (let i = 0; i < observed.length; i += LOOKS_AT_ONCE) {
      while (this.#waiting.size >= this.#mostWaiting && !this.#options.signal.aborted) {
        await this.clock.sleep(this.#options.boundMs / 60, this.#options.signal);
      }
      this.#options.signal.throwIfAborted();
      await this.#look(observed.slice(i, i + LOOKS_AT_ONCE).map((one) => ({ ...one, probe, moves: 0 })));
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
      const due = this.#waiting.take(this.clock.now(), LOOKS_AT_ONCE);
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
    const { cache, boundMs } = this.#options;
    const asked = this.clock.now();
    const claims = await this.#repeated(() =>
      claimsOf(
        cache,
        waiters.map(({ subject }) => subject),
      ),
    );
    const found: Violation[] = [];
    const conclude = (waiter: Waiter, claim: Claim, verdict: Decision): void => {
      const violation = this.#conclude(waiter, claim, verdict);
      if (violation) found.push(violation);
    };
    const open: { readonly waiter: Waiter; readonly claim: Claim }[] = [];
    for (const [i, waiter] of waiters.entries()) {
      const claim = claims[i] as Claim;
      const { before, subject } = waiter;
      if (isFine(waiter, claim)) conclude(waiter, claim, before ? { type: 'late', lagMs: asked - before.from } : { type: 'equal' });
      else if (needsTable(before, { at: asked, claim }, boundMs)) open.push({ waiter, claim });
      else conclude(waiter, claim, decide(before, subject, { at: asked, claim }, boundMs));
    }
    const truths = open.length > 0 ? await this.truthsOf(open.map(({ waiter }) => waiter.subject)) : [];
    for (const [i, { waiter, claim }] of open.entries()) {
      conclude(waiter, claim, decide(waiter.before, waiter.subject, { at: asked, claim, truth: truths[i] as Truth }, boundMs));
    }
    if (found.length > 0) await this.#options.onViolations?.(found);
  }

  /** What the table says of subjects, now. @throws as `VerifiedTable` does */
  async truthsOf(subjects: readonly Subject[]): Promise<readonly Truth[]> {
    const { table, signal } = this.#options;
    const { truths, units } = await this.#repeated(() => readTruths(table, (subject) => this.viewOf(subject), subjects, signal));
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

  async #repeated<T>(call: () => Promise<T>): Promise<T> {
    const { signal, retryForMs = 60_000 } = this.#options;
    const until = this.clock.now() + retryForMs;
    return await retry(call, {
      isTransient: (error) => (error instanceof CacheUnavailableError || error instanceof TableUnavailableError) && !signal.aborted,
      remainingMs: () => until - this.clock.now(),
      sleep: (ms) => this.clock.sleep(ms, signal),
    });
  }
}

/** Whether a claim needs no read: it has what the table said, or a version that it shall have. */
function isFine({ subject, scanned, expected }: Waiter, claim: Claim): boolean {
  if (claim.type === 'none') return false;
  if (expected !== undefined && claim.version !== undefined && claim.version >= expected) return true;
  return scanned !== undefined && scanned.type !== 'unknown' && compared(subject, claim, scanned) === 'equal';
}
