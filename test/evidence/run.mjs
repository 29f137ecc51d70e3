// Chaos, the verifier of a correct worker, and the verifier of what is broken, for some minutes, and one table of what came out.
// npm run evidence -- --minutes 10 --seed 1
import { fork } from 'node:child_process';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command, InvalidArgumentError } from 'commander';
import { build } from 'esbuild';
import { tableOf } from './table.mjs';

/** @typedef {import('./job.ts').News} News */
/** @typedef {import('../properties/chaos/job.ts').News} ChaosNews */

const PROJECT = fileURLToPath(new URL('../..', import.meta.url));
/** Histories of one seed of fast-check. */
const CHUNK = 50;
/** What chaos does to the worker and its surroundings, as its tally names it. */
const FAULTS =
  /^(workers? |second workers|shards (rolled|split)|streams renewed|deployments of (broken|limping)|function: |(cache|stream|table|letters|checkpoints): (in part|late|refused|slow|unanswered)|redrives that died|replays|evictions|flushes|nights|records spoilt)/;

const { minutes, seed } = new Command('evidence')
  .description('Exit status 1 if a correct worker shows a violation, a record is lost, or something broken is not caught.')
  .option('--minutes <number>', 'how long, about', positive, 10)
  .option('--seed <number>', 'which histories', integer, Math.floor(Math.random() * 2 ** 31))
  .parse()
  .opts();
const until = Date.now() + minutes * 60_000;
const chaos = { histories: 0, faults: 0, observations: 0, violations: 0 };
const correct = { histories: 0, faults: 0, observations: 0, violations: 0 };
const broken = { histories: 0, faults: 0, observations: 0, violations: 0, caught: 0 };
/** @type {string[]} */
const failures = [];

// Packages are found from this folder, and nothing in it belongs to the project.
const caches = join(PROJECT, 'node_modules/.cache');
await mkdir(caches, { recursive: true });
const folder = await mkdtemp(join(caches, 'evidence-'));
const started = performance.now();
try {
  const [chaosJob, verifyJob] = await Promise.all([built('../properties/chaos/job.ts', 'chaos'), built('./job.ts', 'verify')]);
  await Promise.all([liveChaos(chaosJob), verify(verifyJob)]);
} finally {
  await rm(folder, { recursive: true, force: true });
}
if (chaos.histories === 0 || correct.observations === 0 || broken.histories === 0) failures.push('a part has no evidence');
const seconds = (performance.now() - started) / 1_000;
console.log(tableOf({ chaos, correct, broken }, { seed, seconds, date: new Date() }));
for (const failure of failures) console.error(`\n${failure}`);
process.exitCode = failures.length > 0 ? 1 : 0;

/** @param {string} file @param {string} name */
async function built(file, name) {
  const outfile = join(folder, `${name}.mjs`);
  const entryPoints = [fileURLToPath(new URL(file, import.meta.url))];
  await build({
    entryPoints,
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    packages: 'external',
    sourcemap: 'inline',
    logLevel: 'error',
  });
  return outfile;
}

/** @param {string} job */
async function liveChaos(job) {
  const child = fork(job, ['memory'], { execArgv: ['--enable-source-maps'] });
  let chunks = 0;
  child.on('message', (/** @type {ChaosNews} */ news) => {
    switch (news.type) {
      case 'ready':
        if (Date.now() >= until || failures.length > 0) return child.disconnect();
        child.send({ seed: (seed + chunks) | 0, histories: CHUNK, shrinks: false });
        chunks += 1;
        return undefined;
      case 'lived':
        chaos.histories += news.histories;
        for (const [what, times] of news.tally) {
          if (FAULTS.test(what)) chaos.faults += times;
          if (/^answers: (complete|gone|hit)$/.test(what)) chaos.observations += times;
        }
        return undefined;
      case 'divergence':
        chaos.violations += 1;
        failures.push(`chaos, seed ${news.seed}, path ${news.path}: ${news.story}`);
        return undefined;
    }
  });
  await ended(child, 'chaos');
}

/** @param {string} job */
async function verify(job) {
  const child = fork(job, { execArgv: ['--enable-source-maps'] });
  child.on('message', (/** @type {News} */ news) => {
    const into = news.type === 'broken' ? broken : correct;
    into.histories += 1;
    into.observations += news.observations;
    if (news.type === 'broken') {
      broken.faults += news.wrong;
      broken.violations += news.violations;
      if (news.escaped === undefined) broken.caught += 1;
      else failures.push(`${news.name}, seed ${news.seed}, was not caught: ${news.escaped}`);
      console.error(`${news.name}: ${news.escaped === undefined ? 'caught' : 'NOT caught'}`);
    } else {
      correct.faults += news.faults;
      correct.violations += news.violations.length;
      if (news.violations.length > 0) failures.push(`a correct worker, seed ${news.seed}: ${news.violations.slice(0, 3).join('\n')}`);
    }
  });
  child.send({ seed, until });
  await ended(child, 'the verifier');
}

/** @param {import('node:child_process').ChildProcess} child @param {string} name */
async function ended(child, name) {
  const code = await new Promise((resolve) => child.once('exit', resolve));
  if (code !== 0) failures.push(`${name} ended before its time, with status ${code}`);
}

/** @param {string} text */
function integer(text) {
  const number = Number(text);
  if (Number.isSafeInteger(number)) return number;
  throw new InvalidArgumentError('Give a whole number.');
}

/** @param {string} text */
function positive(text) {
  const number = Number(text);
  if (number > 0 && number < 10_000) return number;
  throw new InvalidArgumentError('Give a number above 0.');
}
