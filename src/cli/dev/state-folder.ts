import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { access, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Config } from '../../config/worker.ts';

/** Creates the folder if it is absent. @throws Error if it cannot be created or written to. */
export async function makeStateFolder(state: string): Promise<void> {
  try {
    await mkdir(state, { recursive: true });
    await access(state, constants.W_OK);
  } catch (cause) {
    const { code = (cause as Error).message } = cause as NodeJS.ErrnoException;
    throw new Error(`--state ${state}: the folder cannot be created or written to (${code}); give another one`, { cause });
  }
}

/**
 * The file of the checkpoints of one stream into one cache. Each cache has its own, because a new cache starts at the stream's beginning.
 */
export function checkpointsPath(state: string, streamArn: string, config: Config): string {
  const cache = config.backend === 'valkey' ? config.url : config.backend === 'momento' ? config.cacheName : '';
  const name = createHash('sha256')
    .update(JSON.stringify([streamArn, config.backend, cache, config.namespace]))
    .digest('hex')
    .slice(0, 16);
  return join(state, 'checkpoints', `${name}.json`);
}
