import { Command } from 'commander';
import { viewName } from '../../view.ts';
import { addCacheOptions, type CacheChoice, configOf, openReachableCache } from '../options/cache.ts';
import { noteLives } from '../options/lives.ts';
import { addViewsOption, type ViewsChoice, viewsOf } from '../options/views.ts';
import { count, quietLogger, stderrLogger } from '../terminal.ts';
import { playback } from './playback.ts';
import { printReplay } from './print.ts';
import type { RecordResult, Replay, ReplayedFile } from './result.ts';
import { readSavedEvents } from './saved-events.ts';

interface ReplayOptions extends CacheChoice, ViewsChoice {
  readonly json?: true;
  readonly all?: true;
  readonly verbose?: true;
}

const HELP = `
The files are replayed into one cache in the order given, those of a folder by name. A history may
span several files. A file has events as Lambda passes them to the function, single records, or
arrays of these: one, or one a line (JSON lines). Log lines of Powertools or others that contain an
event are taken too; other lines of a log are skipped.

The memory cache starts empty and ends with the command. A Valkey or Momento cache keeps its
entries: a record that is older than the entry in the cache is "stale". Where a worker keeps views
up to date, a change of a view that nobody can read yet is "skipped".

--backend or --url choose the cache by the options alone. Without them the environment chooses it,
as for the Lambda function: CACHE_BACKEND (default: memory), CACHE_URL, CACHE_CLUSTER,
CACHE_NAMESPACE. Momento can be chosen by the environment only: MOMENTO_CACHE_NAME,
MOMENTO_SECRET_ID and the other variables. Give a password in CACHE_URL rather than in --url,
because "ps" shows the command line.

Exit status: 0 if no record failed or was set aside unexpectedly, else 1. A record fails if the
cache gives no answer. It is set aside if it is poison, or if the cache rejects its value. That is
expected if expected/NAME.json beside NAME.json has the same cause for this record.

Examples:
  millrace replay events                            every file of the folder
  millrace replay events/insert.json --json         output for machines
  millrace replay monday.json tuesday.json          a history, in order
  millrace replay events --url valkey://localhost:6379`;

export function replayCommand(): Command {
  const command = new Command('replay')
    .summary('run saved stream events through the handler, and show what they did')
    .description(
      'Runs saved DynamoDB stream events through the code of the Lambda handler, and shows what each record did and the resulting views.',
    )
    .argument('<paths...>', 'files of events or records, or folders of such files');
  return addCacheOptions(addViewsOption(command))
    .option('--json', 'print one JSON document and nothing else')
    .option('--all', 'print every row of the tables')
    .option('--verbose', "print the handler's log lines on stderr")
    .addHelpText('after', HELP)
    .action(async (paths: readonly string[], options: ReplayOptions) => {
      const replay = await run(paths, options);
      if (options.json) process.stdout.write(`${JSON.stringify(replay, null, 2)}\n`);
      else printReplay(replay, options.all === true);
      if (replay.unexpected > 0) process.exitCode = 1;
    });
}

async function run(paths: readonly string[], options: ReplayOptions): Promise<Replay> {
  const saved = await readSavedEvents(paths);
  const config = configOf(options);
  const views = await viewsOf(options);
  const cache = await openReachableCache(config, options);
  await noteLives(cache, views.map(viewName));
  try {
    const { play, entries } = playback(cache, views, options.verbose ? stderrLogger : quietLogger);
    const files: ReplayedFile[] = [];
    // One after another, like the batches of one shard.
    for (const { file, event, expected, skipped } of saved) {
      if (skipped > 0) process.stderr.write(`${file}: skipped ${count(skipped, 'log line')} without an event\n`);
      const played = await play(event);
      files.push({ file, ...played, unexpected: played.records.map((record, i) => isUnexpected(record, expected?.[i])) });
    }
    const unexpected = files.flatMap((file) => file.unexpected).filter(Boolean).length;
    return { backend: config.backend, files, views: await entries(), unexpected };
  } finally {
    await cache.close();
  }
}

function isUnexpected({ status, setAside }: RecordResult, expected: RecordResult | undefined): boolean {
  if (status === 'failed') return true;
  return setAside.length > 0 && causesOf(setAside) !== causesOf(expected?.setAside);
}

function causesOf(setAside: RecordResult['setAside'] = []): string {
  return JSON.stringify(setAside.map(({ stage, view, address }) => [stage, view, address]));
}
