import { describe, expect, it } from 'vitest';
import { type Checkpoints, memoryCheckpoints, type StreamReader } from '../../src/testing/index.ts';
import { faulty, mappingWorld, numberOf } from './mapping-world.ts';

describe('a mapping with the checkpoints of another', () => {
  it('resumes after the last record that is done', async () => {
    const world = mappingWorld({ shards: 3 });
    world.write(...'abcdefgh');
    await world.follow({ parallelizationFactor: 2 });
    const before = world.batches.flat();
    world.write('a', 'c', 'e');
    await world.follow({ parallelizationFactor: 2 });
    expect(world.batches.flat().slice(before.length).sort()).toEqual(['a9', 'c10', 'e11']);
  });

  it('starts from the beginning without checkpoints', async () => {
    const world = mappingWorld();
    world.write('a');
    await world.follow({ checkpoints: memoryCheckpoints() });
    await world.follow({ checkpoints: undefined });
    expect(world.batches).toEqual([['a1'], ['a1']]);
  });

  it('reads the records that were written since LATEST', async () => {
    const world = mappingWorld();
    world.write('a');
    // DynamoDB Local dates a record by its minute only.
    await world.clock.advance(60_000);
    await world.follow({ startingPosition: 'LATEST' });
    await world.clock.advance(10);
    world.write('b');
    await world.clock.advance(60_000);
    await world.follow({ startingPosition: 'LATEST' });
    expect(world.batches).toEqual([['b2']]);
  });

  it('delivers again only the records that were being delivered at the kill', async () => {
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
    const before = world.events.length;
    // The invocation ends after the kill. Its result is ignored.
    await world.clock.advance(5_000);
    expect(world.events).toHaveLength(before);
    expect([...(await world.checkpoints.load()).values()]).toMatchObject([{ type: 'after' }]);
    await world.follow({ batchSize: 2 });
    expect(world.batches.slice(2)).toEqual([['c3', 'd4'], ['e5']]);
  });

  it('delivers no record again that succeeded before a stop', async () => {
    const world = mappingWorld();
    world.write('a', 'b', 'c', 'd', 'e');
    const mapping = world.mapping({ batchSize: 2, answer: () => world.clock.sleep(1_000) });
    await mapping.start();
    await world.clock.advance(500);
    await world.clock.run(mapping.stop());
    expect(world.batches).toEqual([['a1', 'b2']]);
    expect(world.eventsOf('succeeded')).toHaveLength(1);
    await world.follow({ batchSize: 2 });
    expect(world.batches).toEqual([['a1', 'b2'], ['c3', 'd4'], ['e5']]);
  });

  it('counts retries from 0, because they are not saved', async () => {
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
  it('stops without waiting for a retry', async () => {
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

  it('is drained when the records at the time of the call are done, although more arrive', async () => {
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

  it('is not drained by an empty page that was requested before', async () => {
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

  it('is drained only when the checkpoints are saved', async () => {
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

  it('rejects drained() when the mapping ends before', async () => {
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

  it('ends when onEvent throws, and rejects with its error', async () => {
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

  it('repeats a failed save of a checkpoint, and delivers records meanwhile', async () => {
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
    expect(world.eventsOf('checkpoint-failed')).toHaveLength(3);
    expect([...(await world.checkpoints.load()).values()]).toMatchObject([{ type: 'after', sequenceNumber: numberOf(records[2]) }]);
  });

  it('rejects stop() when the checkpoints cannot be saved', async () => {
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

  it('rejects start() when the shards cannot be listed, and can be started again', async () => {
    const world = mappingWorld();
    world.write('a');
    const { reader, faults } = faulty(world);
    const mapping = world.mapping({ reader });
    faults.push(new Error('no such stream'));
    await expect(mapping.start()).rejects.toThrow('no such stream');
    await mapping.start();
    await world.clock.run(mapping.drained());
    expect(world.batches).toEqual([['a1']]);
    await expect(mapping.start()).rejects.toThrow('was started before');
  });
});
