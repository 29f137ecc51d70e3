import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const ROOT = join(import.meta.dirname, '../..');

export interface BuiltCli {
  /** The compiled command, for `node`. */
  readonly path: string;
  /** A folder of its own for what the command writes. */
  readonly home: string;
  remove(): void;
}

/** The project, compiled elsewhere, so that its own `dist` is left alone. */
export function buildCli(): BuiltCli {
  const home = mkdtempSync(join(tmpdir(), 'millrace-cli-'));
  for (const name of ['node_modules', 'package.json']) symlinkSync(join(ROOT, name), join(home, name));
  const tsc = join(ROOT, 'node_modules/typescript/bin/tsc');
  const { status, stdout } = spawnSync(process.execPath, [tsc, '-p', 'tsconfig.build.json', '--outDir', join(home, 'dist')], {
    cwd: ROOT,
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`the project does not compile:\n${stdout}`);
  return { path: join(home, 'dist/cli/millrace.js'), home, remove: () => rmSync(home, { recursive: true, force: true }) };
}
