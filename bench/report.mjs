import Table from 'cli-table3';
import { spread } from './statistics.mjs';

/** @typedef {import('./statistics.mjs').Spread} Spread */

/**
 * A requirement and its measurement.
 *
 * @typedef {object} Check
 * @property {string} what
 * @property {Spread} measured
 * @property {'at least' | 'at most' | 'exactly'} relation
 * @property {number} required
 * @property {string} [unit]
 */

/**
 * @typedef {object} Section
 * @property {string} title
 * @property {readonly string[]} head
 * @property {readonly (readonly string[])[]} rows
 * @property {string} [note]
 */

/**
 * The result of a part of the bench: tables for a reader, figures for a program.
 *
 * @typedef {object} PartResult
 * @property {readonly Section[]} sections
 * @property {readonly Check[]} checks
 * @property {unknown} figures
 */

/**
 * @typedef {object} Context
 * @property {boolean} quick
 * @property {boolean} large
 * @property {(step: string) => void} progress
 */

/** Compares the median. `exactly` compares the quartiles too. @param {Check} check */
export function isMet({ measured, relation, required }) {
  switch (relation) {
    case 'at least':
      return measured.median >= required;
    case 'at most':
      return measured.median <= required;
    case 'exactly':
      return measured.low === required && measured.median === required && measured.high === required;
  }
}

/** Makes the spread of a value without noise. @param {number} value */
export function exact(value) {
  return spread([value]);
}

/** Formats three significant digits, and thousands with a comma. @param {number} value */
export function figure(value) {
  if (!Number.isFinite(value)) return '-';
  return value.toLocaleString('en', Math.abs(value) < 1_000 ? { maximumSignificantDigits: 3 } : { maximumFractionDigits: 0 });
}

/** Formats the median, with the quartiles in brackets. @param {Spread} spread */
export function figures({ median, low, high }) {
  return low === high ? figure(median) : `${figure(median)} (${figure(low)}–${figure(high)})`;
}

/** @param {Section} section */
export function printSection({ title, head, rows, note }) {
  const table = new Table({
    head: [...head],
    colAligns: head.map((_, i) => (i === 0 ? 'left' : 'right')),
    style: { head: [], border: [], compact: true },
  });
  for (const row of rows) table.push([...row]);
  console.log(`\n${title}\n${table}${note ? `\n${note}` : ''}`);
}

/** @param {readonly Check[]} checks @returns {Section} */
export function sectionOfChecks(checks) {
  return {
    title: 'Requirements',
    head: ['', 'measured', 'required', ''],
    rows: checks.map((check) => {
      const { what, measured, relation, required, unit = '' } = check;
      return [what, `${figures(measured)}${unit}`, `${relation} ${figure(required)}${unit}`, isMet(check) ? 'met' : 'MISSED'];
    }),
  };
}

/** Shows progress on stderr: one line on a terminal, elsewhere a new line every 10 s. */
export function progressLine() {
  const { stderr } = process;
  let last = 0;
  return {
    /** @param {string} step */
    show(step) {
      if (stderr.isTTY) stderr.write(`\r\x1b[K${step}`);
      else if (performance.now() - last > 10_000) {
        stderr.write(`${step}\n`);
        last = performance.now();
      }
    },
    clear() {
      if (stderr.isTTY) stderr.write('\r\x1b[K');
    },
  };
}
