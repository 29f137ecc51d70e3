import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Checkpoint, type Checkpoints, fileCheckpoints, memoryCheckpoints } from '../../../src/testing/index.ts';
import { mappingWorld } from '../mapping-world.ts';

const AFTER: Checkpoint = { type: 'after', sequenceNumber: '7', at: 3 };
const ENDED: Checkpoint = { type: 'ended', at: 4 };

describe('checkpoints', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'millrace-checkpoints-'));
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  const kinds: [string, () => Checkpoints][] = [
    ['memory', () => memoryCheckpoints()],
    ['a file', () => fileCheckpoints(join(folder, 'deep', 'checkpoints.json'))],
  ];

  it.each(kinds)('%s keeps checkpoints by shard until they are deleted', async (_kind, make) => {
    const checkpoints = make();
    expect(await checkpoints.load()).toEqual(new Map());
    await Promise.all([checkpoints.save('s1', ENDED), checkpoints.save('s2', AFTER), checkpoints.save('s1', AFTER)]);
    await checkpoints.save('s3', ENDED);
    await checkpoints.delete('s3');
    await checkpoints.delete('s4');
    const loaded = new Map(await checkpoints.load());
    expect(loaded).toEqual(
      new Map([
        ['s1', AFTER],
        ['s2', AFTER],
      ]),
    );
    loaded.clear();
    expect((await checkpoints.load()).size).toBe(2);
  });

  it('replaces a checkpoint file as a whole, so that the next process can read it at any time', async () => {
    const path = join(folder, 'checkpoints.json');
    const checkpoints = fileCheckpoints(path);
    let reading = true;
    const seen: unknown[] = [];
    const reader = (async () => {
      while (reading) {
        await new Promise(setImmediate);
        try {
          seen.push(JSON.parse(readFileSync(path, 'utf8')));
        } catch (error) {
          if ((error as { code?: unknown }).code !== 'ENOENT') throw error;
        }
      }
    })();
    for (let i = 0; i < 30; i += 1) {
      const saves = Array.from({ length: 20 }, (_, n) => checkpoints.save(`s${n}`, { type: 'after', sequenceNumber: String(i), at: n }));
      await Promise.all(saves);
      expect((await fileCheckpoints(path).load()).get('s19')).toEqual({ type: 'after', sequenceNumber: String(i), at: 19 });
    }
    reading = false;
    await reader;
    expect(seen.length).toBeGreaterThan(10);
    expect(readdirSync(folder)).toEqual(['checkpoints.json']);
  });

  it('refuses a file without readable checkpoints, and says what to do', async () => {
    const path = join(folder, 'checkpoints.json');
    for (const text of ['', '{', '{"version":2,"shards":{}}', '{"version":1}']) {
      writeFileSync(path, text);
      await expect(fileCheckpoints(path).load()).rejects.toThrow(/checkpoints\.json has no readable checkpoints .*: remove the file/);
    }
  });

  it('resumes a mapping from a checkpoint file', async () => {
    const world = mappingWorld();
    const path = join(folder, 'checkpoints.json');
    world.write('a');
    await world.follow({ checkpoints: fileCheckpoints(path) });
    world.write('b');
    await world.follow({ checkpoints: fileCheckpoints(path) });
    expect(world.batches).toEqual([['a1'], ['b2']]);
  });
});
