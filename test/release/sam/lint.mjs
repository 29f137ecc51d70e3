// cfn-lint of the templates as they are, for all Regions, and with the values of each set of parameters in place.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { build } from 'esbuild';
import { PARAMETER_SETS } from './parameter-sets.mjs';
import { besideSam, MissingTool, PROJECT, pythonOf, run, StepFailed, step } from './tools.mjs';

const LINT_TIMEOUT_MS = 600_000;
/** The time that cfn-lint takes grows faster than the number of Regions. */
const REGIONS_AT_ONCE = 5;

/** @throws MissingTool without cfn-lint. @throws StepFailed with what cfn-lint finds. */
export async function lintAll(sam, folder) {
  const cfnLint = await besideSam(sam, 'cfn-lint');
  const python = cfnLint && (await pythonOf(cfnLint));
  if (!python) throw new MissingTool('cfn-lint', 'pip install cfn-lint brings it, and so does pip install aws-sam-cli.');

  const regions = await regionsOf(python);
  for (let i = 0; i < regions.length; i += REGIONS_AT_ONCE) {
    const some = regions.slice(i, i + REGIONS_AT_ONCE);
    const args = ['--regions', ...some, '--template', ...Object.keys(PARAMETER_SETS)];
    await step(`cfn-lint for ${some.join(', ')}`, cfnLint, args, LINT_TIMEOUT_MS);
  }

  const { readTemplate, resolvedTemplate } = await templateTools(folder);
  const files = [];
  for (const [template, sets] of Object.entries(PARAMETER_SETS)) {
    for (const [name, parameters] of Object.entries(sets)) {
      const file = join(folder, `${template} with ${name}.json`.replaceAll('/', '-'));
      await writeFile(file, JSON.stringify(resolvedTemplate(readTemplate(template), parameters), undefined, 1));
      files.push(file);
    }
  }
  const title = `cfn-lint with the values of ${files.length} sets of parameters`;
  await step(title, cfnLint, ['--regions', 'eu-west-1', '--template', ...files], LINT_TIMEOUT_MS);
}

async function regionsOf(python) {
  const { ok, stdout, stderr } = await run(python, ['-c', 'from cfnlint.helpers import REGIONS; print(*REGIONS)'], { timeoutMs: 60_000 });
  if (!ok) throw new StepFailed(`cfn-lint names no Regions: ${stderr}`);
  return stdout.trim().split(' ');
}

/** The module of the template tests, which is TypeScript. */
async function templateTools(folder) {
  const outfile = join(folder, 'template.mjs');
  await build({
    entryPoints: [join(PROJECT, 'test/release/template.ts')],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    define: { 'import.meta.dirname': JSON.stringify(join(PROJECT, 'test/release')) },
    banner: { js: "import { createRequire as requireOf } from 'node:module';const require = requireOf(import.meta.url);" },
    logLevel: 'error',
  });
  return import(outfile);
}
