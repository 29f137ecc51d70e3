import type { Hint } from '../change.ts';
import type { View } from '../view.ts';
import type { Hindrance } from './settle-items.ts';

/** What is read of a dead letter. */
export interface RedrivenLetter<Record> {
  readonly event: { readonly Records: readonly Record[] };
  readonly streamArn?: string;
  readonly redrives?: { readonly count: number };
  /** Of the parts that were set aside, those of views, as their keys begin: `detail@1`. */
  readonly causes?: readonly { readonly view?: string }[];
}

export interface LetterReader<Record, Letter extends RedrivenLetter<Record>> {
  /** A throw: it is no letter, or one without records. */
  parse(text: string): Letter;
  /** A throw: the record does not tell its item, or as of when. */
  hintOf(record: Record, index: number, streamArn: string | undefined): Hint;
  /** Letters that are not wanted are left alone. `undefined`: its text is none. */
  readonly wanted?: (letter: Letter | undefined) => boolean;
}

export interface OpenLetter<Letter> {
  readonly name: string;
  /** Absent when it could not be read. */
  readonly letter?: Letter;
  readonly records: number;
  readonly hints: readonly Hint[];
  /** Why it must stay, whatever becomes of its items. */
  readonly causes: readonly KeptCause[];
}

/** `letter`: it is none, or has no records; `decode`: a record tells too little; `store`: it could not be read, written or removed. */
export interface KeptCause {
  readonly stage: 'letter' | 'store' | Hindrance['stage'];
  /** Fit for a log: it has no values of items. */
  readonly error: Error;
}

/** What a letter says; `undefined` if it is not wanted. */
export function openLetter<Record, Letter extends RedrivenLetter<Record>>(
  { views, parse, wanted, hintOf }: LetterReader<Record, Letter> & { readonly views: readonly View[] },
  name: string,
  text: string,
): OpenLetter<Letter> | undefined {
  let letter: Letter;
  try {
    letter = parse(text);
  } catch (error) {
    if (wanted && !wanted(undefined)) return undefined;
    return { name, records: 0, hints: [], causes: [{ stage: 'letter', error: error as Error }] };
  }
  if (wanted && !wanted(letter)) return undefined;
  const { Records: records } = letter.event;
  const hints: Hint[] = [];
  const causes: KeptCause[] = [];
  if (records.length === 0) causes.push({ stage: 'letter', error: new Error('it holds no records: resync the table, and remove it') });
  for (const view of new Set(letter.causes?.flatMap(({ view }) => view ?? []))) {
    if (!isOurs(views, view)) causes.push({ stage: 'view', error: foreign(view) });
  }
  for (const [index, record] of records.entries()) {
    try {
      const hint = hintOf(record, index, letter.streamArn);
      hints.push(hint);
      if ('error' in hint.before) causes.push({ stage: 'decode', error: pastUnknown(hint, hint.before.error) });
    } catch (error) {
      causes.push({ stage: 'decode', error: error as Error });
    }
  }
  return { name, letter, records: records.length, hints, causes };
}

/** A view of another name, or of a later revision, is of a deployment after this one, which was rolled back. */
function isOurs(views: readonly View[], view: string): boolean {
  const [name, revision] = view.split('@');
  return views.some((ours) => ours.name === name && !(ours.revision < Number(revision)));
}

function foreign(view: string): Error {
  return new Error(
    `view ${view}, which it is about, is not in this code: redrive it by the code that has that view; if the view is gone for good, remove the letter`,
  );
}

/** The item is settled as it is now, but where it was before may hold what is old. */
function pastUnknown({ item }: Hint, { message }: Error): Error {
  return new Error(
    `${message}; where ${item} was before is not known, so what it left there may be old: resync the table, and remove the letter`,
  );
}
