// Lives through random histories of a table, its stream, the mapping, the function, a cache, letters and redrives, with everything failing, and
// compares at their ends.  npm run chaos -- --histories 100000 --seed 1 --backend memory --jobs 2
import { fork } from 'node:child_process';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { SingleBar } from 'cli-progress';
import { Command, InvalidArgumentError } from 'commander';
import { build } from 'esbuild';
import { reportOf, storyOf } from './report.mjs';

/** @typedef {import('./job.ts').News} News */

const PROJECT = fileURLToPath(new URL('../../..', import.meta.url));
/** Histories of one seed of fast-check. */
const CHUNK = 250;
const BACKENDS = ['memory', 'valkey', 'momento'];

const options = new Command('chaos')
  .description('Exit status 1, with the story and how to see it again, when a record was lost or the cache differs from the table at rest.')
  .option('--histories <number>', 'how many', whole, 10_000)
  .option('--seed <number>', 'which ones', integer, Math.floor(Math.random() * 2 ** 31))
  .option('--backend <name>', BACKENDS.join(', '), oneOf(BACKENDS), 'memory')
  .option('--jobs <number>', 'processes at a time', whole, availableParallelism())
  .option('--path <path>', 'one history of this seed, as a report named it')
  .option('--no-shrink', 'report the first divergence as it was found, not the smallest like it')
  .parse()
  .opts();

const { backend, seed, path } = options;
const histories = path === undefined ? options.histories : 1;
const jobs = Math.min(options.jobs, Math.ceil(histories / CHUNK));
/** @type {Map<string, number>} */
const tally = new Map();
/** @type {Extract<News, { type: 'divergence' }>[]} */
const divergences = [];
let given = 0;
let lived = 0;
let isOver = false;

// Packages are found from this folder, and nothing in it belongs to the project.
const caches = join(PROJECT, 'node_modules/.cache');
await mkdir(caches, { recursive: true });
const folder = await mkdtemp(join(caches, 'chaos-'));
const job = join(folder, 'job.mjs');
const entryPoints = [fileURLToPath(new URL('./job.ts', import.meta.url))];
await build({
  entryPoints,
  outfile: job,
  bundle: true,
  platform: 'node',
  format: 'esm',
  packages: 'external',
  sourcemap: 'inline',
  logLevel: 'error',
});

const bar = new SingleBar({
  format: '{bar} {value} of {total} histories, {eta_formatted} to go',
  etaBuffer: 200,
  hideCursor: true,
  noTTYOutput: false,
});
const started = performance.now();
bar.start(histories, 0);
const children = Array.from({ length: jobs }, begin);
process.on('SIGINT', stop);
process.on('SIGTERM', stop);
const codes = await Promise.all(children.map(({ ended }) => ended));
bar.stop();
await rm(folder, { recursive: true, force: true });
console.log(reportOf(tally, { histories: lived, seconds: (performance.now() - started) / 1_000, jobs, backend, seed }));
for (const divergence of divergences.slice(0, 1)) console.log(`\n${storyOf(divergence, backend)}`);
const crashed = codes.filter((code) => code !== 0).length;
if (crashed > 0) console.error(`${crashed} of ${jobs} jobs ended before their time`);
const isWhole = lived >= histories && crashed === 0;
process.exitCode = divergences.length > 0 || crashed > 0 ? 1 : isWhole ? 0 : 130;

/** Starts a process, which gets a chunk of histories whenever it is ready. */
function begin() {
  // Only this process takes a Ctrl-C. It ends its children itself.
  const child = fork(job, [backend], { execArgv: ['--enable-source-maps'], detached: true });
  const ended = new Promise((resolve) => child.once('exit', (code) => resolve(code ?? 1)));
  child.on('message', (/** @type {News} */ news) => {
    switch (news.type) {
      case 'ready':
        return next(child);
      case 'lived':
        lived += news.histories;
        for (const [what, times] of news.tally) tally.set(what, (tally.get(what) ?? 0) + times);
        return bar.update(lived);
      case 'divergence':
        divergences.push(news);
        return stop();
    }
  });
  return { child, ended };
}

/** @param {import('node:child_process').ChildProcess} child */
function next(child) {
  if (!child.connected) return;
  if (isOver || given >= histories) return child.disconnect();
  const size = Math.min(CHUNK, histories - given);
  const chunk = {
    seed: (seed + Math.floor(given / CHUNK)) | 0,
    histories: path === undefined ? size : CHUNK,
    path,
    shrinks: options.shrink,
  };
  given += size;
  child.send(chunk);
}

/** Ends the jobs. The report has what is known so far. */
function stop() {
  if (isOver) return;
  isOver = true;
  for (const { child } of children) if (child.connected) child.disconnect();
}

/** @param {string} text */
function integer(text) {
  const number = Number(text);
  if (Number.isSafeInteger(number)) return number;
  throw new InvalidArgumentError('Give a whole number.');
}

/** @param {string} text */
function whole(text) {
  const number = integer(text);
  if (number >= 1) return number;
  throw new InvalidArgumentError('Give 1 or more.');
}

/** @param {readonly string[]} choices */
function oneOf(choices) {
  return (/** @type {string} */ text) => {
    if (choices.includes(text)) return text;
    throw new InvalidArgumentError(`Use ${choices.join(', ')}.`);
  };
}
