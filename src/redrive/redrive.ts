import type { Hint } from '../change.ts';
import type { LetterStore } from '../letters/store.ts';
import type { KnownImage } from '../plan/settlement.ts';
import { type KeptCause, type LetterReader, type OpenLetter, openLetter, type RedrivenLetter } from './open-letter.ts';
import { Outage } from './outage.ts';
import { type ItemHints, type ItemOutcome, type SettleInput, settleItems } from './settle-items.ts';

export interface RedriveInput<Record, Letter extends RedrivenLetter<Record>>
  extends Omit<SettleInput, 'outage'>,
    LetterReader<Record, Letter> {
  readonly store: LetterStore;
  /** Letters of the store, in the order in which to try them. */
  readonly names: readonly string[];
  /** The text of a letter that stays. */
  noted(letter: Letter, redrives: Redrives): string;
  /** Letters to be tried at the most. */
  readonly limit?: number;
  readonly now?: () => Date;
  readonly onLetter?: (report: LetterReport) => void;
  /** Told, after some letters, which is the first that was not tried: whoever is killed may go on there. */
  readonly onStep?: (next: string) => Promise<void>;
}

/** How often a letter was redriven in vain, when last (ISO 8601), and why it stayed then. */
export interface Redrives {
  readonly count: number;
  readonly last: string;
  readonly cause: string;
}

export interface RedriveReport {
  /** Those that were tried, in the order of the names. */
  readonly letters: readonly LetterReport[];
  /** Why it ended early. `unavailable`: cache, table or store gave no answer again and again. */
  readonly stopped?: 'aborted' | 'limit' | 'unavailable';
  /** The first letter that was not tried, when it ended early. */
  readonly next?: string;
}

export interface LetterReport {
  readonly name: string;
  readonly records: number;
  /** Without a cache, what would become of it. */
  readonly status: 'removed' | 'kept';
  /** Why it was kept; empty if it was removed. */
  readonly causes: readonly KeptCause[];
}

/** Letters of one step. Of an item with several of them there, the table is asked once. */
const LETTERS_A_STEP = 100;
/** A step takes no more letters then, characters: Lambda's own have up to 6 MB each. */
const TEXT_A_STEP = 4_000_000;
const CALLS_AT_ONCE = 8;
/** So many of Lambda's largest letters can be held. */
const READS_AT_ONCE = 4;

/**
 * Tries dead letters again. A letter is a hint that its items need care: each is settled as it is now, see `settleItems`, whatever order or age the
 * letters have, and whatever was evicted since. A letter is removed when all of its records are settled: written, or found stale. Else it stays, with
 * the count of its redrives and the last cause written into it. It never adds a letter, and may be ended at any moment: to repeat it is harmless.
 * What goes wrong is told by the report; it never throws.
 */
export async function redrive<Record, Letter extends RedrivenLetter<Record>>(input: RedriveInput<Record, Letter>): Promise<RedriveReport> {
  const { names, limit = Infinity, signal } = input;
  const outages: Outages = { store: new Outage(), items: new Outage() };
  const letters: LetterReport[] = [];
  for (let at = 0; at < names.length; ) {
    const stopped = signal?.aborted ? 'aborted' : isOut(outages) ? 'unavailable' : letters.length >= limit ? 'limit' : undefined;
    if (stopped) return { letters, stopped, next: names[at] };
    const step = await openSome(input, outages, at, Math.min(LETTERS_A_STEP, limit - letters.length));
    const reports = await tryAll(input, outages, step.letters);
    for (const report of reports) {
      if (!report) continue;
      letters.push(report);
      input.onLetter?.(report);
    }
    at = step.letters.find((_, i) => !reports[i])?.at ?? step.end;
    const { onStep } = input;
    const next = names[at];
    if (onStep && next !== undefined) await attempt(outages.store, () => onStep(next));
  }
  return { letters };
}

/** Of the store, and of cache and table: an answer of one says nothing of the other. */
type Outages = { readonly store: Outage; readonly items: Outage };

function isOut({ store, items }: Outages): boolean {
  return store.isOn || items.isOn;
}

/** A letter at its place among the names. */
type Placed<Letter> = OpenLetter<Letter> & { readonly at: number };

/** Reads letters from `at` on, so many at the most that are wanted. */
async function openSome<Record, Letter extends RedrivenLetter<Record>>(
  input: RedriveInput<Record, Letter>,
  outages: Outages,
  at: number,
  most: number,
): Promise<{ readonly letters: readonly Placed<Letter>[]; readonly end: number }> {
  const { store, names, signal } = input;
  const letters: Placed<Letter>[] = [];
  let end = at;
  for (let size = 0; end < names.length && letters.length < most && size < TEXT_A_STEP && !signal?.aborted && !isOut(outages); ) {
    const some = names.slice(end, end + Math.min(READS_AT_ONCE, most - letters.length));
    const texts = await Promise.all(some.map((name) => attempt(outages.store, () => store.get(name))));
    for (const [i, text] of texts.entries()) {
      const name = some[i] as string;
      const characters = 'value' in text ? (text.value?.length ?? 0) : 0;
      // What is too much for this step is read again in the next.
      if (size > 0 && size + characters > TEXT_A_STEP) return { letters, end };
      const at = end;
      end += 1;
      size += characters;
      if ('error' in text) letters.push({ name, at, hints: [], records: 0, causes: [{ stage: 'store', error: text.error }] });
      // Else another redrive has removed it since.
      else if (text.value !== undefined) {
        const letter = openLetter(input, name, text.value);
        if (letter) letters.push({ ...letter, at });
      }
    }
  }
  return { letters, end };
}

/** One report a letter; none of a letter that was not brought to its end. */
async function tryAll<Record, Letter extends RedrivenLetter<Record>>(
  input: RedriveInput<Record, Letter>,
  outages: Outages,
  letters: readonly Placed<Letter>[],
): Promise<readonly (LetterReport | undefined)[]> {
  const items = new Map<string, ItemHints & { readonly images: KnownImage[] }>();
  for (const hint of letters.flatMap(({ hints }) => hints)) {
    const { newest, images, isMissingImages } = items.get(itemName(hint)) ?? { newest: hint, images: [], isMissingImages: false };
    const { before, after } = hint;
    for (const as of ['before', 'after'] as const) {
      const image = hint[as];
      if ('attributes' in image && image.attributes) images.push({ as, attributes: image.attributes });
    }
    items.set(itemName(hint), {
      newest: hint.version > newest.version ? hint : newest,
      images,
      isMissingImages: isMissingImages || 'error' in before || 'error' in after,
    });
  }
  const settled = await settleItems([...items.values()], { ...input, outage: outages.items });
  const outcomes = new Map([...items.keys()].map((name, i) => [name, settled[i] as ItemOutcome]));
  const reports: (LetterReport | undefined)[] = [];
  for (let i = 0; i < letters.length; i += CALLS_AT_ONCE) {
    const some = letters.slice(i, i + CALLS_AT_ONCE);
    reports.push(...(await Promise.all(some.map((letter) => tryOne(input, outages.store, letter, outcomes)))));
  }
  return reports;
}

function itemName({ tableArn, item }: Hint): string {
  return `${tableArn} ${item}`;
}

async function tryOne<Record, Letter extends RedrivenLetter<Record>>(
  { store, cache, noted, now = () => new Date() }: RedriveInput<Record, Letter>,
  outage: Outage,
  { name, letter, hints, records, causes: own }: Placed<Letter>,
  outcomes: ReadonlyMap<string, ItemOutcome>,
): Promise<LetterReport | undefined> {
  const mine = [...new Set(hints.map(itemName))].map((item) => outcomes.get(item) as ItemOutcome);
  if (mine.some(({ type }) => type === 'untried')) return undefined;
  const before = new Set(hints.map(({ before }) => ('attributes' in before ? before.attributes : undefined)));
  const theirs = mine.flatMap((outcome) => (outcome.type === 'kept' ? outcome.causes : []));
  const causes = [...own, ...theirs.filter(({ image }) => image === undefined || before.has(image))];
  const write = async (call: () => Promise<void>): Promise<void> => {
    const written = cache ? await attempt(outage, call) : NOTHING;
    if ('error' in written) causes.push({ stage: 'store', error: written.error });
  };
  if (causes.length === 0) await write(() => store.delete(name));
  else if (letter) {
    const redrives = { count: (letter.redrives?.count ?? 0) + 1, last: now().toISOString(), cause: causeText(causes) };
    await write(() => store.put(name, noted(letter, redrives)));
  }
  return { name, records, status: causes.length === 0 ? 'removed' : 'kept', causes };
}

const NOTHING: Attempt<void> = { value: undefined };

type Attempt<T> = { readonly value: T } | { readonly error: Error };

async function attempt<T>(outage: Outage, call: () => Promise<T>): Promise<Attempt<T>> {
  try {
    const value = await call();
    outage.saw(true);
    return { value };
  } catch (error) {
    outage.saw(false);
    return { error: error as Error };
  }
}

function causeText([first, ...more]: readonly KeptCause[]): string {
  return `${first?.stage}: ${first?.error.message}${more.length > 0 ? `; and ${more.length} more` : ''}`;
}
