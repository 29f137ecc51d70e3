import type { Cause, Stage } from '../../cause.ts';
import type { Config } from '../../config/worker.ts';
import type { RedriveReport } from '../../redrive/redrive.ts';
import { count, dim, paint, type Row, table, tableWidth, text } from '../terminal.ts';

/** What a redrive did, or would do. */
export interface Redriven {
  readonly store: string;
  readonly backend: Config['backend'];
  readonly dryRun: boolean;
  readonly trustLetters: boolean;
  readonly letters: RedriveReport['letters'];
  readonly stopped?: RedriveReport['stopped'];
}

const STAGES: Readonly<Record<Stage, string>> = {
  letter: 'not a dead letter, or one without records',
  decode: 'a record cannot be decoded',
  view: 'a view fails on the current item',
  rejected: 'the cache rejects a value',
  changing: 'the item changed between every two reads',
  cache: 'the cache did not answer',
  table: 'the table could not be read',
  store: 'the store of letters failed',
};

const STOPPED = {
  aborted: 'Interrupted: run the command again for the rest',
  limit: 'The limit was reached: run the command again for the rest',
  unavailable: 'The cache, the table or the store stopped answering: run the command again when it answers',
} as const;

export function printRedrive({ store, backend, dryRun, trustLetters, letters, stopped }: Redriven): void {
  const width = tableWidth();
  const kept = letters.filter(({ status }) => status === 'kept');
  const removed = letters.length - kept.length;
  const how = [
    dryRun ? 'a dry run: nothing was changed' : `redriven into the ${backend} cache`,
    ...(trustLetters ? ['letters are trusted'] : []),
  ];
  const lines = [`${count(letters.length, 'letter')} in ${text(store)}, ${how.join(', ')}`];
  if (letters.length > 0) {
    const rows: Row[] = [[dryRun ? 'would be removed' : 'removed', String(removed), '']];
    for (const [stage, errors] of byCause(kept.flatMap(({ causes }) => causes.slice(0, 1)))) {
      rows.push([`${dryRun ? 'would stay' : 'kept'}: ${stage}`, String(errors.length), STAGES[stage]]);
      rows.push(['', { content: paint('yellow', `└ e.g. ${text(errors[0]?.message ?? '')}`), colSpan: 2, wordWrap: true }]);
    }
    lines.push('', table(['LETTERS', 'COUNT', 'WHY'], [22, 7, width - 36], rows), '');
    lines.push(verdict(kept.length, dryRun));
    if (kept.length > 0) lines.push(dim('--json prints every letter with all its causes'));
  }
  if (stopped) lines.push(paint('yellow', STOPPED[stopped]));
  process.stdout.write(`${lines.join('\n')}\n`);
}

/** Groups the first cause of each letter by its stage, so that each letter is counted once. */
function byCause(causes: readonly Cause[]): ReadonlyMap<Stage, Error[]> {
  const found = new Map<Stage, Error[]>();
  for (const { stage, error } of causes) found.set(stage, [...(found.get(stage) ?? []), error]);
  return found;
}

function verdict(kept: number, dryRun: boolean): string {
  if (kept === 0)
    return paint('green', dryRun ? 'All letters would be settled, unless the cache rejects a value' : 'All letters are settled');
  return paint('red', `${count(kept, 'letter')} ${dryRun ? 'would stay' : kept === 1 ? 'stays' : 'stay'}`);
}
