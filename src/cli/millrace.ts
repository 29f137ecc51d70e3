#!/usr/bin/env node
import { createRequire } from 'node:module';
import { Command } from 'commander';
import { backfillCommand } from './backfill/backfill.ts';
import { devCommand } from './dev/dev.ts';
import { getCommand } from './get/get.ts';
import { listCommand } from './list/list.ts';
import { playgroundCommand } from './playground/playground.ts';
import { pruneCommand } from './prune/prune.ts';
import { redriveCommand } from './redrive/redrive.ts';
import { replayCommand } from './replay/replay.ts';
import { newerSource } from './stale-build.ts';
import { verifyCommand } from './verify/verify.ts';

const { version } = createRequire(import.meta.url)('../../package.json') as { version: string };

// A reader may close the pipe early, as `head` does. That is no error.
process.stdout.on('error', ({ code }: NodeJS.ErrnoException) => process.exit(code === 'EPIPE' ? 0 : 1));

const program = new Command('millrace')
  .description('Keeps a cache equal to a DynamoDB table by following its stream.')
  .version(version, '-V, --version', 'print the version')
  .helpOption('-h, --help', 'print this help')
  .helpCommand(false)
  .showHelpAfterError('Run millrace --help for usage.')
  .hook('preAction', () => {
    const source = newerSource();
    if (source) process.stderr.write(`millrace: ${source} is newer than dist, so this runs earlier code. Run npm run build first.\n`);
  });
const commands = [
  replayCommand(),
  redriveCommand(),
  backfillCommand(),
  verifyCommand(),
  pruneCommand(),
  devCommand(),
  playgroundCommand(),
  getCommand(),
  listCommand(),
];
for (const command of commands) {
  program.addCommand(
    command.helpOption('-h, --help', 'print this help').showHelpAfterError(`Run millrace ${command.name()} --help for usage.`),
  );
}

try {
  await program.parseAsync();
} catch (error) {
  const verbose = process.argv.includes('--verbose');
  const { message, stack } = packageNamed(error instanceof Error ? error : new Error(String(error)));
  process.stderr.write(`millrace: ${verbose ? stack : message}\n`);
  process.exitCode = 1;
}

/** Names the package to install, because the packages of the backends are optional. */
function packageNamed(error: Error & { readonly code?: string }): Error {
  const [, name] = (error.code === 'ERR_MODULE_NOT_FOUND' && /^Cannot find package '([^']+)'/.exec(error.message)) || [];
  return name === undefined ? error : new Error(`this needs a package that is not installed: npm install ${name}`, { cause: error });
}
