import { once } from 'node:events';
import { Command } from 'commander';
import { evictionOf } from '../../app.ts';
import { memoryLetters } from '../../playground/memory-letters.ts';
import { memoryTable } from '../../playground/memory-table.ts';
import { startPlayground } from '../../playground/playground.ts';
import { addCacheOptions, type CacheChoice, configOf, openReachableCache } from '../options/cache.ts';
import { wholeNumber } from '../options/numbers.ts';
import { addViewsOption, type ViewsChoice, viewsOf } from '../options/views.ts';
import { stopSignal } from '../stop-signal.ts';
import { openInBrowser } from './browser.ts';

interface PlaygroundOptions extends CacheChoice, ViewsChoice {
  readonly port?: number;
  readonly demo?: true;
  readonly browser: boolean;
}

/** Entries of the playground do not mix with those of a worker. */
const NAMESPACE = 'millrace-playground';
/** Small, so that a list which is stored as one value soon becomes too large, bytes. */
const MAX_VALUE_BYTES = 32_768;

const HELP = `
The table and its stream are in this process, so neither Java nor Docker is needed. The worker is
the code of the Lambda function, behind an emulated event source mapping. The page is served to
this machine only, and loads nothing from elsewhere.

With --url the cache is a Valkey server. All keys of the namespace are removed at the start, so
the name of the namespace must begin with its default, ${NAMESPACE}.
To watch a table of your own, use "millrace dev --open".

Examples:
  millrace playground                                 the sample's shop, its cache in memory
  millrace playground --demo                          ... with a story of two minutes
  millrace playground --url valkey://localhost:6379   ... in Valkey
  millrace playground --views ./views.js              with views of your own`;

export function playgroundCommand(): Command {
  const command = new Command('playground')
    .summary('watch and trouble a table, its stream and its cache, in a browser')
    .description('Serves a page that shows a table, its stream and its cache, and that makes trouble.')
    .option('--demo', 'play the story, with captions')
    .option('--port <number>', 'port of the page. Default: a free port', wholeNumber(1, 65_535))
    .option('--no-browser', 'print the address of the page, and open no browser');
  return addCacheOptions(addViewsOption(command))
    .addHelpText('after', HELP)
    .action((options: PlaygroundOptions) => play(options, stopSignal()));
}

async function play(options: PlaygroundOptions, stopped: AbortSignal): Promise<void> {
  const { backend, url, namespace = NAMESPACE } = options;
  if (!namespace.startsWith(NAMESPACE)) {
    throw new Error(
      `--namespace is "${namespace}", and the playground removes all keys of its namespace: give one that begins with ${NAMESPACE}`,
    );
  }
  // The cache of the environment is that of a worker.
  const choice = url === undefined ? { backend: backend ?? 'memory' } : { ...options, namespace };
  const config = { ...configOf(choice), maxValueBytes: MAX_VALUE_BYTES };
  const views = await viewsOf(options);
  const cache = await openReachableCache(config, choice, { views, waitMs: 0 });
  try {
    const evict = evictionOf(config, cache);
    await evict();
    const table = memoryTable({ name: 'pizza-shop', keys: ['pk', 'sk'] });
    const playground = await startPlayground({
      views,
      isSample: options.views === undefined,
      cache,
      cacheName: config.backend,
      evict,
      maxValueBytes: MAX_VALUE_BYTES,
      table,
      stream: table.stream,
      streamArn: table.stream.arn,
      isOrdered: true,
      watch: table.watch,
      letters: memoryLetters(),
      port: options.port,
      seed: true,
      demo: options.demo === true,
    });
    process.stdout.write(`The playground is at ${playground.url}\nCtrl-C ends the command.\n`);
    if (options.browser) openInBrowser(playground.url);
    try {
      await Promise.race([stopped.aborted || once(stopped, 'abort'), playground.world.finished]);
    } finally {
      await playground.close();
    }
  } finally {
    await cache.close();
  }
}
