import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { DynamoDBClient, type TableDescription } from '@aws-sdk/client-dynamodb';
import { Command } from 'commander';
import { openLetters } from '../../app.ts';
import { backfill, begin } from '../../backfill/backfill.ts';
import type { BackfillCheckpoint, BackfillPlace } from '../../backfill/checkpoint.ts';
import { estimateOf } from '../../backfill/estimate.ts';
import { itemLetters } from '../../backfill/item-letters.ts';
import { checkLives, idsOf, LifeEndedError, type LifeIds } from '../../backfill/lives.ts';
import { isAllDone, summaryOf } from '../../backfill/summary.ts';
import { cacheId } from '../../config/backfill.ts';
import { followable } from '../../dynamodb/followable.ts';
import { readBudget } from '../../dynamodb/read-budget.ts';
import { scannedTable } from '../../dynamodb/scanned-table.ts';
import type { LivingCache } from '../../lives/with-lives.ts';
import { type View, viewName } from '../../view.ts';
import { addCacheOptions, type CacheChoice, openReachableBackend } from '../options/cache.ts';
import {
  addDynamoDbOptions,
  clientSettings,
  type DynamoDbChoice,
  type DynamoDbLocation,
  explained,
  locationOf,
  requireRegion,
} from '../options/dynamodb.ts';
import { lettersName } from '../options/letters.ts';
import { positive, wholeNumber } from '../options/numbers.ts';
import { addViewOption, chosenViews, type ViewChoice } from '../options/view.ts';
import { addViewsOption, areForeign, type ViewsChoice, viewsOf } from '../options/views.ts';
import { stopSignal } from '../stop-signal.ts';
import { type CheckpointFile, checkpointFile } from './checkpoint-file.ts';
import { backfillConfigOf } from './config.ts';
import { type LivesChoice, livingCache, waitForLives } from './lives.ts';
import { printEstimate, printSummary } from './print.ts';
import { progress } from './progress.ts';

interface BackfillOptions extends CacheChoice, DynamoDbChoice, LivesChoice, ViewsChoice, ViewChoice {
  readonly table: string;
  readonly segments: number;
  readonly readUnits?: number;
  readonly dryRun?: true;
  readonly checkpoint?: string;
  readonly deadLetters?: string;
  readonly json?: true;
}

const DEFAULT_SEGMENTS = 8;

const HELP = `
Fills an empty cache from a full table, while the stream is followed. Begin to follow the stream
first: otherwise changes during the backfill are lost. Readers, redrives and other backfills may
run at the same time. What the stream wrote is never overwritten.

Pass 1 scans the table. It reads each document that the cache does not know once more by key, with
ConsistentRead, and fills it in; and it marks each list. Pass 2 scans with ConsistentRead, and fills
the lists. Pass 3 seals them, so that their pages are complete. Without list views there is pass 1
only. If a view throws on an item, none of its lists is sealed, and the item becomes a dead letter
for "millrace redrive", where a place for letters is given.

Views have lives where the worker uses withLives, as in the templates. The command starts the lives
of the chosen views that have none, waits until they can be filled, and keeps the lives of others.
An empty cache does not tell whether views have lives: give --lives or --no-lives then.

--fresh is a resync: the lives of the chosen views end, so that readers miss within seconds, and
what the cache has is not read any more. Then new lives are filled. Use it when the cache may have
missed changes.

The file of --checkpoint stores the position. After Ctrl-C, or a kill at any moment, the same
command goes on. The file is removed at the end.

AWS credentials and Region are those of the AWS CLI, and need dynamodb:DescribeTable, Scan and
BatchGetItem on the table. With --endpoint they are those of "millrace dev". --backend or --url
choose the cache by the options alone. Without them the environment chooses it, as for the Lambda
function.

Exit status: 0 if all was filled. 1 if a view threw, if lists are not complete, if a life ended
meanwhile, or if the command stopped early.

Examples:
  millrace backfill --table orders --dry-run           items, read units, price and time
  millrace backfill --table orders --views ./views.js --url valkeys://cache.example:6379
  millrace backfill --table orders --view detail@2 --read-units 4000 --url valkey://localhost:6379
  millrace backfill --table orders --views ./views.js --url valkeys://cache.example:6379 --fresh`;

export function backfillCommand(): Command {
  const command = new Command('backfill')
    .summary('fill an empty cache from a full table')
    .description('Fills an empty cache from a full table, while the stream is followed.')
    .requiredOption('--table <name>', 'table to read; its stream must be NEW_AND_OLD_IMAGES')
    .option('--dry-run', 'print what it would take, and read and fill nothing');
  return addDynamoDbOptions(addCacheOptions(addViewOption(addViewsOption(command))))
    .option('--segments <n>', 'number of parts of the table; 8 are read at the same time', wholeNumber(1, 1_000), DEFAULT_SEGMENTS)
    .option('--read-units <n>', 'read units of the table to use per second. Default: READ_UNITS_PER_SECOND, else 500', positive)
    .option('--checkpoint <file>', 'file for the position. Default: .millrace/backfill/TABLE.json')
    .option('--dead-letters <place>', 'place for items on which a view throws: s3://BUCKET[/PREFIX], or a folder. Default: DEAD_LETTERS')
    .option('--fresh', 'end the present lives of the views first, so that nothing is read that the cache has now')
    .option('--lives', 'the views have lives. Needed only while the cache has no register of lives')
    .option('--no-lives', 'the views have no lives: the worker does not use withLives')
    .option('--json', 'print one JSON document and nothing else on stdout')
    .addHelpText('after', HELP)
    .action(async (options: BackfillOptions) => {
      if (areForeign(options)) {
        throw new Error(
          'this is the installed package, whose views are those of its sample: give yours by --views ./views.js, a module that exports them',
        );
      }
      const config = backfillConfigOf(options);
      const views = chosenViews(await viewsOf(options), options);
      const location = locationOf(options);
      const client = new DynamoDBClient(clientSettings(location));
      try {
        await requireRegion(client);
        const table = await followable(client, options.table).catch((error) => Promise.reject(explained(error, location)));
        if (options.dryRun) estimate(options, table, views, config.readUnitsPerSecond);
        else await fill(options, { config, views, client, table, location });
      } finally {
        client.destroy();
      }
    });
}

function estimate(
  { table: name, json }: BackfillOptions,
  table: TableDescription,
  views: readonly View[],
  readUnitsPerSecond: number,
): void {
  const { ItemCount: items = 0, TableSizeBytes: bytes = 0 } = table;
  const found = { table: name, items, bytes, readUnitsPerSecond, reads: estimateOf(items, bytes, views, readUnitsPerSecond) };
  if (json) process.stdout.write(`${JSON.stringify(found, null, 2)}\n`);
  else printEstimate(found);
}

interface Prepared {
  readonly config: ReturnType<typeof backfillConfigOf>;
  readonly views: readonly View[];
  readonly client: DynamoDBClient;
  readonly table: Awaited<ReturnType<typeof followable>>;
  readonly location: DynamoDbLocation;
}

async function fill(options: BackfillOptions, { config, views, client, table, location }: Prepared): Promise<void> {
  const { TableArn: tableArn = '', TableId: tableId = '', KeySchema = [], LatestStreamArn: streamArn, ItemCount = 0 } = table;
  const names = [...new Set(views.map(viewName))].sort();
  const fresh = options.fresh === true;
  const place: BackfillPlace = { tableArn, tableId, cache: cacheId(config.cache), views: names, segments: options.segments, fresh };
  const path = options.checkpoint ?? join('.millrace', 'backfill', `${options.table}.json`);
  const file = await checkpointFile(path);
  const bar = progress(ItemCount);
  try {
    const saved = await file.load(place);
    const store = await openLetters(config.cache);
    const backend = await openReachableBackend(config.cache, options);
    let at: BackfillCheckpoint | undefined;
    let ended: readonly string[] = [];
    try {
      const living = await livingCache(backend, options);
      const { from, isResumed } = await beginning(saved, place, { living, views, path });
      at = from;
      // After a stop during the wait, the same command goes on with the lives that were started.
      file.save(from);
      const signal = stopSignal();
      if (living) await waitForLives(living, from.lives, signal);
      bar.update(from);
      at = await backfill({
        from,
        views,
        cache: living ?? backend,
        ...(living && { checkLives: () => checkLives(living, from.lives) }),
        table: scannedTable({
          client,
          arn: tableArn,
          keys: KeySchema.flatMap(({ AttributeName: name }) => name ?? []),
          budget: readBudget(config.readUnitsPerSecond),
        }),
        letters: store && itemLetters({ store, streamArn, at: new Date(from.begun) }),
        signal,
        lateCallsMs: config.cache.deadlineMs,
        isResumed,
        onCheckpoint(checkpoint) {
          at = checkpoint;
          file.save(checkpoint);
          bar.update(checkpoint);
        },
      });
    } catch (error) {
      bar.stop();
      if (!at) throw error;
      if (!(error instanceof LifeEndedError)) {
        await file.saved();
        throw new Error(`${explained(error as Error, location).message}. To go on from ${path}, run the same command again`, {
          cause: error,
        });
      }
      ended = error.views;
    } finally {
      bar.stop();
      await Promise.all([backend.close(), store?.close()]);
    }
    await end(file, at);
    const summary = summaryOf(at, options.table, views, { letters: store && lettersName(config.cache.letters), ended });
    if (options.json) process.stdout.write(`${JSON.stringify(summary, null, 2)}\n`);
    else printSummary(summary, `run the same command again; ${path} has the position`);
    if (!isAllDone(summary)) process.exitCode = 1;
  } finally {
    await file.release();
  }
}

interface Circumstances {
  /** Absent: the views have no lives. */
  readonly living: LivingCache | undefined;
  readonly views: readonly View[];
  readonly path: string;
}

/** Where the backfill begins, or goes on if the lives of the saved checkpoint have not ended. Starts the lives that are absent. */
async function beginning(
  saved: BackfillCheckpoint | undefined,
  place: BackfillPlace,
  { living, views, path }: Circumstances,
): Promise<{ readonly from: BackfillCheckpoint; readonly isResumed: boolean }> {
  const started = async (fresh: boolean): Promise<LifeIds> => (living ? idsOf(await living.start(views, { fresh })) : {});
  if (saved) {
    const lives = await started(false);
    const names = new Set([...Object.keys(lives), ...Object.keys(saved.lives)]);
    if ([...names].every((view) => lives[view] === saved.lives[view])) {
      const hint = saved.fresh ? ', with the lives that it started then' : '';
      process.stderr.write(`going on from ${path}, which began ${saved.begun}${hint}\n`);
      return { from: saved, isResumed: true };
    }
    process.stderr.write(`beginning again: lives that ${path} tells of have ended since ${saved.begun}\n`);
  }
  const lives = await started(place.fresh === true);
  return { from: begin({ ...place, survey: randomUUID(), begun: new Date().toISOString(), lives }), isResumed: false };
}

/** A backfill that has come to its end needs no position any more. */
async function end(file: CheckpointFile, at: BackfillCheckpoint): Promise<void> {
  if (at.pass === 'done') return await file.remove();
  file.save(at);
  await file.saved();
}
