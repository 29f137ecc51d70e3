import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { Command, InvalidArgumentError, Option } from 'commander';
import { openKeys } from '../../app.ts';
import { followable } from '../../dynamodb/followable.ts';
import { readBudget } from '../../dynamodb/read-budget.ts';
import { PROBES, type Probe, violationsIn } from '../../verify/counts.ts';
import { keyTypesOf } from '../../verify/keys.ts';
import type { VerifyReport } from '../../verify/report.ts';
import { verifiedTable } from '../../verify/table.ts';
import { sampledSegments, verification } from '../../verify/verify.ts';
import { type View, viewName } from '../../view.ts';
import { backfillConfigOf } from '../backfill/config.ts';
import { addCacheOptions, type CacheChoice, openReachableCache } from '../options/cache.ts';
import {
  addDynamoDbOptions,
  clientSettings,
  type DynamoDbChoice,
  type DynamoDbLocation,
  explained,
  locationOf,
  requireRegion,
} from '../options/dynamodb.ts';
import { noteLives } from '../options/lives.ts';
import { positive, wholeNumber } from '../options/numbers.ts';
import { addViewOption, chosenViews, type ViewChoice } from '../options/view.ts';
import { addViewsOption, areForeign, type ViewsChoice, viewsOf } from '../options/views.ts';
import { stopSignal } from '../stop-signal.ts';
import { followStream } from './follow.ts';
import { hasEvidence, printReport } from './print.ts';
import { progressLines } from './progress.ts';

interface VerifyOptions extends CacheChoice, DynamoDbChoice, ViewsChoice, ViewChoice {
  readonly table: string;
  readonly sample: number;
  readonly bound: number;
  readonly segments: number;
  readonly probe?: readonly Probe[];
  readonly for: number;
  readonly readUnits?: number;
  readonly repair?: true;
  readonly json?: true;
}

const DEFAULT_SEGMENTS = 8;
const DEFAULT_BOUND_S = 60;

const HELP = `
Compares what the cache serves with the table, while both are in use. It looks at the cache, then
reads the table with ConsistentRead. What differs is looked at again, up to the bound. It is wrong
only if the cache still has the same version and value then, and the table differs again: so a
change that is on its way is no violation. A miss claims nothing.

Three probes find addresses:
  table   from the items of a scan to the cache
  cache   from the keys of the cache to the table: finds what the table has no longer.
          Valkey and Redis only, because Momento lists no keys
  stream  from the changes that happen while the command runs, once the bound has passed

CONSISTENCY is 1 minus the highest share of wrong answers that the observations allow, with 95 %
confidence. So 300,000 observations without a violation show five nines, and few show little.

--repair settles what is wrong with what the table has, under a lease, so that the stream always
wins; and looks again.

AWS credentials and Region are those of the AWS CLI, and need dynamodb:DescribeTable, Scan,
BatchGetItem and Query on the table, and DescribeStream, GetShardIterator and GetRecords on its
stream. --backend or --url choose the cache by the options alone. Without them the environment
chooses it, as for the Lambda function.

Exit status: 0 if nothing is wrong. 1 if something is or was wrong, also if it is repaired; if there
is no evidence, because the cache claimed nothing; or if the command stopped early.

Examples:
  millrace verify --table orders --url valkeys://cache.example:6379 --views ./views.js
  millrace verify --table orders --sample 0.01 --read-units 1000
  millrace verify --table orders --probe stream --for 600 --json
  millrace verify --table orders --view detail@2 --repair`;

export function verifyCommand(): Command {
  const command = new Command('verify')
    .summary('compare the cache with the table')
    .description('Compares the cache with the table while both are in use, and says how consistent the cache is.')
    .requiredOption('--table <name>', 'table to read; its stream must be NEW_AND_OLD_IMAGES');
  return addDynamoDbOptions(addCacheOptions(addViewOption(addViewsOption(command))))
    .option('--sample <share>', 'part of the table, of the keys and of the changes: 0.01 for a hundredth', share, 1)
    .option('--bound <seconds>', 'how long the cache may lag behind the table, s', wholeNumber(1, 86_400), DEFAULT_BOUND_S)
    .addOption(
      new Option('--probe <name>', 'only this probe; may be repeated. Default: all three')
        .choices(PROBES)
        .argParser((name: string, names: readonly string[] = []) => {
          if (!PROBES.some((probe) => probe === name)) throw new InvalidArgumentError(`Allowed choices are ${PROBES.join(', ')}.`);
          return [...names, name];
        }),
    )
    .option('--for <seconds>', 'how long at least to follow the stream, s', wholeNumber(0, 86_400), 0)
    .option('--repair', 'settle what is wrong with what the table has, and look again')
    .option(
      '--segments <n>',
      'number of parts of the table, without --sample; 8 are read at the same time',
      wholeNumber(1, 1_000),
      DEFAULT_SEGMENTS,
    )
    .option('--read-units <n>', 'read units of the table to use per second. Default: READ_UNITS_PER_SECOND, else 500', positive)
    .option('--json', 'print one JSON document and nothing else on stdout')
    .addHelpText('after', HELP)
    .action(async (options: VerifyOptions) => {
      if (areForeign(options)) {
        throw new Error(
          'this is the installed package, whose views are those of its sample: give yours by --views ./views.js, a module that exports them',
        );
      }
      const views = chosenViews(await viewsOf(options), options);
      const location = locationOf(options);
      const client = new DynamoDBClient(clientSettings(location));
      try {
        await requireRegion(client);
        const { report, notes } = await run(options, views, client, location);
        if (options.json) process.stdout.write(`${JSON.stringify(report, null, 2)}\n`);
        else printReport(report, notes);
        if (report.status === 'interrupted' || !hasEvidence(report) || report.views.some((view) => violationsIn(view) > 0)) {
          process.exitCode = 1;
        }
      } finally {
        client.destroy();
      }
    });
}

async function run(
  options: VerifyOptions,
  views: readonly View[],
  client: DynamoDBClient,
  location: DynamoDbLocation,
): Promise<{ readonly report: VerifyReport; readonly notes: readonly string[] }> {
  const { sample, bound, segments: parts, probe: probes = PROBES, repair = false } = options;
  const config = backfillConfigOf(options);
  const found = await followable(client, options.table).catch((error) => Promise.reject(explained(error, location)));
  const { TableArn: arn = '', LatestStreamArn: streamArn, ItemCount: items = 0 } = found;
  const keyTypes = keyTypesOf(found);
  const cache = await openReachableCache(config.cache, options);
  const { segments, of } = sampledSegments(sample, items, parts);
  const lines = progressLines(segments.length);
  try {
    await noteLives(cache, views.map(viewName));
    const keys = openKeys(config.cache, cache, 'all');
    const verifying = verification({
      cache,
      table: verifiedTable({ client, arn, keys: Object.keys(keyTypes), budget: readBudget(config.readUnitsPerSecond) }),
      keyTypes,
      views,
      boundMs: bound * 1_000,
      probes,
      segments,
      of,
      sample,
      ...(keys && { keys }),
      followMs: options.for * 1_000,
      repairs: repair,
      signal: stopSignal(),
      onProgress: lines.update,
    });
    const following = probes.includes('stream') ? await followStream(clientSettings(location), streamArn, verifying.saw) : undefined;
    try {
      const findings = await verifying.run();
      const read = probes.includes('table') ? segments.length : 0;
      const report = findings.report({ table: options.table, segments: { read, of: probes.includes('table') ? of : 0 }, repairs: repair });
      const lists = probes.includes('cache') && !keys;
      return { report, notes: lists ? [`the probe cache gives no evidence: ${config.cache.backend} lists no keys`] : [] };
    } finally {
      lines.stop();
      await following?.stop();
    }
  } catch (error) {
    throw explained(error as Error, location);
  } finally {
    await cache.close();
  }
}

function share(text: string): number {
  const value = Number(text);
  if (/^[\d.]+(e-?\d+)?$/i.test(text) && value > 0 && value <= 1) return value;
  throw new InvalidArgumentError('Give a part of 1, such as 0.01.');
}
