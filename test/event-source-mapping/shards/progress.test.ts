import { describe, expect, it } from 'vitest';
import { ShardProgress } from '../../../src/event-source-mapping/shards/progress.ts';
import { queuedRecords } from '../mapping-world.ts';

function progressWith(...sequenceNumbers: readonly string[]) {
  const progress = new ShardProgress();
  const records = queuedRecords(...sequenceNumbers);
  for (const record of records) progress.add(record);
  return { progress, records };
}

/** Whether a promise is resolved once all callbacks that are ready have run. */
async function isResolved(promise: Promise<void>): Promise<boolean> {
  let resolved = false;
  promise.then(() => {
    resolved = true;
  });
  await new Promise(setImmediate);
  return resolved;
}

describe('ShardProgress', () => {
  it('moves past records only when all records before them are done', () => {
    const { progress, records } = progressWith('1', '2', '3', '4');
    expect(progress.finish(records.slice(1, 3))).toBe(false);
    expect([progress.finished, progress.unfinished, progress.last]).toEqual([0, 2, undefined]);
    expect(progress.finish(records.slice(0, 1))).toBe(true);
    expect([progress.finished, progress.unfinished, progress.last]).toEqual([3, 1, records[2]]);
  });

  it('counts the bytes of the records that are not done', () => {
    const { progress, records } = progressWith('1', '22');
    expect(progress.unfinishedBytes).toBe((records[0]?.bytes ?? 0) + (records[1]?.bytes ?? 0));
    progress.finish(records.slice(0, 1));
    expect(progress.unfinishedBytes).toBe(records[1]?.bytes);
  });

  it('counts records beyond the thousands that it drops from memory', () => {
    const { progress, records } = progressWith(...Array.from({ length: 5_000 }, (_, i) => String(i)));
    for (const record of records.slice(0, 4_000)) progress.finish([record]);
    expect([progress.read, progress.finished, progress.unfinished, progress.last]).toEqual([5_000, 4_000, 1_000, records[3_999]]);
  });

  it('is caught up when a later poll finds no further record and all records are done', async () => {
    const { progress, records } = progressWith('1', '2');
    const before = progress.startPoll();
    const caughtUp = progress.caughtUp(false);
    progress.pollFoundNoMore(before, false);
    progress.finish(records.slice(0, 1));
    expect(await isResolved(caughtUp)).toBe(false);
    progress.pollFoundNoMore(progress.startPoll(), false);
    expect(await isResolved(caughtUp)).toBe(false);
    progress.finish(records.slice(1));
    expect(await isResolved(caughtUp)).toBe(true);
  });

  it('is caught up although records arrive after the poll that found no further record', async () => {
    const { progress, records } = progressWith('1');
    const caughtUp = progress.caughtUp(false);
    progress.pollFoundNoMore(progress.startPoll(), false);
    for (const record of queuedRecords('2')) progress.add(record);
    progress.finish(records);
    expect(await isResolved(caughtUp)).toBe(true);
  });

  it('is caught up with a closed shard only at its end', async () => {
    const { progress, records } = progressWith('1');
    const caughtUp = progress.caughtUp(true);
    progress.finish(records);
    progress.pollFoundNoMore(progress.startPoll(), false);
    expect(await isResolved(caughtUp)).toBe(false);
    progress.pollFoundNoMore(progress.startPoll(), true);
    expect(await isResolved(caughtUp)).toBe(true);
  });

  it('is caught up with a shard that has ended', async () => {
    const { progress } = progressWith();
    const before = progress.caughtUp(true);
    progress.end();
    expect([await isResolved(before), await isResolved(progress.caughtUp(false))]).toEqual([true, true]);
  });
});
