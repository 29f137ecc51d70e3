import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { begin } from '../../src/backfill/backfill.ts';
import { checkpointFile } from '../../src/cli/backfill/checkpoint-file.ts';

const PLACE = { tableArn: 'arn', tableId: 'id', cache: 'c', views: ['a@1'], segments: 1 };
const START = begin({ ...PLACE, survey: 's', begun: '2026-11-29T00:00:00.000Z' });
/** No process has this number. */
const DEAD = 2 ** 22 + 1;

let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'millrace-checkpoint-'));
  path = join(folder, 'deep', 'orders.json');
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const files = () => readdirSync(join(folder, 'deep')).sort();

describe('checkpointFile', () => {
  it('makes its folder, saves the newest checkpoint, and loads it again', async () => {
    const file = await checkpointFile(path);
    expect(await file.load(PLACE)).toBeUndefined();
    for (const pass of ['mark', 'fill', 'seal'] as const) file.save({ ...START, pass });
    await file.saved();
    expect(await file.load(PLACE)).toEqual({ ...START, pass: 'seal' });
    expect(files()).toEqual(['orders.json', 'orders.json.lock']);
    await file.release();
    const other = await checkpointFile(path);
    await other.remove();
    await other.release();
    expect(files()).toEqual([]);
  });

  it('saves by itself, at most once a second', async () => {
    const file = await checkpointFile(path);
    file.save(START);
    await expect.poll(() => files()).toContain('orders.json');
    file.save({ ...START, pass: 'fill' });
    expect(JSON.parse(readFileSync(path, 'utf8')).pass).toBe('mark');
    await expect.poll(() => JSON.parse(readFileSync(path, 'utf8')).pass, { timeout: 3_000 }).toBe('fill');
    await file.release();
  });

  it('names the file and the way out when the checkpoint is of another place', async () => {
    const file = await checkpointFile(path);
    writeFileSync(path, '{}');
    await expect(file.load(PLACE)).rejects.toThrow(
      `--checkpoint ${path}: it is no checkpoint of this version of millrace backfill, or was changed. Delete the file`,
    );
  });

  it('names the file and the way out when its path is a folder, or a file is in the place of its folder', async () => {
    writeFileSync(join(folder, 'file'), '');
    await expect(checkpointFile(join(folder, 'file', 'orders.json'))).rejects.toThrow(
      /^--checkpoint .*orders\.json: its folder cannot be made \((EEXIST|ENOTDIR)\): give another file$/,
    );
    mkdirSync(path, { recursive: true });
    const file = await checkpointFile(path);
    await expect(file.load(PLACE)).rejects.toThrow(`--checkpoint ${path}: it cannot be read (EISDIR): give the path of another file`);
    await file.release();
  });

  it('is refused while another process has it', async () => {
    await checkpointFile(path).then((file) => file.release());
    writeFileSync(`${path}.lock`, JSON.stringify({ pid: process.ppid, host: hostname() }));
    await expect(checkpointFile(path)).rejects.toThrow(
      `--checkpoint ${path}: process ${process.ppid} on ${hostname()} uses it: wait for its end, or give another file; if that process is gone for sure, delete ${path}.lock`,
    );
    writeFileSync(`${path}.lock`, JSON.stringify({ pid: DEAD, host: 'elsewhere' }));
    await expect(checkpointFile(path)).rejects.toThrow(`process ${DEAD} on elsewhere uses it`);
    writeFileSync(`${path}.lock`, 'no JSON');
    await expect(checkpointFile(path)).rejects.toThrow('on an unknown machine uses it');
    expect(files()).toEqual(['orders.json.lock']);
  });

  it('is taken over from a process that was killed, by one of those that want it', async () => {
    await checkpointFile(path).then((file) => file.release());
    writeFileSync(`${path}.lock`, JSON.stringify({ pid: DEAD, host: hostname() }));
    const file = await checkpointFile(path);
    expect(JSON.parse(readFileSync(`${path}.lock`, 'utf8'))).toEqual({ pid: process.pid, host: hostname() });
    await file.release();
    expect(files()).toEqual([]);
  });
});
