import { stat } from 'node:fs/promises';
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import cliProgress from 'cli-progress';
import { Command, InvalidArgumentError } from 'commander';
import { openLetters } from '../../app.ts';
import { tableReader } from '../../dynamodb/table-reader.ts';
import type { LettersPlace } from '../../letters/place.ts';
import type { LetterStore } from '../../letters/store.ts';
import { redrive } from '../../redrive/redrive.ts';
import { parseRequest } from '../../redrive/request.ts';
import { viewName } from '../../view.ts';
import { causeFacts } from '../causes.ts';
import { addCacheOptions, type CacheChoice, openReachableCache } from '../options/cache.ts';
import { addDynamoDbOptions, clientSettings, type DynamoDbChoice, locationOf, requireRegion } from '../options/dynamodb.ts';
import { letterPath, lettersName } from '../options/letters.ts';
import { noteLives } from '../options/lives.ts';
import { positive } from '../options/numbers.ts';
import { addViewsOption, areForeign, type ViewsChoice, viewsOf } from '../options/views.ts';
import { redriveConfigOf } from './config.ts';
import { kindOf, printRedrive, type Redriven } from './print.ts';

interface RedriveOptions extends CacheChoice, DynamoDbChoice, ViewsChoice {
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
A letter says which items may be wrong in the cache. The command reads these items from the table
as they are now, and corrects the cache at every address that the letter mentions. Newer entries in
the cache stay. So neither the order nor the age of the letters matters. A letter is removed when
all its records are settled. A letter that fails again is kept, with the count and the cause in its
field "millrace".

A letter names its table by the stream. AWS credentials and Region are those of the AWS CLI, and
need dynamodb:BatchGetItem on the table. With --endpoint they are those of "millrace dev". A bucket
needs s3:ListBucket, s3:GetObject, s3:PutObject and s3:DeleteObject. Lambda writes its own letters
below aws/lambda/ in the bucket's root: give the bucket without a prefix to reach them.

With --trust-letters no table is read: the newest letter of an item says what the item is now.
Newer entries in the cache stay. But if such an entry was evicted, an old value or a deleted item
comes back, and stays until the item changes again.

--backend or --url choose the cache by the options alone. Without them the environment chooses it,
as for the Lambda function: CACHE_BACKEND, CACHE_URL and the other variables. The memory cache ends
with this command, so only --dry-run accepts it.

Exit status: 0 if no letter was kept, also if --limit was reached. 1 if letters were kept, or if
the command stopped early.

Examples:
  millrace redrive s3://my-dead-letters --dry-run     what would be done
  millrace redrive s3://my-dead-letters --url valkeys://cache.example:6379
  millrace redrive --since 2h --cause view            from DEAD_LETTERS, after a view was repaired
  millrace redrive ./letters --endpoint http://localhost:8000 --url valkey://localhost:6379`;

export function redriveCommand(): Command {
  const command = new Command('redrive')
    .summary('try dead letters again')
    .description('Tries dead letters again: those of the worker, and those that Lambda wrote to an S3 on-failure destination.')
    .argument('[store]', 's3://BUCKET, s3://BUCKET/PREFIX, or a folder. Default: DEAD_LETTERS')
    .option('--dry-run', 'print what would be done, and change nothing')
    .option('--since <time>', 'only letters of this time or later: 2026-11-22T03:00:00Z, or 90m, 2h, 3d ago')
    .option('--until <time>', 'only letters from before this time')
    .option('--cause <name>', 'only letters with this cause: decode, view, rejected, RetryAttemptsExhausted, …', parseCause)
    .option('--table <name>', 'only letters of this table. Default: TABLE_NAME, else all tables')
    .option('--limit <n>', 'largest number of letters to try, the oldest first. Default: all', positive);
  return addDynamoDbOptions(addCacheOptions(addViewsOption(command)))
    .option('--read-units <n>', 'read capacity units of the table to use per second. Default: READ_UNITS_PER_SECOND, else 500', positive)
    .option('--trust-letters', 'read no table; see below for the risk')
    .option('--json', 'print one JSON document and nothing else')
    .addHelpText('after', HELP)
    .action(async (store: string | undefined, options: RedriveOptions) => {
      const redriven = await run(store, options);
      if (options.json) process.stdout.write(`${JSON.stringify(plain(redriven), null, 2)}\n`);
      else printRedrive(redriven);
      const { letters, stopped } = redriven;
      if (letters.some(({ status }) => status === 'kept') || (stopped && stopped !== 'limit')) process.exitCode = 1;
    });
}

/** Accepts the three stages of the worker's letters, and any condition of Lambda's letters, which begins with a capital letter. */
function parseCause(text: string): string {
  if (/^(decode|view|rejected|[A-Z]\w*)$/.test(text)) return text;
  throw new InvalidArgumentError(
    'Give decode, view or rejected; or the condition of the letter: Poison, Rejected, RetryAttemptsExhausted, RecordAgeExceeded, ….',
  );
}

async function run(given: string | undefined, options: RedriveOptions): Promise<Redriven> {
  const { dryRun = false, trustLetters = false } = options;
  refuseForeignViews(options);
  const config = redriveConfigOf(given, options);
  const { since, until, cause, limit, table = config.tableName } = options;
  const { filter } = parseRequest({ since, until, cause, table }, new Date());
  const views = await viewsOf(options);
  const name = lettersName(config.cache.letters);
  if (config.cache.letters?.kind === 'folder') await stat(name).catch(() => Promise.reject(new Error(`${name}: there is no such folder`)));
  const store = (await openLetters(config.cache)) as LetterStore;
  const client = trustLetters ? undefined : new DynamoDBClient(clientSettings(locationOf(options)));
  if (client) await requireRegion(client);
  const cache = dryRun ? undefined : await openReachableCache(config.cache, options);
  if (cache) await noteLives(cache, views.map(viewName));
  const bar = new cliProgress.SingleBar({
    format: 'redrive {bar} {value}/{total} letters',
    clearOnComplete: true,
    // Pipes get no progress bar.
    noTTYOutput: false,
  });
  // Ctrl-C stops the redrive and not the process, so that the report is still printed.
  const interruption = new AbortController();
  const interrupt = () => interruption.abort();
  process.once('SIGINT', interrupt);
  try {
    const { letters, stopped } = await redrive({
      views,
      cache,
      store,
      filter,
      limit,
      ...(client && { table: tableReader({ client, readUnitsPerSecond: config.readUnitsPerSecond }) }),
      signal: interruption.signal,
      onNames: (names) => bar.start(Math.min(names.length, limit ?? Infinity), 0),
      onLetter: () => bar.increment(),
    });
    return {
      store: name,
      place: config.cache.letters as LettersPlace,
      backend: config.cache.backend,
      dryRun,
      trustLetters,
      letters,
      stopped,
    };
  } catch (error) {
    throw new Error(`${name}: ${(error as Error).message}`, { cause: error });
  } finally {
    bar.stop();
    process.off('SIGINT', interrupt);
    client?.destroy();
    await Promise.all([cache?.close(), store.close()]);
  }
}

/** Refuses the sample's views: they project none of the letters' items, so the letters would be removed for nothing. */
function refuseForeignViews(options: ViewsChoice): void {
  if (!areForeign(options)) return;
  throw new Error(
    'this is the installed package, whose views are those of its sample: give yours by --views ./views.js, a module that exports them, or deploy redriveHandler with them',
  );
}

function plain({ letters, place, ...redriven }: Redriven) {
  const removed = letters.filter(({ status }) => status === 'removed').length;
  const plainLetters = letters.map(({ name, records, status, causes }) => ({
    name,
    path: letterPath(place, name),
    records,
    status,
    ...(status === 'kept' && { kind: kindOf({ name, records, status, causes }) }),
    causes: causes.map((cause) => {
      const { stage, error, fields } = causeFacts(cause);
      return { stage, reason: error.message, fields };
    }),
  }));
  return { ...redriven, removed, kept: letters.length - removed, letters: plainLetters };
}
