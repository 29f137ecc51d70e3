import type { Cause } from '../cause.ts';
import { attributesOf, type Hint, hintOf } from '../dynamodb/record.ts';
import { asError } from '../errors.ts';
import { type LetterFilter, matches } from '../letters/filter.ts';
import { type Letter, parseLetter } from '../letters/letter.ts';
import { shownItem } from '../plan/shown-keys.ts';
import type { View } from '../view.ts';

export interface OpenLetter {
  readonly name: string;
  /** Absent when the text is not a letter. */
  readonly letter?: Letter;
  readonly records: number;
  /** One hint for each record that tells its item. */
  readonly hints: readonly Hint[];
  /** Why the letter must be kept, whatever becomes of its items. */
  readonly causes: readonly Cause[];
}

/** A letter that anybody wrote may have more causes than memory holds. The first ones say enough. */
const MOST_CAUSES = 100;
const MOST_VIEW_CHARACTERS = 100;

/** What a letter says. `undefined`: the filter does not take the letter. */
export function openLetter(views: readonly View[], filter: LetterFilter, name: string, text: string): OpenLetter | undefined {
  let letter: Letter;
  try {
    letter = parseLetter(text);
  } catch (error) {
    if (!matches(filter, undefined)) return undefined;
    return { name, records: 0, hints: [], causes: [{ stage: 'letter', error: asError(error) }] };
  }
  if (!matches(filter, letter)) return undefined;
  const { Records: records } = letter.event;
  const hints: Hint[] = [];
  const causes: Cause[] = [];
  if (records.length === 0)
    causes.push({ stage: 'letter', error: new Error('it has no records: resync the table, and remove the letter') });
  for (const view of new Set(letter.causes.flatMap(({ view }) => view ?? []))) {
    if (!isDeployed(views, view)) causes.push({ stage: 'view', view: view.slice(0, MOST_VIEW_CHARACTERS), error: viewMissing(view) });
    if (causes.length === MOST_CAUSES) break;
  }
  let more = 0;
  const note = (error: Error): void => {
    if (causes.length < MOST_CAUSES) causes.push({ stage: 'decode', error });
    else more += 1;
  };
  for (const [index, record] of records.entries()) {
    try {
      const hint = hintOf(record, index, letter.streamArn);
      hints.push(hint);
      if ('error' in hint.before) note(pastUnknown(views, hint, hint.before.error));
    } catch (error) {
      note(asError(error));
    }
  }
  if (more > 0) causes.push({ stage: 'decode', error: new Error(`${more} more records cannot be decoded`) });
  return { name, letter, records: records.length, hints, causes };
}

/** A view of another name, or of a later revision, belongs to a later deployment, which was rolled back. */
function isDeployed(views: readonly View[], wanted: string): boolean {
  const [name, revision] = wanted.split('@');
  return views.some((view) => view.name === name && !(view.revision < Number(revision)));
}

function viewMissing(view: string): Error {
  return new Error(
    `view ${view.slice(0, MOST_VIEW_CHARACTERS)}, which the letter is about, is not in this code: redrive the letter by the code that has that view; if the view is gone for good, remove the letter`,
  );
}

/** The item is settled as it is now, but an outdated entry may remain where the item was before. */
function pastUnknown(views: readonly View[], { key }: Hint, { message }: Error): Error {
  // Its entity is not known either.
  const shown = shownItem(views, attributesOf(key), []);
  return new Error(
    `${message}; where ${shown} was before is not known, so an outdated entry may remain there: resync the table, and remove the letter`,
  );
}
