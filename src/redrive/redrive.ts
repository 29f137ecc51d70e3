import type { Cause } from '../cause.ts';
import type { Hint } from '../dynamodb/record.ts';
import { asError, MalformedLetterError } from '../errors.ts';
import { type LetterFilter, matches } from '../letters/filter.ts';
import { MAXIMUM_LETTER_BYTES, redrivenText } from '../letters/letter.ts';
import { oldestFirst } from '../letters/oldest-first.ts';
import type { LetterStore } from '../letters/store.ts';
import type { PastImage } from '../plan/settlement.ts';
import { CircuitBreaker } from './circuit-breaker.ts';
import { type OpenLetter, openLetter } from './open-letter.ts';
import { type ItemHints, type ItemOutcome, type SettleInput, settleItems } from './settle-items.ts';

export interface RedriveInput extends Omit<SettleInput, 'breaker'> {
  readonly store: LetterStore;
  /** Letters that it does not take are left alone. */
  readonly filter: LetterFilter;
  /** The letter to begin with. Letters before it come last. */
  readonly from?: string;
  /** As `from`, but begins after this letter. */
  readonly after?: string;
  /** The greatest number of letters to try. Default: all. */
  readonly limit?: number;
  readonly now?: () => Date;
  /** Called once with the letters that may be tried, in order. */
  readonly onNames?: (names: readonly string[]) => void;
  readonly onLetter?: (report: LetterReport) => void;
  /** Letters that an earlier run may have been killed by. Each is tried by itself, so that a second kill tells which letter it is. Default: none. */
  readonly suspects?: ReadonlySet<string>;
  /** Called with letters before they are tried, as far as time and memory allow. What it notes outlives a run that one of them kills. */
  readonly onStep?: (trying: readonly string[]) => Promise<void>;
}

export interface RedriveReport {
  /** The letters that were tried, in order. */
  readonly letters: readonly LetterReport[];
  /** Why the run ended early. `unavailable`: the cache, the table or the store gave no answer again and again. */
  readonly stopped?: 'aborted' | 'limit' | 'unavailable';
  /** The first letter that was not tried, when the run ended early. */
  readonly next?: string;
}

interface LetterReport {
  readonly name: string;
  readonly records: number;
  /** Without a cache: what would become of the letter. */
  readonly status: 'removed' | 'kept';
  /** Why the letter was kept; empty if it was removed. */
  readonly causes: readonly Cause[];
}

/** Letters of one step. The table is asked once for an item that several of them have. */
const LETTERS_A_STEP = 100;
/** A step that has this number of characters takes no further letter. One of Lambda's own letters has up to 6 MB. */
const TEXT_A_STEP = 4_000_000;
/** A record counts as this number of characters at least, because what is noted of it takes memory too. */
const TEXT_A_RECORD = 400;
const CALLS_AT_ONCE = 8;
/** Memory holds this number of Lambda's largest letters. */
const READS_AT_ONCE = 4;

/**
 * Tries dead letters again, oldest first. A letter is a hint that its items need care: each item is settled as it is now (see `settleItems`),
 * whatever the order and age of the letters, and whatever was evicted since. A letter is removed when all of its records are settled: written, or
 * found stale. Otherwise it is kept, and the count of its redrives and the first cause are written into it.
 *
 * It never adds a letter. It may end at any moment, because repeating it is harmless. The report says what failed.
 *
 * @throws what the store throws when it cannot list its letters.
 */
export async function redrive(input: RedriveInput): Promise<RedriveReport> {
  const { store, filter, from, after, limit = Infinity, suspects = NONE, signal, onNames, onLetter, onStep } = input;
  const names = await oldestFirst(store, { since: filter.since, until: filter.until, from, after });
  onNames?.(names);
  const breakers: Breakers = { store: new CircuitBreaker(), items: new CircuitBreaker() };
  const letters: LetterReport[] = [];
  for (let at = 0; at < names.length; ) {
    const stopped = signal?.aborted ? 'aborted' : isOpen(breakers) ? 'unavailable' : letters.length >= limit ? 'limit' : undefined;
    if (stopped) return { letters, stopped, next: names[at] };
    const end = endOfStep(names, at, suspects);
    if (onStep) await attempt(breakers.store, () => onStep(names.slice(at, end)));
    const step = await openSome(input, names, breakers, { at, end, most: limit - letters.length });
    const reports = await tryAll(input, breakers, step.letters);
    for (const report of reports) {
      if (!report) continue;
      letters.push(report);
      onLetter?.(report);
    }
    at = step.letters.find((_, i) => !reports[i])?.at ?? step.end;
  }
  return { letters };
}

const NONE: ReadonlySet<string> = new Set();

/** The place after the last letter of the step that begins at a place. A suspect is a step by itself. */
function endOfStep(names: readonly string[], at: number, suspects: ReadonlySet<string>): number {
  const some = names.slice(at, at + LETTERS_A_STEP);
  const suspect = some.findIndex((name) => suspects.has(name));
  return at + (suspect === -1 ? some.length : Math.max(1, suspect));
}

/** One of the store, one of cache and table, because an answer of the store says nothing about the others. */
type Breakers = { readonly store: CircuitBreaker; readonly items: CircuitBreaker };

function isOpen({ store, items }: Breakers): boolean {
  return store.isOpen || items.isOpen;
}

/** A letter, and its place among the names. */
type PlacedLetter = OpenLetter & { readonly at: number };

/** Reads letters from place `at` to before `end`, at most `most` of those that the filter takes. Returns the place after the last one it looked at. */
async function openSome(
  { views, store, filter, signal }: RedriveInput,
  names: readonly string[],
  breakers: Breakers,
  step: { readonly at: number; readonly end: number; readonly most: number },
): Promise<{ readonly letters: readonly PlacedLetter[]; readonly end: number }> {
  const letters: PlacedLetter[] = [];
  const { most } = step;
  let end = step.at;
  for (let size = 0; end < step.end && letters.length < most && size < TEXT_A_STEP && !signal?.aborted && !isOpen(breakers); ) {
    const some = names.slice(end, Math.min(step.end, end + READS_AT_ONCE, end + most - letters.length));
    const texts = await Promise.all(some.map((name) => attempt(breakers.store, () => store.get(name, MAXIMUM_LETTER_BYTES))));
    for (const [i, text] of texts.entries()) {
      const name = some[i] as string;
      const characters = 'value' in text ? (text.value?.length ?? 0) : 0;
      // The next step reads again what is too much for this one.
      if (size > 0 && size + characters > TEXT_A_STEP) return { letters, end };
      const at = end;
      end += 1;
      size += characters;
      if ('error' in text) {
        const isAnswer = text.error instanceof MalformedLetterError;
        if (isAnswer && !matches(filter, undefined)) continue;
        letters.push({ name, at, hints: [], records: 0, causes: [{ stage: isAnswer ? 'letter' : 'store', error: text.error }] });
      }
      // An absent text: another redrive has removed the letter since.
      else if (text.value !== undefined) {
        const letter = openLetter(views, filter, name, text.value);
        if (letter) letters.push({ ...letter, at });
        size += Math.max(0, (letter?.records ?? 0) * TEXT_A_RECORD - characters);
      }
    }
  }
  return { letters, end };
}

/** One report a letter; `undefined` for a letter that was not brought to its end. */
async function tryAll(
  input: RedriveInput,
  breakers: Breakers,
  letters: readonly PlacedLetter[],
): Promise<readonly (LetterReport | undefined)[]> {
  const items = itemsOf(letters);
  const settled = await settleItems([...items.values()], { ...input, breaker: breakers.items });
  const outcomes = new Map([...items.keys()].map((name, i) => [name, settled[i] as ItemOutcome]));
  const reports: (LetterReport | undefined)[] = [];
  for (let i = 0; i < letters.length; i += CALLS_AT_ONCE) {
    const some = letters.slice(i, i + CALLS_AT_ONCE);
    reports.push(...(await Promise.all(some.map((letter) => tryOne(input, breakers.store, letter, outcomes)))));
  }
  return reports;
}

/** What all letters together tell of each item. */
function itemsOf(letters: readonly PlacedLetter[]): ReadonlyMap<string, ItemHints> {
  const items = new Map<string, ItemHints & { readonly images: PastImage[] }>();
  for (const { name: letter, hints } of letters) {
    for (const hint of hints) {
      const { before, after } = hint;
      const { newest, images, hasUnknownPast } = items.get(itemName(hint)) ?? { newest: hint, images: [], hasUnknownPast: false };
      for (const as of ['before', 'after'] as const) {
        const image = hint[as];
        if ('attributes' in image && image.attributes) images.push({ as, attributes: image.attributes, letter });
      }
      items.set(itemName(hint), {
        newest: hint.version > newest.version ? hint : newest,
        images,
        hasUnknownPast: hasUnknownPast || 'error' in before || 'error' in after,
      });
    }
  }
  return items;
}

function itemName({ tableArn, item }: Hint): string {
  return `${tableArn} ${item}`;
}

async function tryOne(
  { store, cache, now = () => new Date() }: RedriveInput,
  breaker: CircuitBreaker,
  { name, letter, hints, records, causes: letterCauses }: PlacedLetter,
  outcomes: ReadonlyMap<string, ItemOutcome>,
): Promise<LetterReport | undefined> {
  const itemOutcomes = [...new Set(hints.map(itemName))].map((item) => outcomes.get(item) as ItemOutcome);
  if (itemOutcomes.some(({ type }) => type === 'untried')) return undefined;
  const itemCauses = itemOutcomes.flatMap((outcome) => (outcome.type === 'kept' ? outcome.causes : []));
  const causes = [...letterCauses, ...itemCauses.filter((cause) => cause.letter === undefined || cause.letter === name)];
  const write = async (call: () => Promise<void>): Promise<void> => {
    const written = cache ? await attempt(breaker, call) : NOTHING;
    if ('error' in written) causes.push({ stage: 'store', error: written.error });
  };
  if (causes.length === 0) await write(() => store.delete(name));
  else if (letter) {
    const redrives = { count: (letter.redrives?.count ?? 0) + 1, last: now().toISOString(), cause: causeText(causes) };
    await write(() => store.put(name, redrivenText(letter, redrives)));
  }
  return { name, records, status: causes.length === 0 ? 'removed' : 'kept', causes };
}

const NOTHING: Attempt<void> = { value: undefined };

type Attempt<T> = { readonly value: T } | { readonly error: Error };

async function attempt<T>(breaker: CircuitBreaker, call: () => Promise<T>): Promise<Attempt<T>> {
  try {
    const value = await call();
    breaker.record(true);
    return { value };
  } catch (error) {
    // A letter that the store refuses to give is an answer, or else letters that are too large would end the run.
    breaker.record(error instanceof MalformedLetterError);
    return { error: asError(error) };
  }
}

function causeText([first, ...more]: readonly Cause[]): string {
  return `${first?.stage}: ${first?.error.message}${more.length > 0 ? `; and ${more.length} more` : ''}`;
}
