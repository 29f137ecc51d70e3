import { writeFileSync } from 'node:fs';
import { availableParallelism, cpus, loadavg } from 'node:os';
import { Command } from 'commander';
import { backfill } from './backfill.mjs';
import { bundleSize } from './bundle.mjs';
import { invocation } from './invocation.mjs';
import { listLength } from './list-length.mjs';
import { memory } from './memory.mjs';
import { momento } from './momento.mjs';
import { reading } from './reading.mjs';
import { isMet, printSection, progressLine, sectionOfChecks } from './report.mjs';
import { roundTrips } from './round-trips.mjs';
import { serverVersion } from './server.mjs';
import { throughput } from './throughput.mjs';
import { verify } from './verify.mjs';

/** @type {Record<string, { readonly title: string, readonly run: (context: import('./report.mjs').Context) => Promise<import('./report.mjs').PartResult> }>} */
const parts = {
  a: { title: 'round trips a record', run: roundTrips },
  b: { title: 'cost against the length of a list', run: listLength },
  c: { title: 'records a second', run: throughput },
  d: { title: 'size and import time of the bundle', run: bundleSize },
  e: { title: 'memory of the server', run: memory },
  f: { title: 'calls of Momento, and the size of a list there', run: momento },
  g: { title: 'an invocation with one record: CPU time, and bytes of log', run: invocation },
  h: { title: 'backfill: items a second and memory, beside a plain loader', run: backfill },
  r: { title: 'reads through the cache: calls, time, size', run: reading },
  v: { title: 'verification: observations a second, read units, cost', run: verify },
};

const { quick, large, only, json } = new Command('bench')
  .description('Measures Millrace on a Valkey or Redis server that it starts itself. Exits with 1 when a requirement is missed.')
  .option('--quick', 'fewer rounds, so less certain', false)
  .option('--large', 'also the sizes that take half an hour and 20 GB', false)
  .option('--only <parts>', `some of ${Object.keys(parts).join(',')}, separated by commas`, (text) => text.split(','), Object.keys(parts))
  .option('--json [file]', 'writes the figures as JSON, to a file or to stdout instead of the tables')
  .addHelpText(
    'after',
    `\nParts:\n${Object.entries(parts)
      .map(([letter, { title }]) => `  ${letter}  ${title}`)
      .join('\n')}`,
  )
  .parse()
  .opts();

const unknown = only.filter((/** @type {string} */ letter) => !(letter in parts));
if (unknown.length > 0) {
  console.error(`--only names "${unknown.join('", "')}": use ${Object.keys(parts).join(', ')}`);
  process.exit(2);
}

const asTables = json !== true;
const line = progressLine();
const machine = {
  node: process.version,
  server: serverVersion,
  cores: availableParallelism(),
  processor: cpus()[0]?.model,
  loadBefore: loadavg()[0],
};
/** @type {import('./report.mjs').Check[]} */
const checks = [];
/** @type {Record<string, unknown>} */
const figures = {};
for (const letter of only) {
  const result = await parts[letter]?.run({ quick, large, progress: (step) => line.show(step) });
  line.clear();
  if (!result) continue;
  if (asTables) for (const section of result.sections) printSection(section);
  checks.push(...result.checks);
  figures[letter] = result.figures;
}
if (asTables && checks.length > 0) printSection(sectionOfChecks(checks));
const loadAfter = loadavg()[0] ?? 0;
if (asTables) console.log(`\n${describe(machine.loadBefore ?? 0, loadAfter)}`);
const missed = checks.filter((check) => !isMet(check)).length;
if (json) {
  const report = {
    machine: { ...machine, loadAfter },
    quick,
    met: missed === 0,
    requirements: checks.map((check) => ({ ...check, met: isMet(check) })),
    parts: figures,
  };
  const text = `${JSON.stringify(report, null, 2)}\n`;
  if (json === true) process.stdout.write(text);
  else writeFileSync(json, text);
}
process.exitCode = missed === 0 ? 0 : 1;

/** @param {number} before @param {number} after load: the average number of processes that wanted a core */
function describe(before, after) {
  const { node, server, cores, processor } = machine;
  const load = `load ${before.toFixed(1)} before and ${after.toFixed(1)} after`;
  // The bench itself wants about two cores, for a contestant and the server.
  const warning =
    before > cores / 2 || after > cores / 2 + 2
      ? '\nOther programs kept the machine busy. Contestants that use two cores at a time are slower for it. bench/README.md describes a remedy.'
      : '';
  return `Node ${node}, ${server}, ${cores} cores (${processor}), ${load}.${warning}`;
}
