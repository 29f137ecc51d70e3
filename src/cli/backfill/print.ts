import { type EstimatedRead, USD_A_MILLION_UNITS } from '../../backfill/estimate.ts';
import { type BackfillSummary, isAllDone, type ViewSummary } from '../../backfill/summary.ts';
import { count, dim, paint, type Row, table, tableWidth, text } from '../terminal.ts';
import { duration } from './progress.ts';

/** What a dry run tells. */
export interface Estimate {
  readonly table: string;
  readonly items: number;
  readonly bytes: number;
  readonly readUnitsPerSecond: number;
  readonly reads: readonly EstimatedRead[];
}

export function printSummary(summary: BackfillSummary, resume: string): void {
  const { table: name, status, items, readUnits, strange, views, ended } = summary;
  const rows = views.map((view): Row => [view.view, String(view.entries), doneText(view)]);
  const lines = [
    `${count(items, 'item')} of table ${text(name)}, ${count(Math.ceil(readUnits), 'read unit')}`,
    '',
    table(['VIEW', 'ENTRIES', 'DONE'], [22, 12, tableWidth() - 38], rows),
    '',
    ...(strange > 0 ? [`${count(strange, 'item')} that no view projects`] : []),
    ...views.flatMap(leftOut),
    ...wayOuts(summary),
  ];
  if (ended)
    lines.push(
      paint('red', `Not all is filled: the life of ${ended.join(', ')} ended meanwhile. To begin again, run the same command again`),
    );
  else if (status === 'interrupted') lines.push(paint('yellow', `Interrupted. To go on: ${resume}`));
  else lines.push(isAllDone(summary) ? paint('green', 'All is filled') : paint('red', 'Not all is filled'));
  process.stdout.write(`${lines.join('\n')}\n`);
}

function doneText({ documents, lists }: ViewSummary): string {
  if (documents) {
    const { filled, held } = documents;
    return `${count(filled, 'document')} filled${held > 0 ? `, ${held} known before` : ''}`;
  }
  const settled = lists?.settledByReaders ?? 0;
  return `${count(lists?.sealed ?? 0, 'list')} sealed${settled > 0 ? `, ${settled} filled by readers` : ''}`;
}

/** What was not done for a view, and why. */
function leftOut({ view, documents, lists, threw, examples }: ViewSummary): readonly string[] {
  const { unsealed = 0, incomplete = 0 } = lists ?? {};
  return [
    ...(documents && documents.skipped > 0 ? [`${view}: ${count(documents.skipped, 'item')} not worth filling`] : []),
    ...(documents && documents.lost > 0
      ? [`${view}: ${count(documents.lost, 'document')} left to the stream, because the stream wrote them, or they are too large`]
      : []),
    ...(threw > 0
      ? [paint('yellow', `${view}: it threw on ${count(threw, 'item')}${lists ? ', so none of its lists is sealed' : ''}`)]
      : []),
    ...examples.map((message) => paint('yellow', `└ ${text(message)}`)),
    ...(unsealed > 0
      ? [paint('yellow', `${view}: ${count(unsealed, 'list')} not sealed, because evicted, begun, or marked by another backfill meanwhile`)]
      : []),
    ...(incomplete > 0
      ? [
          paint(
            'yellow',
            `${view}: ${count(incomplete, 'list')} sealed, and not complete, because of a member that is too large for the cache, or that the stream could not apply`,
          ),
        ]
      : []),
  ];
}

function wayOuts({ views, status, letters }: BackfillSummary): readonly string[] {
  if (status !== 'done') return [];
  const throwing = views.filter(({ threw }) => threw > 0).map(({ view }) => `--view ${view}`);
  const unsealed = views.some(({ lists }) => (lists?.unsealed ?? 0) > 0);
  const incomplete = views.some(({ lists }) => (lists?.incomplete ?? 0) > 0);
  const redrive = letters === undefined ? '' : `, and millrace redrive ${text(letters)}`;
  return [
    ...(throwing.length > 0 ? [`After the views are mended, run the command again with ${throwing.join(' ')}${redrive}`] : []),
    ...(unsealed ? ['Readers fill lists that are not sealed. To fill them now, run the command again'] : []),
    ...(incomplete ? ['Let the view give smaller values, or redrive the letters of the worker, and run the command again'] : []),
  ];
}

const READS: Readonly<Record<EstimatedRead['what'], string>> = {
  mark: 'scan that marks lists and finds documents',
  documents: 'each item with documents, by key',
  fill: 'scan that fills lists',
  seal: 'scan that seals more than 100,000 lists',
};

export function printEstimate({ table: name, items, bytes, readUnitsPerSecond, reads }: Estimate): void {
  const rows = reads.map(({ what, units, usd, seconds }): Row => [what, String(units), usd.toFixed(2), duration(seconds), READS[what]]);
  const total = (of: (read: EstimatedRead) => number) => reads.reduce((sum, read) => sum + of(read), 0);
  rows.push([
    'all',
    String(total(({ units }) => units)),
    total(({ usd }) => usd).toFixed(2),
    duration(total(({ seconds }) => seconds)),
    'at most',
  ]);
  const lines = [
    `table ${text(name)}: about ${count(items, 'item')}, ${(bytes / 1_000_000).toFixed(1)} MB. A dry run: nothing was read, and nothing was filled`,
    '',
    table(['READ', 'UNITS', 'USD', 'TIME', 'WHAT'], [12, 14, 10, 10, tableWidth() - 54], rows),
    '',
    dim(`the price is ${USD_A_MILLION_UNITS} USD for a million read request units, on demand, us-east-1`),
    dim(`the time is for ${readUnitsPerSecond} read units a second (--read-units)`),
    dim('DynamoDB counts items and bytes every six hours'),
  ];
  process.stdout.write(`${lines.join('\n')}\n`);
}
