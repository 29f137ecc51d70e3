import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Checkpoint, type Checkpoints, fileCheckpoints, memoryCheckpoints, type StreamReader } from '../../src/testing/index.ts';
import { mappingWorld, numberOf } from './mapping.ts';

const AFTER: Checkpoint = { type: 'after', sequenceNumber: '7', at: 3 };
const ENDED: Checkpoint = { type: 'ended', at: 4 };

describe('a mapping that is started again', () => {
  it('goes on after the last record that was done', async () => {
    const world = mappingWorld({ shards: 3 });
    world.write(...'abcdefgh');
    await world.follow({ parallelizationFactor: 2 });
    const before = world.batches.flat();
    world.write('a', 'c', 'e');
    await world.follow({ parallelizationFactor: 2 });
    expect(world.batches.flat().slice(before.length).sort()).toEqual(['a9', 'c10', 'e11']);
  });

  it('without checkpoints begins anew', async () => {
    const world = mappingWorld();
    world.write('a');
    await world.follow({ checkpoints: memoryCheckpoints() });
    await world.follow({ checkpoints: undefined });
    expect(world.batches).toEqual([['a1'], ['a1']]);
  });

  it('does not begin at LATEST again: what was written meanwhile is read', async () => {
    const world = mappingWorld();
    world.write('a');
    // DynamoDB Local tells no more than the minute in which a record was written.
    await world.clock.advance(60_000);
    await world.follow({ startingPosition: 'LATEST' });
    await world.clock.advance(10);
    world.write('b');
    await world.clock.advance(60_000);
    await world.follow({ startingPosition: 'LATEST' });
    expect(world.batches).toEqual([['b2']]);
  });

  it('delivers again what was under way when it was killed, and nothing else', async () => {
    const world = mappingWorld();
    world.write('a', 'b', 'c', 'd', 'e');
    const mapping = world.mapping({ batchSize: 2, answer: (names) => world.clock.sleep(names.includes('c3') ? 1_000 : 100) });
    await mapping.start();
    await world.clock.advance(500);
    mapping.kill();
    expect(world.batches).toEqual([
      ['a1', 'b2'],
      ['c3', 'd4'],
    ]);
    const told = world.events.length;
    // The invocation comes to its end, and nobody listens.
    await world.clock.advance(5_000);
    expect(world.events).toHaveLength(told);
    expect([...(await world.checkpoints.load()).values()]).toMatchObject([{ type: 'after' }]);
    await world.follow({ batchSize: 2 });
    expect(world.batches.slice(2)).toEqual([['c3', 'd4'], ['e5']]);
  });

  it('after a stop delivers nothing again that had succeeded', async () => {
    const world = mappingWorld();
    world.write('a', 'b', 'c', 'd', 'e');
    const mapping = world.mapping({ batchSize: 2, answer: () => world.clock.sleep(1_000) });
    await mapping.start();
    await world.clock.advance(500);
    await world.clock.run(mapping.stop());
    expect(world.batches).toEqual([['a1', 'b2']]);
    expect(world.told('succeeded')).toHaveLength(1);
    await world.follow({ batchSize: 2 });
    expect(world.batches).toEqual([['a1', 'b2'], ['c3', 'd4'], ['e5']]);
  });

  it('has its retries anew, for they are not saved', async () => {
    const world = mappingWorld();
    world.write('a');
    const settings = { maximumRetryAttempts: 2, answer: () => Promise.reject(new Error('fails')) };
    const mapping = world.mapping(settings);
    await mapping.start();
    await world.clock.advance(1_500);
    await world.clock.run(mapping.stop());
    expect(world.deliveries).toHaveLength(2);
    await world.follow(settings);
    expect(world.deliveries).toHaveLength(5);
  });
});

describe('a mapping', () => {
  it('that stops does not wait for a retry', async () => {
    const world = mappingWorld();
    world.write('a');
    const mapping = world.mapping({ backoffMs: () => 3_600_000, answer: () => Promise.reject(new Error('fails')) });
    await mapping.start();
    await world.clock.advance(1_000);
    const before = world.clock.now();
    await world.clock.run(mapping.stop());
    expect(world.clock.now() - before).toBeLessThan(1_000);
    await expect(mapping.finished).resolves.toBeUndefined();
  });

  it('is drained when what was there is done, and not when more has come', async () => {
    const world = mappingWorld();
    world.write('a', 'b');
    const mapping = world.mapping({
      batchSize: 1,
      answer: async () => {
        await world.clock.sleep(1_000);
        world.write('c');
      },
    });
    await mapping.start();
    await world.clock.run(mapping.drained());
    expect(world.batches.flat()).toContain('b2');
    expect(world.batches.length).toBeLessThan(8);
    await world.clock.run(mapping.stop());
  });

  it('is not drained by an empty page that was under way before', async () => {
    const world = mappingWorld();
    const reader: StreamReader = {
      ...world.stream,
      async records(iterator, limit) {
        const page = await world.stream.records(iterator, limit);
        await world.clock.sleep(5_000);
        return page;
      },
    };
    const mapping = world.mapping({ reader });
    await mapping.start();
    await world.clock.advance(1_000);
    world.write('a');
    await world.clock.run(mapping.drained());
    expect(world.batches).toEqual([['a1']]);
    await world.clock.run(mapping.stop());
  });

  it('is drained when its checkpoints are saved', async () => {
    const world = mappingWorld();
    const [record] = world.write('a');
    const slow: Checkpoints = {
      ...world.checkpoints,
      async save(shardId, checkpoint) {
        await world.clock.sleep(5_000);
        return world.checkpoints.save(shardId, checkpoint);
      },
    };
    const mapping = world.mapping({ checkpoints: slow });
    await world.clock.run(mapping.start());
    await world.clock.run(mapping.drained());
    mapping.kill();
    expect([...(await world.checkpoints.load()).values()]).toMatchObject([{ type: 'after', sequenceNumber: numberOf(record) }]);
  });

  it('that ends before it is drained says so to whoever waits', async () => {
    const world = mappingWorld();
    world.write('a');
    const mapping = world.mapping({ answer: () => Promise.reject(new Error('fails')) });
    await expect(mapping.drained()).rejects.toThrow('was not started');
    await mapping.start();
    const drained = mapping.drained();
    drained.catch(() => {});
    await world.clock.advance(1_000);
    mapping.kill();
    await expect(drained).rejects.toThrow('ended before it was drained');
    await expect(mapping.drained()).rejects.toThrow('ended before it was drained');
    await expect(mapping.start()).rejects.toThrow('make another');
  });

  it('whose observer throws ends, and says why', async () => {
    const world = mappingWorld();
    world.write('a', 'b');
    const mapping = world.mapping({
      batchSize: 1,
      onEvent: ({ type }) => {
        if (type === 'succeeded') throw new Error('the observer is broken');
      },
    });
    await mapping.start();
    await expect(world.clock.run(mapping.drained())).rejects.toThrow('the observer is broken');
    await expect(mapping.finished).rejects.toThrow('the observer is broken');
    await expect(mapping.stop()).rejects.toThrow('the observer is broken');
    expect(world.batches).toEqual([['a1']]);
  });

  it('saves a checkpoint again that was not taken, and goes on meanwhile', async () => {
    const world = mappingWorld();
    const records = world.write('a', 'b', 'c');
    let away = 3;
    const checkpoints: Checkpoints = {
      ...world.checkpoints,
      async save(shardId, checkpoint) {
        if (checkpoint.type !== 'start' && away-- > 0) throw new Error('the disk is full');
        return world.checkpoints.save(shardId, checkpoint);
      },
    };
    await world.follow({ batchSize: 1, checkpoints });
    expect(world.told('checkpoint-failed')).toHaveLength(3);
    expect([...(await world.checkpoints.load()).values()]).toMatchObject([{ type: 'after', sequenceNumber: numberOf(records[2]) }]);
  });

  it('that cannot save its checkpoints says so when it stops', async () => {
    const world = mappingWorld();
    world.write('a');
    const checkpoints: Checkpoints = {
      ...world.checkpoints,
      async save(shardId, checkpoint) {
        if (checkpoint.type === 'start') return world.checkpoints.save(shardId, checkpoint);
        throw new Error('the disk is full');
      },
    };
    const mapping = world.mapping({ checkpoints });
    await mapping.start();
    await world.clock.advance(5_000);
    await expect(world.clock.run(mapping.stop())).rejects.toThrow('the disk is full');
  });
});

describe('checkpoints', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'millrace-checkpoints-'));
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  const kinds: [string, () => Checkpoints][] = [
    ['in memory', () => memoryCheckpoints()],
    ['in a file', () => fileCheckpoints(join(folder, 'deep', 'checkpoints.json'))],
  ];

  it.each(kinds)('%s are kept by shard until they are deleted', async (_kind, make) => {
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

  it('in a file are there for the next process, and the file is replaced as a whole', async () => {
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

  it('in a file that has something else are refused, with the way out', async () => {
    const path = join(folder, 'checkpoints.json');
    for (const text of ['', '{', '{"version":2,"shards":{}}', '{"version":1}']) {
      writeFileSync(path, text);
      await expect(fileCheckpoints(path).load()).rejects.toThrow(/checkpoints\.json has no readable checkpoints .*: remove the file/);
    }
  });

  it('in a file serve a mapping', async () => {
    const world = mappingWorld();
    const path = join(folder, 'checkpoints.json');
    world.write('a');
    await world.follow({ checkpoints: fileCheckpoints(path) });
    world.write('b');
    await world.follow({ checkpoints: fileCheckpoints(path) });
    expect(world.batches).toEqual([['a1'], ['b2']]);
  });
});
