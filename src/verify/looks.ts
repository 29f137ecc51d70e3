import { type Claim, compared, type Fault, type Mark, markOf, mayReturn, type Subject, type Truth } from './observation.ts';

/** A claim that differed from the table when the claim was last seen. Plain data, so that another process can look again. */
export interface Suspect {
  readonly mark: Mark;
  readonly fault: Fault;
  /** When this claim was first seen, ms since 1970. */
  readonly since: number;
  /** When the address was first seen to differ, ms since 1970. */
  readonly from: number;
}

export interface Seen {
  /** When the cache was asked, ms since 1970. */
  readonly at: number;
  readonly claim: Claim;
  /** What the table had after the cache was asked. Absent: the table was not asked; see `needsTable`. */
  readonly truth?: Truth;
}

/**
 * What is known of an address after a look.
 *
 * - `equal`, and `miss`: the cache was right, or claimed nothing.
 * - `late`: it differed, and within the bound it came right, or claimed nothing any more. `lagMs`: since it was first seen to differ.
 * - `violation`: for longer than the bound, the cache served what differs from the table.
 * - `suspect`: look again.
 * - `moved`: look for the member at `score`.
 * - `undecided`: nobody can say. The table's item cannot be read, or cache and table changed at every look.
 */
export type Decision =
  | { readonly type: 'equal' | 'miss' | 'undecided' }
  | { readonly type: 'late'; readonly lagMs: number }
  | { readonly type: 'violation'; readonly fault: Fault; readonly ageMs: number }
  | { readonly type: 'suspect'; readonly suspect: Suspect }
  | { readonly type: 'moved'; readonly score: number };

/** An address that differs in another way at each look is given up after this number of bounds. */
const MOST_BOUNDS = 5;

/** Parts of the bound after which a suspect is looked at again. */
const LOOKS_AT = [1 / 60, 1 / 12, 1 / 4, 1 / 2, 1];

/** The upper ends of the classes of a histogram of lags, ms. */
export function lagClasses(boundMs: number): readonly number[] {
  return LOOKS_AT.map((part) => part * boundMs);
}

/** When to look at a suspect again if each look is a message, ms since 1970. A claim that may return needs looks in between. */
export function nextMessageAt(suspect: Suspect, now: number, boundMs: number): number {
  return mayReturn(suspect.mark) ? nextLookAt(suspect, now, boundMs) : suspect.since + boundMs;
}

/** When to look at a suspect again, ms since 1970. Never later than the bound after its claim was first seen, unless that is over. */
export function nextLookAt({ since }: Suspect, now: number, boundMs: number): number {
  const part = LOOKS_AT.find((part) => since + part * boundMs > now);
  return part === undefined ? now : since + part * boundMs;
}

/**
 * Whether a look at a suspect needs the table. If the claim stands and the bound is not over, the table could only confirm the suspicion. A claim that may be
 * another one each time is asked about each time; see `mayReturn`.
 */
export function needsTable(before: Suspect | undefined, { at, claim }: Seen, boundMs: number): boolean {
  if (claim.type === 'none') return false;
  return !before || mayReturn(before.mark) || before.mark !== markOf(claim) || at - before.since >= boundMs;
}

/**
 * Decides after a look at an address. A violation needs two looks, `boundMs` apart, at the same version and value, and the table must differ at both. So a change that is
 * on its way is none.
 *
 * @param before what the look before has left
 */
export function decide(before: Suspect | undefined, subject: Subject, look: Seen, boundMs: number): Decision {
  const { at, claim, truth } = look;
  if (claim.type === 'none') return before ? { type: 'late', lagMs: at - before.from } : { type: 'miss' };
  if (!truth) return before ? { type: 'suspect', suspect: before } : { type: 'undecided' };
  if (truth.type === 'unknown') return { type: 'undecided' };
  const result = compared(subject, claim, truth);
  if (result === 'equal') return before ? { type: 'late', lagMs: at - before.from } : { type: 'equal' };
  if (result === 'moved') return { type: 'moved', score: (truth.type === 'value' && truth.score) || 0 };
  const mark = markOf(claim);
  if (before?.mark !== mark) {
    const from = before?.from ?? at;
    if (at - from > MOST_BOUNDS * boundMs) return { type: 'undecided' };
    return { type: 'suspect', suspect: { mark, fault: result, since: at, from } };
  }
  if (at - before.since < boundMs) return { type: 'suspect', suspect: { ...before, fault: result } };
  return { type: 'violation', fault: result, ageMs: at - before.from };
}
