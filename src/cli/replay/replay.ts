import { Command } from 'commander';
import { openCache } from '../../app.ts';
import type { Config } from '../../config/worker.ts';
import { quietLogger, stderrLogger } from '../loggers.ts';
import { addCacheOptions, type CacheChoice, configOf } from '../options/cache.ts';
import { type Entries, type Played, playback, type RecordResult } from './playback.ts';
import { printReplay } from './print.ts';
import { readSavedEvents } from './saved-events.ts';

interface ReplayOptions extends CacheChoice {
  readonly json?: true;
  readonly all?: true;
  readonly verbose?: true;
}

/** What a replay did; with `--json`, this is what is printed. */
export interface Replay {
  readonly backend: Config['backend'];
  readonly files: readonly ReplayedFile[];
  /** What the cache then holds at the addresses that the records touched. */
  readonly views: Entries;
  /** Records that failed, or were set aside without the file's expectation saying so. */
  readonly unexpected: number;
}

export interface ReplayedFile extends Played {
  readonly file: string;
  /** One flag a record: it failed, or was set aside without the file's expectation saying so. */
  readonly unexpected: readonly boolean[];
}

const HELP = `
The files are replayed in the order given, those of a folder by name, into one cache: a history
may span several files.

The memory cache starts empty and ends with the run. A Valkey or Momento cache keeps what it
holds, and what is newer there than a record stays: the record is then "stale". With --backend or
--url the cache is chosen by the options alone; without them by the environment, as the Lambda
function does: CACHE_BACKEND (memory unless set), CACHE_URL, CACHE_CLUSTER, CACHE_NAMESPACE; for
Momento, which is chosen there only, MOMENTO_CACHE_NAME, MOMENTO_SECRET_ID and the rest.
A password is safer in CACHE_URL than in --url, where "ps" shows it.

Exit status: 0 if all went well. 1 if a record failed, since the cache did not answer, or was set
aside (poison, or rejected by the cache) unexpectedly. It is expected if expected/NAME.json beside
NAME.json records the same cause for that record.

Examples:
  millrace replay events                            every file of the folder
  millrace replay events/insert.json --json         for machines
  millrace replay monday.json tuesday.json          a history, in order
  millrace replay events --url valkey://localhost:6379`;

export function replayCommand(): Command {
  return addCacheOptions(
    new Command('replay')
      .summary('run saved stream events through the handler, and show what they did')
      .description(
        'Runs saved DynamoDB stream events through the very code of the Lambda handler, and shows what each record did and the views that result.',
      )
      .argument('<paths...>', 'event files, or folders of them'),
  )
    .option('--json', 'print one JSON document, and nothing else')
    .option('--all', 'print every row of the tables')
    .option('--verbose', "print the handler's log lines on stderr")
    .helpOption('-h, --help', 'print this help')
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
  const cache = await openCache(config);
  try {
    const { play, entries } = playback(cache, options.verbose ? stderrLogger : quietLogger);
    const files: ReplayedFile[] = [];
    // One after another, as batches of one shard are.
    for (const { file, event, expected } of saved) {
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
