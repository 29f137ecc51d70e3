import { retry } from '../backoff.ts';
import type { CacheClient } from '../cache.ts';
import { CacheUnavailableError, TableUnavailableError } from '../errors.ts';
import type { View } from '../view.ts';
import { claimsOf } from './claims.ts';
import type { Probe, ProbeTally } from './counts.ts';
import { type Decision, decide, needsTable, type Suspect } from './looks.ts';
import { type Claim, compared, type Observed, type Subject, type Truth } from './observation.ts';
import { readTruths } from './read-truths.ts';
import type { VerifiedTable } from './table.ts';

export interface VerifyClock {
  /** ms since 1970 */
  now(): number;
  /** Resolves after `ms`, or when the signal is aborted. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

/** Does not step when the clock of the machine is set: a step would make a bound of what is none. */
export const PROCESS_CLOCK: VerifyClock = {
  now: () => performance.timeOrigin + performance.now(),
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

/** Takes the addresses that a probe has found. */
export interface Observer {
  readonly tally: ProbeTally;
  /** Read units so far. */
  units: number;
  /** Looks at addresses for the first time. @throws as `look` */
  observe(probe: Probe, observed: readonly Observed[]): Promise<void>;
}

/** An address to look at, and what the look before has left. */
export interface ToLook extends Observed {
  readonly before?: Suspect;
}

export interface LookOptions {
  readonly cache: Pick<CacheClient, 'getMany' | 'list'>;
  readonly table: VerifiedTable;
  /** The view of a subject. */
  viewOf(subject: Subject): View;
  readonly boundMs: number;
  readonly signal: AbortSignal;
  readonly clock: VerifyClock;
  /** For how long calls are repeated that get no answer, ms. Default: 60,000. */
  readonly retryForMs?: number | undefined;
}

/** What an address claims, and what is known of it now. */
export interface Looked {
  readonly claim: Claim;
  readonly decision: Decision;
}

/** The most addresses of one look. */
export const MOST_LOOKS = 500;
/** A member that moves at each look is given up after this number of moves. */
export const MOST_MOVES = 5;

/**
 * Looks at addresses: asks the cache, and then the table as far as `decide` needs it.
 *
 * @returns one decision per address, in their order, and the read units that this took
 * @throws CacheUnavailableError and TableUnavailableError when one gives no answer for `retryForMs`; TableRefusalError
 */
export async function look(
  options: LookOptions,
  looks: readonly ToLook[],
): Promise<{ readonly looked: readonly Looked[]; readonly units: number }> {
  const { cache, table, boundMs, clock, signal } = options;
  const at = clock.now();
  const subjects = looks.map(({ subject }) => subject);
  const claims = await repeated(options, () => claimsOf(cache, subjects));
  const decisions = looks.map((one, i): Decision | undefined => {
    const claim = claims[i] as Claim;
    const { before, subject } = one;
    if (isFine(one, claim)) return before ? { type: 'late', lagMs: at - before.from } : { type: 'equal' };
    return needsTable(before, { at, claim }, boundMs) ? undefined : decide(before, subject, { at, claim }, boundMs);
  });
  const open = looks.filter((_, i) => !decisions[i]);
  const asked = open.map(({ subject }) => subject);
  const { truths, units } =
    open.length > 0 ? await repeated(options, () => readTruths(table, options.viewOf, asked, signal)) : { truths: [], units: 0 };
  const answers = truths.values();
  const looked = looks.map(({ before, subject }, i): Looked => {
    const claim = claims[i] as Claim;
    const decision = decisions[i] ?? decide(before, subject, { at, claim, truth: answers.next().value as Truth }, boundMs);
    return { claim, decision };
  });
  return { looked, units };
}

/** Repeats a call that gets no answer. */
export async function repeated<T>(
  { clock, signal, retryForMs = 60_000 }: Pick<LookOptions, 'clock' | 'signal' | 'retryForMs'>,
  call: () => Promise<T>,
): Promise<T> {
  const until = clock.now() + retryForMs;
  return await retry(call, {
    isTransient: (error) => (error instanceof CacheUnavailableError || error instanceof TableUnavailableError) && !signal.aborted,
    remainingMs: () => until - clock.now(),
    sleep: (ms) => clock.sleep(ms, signal),
  });
}

/** Whether a claim needs no read: it has what the table said, or a version that it shall have. */
function isFine({ subject, scanned, expected }: ToLook, claim: Claim): boolean {
  if (claim.type === 'none') return false;
  if (expected !== undefined && claim.version !== undefined && claim.version >= expected) return true;
  return scanned !== undefined && scanned.type !== 'unknown' && compared(subject, claim, scanned) === 'equal';
}
