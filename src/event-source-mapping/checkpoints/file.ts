import { readFile } from 'node:fs/promises';
import { replaceFile } from '../../replace-file.ts';
import type { Checkpoint, Checkpoints } from './checkpoints.ts';

/**
 * Keeps checkpoints in a JSON file, and creates its folder if necessary. Each write replaces the whole file, so that a process that dies
 * leaves either the old or the new one. Saves that arrive during a write are written together by the next one.
 */
export function fileCheckpoints(path: string): Checkpoints {
  let loaded: Promise<Map<string, Checkpoint>> | undefined;
  let writing: Promise<void> | undefined;
  let queued: Promise<void> | undefined;

  const write = async (): Promise<void> => {
    const text = `${JSON.stringify({ version: 1, shards: Object.fromEntries((await loaded) ?? []) }, undefined, 2)}\n`;
    await replaceFile(path, text);
  };
  const flush = (): Promise<void> => {
    if (!writing) {
      writing = write().finally(() => {
        writing = undefined;
      });
      return writing;
    }
    queued ??= writing
      .catch(() => {})
      .then(() => {
        queued = undefined;
        return flush();
      });
    return queued;
  };
  const change = async (edit: (checkpoints: Map<string, Checkpoint>) => void): Promise<void> => {
    loaded ??= read(path);
    edit(await loaded);
    await flush();
  };

  return {
    async load() {
      await (queued ?? writing)?.catch(() => {});
      loaded = read(path);
      return new Map(await loaded);
    },
    save: (shardId, checkpoint) => change((all) => all.set(shardId, checkpoint)),
    delete: (shardId) => change((all) => all.delete(shardId)),
  };
}

async function read(path: string): Promise<Map<string, Checkpoint>> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if ((error as { code?: unknown }).code === 'ENOENT') return new Map();
    throw error;
  }
  try {
    const { version, shards } = JSON.parse(text);
    if (version !== 1) throw new Error(`its version is ${version}`);
    return new Map(Object.entries<Checkpoint>(shards));
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new Error(`${path} has no readable checkpoints (${reason}): remove the file to start from the beginning`, { cause: error });
  }
}
