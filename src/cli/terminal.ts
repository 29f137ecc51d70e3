import { styleText } from 'node:util';
import Table from 'cli-table3';
import type { Lookup } from '../cache.ts';
import type { StructuredLogger } from '../handlers/stream-handler.ts';
import { FLOOR, type Version } from '../version.ts';

export type Row = Table.HorizontalTableRow;
type Style = Parameters<typeof styleText>[0];

const NO_BORDERS = Object.fromEntries(
  ['top', 'top-mid', 'top-left', 'top-right', 'bottom', 'bottom-mid', 'bottom-left', 'bottom-right']
    .concat(['left', 'left-mid', 'mid', 'mid-mid', 'right', 'right-mid'])
    .map((name) => [name, '']),
);

/** Width of a table, in columns: that of the terminal, from 80 to 160. 100 without a terminal. */
export function tableWidth(): number {
  return Math.min(Math.max(process.stdout.columns ?? 100, 80), 160);
}

/** A table without borders. The last cell of a short row spans the columns that the row lacks. */
export function table(head: readonly string[], colWidths: readonly number[], rows: readonly Row[]): string {
  const made = new Table({
    head: head.map((name) => dim(name)),
    colWidths: [...colWidths],
    chars: { ...NO_BORDERS, middle: '  ' },
    style: { 'padding-left': 0, 'padding-right': 0, head: [], border: [] },
  });
  made.push(...rows.map((row) => padded(row, head.length)));
  return made.toString().replace(/ +$/gm, '');
}

function padded(row: Row, columns: number): Row {
  const missing = columns - row.length;
  const last = row.at(-1);
  return missing > 0 && typeof last === 'string' ? [...row.slice(0, -1), { content: last, colSpan: missing + 1 }] : row;
}

/** Makes foreign text safe to print, in one line: control characters could steer the terminal. */
export function text(written: string): string {
  return String(written)
    .replace(/\s+/g, ' ')
    .replace(/\p{Cc}/gu, '?');
}

export function count(n: number, noun: string): string {
  return `${n} ${noun}${n === 1 ? '' : 's'}`;
}

export function dim(words: string): string {
  return paint('gray', words);
}

/** The state of a document, in its colour. */
export function stateText(type: Lookup['type']): string {
  return paint(type === 'hit' ? 'green' : type === 'miss' ? 'yellow' : 'gray', type);
}

/** The parts of a version, without the zeros that make versions equally long. */
export function versionText(version: Version): string {
  if (version === FLOOR) return 'filled from the table, where the cache held no version';
  const [label = '', sequenceNumber = ''] = version.split('/');
  return `sequence number ${sequenceNumber.replace(/^0+(?=\d)/, '')} in the stream ${label}`;
}

/** Colours the words, but not in a pipe, and not if NO_COLOR is set. */
export function paint(style: Style, words: string): string {
  return process.stdout.isTTY && process.stdout.hasColors() ? styleText(style, words) : words;
}

export const quietLogger: StructuredLogger = { info() {}, warn() {}, error() {} };

/** Writes one JSON object a line on stderr, so that the lines do not mix with the output on stdout. */
export const stderrLogger: StructuredLogger = {
  info: (...line) => logLine('INFO', line),
  warn: (...line) => logLine('WARN', line),
  error: (...line) => logLine('ERROR', line),
};

function logLine(level: string, [message, ...extra]: readonly unknown[]): void {
  const plain = (_: string, value: unknown) => (value instanceof Error ? { name: value.name, message: value.message } : value);
  process.stderr.write(`${JSON.stringify(Object.assign({ level, message }, ...extra), plain)}\n`);
}
