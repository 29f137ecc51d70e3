import { readdir, readFile, rm, stat } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import { replaceFile } from '../replace-file.ts';
import { refuseLarge } from './letter.ts';
import type { LetterStore } from './store.ts';

/** Files that `replaceFile` has not finished. */
const UNFINISHED = /(^|\/)\.[\da-f-]{36}\.tmp$/;

/** Stores letters as files, for local work. The first `put` makes the folder. A reader never finds half a letter. */
export function folderStore(path: string): LetterStore {
  const fileOf = (name: string): string => {
    if (!isInside(name)) throw new TypeError(`letter name ${JSON.stringify(name)}: give a relative path with "/" and without "." and ".."`);
    return join(path, ...name.split('/'));
  };
  return {
    async put(name, text) {
      await replaceFile(fileOf(name), text);
    },
    async *names(prefix = '') {
      const files = await orAbsent(readdir(path, { recursive: true, withFileTypes: true }));
      const names = (files ?? [])
        .filter((file) => file.isFile())
        .map((file) => relative(path, join(file.parentPath, file.name)).replaceAll(sep, '/'))
        .filter((name) => name.startsWith(prefix) && !UNFINISHED.test(name) && isInside(name));
      yield* names.sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    },
    async get(name, maximumBytes) {
      const file = fileOf(name);
      if (maximumBytes !== undefined) refuseLarge((await orAbsent(stat(file)))?.size ?? 0, maximumBytes);
      return await orAbsent(readFile(file, 'utf8'));
    },
    async delete(name) {
      await orAbsent(rm(fileOf(name), { force: true }));
    },
    async close() {},
  };
}

function isInside(name: string): boolean {
  return !/[\\\0]/.test(name) && name.split('/').every((part) => part !== '' && part !== '.' && part !== '..');
}

/** A file is also absent where a folder has its name, or where a part of its path is not a folder. */
async function orAbsent<T>(found: Promise<T>): Promise<T | undefined> {
  try {
    return await found;
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'EISDIR', 'ERR_FS_EISDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined;
    throw error;
  }
}
