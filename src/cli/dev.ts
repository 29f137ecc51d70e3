import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { join } from 'node:path';
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { Command, InvalidArgumentError } from 'commander';
import { openCache, openLetters, views } from '../app.ts';
import type { Config } from '../config.ts';
import { streamHandler } from '../handlers/stream-handler.ts';
import { parsePlace } from '../letters/place.ts';
import {
  eventSourceMapping,
  fileCheckpoints,
  type LambdaHandler,
  memoryCheckpoints,
  type StreamsClient,
  sdkStreamReader,
} from '../sources/mapping/index.ts';
import { addCacheOptions, type CacheChoice, configOf } from './cache-choice.ts';
import { type ChangeLines, changeLines } from './change-lines.ts';
import { startDynamoDbLocal } from './dynamodb-local.ts';
import { SAMPLE_TABLE, streamOf } from './followed-table.ts';
import { quietLogger, stderrLogger } from './loggers.ts';

interface DevOptions extends CacheChoice {
  readonly table?: string;
  readonly endpoint?: string;
  readonly port?: number;
  readonly region?: string;
  readonly accessKey: string;
  readonly batchSize: number;
  readonly parallelizationFactor: number;
  readonly batchingWindow: number;
  readonly retries: number;
  readonly state: string;
  readonly deadLetters?: string;
  readonly json?: true;
  readonly verbose?: true;
}

/** As the template's function has it, ms. */
const FUNCTION_TIMEOUT_MS = 30_000;

const HELP = `
With no options: DynamoDB Local is started with the sample's table, and ended with this command.
--endpoint takes a DynamoDB Local that runs already (the sample's table is made if it is not
there); --table alone takes a table of AWS, by the credentials of your environment.

The stream is followed as Lambda's event source mapping would: shard by shard, in order per item,
retried until the records expire, bisected on errors. Where it is, is kept in the folder of
--state, so that a killed worker goes on where it was; with the memory cache it begins anew, for
that cache is empty then. Dead letters go there too, unless DEAD_LETTERS or --dead-letters says
otherwise; "millrace redrive" takes them up.

The cache is chosen as in "millrace replay --help".

Examples:
  millrace dev                                      a table to write to, and its cache in memory
  millrace dev --url valkey://localhost:6379        ... and in Valkey
  millrace dev --endpoint http://localhost:8000 --table orders --url valkey://localhost:6379`;

export function devCommand(): Command {
  const number = (name: string, least: number, most: number) => (text: string) => {
    const value = Number(text);
    if (Number.isInteger(value) && value >= least && value <= most) return value;
    throw new InvalidArgumentError(`${name} is a whole number from ${least} to ${most}.`);
  };
  return addCacheOptions(
    new Command('dev')
      .summary("follow a table's stream into a cache, on this machine")
      .description("Follows a table's stream into a cache, by the very code of the Lambda function, and prints each change as it happens.")
      .option('--table <name>', `the table to follow; with DynamoDB Local, ${SAMPLE_TABLE} unless told otherwise`)
      .option('--endpoint <url>', 'where DynamoDB Local runs already: http://HOST:PORT')
      .option('--port <number>', 'of the DynamoDB Local that is started; a free one unless told otherwise', number('It', 1, 65_535))
      .option('--region <name>', "of the table; with DynamoDB Local us-east-1, else your environment's, unless told otherwise")
      .option('--access-key <id>', 'DynamoDB Local keeps tables apart by it (unless -sharedDb)', 'local'),
  )
    .option('--batch-size <number>', 'most records of one invocation', number('It', 1, 10_000), 1)
    .option('--parallelization-factor <number>', 'batches of one shard at a time', number('It', 1, 10), 1)
    .option('--batching-window <seconds>', 'longest wait for a batch to fill', number('It', 0, 300), 0)
    .option('--retries <number>', 'of a batch that fails; -1: until its records expire', number('It', -1, 10_000), -1)
    .option('--state <folder>', 'where checkpoints and dead letters are kept', '.millrace')
    .option('--dead-letters <place>', 's3://BUCKET[/PREFIX], or a folder')
    .option('--json', 'print one JSON object a line')
    .option('--verbose', "print the handler's log lines on stderr")
    .helpOption('-h, --help', 'print this help')
    .addHelpText('after', HELP)
    .action(async (options: DevOptions) => {
      const stopped = new AbortController();
      const stop = () => stopped.abort();
      process.once('SIGINT', stop).once('SIGTERM', stop);
      await follow(options, stopped.signal, changeLines(options.json === true));
    });
}

/** Until the signal is aborted; then what was begun is finished. */
async function follow(options: DevOptions, stopped: AbortSignal, lines: ChangeLines): Promise<void> {
  if (options.port !== undefined && (options.endpoint !== undefined || options.table !== undefined)) {
    throw new Error('--port goes with a DynamoDB Local that is started here: leave out --endpoint and --table');
  }
  const config = configOf(options);
  const starts = options.endpoint === undefined && options.table === undefined;
  const local = starts ? await startDynamoDbLocal(options.port) : undefined;
  const endpoint = local?.endpoint ?? options.endpoint;
  const settings = endpoint
    ? { endpoint, region: options.region ?? 'us-east-1', credentials: { accessKeyId: options.accessKey, secretAccessKey: 'local' } }
    : { ...(options.region && { region: options.region }) };
  const dynamodb = new DynamoDBClient(settings);
  const streams = await streamsClient(settings);
  try {
    const table = options.table ?? SAMPLE_TABLE;
    const streamArn = await streamOf(dynamodb, table, options.table === undefined);
    const place = options.deadLetters ?? (config.letters ? undefined : join(options.state, 'letters'));
    const letters = await openLetters(place ? { ...config, letters: parsePlace(place) } : config);
    const cache = await openCache(config);
    const handler = streamHandler({
      views,
      cache,
      letters,
      marginMs: config.deadlineMs + 500,
      poisonRunLimit: config.poisonRunLimit,
      retention: { warnMs: config.retentionWarningMs },
      logger: options.verbose ? stderrLogger : quietLogger,
      onReport: lines.report,
    });
    const mapping = eventSourceMapping({
      reader: sdkStreamReader({ client: streams, streamArn }),
      handler: handler as LambdaHandler,
      batchSize: options.batchSize,
      parallelizationFactor: options.parallelizationFactor,
      maximumBatchingWindowInSeconds: options.batchingWindow,
      maximumRetryAttempts: options.retries,
      bisectBatchOnFunctionError: true,
      functionResponseTypes: ['ReportBatchItemFailures'],
      functionTimeoutMs: FUNCTION_TIMEOUT_MS,
      functionName: 'millrace-dev',
      checkpoints: config.backend === 'memory' ? memoryCheckpoints() : fileCheckpoints(checkpointsPath(options.state, streamArn, config)),
      ...(letters && { onFailure: letters }),
      onEvent: lines.event,
    });
    await mapping.start();
    lines.say(banner(table, endpoint, config.backend, options));
    await Promise.race([stopped.aborted || once(stopped, 'abort'), mapping.finished]);
    await mapping.stop();
    await cache.close();
    await letters?.close();
  } finally {
    dynamodb.destroy();
    (streams as { destroy?(): void }).destroy?.();
    await local?.close();
  }
}

/** One file for one stream into one cache: another cache is to be filled from the stream's beginning. */
function checkpointsPath(state: string, streamArn: string, config: Config): string {
  const cache = config.backend === 'valkey' ? config.url : config.backend === 'momento' ? config.cacheName : '';
  const name = createHash('sha256')
    .update(JSON.stringify([streamArn, config.backend, cache, config.namespace]))
    .digest('hex')
    .slice(0, 16);
  return join(state, 'checkpoints', `${name}.json`);
}

async function streamsClient(settings: object): Promise<StreamsClient> {
  try {
    const { DynamoDBStreamsClient } = await import('@aws-sdk/client-dynamodb-streams');
    return new DynamoDBStreamsClient(settings) as unknown as StreamsClient;
  } catch (error) {
    if ((error as { code?: unknown }).code !== 'ERR_MODULE_NOT_FOUND') throw error;
    throw new Error('millrace dev needs a package that is not installed: npm install --save-dev @aws-sdk/client-dynamodb-streams', {
      cause: error,
    });
  }
}

function banner(table: string, endpoint: string | undefined, backend: string, { accessKey, region }: DevOptions): string {
  const at = endpoint ? ` at ${endpoint}` : '';
  const order = JSON.stringify({
    pk: { S: 'order#1' },
    sk: { S: 'order' },
    id: { S: '1' },
    createdAt: { S: '2026-01-31T18:00:00Z' },
    status: { S: 'placed' },
    numItems: { N: '0' },
    items: { L: [] },
    creator: { S: 'ada' },
  });
  const example = endpoint
    ? [
        'Write to it from another shell, say:',
        `  AWS_ACCESS_KEY_ID=${accessKey} AWS_SECRET_ACCESS_KEY=local aws dynamodb put-item --region ${region ?? 'us-east-1'} --endpoint-url ${endpoint} \\`,
        `    --table-name ${table} --item '${order}'`,
      ]
    : [];
  return [`Following table ${table}${at} into the ${backend} cache. Ctrl-C ends it.`, ...example, ''].join('\n');
}
