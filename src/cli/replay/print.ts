import { basename } from 'node:path';
import { count, dim, paint, type Row, stateText, table, tableWidth, text } from '../terminal.ts';
import type { Entries, RecordResult, Replay, ReplayedFile, SetAsideCause } from './result.ts';

/** Without `--all`: records shown of a long group, entries of a view, and members of a list. */
const GROUP_ROWS = 2;
const VIEW_ROWS = 6;
const LIST_ROWS = 3;

export function printReplay(replay: Replay, all: boolean): void {
  const width = tableWidth();
  const records = replay.files.flatMap((file) => file.records);
  const lines = [
    `${count(replay.files.length, 'file')}, ${count(records.length, 'record')}, replayed into the ${replay.backend} cache`,
    '',
    recordsTable(replay.files, width, all),
    ...viewsTables(replay.views, width, all),
    '',
    summary(replay, records),
    dim(all ? 'Values are cut to fit: --json prints them whole' : '--all prints every row, --json every detail'),
  ];
  process.stdout.write(`${lines.join('\n')}\n`);
}

function recordsTable(files: readonly ReplayedFile[], width: number, all: boolean): string {
  const widths = [20, 6, width - 67, 13, 20];
  const rows = files.flatMap((file) => {
    const name = basename(file.file).replace(/\.\w+$/, '');
    if (file.records.length === 0) return [[name, dim('the event has no records')]];
    return groupsOf(file.records, all).flatMap(({ shown, rest, first }, i) => [
      ...shown.flatMap((record, j) => recordRows(i + j === 0 ? name : '', record, file.unexpected[first + j] === true)),
      ...(rest > 0 ? [['', '', dim(`… ${rest} more like this`)]] : []),
    ]);
  });
  return table(['FILE', 'EVENT', 'ITEM', 'SEQUENCE', 'RESULT'], widths, rows);
}

interface Group {
  readonly first: number;
  readonly shown: readonly RecordResult[];
  readonly rest: number;
}

/** Groups neighbouring records with the same event and result. A record that failed or was set aside is a group of its own. */
function groupsOf(records: readonly RecordResult[], all: boolean): readonly Group[] {
  const kindOf = (record: RecordResult, i: number) =>
    all || record.setAside.length > 0 || record.status === 'failed' ? i : `${record.event} ${resultOf(record)}`;
  const groups: Group[] = [];
  for (let first = 0; first < records.length; ) {
    const kind = kindOf(records[first] as RecordResult, first);
    let end = first + 1;
    while (end < records.length && kindOf(records[end] as RecordResult, end) === kind) end += 1;
    // A count in place of one or two rows saves next to nothing.
    const shown = end - first <= GROUP_ROWS + 2 ? end - first : GROUP_ROWS;
    groups.push({ first, shown: records.slice(first, first + shown), rest: end - first - shown });
    first = end;
  }
  return groups;
}

function recordRows(file: string, record: RecordResult, unexpected: boolean): readonly Row[] {
  const row = [file, text(record.event ?? '?'), text(itemOf(record)), shortened(record.sequenceNumber), resultOf(record)];
  const notes: string[] = [];
  for (const [reason, names] of reasonsOf(record.setAside)) {
    notes.push(paint(unexpected ? 'red' : 'yellow', `└ set aside${unexpected ? '' : ', as expected'}: ${names}${text(reason)}`));
  }
  if (record.error !== undefined) notes.push(paint('red', `└ failed, to be retried: ${text(record.error)}`));
  return [row, ...notes.map((content): Row => ['', { content, colSpan: 4, wordWrap: true }])];
}

/** From each reason to the views or addresses that it concerns, because all views of an entity fail for the same reason. */
function reasonsOf(setAside: readonly SetAsideCause[]): ReadonlyMap<string, string> {
  const concerned = new Map<string, string[]>();
  for (const { view, address, reason, fields } of setAside) {
    // Drops the view or the record, which the row already names.
    const common = `${reason.replace(/^(view \S+ |record \d+ \(.*?\): )/, '')}${fields ? ` (${fields.join(', ')})` : ''}`;
    const name = view ?? address;
    concerned.set(common, [...(concerned.get(common) ?? []), ...(name === undefined ? [] : [text(name)])]);
  }
  return new Map([...concerned].map(([reason, names]) => [reason, names.length > 0 ? `${names.join(', ')} ` : '']));
}

function resultOf({ status, expired, applied, stale, rejected, skipped = 0, setAside }: RecordResult): string {
  const parts = [
    applied > 0 && `${applied} applied${expired ? ' (expired)' : ''}`,
    stale > 0 && dim(`${stale} stale`),
    rejected > 0 && paint('red', `${rejected} rejected`),
    skipped > 0 && paint('yellow', `${skipped} skipped`),
  ].filter((part) => part !== false);
  if (status === 'failed') return paint('red', 'failed');
  if (parts.length > 0) return parts.join(', ');
  return setAside.length > 0 ? paint('yellow', 'set aside') : dim('in no view');
}

function itemOf({ item }: RecordResult): string {
  return item === null ? '?' : (JSON.parse(item) as unknown[]).join(' ');
}

/** Both ends and the number of digits, such as 418…0117 (24): enough to compare neighbouring sequence numbers. */
function shortened(sequenceNumber: string | null): string {
  if (sequenceNumber === null) return '?';
  if (sequenceNumber.length <= 12) return text(sequenceNumber);
  return text(`${sequenceNumber.slice(0, 3)}…${sequenceNumber.slice(-4)} (${sequenceNumber.length})`);
}

function viewsTables({ documents, lists }: Entries, width: number, all: boolean): readonly string[] {
  return [
    ...byView(documents).map(([view, found]) => {
      const shown = all ? found : found.slice(-VIEW_ROWS).reverse();
      const rows = shown.map(([key, lookup]): Row => [text(key), stateText(lookup.type), lookup.type === 'hit' ? brief(lookup.value) : '']);
      const title = `${view}: ${count(found.length, 'document')}${shown.length < found.length ? `, the latest ${shown.length}` : ''}`;
      const keyWidth = widest(rows);
      return section(title, ['KEY', 'STATE', 'VALUE'], [keyWidth, 5, width - keyWidth - 9], rows);
    }),
    ...byView(lists).map(([view, found]) => {
      const shown = all ? found : found.slice(0, VIEW_ROWS);
      const rows = shown.flatMap(([list, { members }]): Row[] => {
        if (members.length === 0) return [[text(list), dim('empty')]];
        const newest = all ? members : members.slice(0, LIST_ROWS);
        const more = members.length - newest.length;
        return newest.map(({ value }, i) => [
          i === 0 ? text(list) : '',
          brief(value),
          i === newest.length - 1 && more > 0 ? dim(`+ ${more}`) : '',
        ]);
      });
      const title = `${view}: ${count(found.length, 'list')}${shown.length < found.length ? `, the first ${shown.length}` : ''}`;
      const keyWidth = widest(rows);
      return section(title, ['LIST', 'MEMBERS, GREATEST SCORE FIRST', ''], [keyWidth, width - keyWidth - 9, 5], rows);
    }),
  ];
}

function widest(rows: readonly Row[]): number {
  return Math.min(24, Math.max(4, ...rows.map(([key]) => String(key).length)));
}

/** Groups entries by the view in their keys: VIEW@REVISION:REST. */
function byView<T>(entries: Readonly<Record<string, T>>): readonly (readonly [string, readonly (readonly [string, T])[]])[] {
  const views = new Map<string, (readonly [string, T])[]>();
  for (const [key, entry] of Object.entries(entries)) {
    const [view = ''] = key.split(':', 1);
    views.set(view, [...(views.get(view) ?? []), [key.slice(view.length + 1), entry]]);
  }
  return [...views];
}

function section(title: string, head: readonly string[], widths: readonly number[], rows: readonly Row[]): string {
  return `\n${paint('bold', title)}\n${table(head, widths, rows)}`;
}

function summary({ files, unexpected }: Replay, records: readonly RecordResult[]): string {
  const sum = (of: (record: RecordResult) => number) => records.reduce((total, record) => total + of(record), 0);
  const aside = sum(({ setAside }) => Math.min(setAside.length, 1));
  const failed = sum(({ status }) => (status === 'failed' ? 1 : 0));
  const skipped = sum(({ skipped = 0 }) => skipped);
  const counts = [
    `${sum(({ applied }) => applied)} mutations applied`,
    `${sum(({ stale }) => stale)} stale`,
    `${sum(({ rejected }) => rejected)} rejected`,
    ...(skipped > 0 ? [`${skipped} skipped`] : []),
    `${count(aside, 'record')} set aside`,
    `${failed} failed`,
  ];
  const names = files.filter((file) => file.unexpected.includes(true)).map(({ file }) => file);
  const verdict =
    unexpected > 0
      ? paint('red', `Not as expected: ${count(unexpected, 'record')} in ${names.join(', ')}`)
      : paint('green', aside > 0 ? 'All well: the records set aside are expected' : 'All well');
  return `${counts.join(', ')}\n${verdict}`;
}

/** A value in one line, which the table cuts to fit. */
function brief(value: unknown): string {
  const plain = (part: unknown) => (typeof part === 'string' ? part : JSON.stringify(part));
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return text(plain(value));
  return text(
    Object.entries(value)
      .map(([name, part]) => `${name}: ${plain(part)}`)
      .join(', '),
  );
}
