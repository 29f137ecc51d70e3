import { existsSync, readdirSync, statSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The newest source file of a clone, if it is newer than this build. An installed package has no sources. */
export function newerSource(): string | undefined {
  const built = fileURLToPath(import.meta.url);
  const root = fileURLToPath(new URL('../..', import.meta.url));
  const sources = join(root, 'src');
  // Node may run the sources themselves.
  if (built.endsWith('.ts') || !existsSync(sources)) return undefined;
  const { mtimeMs: builtAt } = statSync(built);
  const newer = readdirSync(sources, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => ({ file: join(sources, name), at: statSync(join(sources, name)).mtimeMs }))
    .filter(({ at }) => at > builtAt)
    .sort((a, b) => b.at - a.at);
  return newer[0] && relative(root, newer[0].file);
}
