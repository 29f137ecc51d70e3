import Table from 'cli-table3';

/** Columns of a table: [what, times]. */
const COLUMNS = 3;

/**
 * The table of what happened, and how often.
 *
 * @param {ReadonlyMap<string, number>} tally
 * @param {{ readonly histories: number, readonly seconds: number, readonly jobs: number, readonly backend: string, readonly seed: number }} run
 */
export function reportOf(tally, { histories, seconds, jobs, backend, seed }) {
  const colAligns = Array.from({ length: COLUMNS }, () => ['left', 'right']).flat();
  const table = new Table({ style: { head: [], border: [], compact: true }, colAligns });
  const entries = [...tally].sort(([a], [b]) => (a < b ? -1 : 1));
  const rows = Math.ceil(entries.length / COLUMNS);
  for (let row = 0; row < rows; row += 1) {
    const cells = Array.from({ length: COLUMNS }, (_, column) => entries[row + column * rows] ?? ['', '']);
    table.push(cells.flatMap(([what, times]) => [what, typeof times === 'number' ? times.toLocaleString('en') : times]));
  }
  const rate = seconds > 0 ? histories / seconds : 0;
  const speed = `${rate.toLocaleString('en', { maximumSignificantDigits: 3 })} a second, ${((1_000 * jobs) / rate || 0).toFixed(1)} ms each in one of ${jobs} jobs`;
  return `${table}\n${histories.toLocaleString('en')} histories on ${backend}, seed ${seed}: ${seconds.toFixed(0)} s, ${speed}`;
}

/**
 * The divergence, and the command that repeats it.
 *
 * @param {{ readonly seed: number, readonly path: string, readonly history: unknown, readonly story: string }} divergence
 * @param {string} backend
 */
export function storyOf({ seed, path, history, story }, backend) {
  const again = `npm run chaos -- --backend ${backend} --seed ${seed} --path ${path}`;
  return `${story}\n\nThe history:\n${JSON.stringify(history)}\n\nAgain:\n  ${again}\n`;
}
