import type { Stage } from '../../cause.ts';
import type { Config } from '../../config/worker.ts';
import type { LettersPlace } from '../../letters/place.ts';
import type { RedriveReport } from '../../redrive/redrive.ts';
import { causeLines } from '../causes.ts';
import { letterPath } from '../options/letters.ts';
import { count, dim, paint, type Row, table, tableWidth, text } from '../terminal.ts';

/** What a redrive did, or would do. */
export interface Redriven {
  readonly store: string;
  readonly place: LettersPlace;
  readonly backend: Config['backend'];
  readonly dryRun: boolean;
  readonly trustLetters: boolean;
  readonly letters: RedriveReport['letters'];
  readonly stopped?: RedriveReport['stopped'];
}

type LetterReport = RedriveReport['letters'][number];

/** Why a letter is kept: the stage of its first cause, or `old image`, if nothing but its old images is left to settle. */
export type Kind = Stage | 'old image';

const KINDS: Readonly<Record<Kind, string>> = {
  letter: 'not a dead letter, or one without records',
  decode: 'a record cannot be decoded',
  view: 'a view fails on the current item',
  'old image': 'the item is settled, and you must delete the letter',
  rejected: 'the cache rejects a value',
  changing: 'the item changed between every two reads',
  cache: 'the cache did not answer, or a view is not usable yet',
  table: 'the table could not be read',
  store: 'the store of letters failed',
};

/** Letters to delete that are printed. */
const MOST_TO_DELETE = 10;

const STOPPED = {
  aborted: 'Interrupted: run the command again for the rest',
  limit: 'The limit was reached: run the command again for the rest',
  unavailable: 'The cache, the table or the store stopped answering: run the command again when it answers',
} as const;

export function printRedrive({ store, place, backend, dryRun, trustLetters, letters, stopped }: Redriven): void {
  const kept = letters.filter(({ status }) => status === 'kept');
  const removed = letters.length - kept.length;
  const how = [
    dryRun ? 'a dry run: nothing was changed' : `redriven into the ${backend} cache`,
    ...(trustLetters ? ['letters are trusted'] : []),
  ];
  const lines = [`${count(letters.length, 'letter')} in ${text(store)}, ${how.join(', ')}`];
  if (letters.length > 0) {
    const kinds = byKind(kept);
    const titleOf = (kind: Kind) => `${dryRun ? 'would stay' : 'kept'}: ${kind}`;
    const rows: Row[] = [[dryRun ? 'would be removed' : 'removed', String(removed), '']];
    for (const [kind, some] of kinds) rows.push([titleOf(kind), String(some.length), KINDS[kind]]);
    lines.push('', table(['LETTERS', 'COUNT', 'WHY'], [22, 7, tableWidth() - 36], rows), '');
    for (const [kind, some] of kinds) lines.push(...exampleOf(titleOf(kind), some, place));
    lines.push(...(kinds.has('old image') ? toDelete(kinds.get('old image') ?? [], place) : []));
    lines.push(verdict(kept.length, dryRun));
    if (kept.length > 0) lines.push(dim('--json prints every letter with all its causes'));
  }
  if (stopped) lines.push(paint('yellow', STOPPED[stopped]));
  process.stdout.write(`${lines.join('\n')}\n`);
}

/** The kind of a kept letter. A cause that keeps this letter alone is about an old image of its item. */
export function kindOf({ causes }: LetterReport): Kind {
  const other = causes.find(({ stage, letter }) => stage !== 'view' || letter === undefined);
  return other ? other.stage : 'old image';
}

function byKind(letters: readonly LetterReport[]): ReadonlyMap<Kind, readonly LetterReport[]> {
  const found = new Map<Kind, LetterReport[]>();
  for (const letter of letters) found.set(kindOf(letter), [...(found.get(kindOf(letter)) ?? []), letter]);
  return found;
}

/** Lines that are as long as paths and causes are, so that both can be copied whole. */
function exampleOf(title: string, [first]: readonly LetterReport[], place: LettersPlace): readonly string[] {
  if (!first) return [];
  return [
    `${title}, e.g. ${text(letterPath(place, first.name))}`,
    ...causeLines(first.causes).map((line) => paint('yellow', `└ ${text(line)}`)),
    '',
  ];
}

function toDelete(letters: readonly LetterReport[], place: LettersPlace): readonly string[] {
  const more = letters.length - MOST_TO_DELETE;
  return [
    'First read "The letter that you must delete" in docs/operations.md. Then delete:',
    ...letters
      .slice(0, MOST_TO_DELETE)
      .map(({ name }) => `  ${place.kind === 's3' ? 'aws s3 rm' : 'rm'} ${quoted(text(letterPath(place, name)))}`),
    ...(more > 0 ? [`  … and ${more} more, which --json prints`] : []),
    '',
  ];
}

/** A path as a word of a shell. */
function quoted(path: string): string {
  return /^[\w./:@%+=,-]+$/.test(path) ? path : `'${path.replaceAll("'", String.raw`'\''`)}'`;
}

function verdict(kept: number, dryRun: boolean): string {
  if (kept === 0)
    return paint('green', dryRun ? 'All letters would be settled, unless the cache rejects a value' : 'All letters are settled');
  return paint('red', `${count(kept, 'letter')} ${dryRun ? 'would stay' : kept === 1 ? 'stays' : 'stay'}`);
}
