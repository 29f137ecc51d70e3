import { readdir, readFile, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { StreamEvent, StreamRecord } from '../../dynamodb/record.ts';
import { documentsIn, type LineFault } from './json-documents.ts';
import { recordsIn } from './records-in.ts';
import type { RecordResult } from './result.ts';

const EXTENSION = /\.(json|jsonl|ndjson)$/;

/** Faults shown of one file. */
const FAULTS_A_FILE = 3;

export interface SavedEvent {
  readonly file: string;
  /** All records of the file, in order. */
  readonly event: StreamEvent;
  /** Log lines of the file that have no records. */
  readonly skipped: number;
  /** The expected results of its records, from the file of the same name in the folder `expected/` beside it. */
  readonly expected?: readonly RecordResult[];
}

/**
 * Reads event files, and the `.json`, `.jsonl` and `.ndjson` files of folders in the order of their names. It does not descend into subfolders.
 *
 * @throws Error that names every faulty file, the line, the fault, and the way out.
 */
export async function readSavedEvents(paths: readonly string[]): Promise<readonly SavedEvent[]> {
  const faults: string[] = [];
  const attempt = async <T>(path: string, read: () => Promise<readonly T[]>): Promise<readonly T[]> => {
    try {
      return await read();
    } catch (error) {
      if (error instanceof FaultyLines) faults.push(...error.faults.map(({ line, reason }) => `${path}:${line}: ${reason}`));
      else faults.push(`${path}: ${reasonOf(error)}`);
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
  const names = (await readdir(path, { withFileTypes: true })).filter((entry) => !entry.isDirectory() && EXTENSION.test(entry.name));
  if (names.length === 0) throw new Error('the folder has no .json files: give the files, or the folder that contains them');
  return names.map(({ name }) => join(path, name)).sort();
}

class FaultyLines extends Error {
  readonly faults: readonly LineFault[];

  constructor(faults: readonly LineFault[]) {
    super();
    const more = faults.length - FAULTS_A_FILE;
    const rest = more > 0 ? [{ line: faults[FAULTS_A_FILE]?.line ?? 0, reason: `this line and ${more - 1} more are faulty, too` }] : [];
    this.faults = [...faults.slice(0, FAULTS_A_FILE), ...rest];
  }
}

async function readEvent(file: string): Promise<SavedEvent> {
  const { documents, faults: unread } = documentsIn(textOf(await readFile(file)));
  const faults = [...unread];
  const skipped: LineFault[] = [];
  const records: StreamRecord[] = [];
  let hasRecords = false;
  for (const { line, value } of documents) {
    try {
      const found = recordsIn(value);
      if ('skipped' in found) skipped.push({ line, reason: found.skipped });
      else {
        hasRecords = true;
        for (const record of found.records) records.push(record);
      }
    } catch (error) {
      faults.push({ line, reason: (error as Error).message });
    }
  }
  if (faults.length > 0) throw new FaultyLines(faults);
  if (!hasRecords) throw new FaultyLines(skipped.slice(0, 1));
  const expected = await readExpected(join(dirname(file), 'expected', basename(file).replace(EXTENSION, '.json')));
  return { file, event: { Records: records }, skipped: skipped.length, expected };
}

async function readExpected(file: string): Promise<readonly RecordResult[] | undefined> {
  let bytes: Buffer;
  try {
    bytes = await readFile(file);
  } catch {
    return undefined;
  }
  const { documents } = documentsIn(textOf(bytes));
  const { records } = (documents[0]?.value ?? {}) as { records?: readonly RecordResult[] };
  if (!Array.isArray(records)) throw new Error(`its expectation ${file} is not JSON with "records": remove the file, or record it again`);
  return records;
}

/** Some editors begin a file with a byte order mark. PowerShell saves the output of a command as UTF-16, with such a mark. */
function textOf(bytes: Buffer): string {
  const isUtf16 = bytes[0] === 0xff && bytes[1] === 0xfe;
  return bytes.toString(isUtf16 ? 'utf16le' : 'utf8').replace(/^\uFEFF/, '');
}

function reasonOf(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === 'ENOENT') return 'there is no such file or folder: check the path';
  if (code === 'EACCES') return 'this user may not read it: check its permissions';
  return message;
}
