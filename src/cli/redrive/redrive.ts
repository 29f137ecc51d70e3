import { stat } from 'node:fs/promises';
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import cliProgress from 'cli-progress';
import { Command, InvalidArgumentError } from 'commander';
import { appViews, openCache, openLetters } from '../../app.ts';
import { tableReader } from '../../dynamodb/table-reader.ts';
import type { LetterStore } from '../../letters/store.ts';
import { redrive } from '../../redrive/redrive.ts';
import { parseRequest } from '../../redrive/request.ts';
import { addCacheOptions, type CacheChoice } from '../options/cache.ts';
import { addDynamoDbOptions, clientSettings, type DynamoDbChoice, locationOf, requireRegion } from '../options/dynamodb.ts';
import { lettersName } from '../options/letters.ts';
import { isInstalledPackage } from '../sample-views.ts';
import { redriveConfigOf } from './config.ts';
import { printRedrive, type Redriven } from './print.ts';

interface RedriveOptions extends CacheChoice, DynamoDbChoice {
  readonly dryRun?: true;
  readonly since?: string;
  readonly until?: string;
  readonly cause?: string;
  readonly table?: string;
  readonly limit?: number;
  readonly readUnits?: number;
  readonly trustLetters?: true;
  readonly json?: true;
}

const HELP = `
A letter is a hint: its items are read from the table as they are now, and the cache is made to
hold just that, wherever the letter says that they are or were; what is newer there stays. So
neither the order nor the age of the letters matters. A letter is removed when all of its records
are settled; one that fails again stays, with the count and the cause in its field "millrace".

The table of a letter is named by its stream. AWS credentials and Region are those of the AWS
CLI, and need dynamodb:BatchGetItem on the table; with --endpoint they are those of "millrace
dev". A bucket needs s3:ListBucket, s3:GetObject, s3:PutObject and s3:DeleteObject. Lambda writes
its own letters to the bucket's root, below aws/lambda/: give the bucket without a prefix to
reach them.

With --trust-letters no table is read: what an item is now is taken from the newest of its
letters. What is newer in the cache stays all the same; but where that was evicted since, an old
value, or a deleted item, comes back and stays until the item changes again.

With --backend or --url the cache is chosen by the options alone; without them by the environment,
as the Lambda function does: CACHE_BACKEND, CACHE_URL and the rest. The memory cache would end
with this process, so only --dry-run takes it.

Exit status: 0 if no letter was kept. 1 if some were, or if it was stopped early.

Examples:
  millrace redrive s3://my-dead-letters --dry-run     what would be done
  millrace redrive s3://my-dead-letters --url valkeys://cache.example:6379
  millrace redrive --since 2h --cause view            from DEAD_LETTERS, after a view was mended
  millrace redrive ./letters --endpoint http://localhost:8000 --url valkey://localhost:6379`;

export function redriveCommand(): Command {
  const command = new Command('redrive')
    .summary('try dead letters again')
    .description('Tries dead letters again: those of the worker, and those that Lambda wrote to an S3 on-failure destination.')
    .argument('[store]', 's3://BUCKET, s3://BUCKET/PREFIX, or a folder; DEAD_LETTERS unless given')
    .option('--dry-run', 'say what would be done, and change nothing')
    .option('--since <time>', 'letters of that time or later: 2026-11-22T03:00:00Z, or 90m, 2h, 3d ago')
    .option('--until <time>', 'letters of before that time')
    .option('--cause <name>', 'decode, view, rejected; or RetryAttemptsExhausted, RecordAgeExceeded, …', parseCause)
    .option('--table <name>', 'letters of this table; TABLE_NAME unless given')
    .option('--limit <n>', 'try so many letters at the most, the oldest first', positive);
  return addDynamoDbOptions(addCacheOptions(command))
    .option('--read-units <n>', 'of the table to take in a second; 500 unless given', positive)
    .option('--trust-letters', 'read no table; see below for what that risks')
    .option('--json', 'print one JSON document, and nothing else')
    .addHelpText('after', HELP)
    .action(async (store: string | undefined, options: RedriveOptions) => {
      const redriven = await run(store, options);
      if (options.json) process.stdout.write(`${JSON.stringify(plain(redriven), null, 2)}\n`);
      else printRedrive(redriven);
      const { letters, stopped } = redriven;
      if (letters.some(({ status }) => status === 'kept') || (stopped && stopped !== 'limit')) process.exitCode = 1;
    });
}

/** The worker's stages are three; a condition is Lambda's to name, and begins with a capital. */
function parseCause(text: string): string {
  if (/^(decode|view|rejected|[A-Z]\w*)$/.test(text)) return text;
  throw new InvalidArgumentError(
    'Give decode, view or rejected; or the condition of the letter: Poison, Rejected, RetryAttemptsExhausted, RecordAgeExceeded, ….',
  );
}

function positive(text: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new InvalidArgumentError('Give a positive whole number.');
  return Number(text);
}

async function run(given: string | undefined, options: RedriveOptions): Promise<Redriven> {
  const { dryRun = false, trustLetters = false } = options;
  refuseForeignViews();
  const config = redriveConfigOf(given, options);
  const { since, until, cause, limit, table = config.tableName } = options;
  const { filter } = parseRequest({ since, until, cause, table }, new Date());
  const name = lettersName(config.cache.letters);
  if (config.cache.letters?.kind === 'folder') await stat(name).catch(() => Promise.reject(new Error(`${name}: there is no such folder`)));
  const store = (await openLetters(config.cache)) as LetterStore;
  const client = trustLetters ? undefined : new DynamoDBClient(clientSettings(locationOf(options)));
  if (client) await requireRegion(client);
  const cache = dryRun ? undefined : await openCache(config.cache);
  const bar = new cliProgress.SingleBar({
    format: 'redrive {bar} {value}/{total} letters',
    clearOnComplete: true,
    // A bar is for people: not in pipes.
    noTTYOutput: false,
  });
  // Ended in the midst it leaves no harm, but it would not say what it did.
  const interruption = new AbortController();
  const interrupt = () => interruption.abort();
  process.once('SIGINT', interrupt);
  try {
    const { letters, stopped } = await redrive({
      views: appViews,
      cache,
      store,
      filter,
      limit,
      ...(client && { table: tableReader({ client, readUnitsPerSecond: config.readUnitsPerSecond }) }),
      signal: interruption.signal,
      onNames: (names) => bar.start(Math.min(names.length, limit ?? Infinity), 0),
      onLetter: () => bar.increment(),
    });
    return { store: name, backend: config.cache.backend, dryRun, trustLetters, letters, stopped };
  } catch (error) {
    throw new Error(`${name}: ${(error as Error).message}`, { cause: error });
  } finally {
    bar.stop();
    process.off('SIGINT', interrupt);
    client?.destroy();
    await Promise.all([cache?.close(), store.close()]);
  }
}

/** Views that know none of the letters' items would find nothing to do, and the letters would be removed. */
function refuseForeignViews(): void {
  if (!isInstalledPackage) return;
  throw new Error(
    'this is the installed package, whose views are those of its sample: deploy redriveHandler with your own views, or run this command in a clone that has them',
  );
}

function plain({ letters, ...redriven }: Redriven) {
  const removed = letters.filter(({ status }) => status === 'removed').length;
  const plainCauses = letters.map(({ causes, ...letter }) => ({
    ...letter,
    causes: causes.map(({ stage, error }) => ({ stage, reason: error.message })),
  }));
  return { ...redriven, removed, kept: letters.length - removed, letters: plainCauses };
}
