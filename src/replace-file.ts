import { randomUUID } from 'node:crypto';
import { mkdir, open, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/**
 * Replaces a file, or makes it and its folder. The text is on disk once it resolves. A reader finds the old text or the new one, never a part, even if the
 * process is killed meanwhile; a file `.UUID.tmp` may then stay.
 */
export async function replaceFile(path: string, text: string): Promise<void> {
  const unfinished = join(dirname(path), `.${randomUUID()}.tmp`);
  await mkdir(dirname(path), { recursive: true });
  try {
    const handle = await open(unfinished, 'wx');
    try {
      await handle.writeFile(text);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(unfinished, path);
  } catch (error) {
    await rm(unfinished, { force: true });
    throw error;
  }
}
