import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CUSTOMER_EVENT, readmeApplication } from '../readme.mjs';

const NPM_TIMEOUT_MS = 900_000;
const BUILD_TIMEOUT_MS = 900_000;
const [RECORD] = CUSTOMER_EVENT.Records;

/**
 * Makes the README's application in a folder, from the packed package, and builds it as its reader does. Returns the trials of its function.
 *
 * @param {(title: string, command: string, args: readonly string[], timeoutMs: number, options?: { cwd?: string }) => Promise<unknown>} step
 */
export async function buildApplication(step, sam, folder, project) {
  const { files, commands } = readmeApplication();
  const here = join(folder, 'application');
  await mkdir(join(here, 'src'), { recursive: true });
  await step('npm pack', 'npm', ['pack', '--silent', '--pack-destination', here], NPM_TIMEOUT_MS, { cwd: project });
  await writeFile(join(here, 'package.json'), '{ "name": "application", "private": true }');
  for (const [name, text] of Object.entries(files)) await writeFile(join(here, name), text);
  for (const command of commands)
    await step(command, 'npm', [...command.split(' ').slice(1), '--no-audit', '--no-fund'], NPM_TIMEOUT_MS, { cwd: here });
  await step('sam validate --lint of the README', sam, ['validate', '--lint'], BUILD_TIMEOUT_MS, { cwd: here });
  await step('sam build of the README', sam, ['build'], BUILD_TIMEOUT_MS, { cwd: here });
  const built = await readdir(join(here, '.aws-sam/build/SyncFunction'));
  if (built.join() !== 'handler.mjs') throw new Error(`the build of the README's application has ${built.join(', ')}`);

  const trial = async (name, event, batchItemFailures) => {
    const file = join(here, `${name}.json`);
    await writeFile(file, JSON.stringify(event));
    return {
      name: `README, ${name}`,
      built: join(here, '.aws-sam/build/template.yaml'),
      file,
      expected: { batchItemFailures },
      parameters: ['CacheUrl=valkey://127.0.0.1:1'],
    };
  };
  return [
    await trial('no records', { Records: [] }, []),
    // The client of the cache is loaded, and finds no server.
    await trial('Valkey unreachable', CUSTOMER_EVENT, [{ itemIdentifier: RECORD.dynamodb.SequenceNumber }]),
  ];
}
