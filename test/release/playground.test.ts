import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';
import { describe, expect, it } from 'vitest';

const ROOT = join(import.meta.dirname, '../..');
const LIMIT_KIB = 150;

/** The files of the package that are there for the playground alone. */
const OF_THE_PLAYGROUND = /^(dist\/(playground|cli\/playground)\/|docs\/playground\.md$)/;

describe('the playground in what is released', () => {
  it('is in no bundle of a Lambda function', async () => {
    const { metafile } = await build({
      absWorkingDir: ROOT,
      entryPoints: readdirSync(join(ROOT, 'src/lambdas')).map((name) => `src/lambdas/${name}`),
      outdir: 'nowhere',
      bundle: true,
      platform: 'node',
      format: 'esm',
      write: false,
      metafile: true,
      logLevel: 'silent',
    });
    const inputs = Object.keys(metafile.inputs);
    expect(inputs).toContain('src/handlers/stream-handler.ts');
    expect(inputs.filter((file) => /playground|node_modules\/(lit|uplot)/.test(file))).toEqual([]);
  });

  it(`lets the package grow by at most ${LIMIT_KIB} KiB, and by no dependency`, { timeout: 180_000 }, () => {
    const folder = mkdtempSync(join(tmpdir(), 'millrace-packed-'));
    try {
      execFileSync('npm', ['pack', '--silent', '--pack-destination', folder], { cwd: ROOT });
      const [tarball = ''] = readdirSync(folder);
      execFileSync('tar', ['-xzf', tarball], { cwd: folder });
      const at = join(folder, 'package');
      const files = readdirSync(at, { recursive: true, encoding: 'utf8' })
        .map((name) => name.replaceAll('\\', '/'))
        .filter((name) => OF_THE_PLAYGROUND.test(name) && statSync(join(at, name)).isFile());
      expect(files).toEqual(
        expect.arrayContaining(['dist/playground/page/index.html', 'dist/playground/page/main.js', 'dist/playground/page/main.css']),
      );
      const size = files.reduce((sum, name) => sum + gzipSync(readFileSync(join(at, name)), { level: 9 }).length, 0);
      console.log(`the playground takes ${(size / 1_024).toFixed(1)} KiB of the package, in ${files.length} files`);
      expect(size).toBeLessThan(LIMIT_KIB * 1_024);
      const { dependencies, peerDependencies } = JSON.parse(readFileSync(join(at, 'package.json'), 'utf8'));
      expect(Object.keys({ ...dependencies, ...peerDependencies }).filter((name) => /lit|uplot|playwright|axe/.test(name))).toEqual([]);
      // Images of the README are in the repository only.
      expect(readdirSync(join(at, 'docs')).filter((name) => name === 'images')).toEqual([]);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
