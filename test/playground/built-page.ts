import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const ROOT = join(import.meta.dirname, '../..');

/** Builds the page as the package does, into a folder of its own. */
export function buildPage(): { readonly page: URL; remove(): void } {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-page-'));
  execFileSync('npm', ['run', '--silent', 'build:page', '--', `--outdir=${folder}`], { cwd: ROOT });
  return { page: pathToFileURL(`${folder}/`), remove: () => rmSync(folder, { recursive: true, force: true }) };
}
