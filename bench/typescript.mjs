import { mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const PROJECT = new URL('../', import.meta.url);

/**
 * Compiles a TypeScript module of the tests and loads it, because Node 20 does not read TypeScript.
 *
 * @param {string} path from the project's folder
 */
export async function importTypeScript(path) {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-bench-'));
  try {
    const outfile = join(folder, 'module.cjs');
    const entryPoints = [fileURLToPath(new URL(path, PROJECT))];
    await build({ entryPoints, bundle: true, platform: 'node', format: 'cjs', outfile, logLevel: 'error' });
    return createRequire(import.meta.url)(outfile);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
