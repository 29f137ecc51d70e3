/** @typedef {{ readonly histories: number, readonly faults: number, readonly observations: number, readonly violations: number }} Part */

/**
 * The table of the evidence, in Markdown.
 *
 * @param {{ readonly chaos: Part, readonly correct: Part, readonly broken: Part & { readonly caught: number } }} parts
 * @param {{ readonly seed: number, readonly seconds: number, readonly date: Date }} run
 */
export function tableOf({ chaos, correct, broken }, { seed, seconds, date }) {
  const rows = [
    ['', 'histories', 'faults injected', 'observations', 'violations', 'breaks caught'],
    ['chaos: all that surrounds the worker fails', ...numbersOf(chaos), ''],
    ['a correct worker, verified', ...numbersOf(correct), ''],
    ['deliberate breaks, verified', ...numbersOf(broken), `${broken.caught} of ${broken.histories}`],
  ];
  const widths = [0, 1, 2, 3, 4, 5].map((column) => Math.max(3, ...rows.map((row) => (row[column] ?? '').length)));
  const line = (/** @type {readonly string[]} */ cells) =>
    `| ${cells.map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))).join(' | ')} |`;
  const rule = `| ${widths.map((width, i) => (i === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`)).join(' | ')} |`;
  const [head, ...body] = rows.map(line);
  const end = `${date.toISOString().slice(0, 10)}, seed ${seed}, ${Math.round(seconds / 60)} minutes`;
  return [head, rule, ...body, '', end].join('\n');
}

/** @param {Part} part */
function numbersOf({ histories, faults, observations, violations }) {
  return [histories, faults, observations, violations].map((number) => number.toLocaleString('en'));
}
