import { Command, Option } from 'commander';
import type { Page } from '../../cache.ts';
import { addCacheOptions, type CacheChoice, checkKey, lastingConfigOf, openReachableCache } from '../options/cache.ts';
import { noteLives } from '../options/lives.ts';
import { positive } from '../options/numbers.ts';
import { count, dim, paint, text, versionText } from '../terminal.ts';

interface ListOptions extends CacheChoice {
  readonly limit: number;
  readonly after?: string;
  readonly order: 'asc' | 'desc';
  readonly json?: true;
}

const HELP = `
A page is complete if no member of its range can be missing. Otherwise a reader asks the table. A
list is complete nowhere before a reader has filled it from the table. No cache stores the leases
of a list: the first lease that is settled ends the others.

The cache is chosen as in "millrace replay --help". Exit status: 0 if the cache answers, else 1.

Examples:
  millrace list orders@1:all --url valkey://localhost:6379
  millrace list orders@1:all --limit 5 --json       from the cache that the environment chooses`;

export function listCommand(): Command {
  const command = new Command('list')
    .summary('print a page of a list in the cache')
    .description('Prints completeness, members, scores and versions of a page of a list in the cache, greatest score first.')
    .argument('<key>', 'key of the list, as keyOf makes it: VIEW@REVISION:LIST')
    .option('--limit <n>', 'largest number of members', positive, 20)
    .option('--after <cursor>', 'the cursor of the previous page. Default: the first page')
    .addOption(new Option('--order <order>', 'greatest score first, or least').choices(['desc', 'asc']).default('desc'));
  return addCacheOptions(command)
    .option('--json', 'print one JSON document and nothing else')
    .addHelpText('after', HELP)
    .action(async (key: string, options: ListOptions) => {
      const page = await read(key, options);
      process.stdout.write(options.json ? `${JSON.stringify({ key, ...page }, null, 2)}\n` : `${printed(key, page)}\n`);
    });
}

async function read(key: string, options: ListOptions): Promise<Page<unknown>> {
  const { limit, after, order } = options;
  const config = lastingConfigOf(options);
  checkKey(key, config.namespace);
  const cache = await openReachableCache(config, options);
  try {
    await noteLives(cache, [key.split(':', 1)[0] as string]);
    return await cache.list(key, { limit, order, ...(after !== undefined && { after }) });
  } finally {
    await cache.close();
  }
}

function printed(key: string, { members, complete, cursor }: Page<unknown>): string {
  const completeness = complete ? paint('green', 'yes') : `${paint('yellow', 'no')}: members may be missing, so ask the table`;
  return [
    text(key),
    `  ${dim('complete')}  ${completeness}`,
    `  ${dim('lease   ')}  not stored: the first lease that is settled ends the others`,
    `  ${dim('members ')}  ${count(members.length, 'member')}${cursor === undefined ? '' : `; the next page: --after ${cursor}`}`,
    ...members.flatMap(({ member, score, version, value }) => [
      '',
      `${score}  ${text(member)}`,
      `  ${dim('version')}  ${versionText(version)}`,
      `  ${dim('value  ')}  ${text(JSON.stringify(value))}`,
    ]),
  ].join('\n');
}
