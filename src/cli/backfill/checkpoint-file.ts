import { randomUUID } from 'node:crypto';
import { link, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { dirname } from 'node:path';
import { type BackfillCheckpoint, type BackfillPlace, checkpointText, parseCheckpoint } from '../../backfill/checkpoint.ts';
import { replaceFile } from '../../replace-file.ts';

/** A file that holds the checkpoint of one backfill, and that one process at a time may use. */
export interface CheckpointFile {
  /** @throws Error that names the file and the way out, if the file has no checkpoint of this place */
  load(place: BackfillPlace): Promise<BackfillCheckpoint | undefined>;
  /** Saves a checkpoint soon: the newest one at most once a second. A reader never finds half of one. */
  save(checkpoint: BackfillCheckpoint): void;
  /** Waits until the newest checkpoint is on disk. @throws what saving threw */
  saved(): Promise<void>;
  /** Removes the file. */
  remove(): Promise<void>;
  /** Lets other processes use the file. */
  release(): Promise<void>;
}

const SAVE_EVERY_MS = 1_000;

/**
 * Takes a checkpoint file for this process.
 *
 * Two processes with one checkpoint would mark and fill lists of one survey at the same time. A list that was evicted in between could then lack what was
 * filled in before. So a file beside it, with `.lock` at its end, names the process.
 *
 * @throws Error if another process uses it
 */
export async function checkpointFile(path: string): Promise<CheckpointFile> {
  await mkdir(dirname(path), { recursive: true }).catch((error: NodeJS.ErrnoException) => {
    throw new Error(`--checkpoint ${path}: its folder cannot be made (${error.code}): give another file`, { cause: error });
  });
  const lock = `${path}.lock`;
  await takeLock(lock, path);
  let newest: BackfillCheckpoint | undefined;
  let saving: Promise<void> | undefined;
  let savedAt = 0;
  let timer: NodeJS.Timeout | undefined;

  const write = async (): Promise<void> => {
    while (newest) {
      const text = checkpointText(newest);
      newest = undefined;
      await replaceFile(path, text);
      savedAt = performance.now();
    }
  };
  const begin = (): Promise<void> => {
    clearTimeout(timer);
    timer = undefined;
    saving ??= write().finally(() => {
      saving = undefined;
    });
    // `saved` throws it; until then the next attempt may succeed.
    saving.catch(() => {});
    return saving;
  };
  return {
    async load(place) {
      const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
        if (error.code === 'ENOENT') return undefined;
        throw new Error(`--checkpoint ${path}: it cannot be read (${error.code}): give the path of another file`, { cause: error });
      });
      if (text === undefined) return undefined;
      try {
        return parseCheckpoint(text, place);
      } catch (error) {
        const { message } = error as Error;
        const again = /^it is (not JSON|no checkpoint)/.test(message) ? 'Delete' : 'Give the same options as then to go on, or delete';
        throw new Error(`--checkpoint ${path}: ${message}. ${again} the file (or give another one) to begin a new backfill`);
      }
    },
    save(checkpoint) {
      newest = checkpoint;
      if (!timer && !saving) timer = setTimeout(begin, Math.max(0, savedAt + SAVE_EVERY_MS - performance.now()));
    },
    async saved() {
      await begin();
      // A checkpoint may have come while the last one was written.
      if (newest) await begin();
    },
    async remove() {
      clearTimeout(timer);
      newest = undefined;
      await saving?.catch(() => {});
      await rm(path, { force: true });
    },
    async release() {
      clearTimeout(timer);
      await rm(lock, { force: true });
    },
  };
}

/** A lock whose process has ended, on this machine, counts as none. */
async function takeLock(lock: string, path: string): Promise<void> {
  const own = `${lock}.${randomUUID()}`;
  await writeFile(own, JSON.stringify({ pid: process.pid, host: hostname() })).catch((error: NodeJS.ErrnoException) => {
    throw new Error(`--checkpoint ${path}: it cannot be written (${error.code}): give another file`, { cause: error });
  });
  try {
    for (let tries = 0; tries < 10; tries += 1) {
      // A link appears with its text at once, and fails where there is a file.
      if (await link(own, lock).then(always, isTaken)) return;
      const owner = await ownerOf(lock);
      if (owner === undefined) continue;
      // In a container, a killed process may have had the number of this one.
      const isDead = owner.host === hostname() && (owner.pid === process.pid || !isRunning(owner.pid));
      if (!isDead) {
        throw new Error(
          `--checkpoint ${path}: process ${owner.pid} on ${owner.host} uses it: wait for its end, or give another file; if that process is gone for sure, delete ${lock}`,
        );
      }
      await removeDead(lock, owner);
    }
  } finally {
    await rm(own, { force: true });
  }
  throw new Error(`--checkpoint ${path}: other processes take it again and again: give another file`);
}

const always = (): boolean => true;

function isTaken(error: NodeJS.ErrnoException): boolean {
  if (error.code === 'EEXIST') return false;
  throw error;
}

/** Removes the lock of a dead process. Another process may have done so, and taken the lock: then it gets its lock back. */
async function removeDead(lock: string, dead: Owner): Promise<void> {
  const moved = `${lock}.${randomUUID()}`;
  try {
    await rename(lock, moved);
  } catch {
    return;
  }
  const owner = await ownerOf(moved);
  if (owner && (owner.pid !== dead.pid || owner.host !== dead.host)) await link(moved, lock).then(always, isTaken);
  await rm(moved, { force: true });
}

interface Owner {
  readonly pid: number;
  readonly host: string;
}

async function ownerOf(lock: string): Promise<Owner | undefined> {
  try {
    const { pid, host } = JSON.parse(await readFile(lock, 'utf8')) as Owner;
    return { pid, host };
  } catch (error) {
    // Its owner has just released it.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    return { pid: -1, host: 'an unknown machine' };
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
