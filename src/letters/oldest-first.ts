import type { LetterStore } from './store.ts';

/** As names of letters have it: Lambda's own that of the letter, the worker's that of the record. UTC, to the second. */
const TIME = /(\d{4}-\d{2}-\d{2})T(\d{2})\.(\d{2})\.(\d{2})/g;

export interface LetterRange {
  /** At or after. */
  readonly since?: Date;
  /** Before. */
  readonly until?: Date;
  /** A name to begin with; those before it come last. It need not be there any more. */
  readonly from?: string;
}

/**
 * The names of the letters in a store by the time that they tell, those that tell none first; with a range only those that tell one. What else
 * lies in the store is left out: it has neither a time in its name nor the worker's folder.
 */
export async function oldestFirst(store: LetterStore, { since, until, from }: LetterRange = {}): Promise<string[]> {
  const letters: { readonly name: string; readonly place: string }[] = [];
  for await (const name of store.names()) {
    const at = letterTime(name);
    if (!at && !name.startsWith('millrace/')) continue;
    if ((since || until) && !(at && at >= (since ?? at) && (!until || at < until))) continue;
    letters.push({ name, place: placeOf(name) });
  }
  letters.sort((a, b) => (a.place < b.place ? -1 : 1));
  const names = letters.map(({ name }) => name);
  const first = from === undefined ? 0 : letters.findIndex(({ place }) => place >= placeOf(from));
  return first > 0 ? [...names.slice(first), ...names.slice(0, first)] : names;
}

/** The time in a letter's name. A folder may hold times too: the last one counts. */
export function letterTime(name: string): Date | undefined {
  const [, day, hours, minutes, seconds] = [...name.matchAll(TIME)].at(-1) ?? [];
  const at = new Date(`${day}T${hours}:${minutes}:${seconds}Z`);
  return Number.isNaN(at.getTime()) ? undefined : at;
}

function placeOf(name: string): string {
  return `${letterTime(name)?.toISOString() ?? ''} ${name}`;
}
