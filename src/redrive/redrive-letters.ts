import { hintOf, type StreamRecord } from '../dynamodb/record.ts';
import { type Letter, parseLetter, redrivenText } from '../letters/letter.ts';
import { oldestFirst } from '../letters/oldest-first.ts';
import type { LetterStore } from '../letters/store.ts';
import { type RedriveInput, type RedriveReport, redrive } from './redrive.ts';
import { isMeant, type LetterFilter } from './request.ts';

export interface RedriveLettersOptions
  extends Pick<RedriveInput<StreamRecord, Letter>, 'views' | 'cache' | 'table' | 'limit' | 'signal' | 'onLetter' | 'onStep'> {
  readonly store: LetterStore;
  readonly filter: LetterFilter;
  /** The letter to begin with; those before it come last. */
  readonly from?: string;
  /** Told how many letters there may be to try. */
  readonly onNames?: (names: readonly string[]) => void;
}

/** Redrives the letters of a store that are meant, the oldest first. Throws what the store throws when it cannot name its letters. */
export async function redriveLetters({ store, filter, from, onNames, ...rest }: RedriveLettersOptions): Promise<RedriveReport> {
  const { since, until } = filter;
  const names = await oldestFirst(store, { since, until, from });
  onNames?.(names);
  return await redrive<StreamRecord, Letter>({
    ...rest,
    store,
    names,
    parse: parseLetter,
    hintOf,
    noted: redrivenText,
    wanted: (letter) => isMeant(filter, letter),
  });
}
