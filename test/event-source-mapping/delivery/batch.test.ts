import { describe, expect, it } from 'vitest';
import { eventText, largestBatch, type QueuedRecord, queuedRecordOf } from '../../../src/event-source-mapping/delivery/batch.ts';
import { mappingWorld, recordOf } from '../mapping-world.ts';

const SIX_MB = 6 * 1024 * 1024;

describe('a batch', () => {
  it('makes batches of the records that are there, up to the batch size', async () => {
    const world = mappingWorld();
    world.write('a', 'b', 'c', 'd', 'e', 'f', 'g');
    await world.follow({ batchSize: 3 });
    expect(world.batches).toEqual([['a1', 'b2', 'c3'], ['d4', 'e5', 'f6'], ['g7']]);
  });

  it('makes batches of up to 100 records by default, and of up to 10,000', async () => {
    const sizes = async (settings: { batchSize?: number }) => {
      const world = mappingWorld();
      world.write(...Array.from({ length: 10_002 }, () => 'a'));
      // A page of the stream has 1,000 records, so larger batches need a window.
      await world.follow({ ...settings, maximumBatchingWindowInSeconds: 300 });
      return world.batches.map(({ length }) => length);
    };
    expect(await sizes({})).toEqual([...Array.from({ length: 100 }, () => 100), 2]);
    expect(await sizes({ batchSize: 10_000 })).toEqual([10_000, 2]);
  });

  it('fills each batch up to 6 MB of JSON', async () => {
    const world = mappingWorld();
    const text = 'é'.repeat(200_000);
    world.stream.append(...Array.from({ length: 40 }, (_, i) => recordOf('a', i, { text: { S: text } })));
    const bytes: number[] = [];
    await world.follow({ answer: (_names, _context, event) => void bytes.push(Buffer.byteLength(JSON.stringify(event))) });
    expect(world.batches.map(({ length }) => length)).toEqual([15, 15, 10]);
    const [first = 0, second = 0, last = 0] = bytes;
    expect(Math.max(first, second, last)).toBeLessThanOrEqual(SIX_MB);
    expect(first + last / 10).toBeGreaterThan(SIX_MB);
  });

  it('accepts an event of exactly 6 MB', async () => {
    const sizes = async (tooMany: number) => {
      const world = mappingWorld();
      const [record] = world.stream.append(recordOf('a', 1, { text: { S: '' } }));
      const rest = SIX_MB / 2 - Buffer.byteLength(JSON.stringify(record)) - '{"Records":['.length / 2 - 1;
      world.stream.append(
        recordOf('a', 2, { text: { S: 'x'.repeat(rest) } }),
        recordOf('a', 3, { text: { S: 'x'.repeat(rest - 1 + tooMany) } }),
      );
      let most = 0;
      await world.follow({
        answer: (names, _context, event) => {
          if (names[0] === 'a2') most = Buffer.byteLength(JSON.stringify(event));
        },
        // The first record only serves to be measured.
        filterCriteria: { filters: [{ pattern: '{"dynamodb":{"NewImage":{"n":{"N":["2","3"]}}}}' }] },
      });
      return { most, batches: world.batches };
    };
    expect(await sizes(0)).toEqual({ most: SIX_MB, batches: [['a2', 'a3']] });
    expect((await sizes(1)).batches).toEqual([['a2'], ['a3']]);
  });

  it('delivers a record alone that is larger than 6 MB', async () => {
    const world = mappingWorld();
    world.stream.append(recordOf('a', 1, { text: { S: 'x'.repeat(SIX_MB) } }));
    world.write('b');
    await world.follow();
    expect(world.batches).toEqual([['a1'], ['b1']]);
  });

  it('gathers records until the batch is full, or the window of its first record is over', async () => {
    const world = mappingWorld();
    const mapping = world.mapping({ batchSize: 3, maximumBatchingWindowInSeconds: 5 });
    await mapping.start();
    const started = world.clock.now();
    world.write('a');
    await world.clock.advance(3_000);
    world.write('b');
    await world.clock.advance(1_500);
    expect(world.batches).toEqual([]);
    await world.clock.advance(1_000);
    expect(world.batches).toEqual([['a1', 'b2']]);
    expect((world.deliveries[0]?.at ?? 0) - started).toBeGreaterThanOrEqual(5_000);
    world.write('c', 'd', 'e', 'f');
    await world.clock.advance(500);
    expect(world.batches.slice(1)).toEqual([['c3', 'd4', 'e5']]);
    await world.clock.advance(5_000);
    expect(world.batches.slice(2)).toEqual([['f6']]);
    await world.clock.run(mapping.stop());
  });

  it('does not wait for the window when the shard has ended', async () => {
    const world = mappingWorld();
    world.write('a');
    for (const shard of world.stream.open) world.stream.close(shard);
    const started = world.clock.now();
    await world.follow({ maximumBatchingWindowInSeconds: 300 });
    expect(world.deliveries).toEqual([{ records: ['a1'], at: started }]);
  });
});

describe('largestBatch', () => {
  /** A queued record whose JSON has this length. */
  const sized = (bytes: number): QueuedRecord => queuedRecordOf({ eventID: 'x'.repeat(bytes - '{"eventID":""}'.length) }, 0);

  it('takes the whole queue if it is smaller than the batch size', () => {
    expect(largestBatch([], 3)).toEqual({ count: 0, full: false });
    expect(largestBatch([sized(20), sized(20)], 3)).toEqual({ count: 2, full: false });
  });

  it('is full at the batch size', () => {
    const queue = [sized(20), sized(20), sized(20)];
    expect(largestBatch(queue, 3)).toEqual({ count: 3, full: true });
    expect(largestBatch(queue, 2)).toEqual({ count: 2, full: true });
  });

  it('is full before the record whose JSON would exceed 6 MB', () => {
    const envelope = '{"Records":[,]}'.length;
    const [half, rest] = [sized(SIX_MB / 2), sized(SIX_MB / 2 - envelope)];
    expect(Buffer.byteLength(eventText([half, rest]))).toBe(SIX_MB);
    expect(largestBatch([half, rest], 10)).toEqual({ count: 2, full: false });
    expect(largestBatch([half, sized(rest.bytes + 1)], 10)).toEqual({ count: 1, full: true });
    expect(largestBatch([half, rest, sized(20)], 10)).toEqual({ count: 2, full: true });
  });

  it('takes a record alone that is larger than 6 MB', () => {
    expect(largestBatch([sized(SIX_MB + 1), sized(20)], 10)).toEqual({ count: 1, full: true });
  });
});
