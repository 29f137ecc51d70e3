import { once } from 'node:events';
import { join } from 'node:path';
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { Command } from 'commander';
import { evictionOf, openLetters } from '../../app.ts';
import type { CacheClient } from '../../cache.ts';
import type { Config } from '../../config/worker.ts';
import {
  type Checkpoint,
  type EventSourceMapping,
  eventSourceMapping,
  fileCheckpoints,
  type LambdaHandler,
  memoryCheckpoints,
  sdkStreamReader,
} from '../../event-source-mapping/index.ts';
import { streamHandler } from '../../handlers/stream-handler.ts';
import { type LettersPlace, parseLettersPlace } from '../../letters/place.ts';
import { memoryLetters } from '../../playground/memory-letters.ts';
import { startPlayground } from '../../playground/playground.ts';
import { type View, viewName } from '../../view.ts';
import { addCacheOptions, type CacheChoice, configOf, openReachableCache } from '../options/cache.ts';
import {
  addDynamoDbOptions,
  clientSettings,
  type DynamoDbChoice,
  type DynamoDbLocation,
  explained,
  locationOf,
  requireRegion,
} from '../options/dynamodb.ts';
import { lettersName, placeOf } from '../options/letters.ts';
import { wholeNumber } from '../options/numbers.ts';
import { addViewsOption, type ViewsChoice, viewsOf } from '../options/views.ts';
import { openInBrowser } from '../playground/browser.ts';
import { stopSignal } from '../stop-signal.ts';
import { quietLogger, stderrLogger } from '../terminal.ts';
import { changeLines } from './change-lines.ts';
import { type DynamoDbLocal, startDynamoDbLocal } from './dynamodb-local.ts';
import { SAMPLE_TABLE, streamOf } from './followed-table.ts';
import { outageLines } from './outage-lines.ts';
import { checkpointsPath, makeStateFolder } from './state-folder.ts';

interface DevOptions extends CacheChoice, DynamoDbChoice, ViewsChoice {
  readonly table?: string;
  readonly port?: number;
  readonly batchSize: number;
  readonly parallelizationFactor: number;
  readonly batchingWindow: number;
  readonly retries: number;
  readonly state: string;
  readonly deadLetters?: string;
  readonly json?: true;
  readonly show?: true;
  readonly verbose?: true;
  readonly open?: true;
}

/** The timeout of the template's function, ms. */
const FUNCTION_TIMEOUT_MS = 30_000;

const HELP = `
Without options the command starts DynamoDB Local with the sample's table, and ends it together
with itself, even if it is killed.
--endpoint uses a running DynamoDB Local, and creates the sample's table there if it is absent.
--table alone follows a table of AWS, with the credentials of your environment.

The stream is followed like Lambda's event source mapping does: shard by shard, in order per item,
with retries until the records expire, and with bisection on errors. The folder of --state stores
the position, so that a killed worker continues there. With the memory cache the worker starts at
the beginning of the stream, because that cache is empty. Dead letters go to the same folder,
unless DEAD_LETTERS or --dead-letters names another place. "millrace redrive" takes them up.

The cache is chosen as in "millrace replay --help".

Examples:
  millrace dev                                      a table to write to, and its cache in memory
  millrace dev --open                               ... and a page that shows both
  millrace dev --url valkey://localhost:6379        ... and in Valkey
  millrace dev --endpoint http://localhost:8000 --table orders --url valkey://localhost:6379`;

export function devCommand(): Command {
  const command = addDynamoDbOptions(
    new Command('dev')
      .summary("follow a table's stream into a cache, on this machine")
      .description("Follows a table's stream into a cache, by the code of the Lambda function, and prints each change as it happens.")
      .option('--table <name>', `table to follow. Default: ${SAMPLE_TABLE}, in DynamoDB Local`)
      .option('--port <number>', 'port of the DynamoDB Local that this command starts. Default: a free port', wholeNumber(1, 65_535)),
  );
  return addCacheOptions(addViewsOption(command))
    .option('--batch-size <number>', 'largest number of records in one invocation', wholeNumber(1, 10_000), 1)
    .option('--parallelization-factor <number>', 'number of concurrent batches of one shard', wholeNumber(1, 10), 1)
    .option('--batching-window <seconds>', 'longest wait for a batch to fill, s', wholeNumber(0, 300), 0)
    .option('--retries <number>', 'retries of a failing batch; -1: until its records expire', wholeNumber(-1, 10_000), -1)
    .option('--state <folder>', 'folder for checkpoints and dead letters', '.millrace')
    .option('--dead-letters <place>', 'place of dead letters: s3://BUCKET[/PREFIX], or a folder. Default: DEAD_LETTERS, else in --state')
    .option('--json', 'print one JSON object a line')
    .option('--show', 'print the keys and values that each change writes to the cache')
    .option('--open', 'serve a page that shows the table, its stream and the cache, and open it in a browser')
    .option('--verbose', "print the handler's log lines on stderr")
    .addHelpText('after', HELP)
    .action((options: DevOptions) => follow(options, stopSignal()));
}

/** What `follow` prepares. */
interface Prepared {
  readonly config: Config;
  readonly cache: CacheClient;
  readonly views: readonly View[];
  readonly place: LettersPlace;
  readonly location: DynamoDbLocation;
}

/** Follows the stream until the signal is aborted, then finishes the work in progress. */
async function follow(options: DevOptions, stopped: AbortSignal): Promise<void> {
  if (options.port !== undefined && (options.endpoint !== undefined || options.table !== undefined)) {
    throw new Error('--port is for a DynamoDB Local that this command starts: omit --endpoint and --table');
  }
  const config = configOf(options);
  const given = options.deadLetters === undefined ? config.letters : placeOf(options.deadLetters);
  const place = given ?? parseLettersPlace(join(options.state, 'letters'));
  const views = await viewsOf(options);
  const cache = await openReachableCache(config, options, { views, waitMs: 0 });
  let local: DynamoDbLocal | undefined;
  try {
    await makeStateFolder(options.state);
    if (options.endpoint === undefined && options.table === undefined) local = await startDynamoDbLocal(options.port);
    const location = locationOf({ ...options, ...(local && { endpoint: local.endpoint }) });
    await followTable(options, { config, cache, views, place, location }, stopped);
  } finally {
    await cache.close();
    await local?.close();
  }
}

async function followTable(options: DevOptions, { config, cache, views, place, location }: Prepared, stopped: AbortSignal): Promise<void> {
  const lines = changeLines({
    json: options.json === true,
    lag: location.where === 'aws',
    show: options.show === true,
    letters: place,
  });
  const settings = clientSettings(location);
  const dynamodb = new DynamoDBClient(settings);
  const { DynamoDBStreamsClient } = await import('@aws-sdk/client-dynamodb-streams');
  const streams = new DynamoDBStreamsClient(settings);
  try {
    const table = options.table ?? SAMPLE_TABLE;
    await requireRegion(dynamodb);
    const { streamArn, keys } = await streamOf(dynamodb, table, options.table === undefined).catch((error) => {
      throw explained(error, location);
    });
    const letters = await openLetters({ ...config, letters: place });
    const [ofCache, ofLetters] = [outageLines(lines, 'cache'), outageLines(lines, 'letters')];
    const file = config.backend === 'memory' ? undefined : checkpointsPath(options.state, streamArn, config);
    const checkpoints = file === undefined ? memoryCheckpoints() : fileCheckpoints(file);
    const resumedAt = newestOf(await checkpoints.load());
    const handling = {
      marginMs: config.deadlineMs + 500,
      poisonRunLimit: config.poisonRunLimit,
      retention: { warnMs: config.retentionWarningMs },
      logger: options.verbose ? stderrLogger : quietLogger,
    };
    const source = {
      batchSize: options.batchSize,
      parallelizationFactor: options.parallelizationFactor,
      maximumBatchingWindowInSeconds: options.batchingWindow,
      maximumRetryAttempts: options.retries,
      functionTimeoutMs: FUNCTION_TIMEOUT_MS,
      functionName: 'millrace-dev',
      ...(letters && { onFailure: letters }),
    };
    const stream = sdkStreamReader({ client: streams, streamArn });
    const watched = letters && { ...letters, put: (name: string, text: string) => ofLetters(() => letters.put(name, text)) };
    let worker: Pick<EventSourceMapping, 'stop' | 'finished'>;
    if (options.open) {
      const { url, world, close } = await startPlayground({
        views,
        isSample: options.views === undefined,
        isRemote: location.where === 'aws',
        cache,
        cacheName: config.backend,
        evict: evictionOf(config, cache),
        table: { client: dynamodb, name: table, keys },
        stream,
        streamArn,
        letters: watched ?? memoryLetters(),
        checkpoints,
        handler: handling,
        mapping: source,
        around: ofCache,
        onWrote: lines.wrote,
        onReport: lines.report,
        onEvent: lines.event,
      });
      if (!options.json) process.stdout.write(`The playground is at ${url}\n`);
      openInBrowser(url);
      worker = { stop: close, finished: world.finished };
    } else {
      const handler = streamHandler({
        ...handling,
        views,
        cache: {
          async apply(mutations) {
            const outcomes = await ofCache(() => cache.apply(mutations));
            lines.wrote(mutations, outcomes);
            return outcomes;
          },
        },
        ...(watched && { letters: watched }),
        onReport: lines.report,
      });
      const mapping = eventSourceMapping({
        ...source,
        reader: stream,
        handler: handler as LambdaHandler,
        bisectBatchOnFunctionError: true,
        functionResponseTypes: ['ReportBatchItemFailures'],
        checkpoints,
        onEvent: lines.event,
      });
      await mapping.start();
      worker = mapping;
    }
    lines.following({
      table,
      streamArn,
      location,
      backend: config.backend,
      views: views.map(viewName),
      isSample: options.views === undefined,
      letters: lettersName(place),
      ...(file !== undefined && resumedAt !== undefined && { checkpoint: { file, at: new Date(resumedAt).toISOString() } }),
    });
    await Promise.race([stopped.aborted || once(stopped, 'abort'), worker.finished]);
    await worker.stop();
    await letters?.close();
  } finally {
    dynamodb.destroy();
    streams.destroy();
  }
}

/** When the newest position was saved, ms since the epoch. `undefined`: no shard was read yet. */
function newestOf(checkpoints: ReadonlyMap<string, Checkpoint>): number | undefined {
  const times = [...checkpoints.values()].filter(({ type }) => type !== 'start').map(({ at }) => at);
  return times.length > 0 ? Math.max(...times) : undefined;
}
