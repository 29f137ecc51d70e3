import type { LetterStore } from './store.ts';

/** The time in a letter's name, UTC, to the second: of the letter in Lambda's names, of the record in the worker's. */
const TIME = /(\d{4}-\d{2}-\d{2})T(\d{2})\.(\d{2})\.(\d{2})/g;

export interface LetterRange {
  /** At or after this time. */
  readonly since?: Date;
  /** Before this time. */
  readonly until?: Date;
  /** The name to begin with; names before it come last. The letter may have been removed. */
  readonly from?: string;
  /** As `from`, but begins after this name. */
  readonly after?: string;
}

/**
 * The names of the letters in a store, by the time in the name. Names without a time come first; a range excludes them. Other objects of the store
 * are left out: they have neither a time in their name nor the worker's folder.
 */
export async function oldestFirst(store: LetterStore, { since, until, from, after }: LetterRange = {}): Promise<string[]> {
  const letters: { readonly name: string; readonly place: string }[] = [];
  for await (const name of store.names()) {
    const at = letterTime(name);
    if (!at && !name.startsWith('millrace/')) continue;
    if ((since || until) && !(at && at >= (since ?? at) && (!until || at < until))) continue;
    letters.push({ name, place: placeOf(name) });
  }
  letters.sort((a, b) => (a.place < b.place ? -1 : 1));
  const names = letters.map(({ name }) => name);
  const first = letters.findIndex(
    ({ place }) => (from === undefined || place >= placeOf(from)) && (after === undefined || place > placeOf(after)),
  );
  return first > 0 ? [...names.slice(first), ...names.slice(0, first)] : names;
}

/** The time in a letter's name. A folder in the name may contain a time too, so the last one counts. */
function letterTime(name: string): Date | undefined {
  const [, day, hours, minutes, seconds] = [...name.matchAll(TIME)].at(-1) ?? [];
  const at = new Date(`${day}T${hours}:${minutes}:${seconds}Z`);
  return Number.isNaN(at.getTime()) ? undefined : at;
}

function placeOf(name: string): string {
  return `${letterTime(name)?.toISOString() ?? ''} ${name}`;
}
