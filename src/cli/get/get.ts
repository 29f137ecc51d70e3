import { Command } from 'commander';
import type { Lookup } from '../../cache.ts';
import { addCacheOptions, type CacheChoice, checkKey, lastingConfigOf, openReachableCache } from '../options/cache.ts';
import { noteLives } from '../options/lives.ts';
import { dim, stateText, text, versionText } from '../terminal.ts';

interface GetOptions extends CacheChoice {
  readonly json?: true;
}

/** What the cache knows of a document. */
type Document = Lookup & {
  readonly key: string;
  /** Whether a reader has taken a lease that it can settle. Absent where the backend does not tell. */
  readonly leased?: boolean;
};

const HELP = `
hit   the cache has the value, at the version of the change that made it
gone  the cache knows that there is no such item
miss  the cache does not know, and a reader asks the table

A lease is taken by a reader that fills the cache. Any write ends it. Momento does not tell leases.
The cache is chosen as in "millrace replay --help". Exit status: 0 if the cache answers, else 1.

Examples:
  millrace get detail@1:42 --url valkey://localhost:6379
  millrace get detail@1:42 admin@1:42 --json        from the cache that the environment chooses`;

export function getCommand(): Command {
  const command = new Command('get')
    .summary('print what the cache has for documents')
    .description('Prints state, version, lease and value of documents in the cache.')
    .argument('<keys...>', 'keys of documents, as keyOf makes them: VIEW@REVISION:KEY');
  return addCacheOptions(command)
    .option('--json', 'print one JSON array and nothing else')
    .addHelpText('after', HELP)
    .action(async (keys: readonly string[], options: GetOptions) => {
      const documents = await read(keys, options);
      process.stdout.write(options.json ? `${JSON.stringify(documents, null, 2)}\n` : `${documents.map(printed).join('\n\n')}\n`);
    });
}

async function read(keys: readonly string[], options: GetOptions): Promise<readonly Document[]> {
  const config = lastingConfigOf(options);
  for (const key of keys) checkKey(key, config.namespace);
  const cache = await openReachableCache(config, options);
  try {
    await noteLives(
      cache,
      keys.map((key) => key.split(':', 1)[0] as string),
    );
    const found: readonly Lookup<unknown>[] = await cache.getMany(keys);
    const leases = await cache.leased?.(keys);
    return found.map((lookup, i) => ({ key: keys[i] as string, ...lookup, ...(leases && { leased: leases[i] === true }) }));
  } finally {
    await cache.close();
  }
}

function printed(document: Document): string {
  const { key, type, leased } = document;
  const lease = leased === undefined ? 'this backend does not tell' : leased ? 'taken, and not settled yet' : 'none';
  return [
    text(key),
    `  ${dim('state  ')}  ${stateText(type)}${type === 'miss' ? ': ask the table' : ''}`,
    ...(type === 'miss' ? [] : [`  ${dim('version')}  ${versionText(document.version)}`]),
    `  ${dim('lease  ')}  ${lease}`,
    ...(type === 'hit' ? [`  ${dim('value  ')}  ${text(JSON.stringify(document.value))}`] : []),
  ].join('\n');
}
