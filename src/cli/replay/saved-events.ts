import { readdir, readFile, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { StreamEvent } from '../../dynamodb/record.ts';
import type { RecordResult } from './result.ts';

export interface SavedEvent {
  readonly file: string;
  readonly event: StreamEvent;
  /** The expected results of its records, from the file of the same name in the folder `expected/` beside it. */
  readonly expected?: readonly RecordResult[];
}

/**
 * Reads event files, and the `.json` files of folders in the order of their names. It does not descend into subfolders.
 *
 * @throws Error that names every faulty file, its fault, and the way out.
 */
export async function readSavedEvents(paths: readonly string[]): Promise<readonly SavedEvent[]> {
  const faults: string[] = [];
  const attempt = async <T>(path: string, read: () => Promise<readonly T[]>): Promise<readonly T[]> => {
    try {
      return await read();
    } catch (error) {
      faults.push(`${path}: ${reasonOf(error)}`);
      return [];
    }
  };
  const events: SavedEvent[] = [];
  for (const path of paths) {
    const files = await attempt(path, () => filesOf(path));
    for (const file of files) events.push(...(await attempt(file, async () => [await readEvent(file)])));
  }
  if (faults.length > 0) throw new Error(['nothing was replayed, because some files are faulty:', ...faults].join('\n  '));
  return events;
}

async function filesOf(path: string): Promise<readonly string[]> {
  if (!(await stat(path)).isDirectory()) return [path];
  const names = (await readdir(path, { withFileTypes: true })).filter((entry) => !entry.isDirectory() && entry.name.endsWith('.json'));
  if (names.length === 0) throw new Error('the folder has no .json files: give the files, or the folder that contains them');
  return names.map(({ name }) => join(path, name)).sort();
}

async function readEvent(file: string): Promise<SavedEvent> {
  const event = parseJson(await readFile(file, 'utf8')) as StreamEvent | null;
  if (!Array.isArray(event?.Records)) {
    throw new Error('it has no Records: save the whole event that Lambda passes to the function, {"Records": [...]}');
  }
  return { file, event, expected: await readExpected(join(dirname(file), 'expected', basename(file))) };
}

async function readExpected(file: string): Promise<readonly RecordResult[] | undefined> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch {
    return undefined;
  }
  const { records } = (parseJson(text, `its expectation ${file}`) ?? {}) as { records?: readonly RecordResult[] };
  if (!Array.isArray(records)) throw new Error(`its expectation ${file} has no records: remove the file, or record it again`);
  return records;
}

function parseJson(text: string, what = 'it'): unknown {
  if (text.trim() === '') throw new Error(`${what} is empty: save it again`);
  try {
    // Some editors begin a file with a byte order mark.
    return JSON.parse(text.replace(/^\uFEFF/, ''));
  } catch (error) {
    throw new Error(`${what} is not JSON (${(error as Error).message}): correct it, or save it again`);
  }
}

function reasonOf(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === 'ENOENT') return 'there is no such file or folder: check the path';
  if (code === 'EACCES') return 'this user may not read it: check its permissions';
  return message;
}
