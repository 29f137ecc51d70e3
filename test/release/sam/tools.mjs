// What the checks with SAM share: they run programs, print the steps, and tell a missing tool from a failure.
import { spawn } from 'node:child_process';
import { access, readFile, realpath } from 'node:fs/promises';
import { delimiter, dirname, join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';

export const PROJECT = fileURLToPath(new URL('../../..', import.meta.url));
const STOP_GRACE_MS = 10_000;

export const interruption = new AbortController();
export const isCi = !['', 'false', '0'].includes(process.env.CI ?? '');
export const environment = {
  ...process.env,
  SAM_CLI_TELEMETRY: '0',
  AWS_DEFAULT_REGION: process.env.AWS_DEFAULT_REGION ?? 'us-east-1',
  // sam local cannot evaluate the template's choice between two tables. No event here uses the name.
  TABLE_NAME: 'shop',
  // A folder inside the container.
  DEAD_LETTERS: '/tmp/dead-letters',
};

/** A tool that this machine lacks, and the command that installs it. */
export class MissingTool extends Error {
  constructor(tool, remedy) {
    super(`${tool} is missing. ${remedy}`);
  }
}

export class StepFailed extends Error {}

/** Runs a program to its end; never throws for an exit status, only for an interruption. */
export async function run(command, args, { timeoutMs, cwd = PROJECT, env = {} }) {
  interruption.signal.throwIfAborted();
  const started = performance.now();
  const child = spawn(command, args, { cwd, env: { ...environment, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  const output = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr']) child[name].setEncoding('utf8').on('data', (text) => (output[name] += text));

  // On SIGINT, sam removes its container and exits. A program that ignores SIGINT is killed.
  let killer;
  const stop = () => {
    child.kill('SIGINT');
    killer = setTimeout(() => child.kill('SIGKILL'), STOP_GRACE_MS);
  };
  const timer = setTimeout(stop, timeoutMs);
  interruption.signal.addEventListener('abort', stop);
  const status = await new Promise((done) => {
    child.on('close', done).on('error', (error) => {
      output.stderr += error.message;
      done(null);
    });
  });
  interruption.signal.removeEventListener('abort', stop);
  clearTimeout(timer);
  clearTimeout(killer);
  interruption.signal.throwIfAborted();
  return { ...output, status, ok: status === 0, ms: Math.round(performance.now() - started) };
}

/** Runs a program, prints how it ended, and returns its output. @throws StepFailed with the output when its status is not 0. */
export async function step(title, command, args, timeoutMs, { cwd, env } = {}) {
  const result = await run(command, args, { timeoutMs, cwd, env });
  console.log(`${result.ok ? 'ok    ' : 'FAILED'} ${title} (${result.ms} ms)`);
  if (!result.ok) throw new StepFailed(`${result.stdout}${result.stderr}`.trim() || `${command} did not end within ${timeoutMs} ms`);
  return result;
}

export const exists = (path) =>
  access(path).then(
    () => true,
    () => false,
  );

export async function onPath(program) {
  for (const folder of (process.env.PATH ?? '').split(delimiter)) {
    const path = join(folder, program);
    if (folder !== '' && (await exists(path))) return path;
  }
  return undefined;
}

/** A program of the Python environment that has the SAM CLI, or one on the PATH. */
export async function besideSam(sam, program) {
  const beside = join(dirname(await realpath(sam)), program);
  return (await exists(beside)) ? beside : onPath(program);
}

/** The Python that runs a program. */
export async function pythonOf(program) {
  return /^#!(\S*python\S*)/.exec(await readFile(program, 'utf8'))?.[1];
}
