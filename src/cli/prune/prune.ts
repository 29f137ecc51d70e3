import cliProgress from 'cli-progress';
import { Command } from 'commander';
import { openSweep, type Swept } from '../../app.ts';
import type { Config } from '../../config/worker.ts';
import { type Life, REGISTER_KEY } from '../../lives/register.ts';
import { addCacheOptions, type CacheChoice, type CommandCache, lastingConfigOf, openReachableCache } from '../options/cache.ts';
import { stopSignal } from '../stop-signal.ts';
import { count, dim, type Row, table, tableWidth } from '../terminal.ts';

interface PruneOptions extends CacheChoice {
  readonly dryRun?: true;
  readonly everything?: true;
  readonly json?: true;
}

/** The counts of one view and life, in keys of the server. */
interface Owner {
  /** `detail@1.k3f9x0a1b2`, or `detail@1` of a cache without lives. */
  readonly name: string;
  readonly live: boolean;
  readonly keys: number;
}

interface Pruned {
  readonly namespace: string;
  readonly dryRun: boolean;
  readonly owners: readonly Owner[];
  readonly swept: Swept;
  readonly stopped: boolean;
}

const HELP = `
The register of lives says which views the deployed workers contain, and in which life. Keys of
other revisions and of ended lives serve nobody. The command finds them in small steps (SCAN), and
removes them (UNLINK), while workers and readers go on. Keys of other programs stay.

A view that is rolled back or switched off loses its life at the next question of a worker, at most
a minute later. Its keys then count as unused.

With --everything, all keys of the namespace that Millrace wrote are removed: for a namespace that
no worker uses any more. The namespace of a worker that runs becomes cold.

Momento lists no keys: there unused entries expire, after their time to live.
The cache is chosen as in "millrace replay --help". Exit status: 0 if the command went through all
keys, else 1.

Examples:
  millrace prune --url valkey://localhost:6379 --dry-run       what would be removed
  millrace prune --url valkey://localhost:6379
  millrace prune --url valkey://localhost:6379 --namespace shop-2025 --everything`;

export function pruneCommand(): Command {
  const command = new Command('prune')
    .summary('remove keys of views that no worker contains')
    .description('Removes from Valkey or Redis the keys that no live view owns: those of old revisions, ended lives and old namespaces.');
  return addCacheOptions(command)
    .option('--dry-run', 'count what would be removed, and remove nothing')
    .option('--everything', 'remove all keys of the namespace, also those of live views')
    .option('--json', 'print one JSON document and nothing else')
    .addHelpText('after', HELP)
    .action(async (options: PruneOptions) => {
      const pruned = await run(options);
      if (options.json) process.stdout.write(`${JSON.stringify(pruned, null, 2)}\n`);
      else print(pruned);
      if (pruned.stopped) process.exitCode = 1;
    });
}

async function run(options: PruneOptions): Promise<Pruned> {
  const { dryRun = false, everything = false } = options;
  const config = lastingConfigOf(options);
  if (config.backend !== 'valkey') {
    throw new Error('Momento lists no keys, so nothing can be pruned: entries expire after their time to live');
  }
  const cache = await openReachableCache(config, options);
  try {
    return await sweep(cache, { config, dryRun, everything });
  } finally {
    await cache.close();
  }
}

interface Choice {
  readonly config: Config & { readonly backend: 'valkey' };
  readonly dryRun: boolean;
  readonly everything: boolean;
}

async function sweep(cache: CommandCache, { config, dryRun, everything }: Choice): Promise<Pruned> {
  const { namespace } = config;
  let live = await ownersOf(cache);
  if (live.size === 0 && !everything) {
    throw new Error(
      `nothing was removed, because the namespace ${namespace} has no register of lives: deploy a worker first, or give --everything to remove all keys of the namespace`,
    );
  }
  const owners = new Map<string, Owner>();
  const keeps = (name: string): boolean => {
    if (name === REGISTER_KEY) return !everything;
    const owner = /^([\w-]+@[1-9]\d*(?:\.[a-z\d]+)?):./s.exec(name)?.[1];
    if (owner === undefined) return true;
    const keys = (owners.get(owner)?.keys ?? 0) + 1;
    owners.set(owner, { name: owner, live: live.has(owner), keys });
    return live.has(owner) && !everything;
  };
  const bar = new cliProgress.SingleBar({
    format: 'prune {bar} {percentage} %, {removed} keys',
    clearOnComplete: true,
    noTTYOutput: false,
  });
  const stop = stopSignal();
  let swept: Swept = { total: 0, seen: 0, kept: 0, removed: 0, foreign: 0 };
  try {
    for await (const step of await openSweep(config, { keeps, dryRun })) {
      if (swept.seen === 0) bar.start(step.total, step.seen, { removed: step.removed });
      bar.update(step.seen, { removed: step.removed });
      swept = step;
      if (stop.aborted) break;
      // A life may begin while the command runs.
      live = await ownersOf(cache);
    }
  } finally {
    bar.stop();
  }
  return { namespace, dryRun, owners: [...owners.values()].sort(byName), swept, stopped: stop.aborted };
}

/** What the keys of live views begin with. */
async function ownersOf(cache: CommandCache): Promise<ReadonlySet<string>> {
  const lives = (await cache.lives?.()) ?? new Map<string, Life>();
  return new Set([...lives].map(([view, { life }]) => `${view}.${life}`));
}

function byName(a: Owner, b: Owner): number {
  return a.name < b.name ? -1 : 1;
}

function print({ namespace, dryRun, owners, swept, stopped }: Pruned): void {
  const width = tableWidth();
  const rows: readonly Row[] = owners.map(({ name, live, keys }) => [name, live ? 'live' : 'unused', String(keys)]);
  const lines = [
    ...(rows.length > 0 ? [table(['view and life', 'state', 'keys'], [width - 30, 12, 18], rows), ''] : []),
    `${dryRun ? 'would remove' : 'removed'} ${count(swept.removed, 'key')} of the namespace ${namespace}, kept ${swept.kept}`,
    ...(swept.foreign > 0 ? [dim(`${count(swept.foreign, 'key')} of other programs in the namespace stay`)] : []),
    ...(stopped ? ['stopped before the end: run the command again'] : []),
  ];
  process.stdout.write(`${lines.join('\n')}\n`);
}
