import { PROBES, type ProbeCounts, violationsIn } from '../../verify/counts.ts';
import { FAULTS, type Fault } from '../../verify/observation.ts';
import type { VerifyReport, ViewReport } from '../../verify/report.ts';
import { count, dim, paint, type Row, table, tableWidth, text } from '../terminal.ts';

const FAULT_TEXTS: Readonly<Record<Fault, readonly [one: string, many: string]>> = {
  'old-value': ['old value', 'old values'],
  ghost: ['ghost (a document without an item)', 'ghosts (documents without an item)'],
  'hidden-item': ['hidden item (the cache says that it is gone)', 'hidden items (the cache says that they are gone)'],
  'missing-member': ['member missing from a complete page', 'members missing from complete pages'],
  'extra-member': ['extra member', 'extra members'],
  'wrong-order': ['member in the wrong order', 'members in the wrong order'],
};

export function printReport(report: VerifyReport, notes: readonly string[]): void {
  const { segments, boundMs, readUnits, views, status } = report;
  const rows = views.map((view): Row => {
    const wrong = violationsIn(view);
    return [
      view.view,
      String(view.observations),
      String(view.misses),
      String(view.late),
      paint(wrong > 0 ? 'red' : 'green', String(wrong)),
      consistencyText(view.consistency),
    ];
  });
  const part = segments.read === segments.of ? 'all' : `a sample, ${segments.read} of ${segments.of} segments`;
  const lines = [
    `table ${text(report.table)}: ${part}, bound ${boundMs / 1_000} s, ${count(Math.ceil(readUnits), 'read unit')}`,
    '',
    table(['VIEW', 'OBSERVED', 'MISSES', 'LATE', 'WRONG', 'CONSISTENCY (95 %)'], [24, 12, 12, 10, 10, tableWidth() - 70], rows),
    '',
    ...views.flatMap((view) => viewLines(view, report)),
    ...notes.map((note) => dim(note)),
    verdictOf(report),
  ];
  if (status === 'interrupted') lines.push(paint('yellow', 'Interrupted: run the command again for the rest'));
  process.stdout.write(`${lines.join('\n')}\n`);
}

function verdictOf({ views }: VerifyReport): string {
  const wrong = views.reduce((sum, view) => sum + violationsIn(view), 0);
  if (wrong > 0) return paint('red', `${count(wrong, 'violation')}`);
  if (!hasEvidence({ views })) return paint('yellow', 'No evidence: the cache claimed nothing that could be compared');
  return paint('green', 'No violation');
}

export function hasEvidence({ views }: Pick<VerifyReport, 'views'>): boolean {
  return views.some(({ observations }) => observations > 0);
}

function viewLines(view: ViewReport, { lagClassesMs }: VerifyReport): readonly string[] {
  const { repairs, examples } = view;
  return [
    ...FAULTS.filter((fault) => view.violations[fault] > 0).map((fault) =>
      paint('red', `${view.view}: ${view.violations[fault]} ${FAULT_TEXTS[fault][view.violations[fault] === 1 ? 0 : 1]}`),
    ),
    ...examples.map((example) =>
      text(
        `└ ${example.fault} ${example.key}${example.member === undefined ? '' : ` ${example.member}`}${example.item === undefined ? '' : `, item ${example.item}`}, probe ${example.probe}${example.repaired === undefined ? '' : example.repaired ? ', repaired' : ', not repaired'}`,
      ),
    ),
    ...(repairs && repairs.repaired + repairs.failed > 0
      ? [`${view.view}: ${repairs.repaired} repaired${repairs.failed > 0 ? `, ${repairs.failed} not` : ''}`]
      : []),
    ...(view.late > 0 ? [`${view.view}: ${lagText(view, lagClassesMs)}`] : []),
    ...(view.undecided > 0 ? [dim(`${view.view}: ${count(view.undecided, 'address')} undecided`)] : []),
    ...PROBES.flatMap((probe) =>
      view.probes[probe].unfindable > 0
        ? [dim(`${view.view}: ${view.probes[probe].unfindable} of the probe ${probe} without a way to their items: give the view from()`)]
        : [],
    ),
  ];
}

function lagText({ lags }: ProbeCounts, ends: readonly number[]): string {
  const parts = lags.flatMap((times, i) => (times > 0 ? [`${times} within ${Number(((ends[i] ?? 0) / 1_000).toFixed(2))} s`] : []));
  return `late, and healed: ${parts.join(', ')}`;
}

/** Rounded down to the second digit that is not 9. */
function consistencyText(consistency: number | null): string {
  if (consistency === null) return 'no evidence';
  const digits = Math.min(12, Math.max(0, Math.ceil(-Math.log10(Math.max(1 - consistency, 1e-14))) - 1));
  const scale = 10 ** digits;
  return `at least ${(Math.floor(consistency * 100 * scale + 1e-6) / scale).toFixed(digits)} %`;
}
