import { execFile, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const ROOT = join(import.meta.dirname, '../..');

export interface BuiltCli {
  /** The path of the compiled command, for `node`. */
  readonly path: string;
  /** A temporary folder for the command to work in. */
  readonly home: string;
  /** Runs the command in its folder, without the colours of this process. Status -1: it did not exit by itself. */
  run(args: readonly string[], env?: NodeJS.ProcessEnv): Promise<Ended>;
  remove(): void;
}

interface Ended {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Compiles the project into a temporary folder. The project's `dist` stays as it is. @param withPage builds the page of the playground, too */
export function buildCli({ withPage = false } = {}): BuiltCli {
  const home = mkdtempSync(join(tmpdir(), 'millrace-cli-'));
  for (const name of ['node_modules', 'package.json']) symlinkSync(join(ROOT, name), join(home, name));
  const tsc = join(ROOT, 'node_modules/typescript/bin/tsc');
  const { status, stdout } = spawnSync(process.execPath, [tsc, '-p', 'tsconfig.build.json', '--outDir', join(home, 'dist')], {
    cwd: ROOT,
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`the project does not compile:\n${stdout}`);
  if (withPage) {
    const args = ['run', '--silent', 'build:page', '--', `--outdir=${join(home, 'dist/playground/page')}`];
    const page = spawnSync('npm', args, { cwd: ROOT, encoding: 'utf8' });
    if (page.status !== 0) throw new Error(`the page does not build:\n${page.stderr}`);
  }
  const path = join(home, 'dist/cli/millrace.js');
  const run = (args: readonly string[], more: NodeJS.ProcessEnv = {}): Promise<Ended> => {
    const { NO_COLOR: _, FORCE_COLOR: __, ...inherited } = process.env;
    return new Promise((resolve) => {
      execFile(process.execPath, [path, ...args], { cwd: home, env: { ...inherited, ...more } }, (error, stdout, stderr) => {
        resolve({ status: error ? (typeof error.code === 'number' ? error.code : -1) : 0, stdout, stderr });
      });
    });
  };
  return { path, home, run, remove: () => rmSync(home, { recursive: true, force: true }) };
}
