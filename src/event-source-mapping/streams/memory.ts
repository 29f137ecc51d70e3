import type { StreamRecord } from '../../dynamodb/record.ts';
import { hash, itemHash } from '../item-hash.ts';
import { type Born, MemoryShard } from './memory-shard.ts';
import { ExpiredIteratorError, type StreamReader, TrimmedError } from './reader.ts';

export interface MemoryStreamOptions {
  /** `TestTable` unless told otherwise. */
  readonly table?: string;
  /** When the stream was born: part of its ARN. */
  readonly label?: string;
  /** Shards at first: 1 unless told otherwise. Items are spread over them. */
  readonly shards?: number;
  /** The first sequence number; 100000000000000000001 unless told otherwise. */
  readonly sequenceNumber?: string | bigint;
  /** The most records that a page has, however many are asked for. */
  readonly pageSize?: number;
  /** When records are written. The system's unless told otherwise. */
  readonly clock?: { now(): number };
}

/** A stream of DynamoDB in memory: to append to, to split, to trim. */
export interface MemoryStream extends StreamReader {
  readonly arn: string;
  /** Writes records, each to the open shard of its item. The stream numbers and dates them; returns them as it has them. */
  append(...records: readonly StreamRecord[]): readonly StreamRecord[];
  /** Of open shards, in no order that means anything. */
  readonly open: readonly string[];
  /** The shard that an item's next record would be in. */
  shardOf(record: StreamRecord): string;
  /** Closes a shard; two children share its items. Returns their ids. */
  split(shardId: string): readonly [string, string];
  /** Closes a shard; a child has all of its items. Returns its id. DynamoDB does that every few hours. */
  roll(shardId: string): string;
  /** Closes a shard, and none follows it: the stream was disabled. */
  close(shardId: string): void;
  /** Removes all records up to this sequence number, or written before this time, and shards that had ended by then. */
  trim(upTo: string | Date): void;
  /** Makes all iterators that were given too old. */
  expireIterators(): void;
}

const HASHES = 2 ** 32;

export function memoryStream(options: MemoryStreamOptions = {}): MemoryStream {
  const { table = 'TestTable', label = '2026-01-01T00:00:00.000', shards: count = 1, pageSize = Infinity, clock = Date } = options;
  const arn = `arn:aws:dynamodb:eu-west-1:123456789012:table/${table}/stream/${label}`;
  const shards = new Map<string, MemoryShard>();
  let number = BigInt(options.sequenceNumber ?? 100_000_000_000_000_000_001n);
  let born = 0;
  let generation = 0;

  const nextNumber = (): string => {
    const next = String(number);
    number += 1n;
    return next.padStart(21, '0');
  };
  const openShard = (low: number, high: number, parent?: string): string => {
    born += 1;
    const id = `shardId-${String(born).padStart(20, '0')}-${hash(String(born)).toString(16).padStart(8, '0')}`;
    shards.set(id, new MemoryShard({ id, ...(parent !== undefined && { parent }), start: nextNumber(), low, high }));
    return id;
  };
  const shardNamed = (id: string): MemoryShard => {
    const shard = shards.get(id);
    if (!shard) throw new TrimmedError(`there is no shard ${id}`);
    return shard;
  };
  const close = (id: string): Born => {
    const shard = shardNamed(id);
    if (!shard.isOpen) throw new Error(`shard ${id} was closed before`);
    shard.close(nextNumber(), clock.now());
    return shard.born;
  };
  const shardOf = (record: StreamRecord): MemoryShard => {
    const place = itemHash(record);
    for (const shard of shards.values()) if (shard.takes(place)) return shard;
    throw new Error('the stream is closed: no shard takes this record');
  };
  const written = ({ dynamodb, ...record }: StreamRecord): StreamRecord => {
    const SequenceNumber = nextNumber();
    const ApproximateCreationDateTime = Math.floor(clock.now() / 1_000);
    return {
      ...{ eventID: SequenceNumber, eventVersion: '1.1', eventSource: 'aws:dynamodb', awsRegion: 'eu-west-1' },
      ...record,
      dynamodb: { ...dynamodb, ApproximateCreationDateTime, SequenceNumber },
      eventSourceARN: arn,
    };
  };

  for (let i = 0; i < count; i += 1) openShard(Math.floor((HASHES / count) * i), Math.floor((HASHES / count) * (i + 1)));

  return {
    arn,
    get open() {
      return [...shards.values()].filter(({ isOpen }) => isOpen).map(({ born }) => born.id);
    },
    shardOf: (record) => shardOf(record).born.id,
    append(...records) {
      return records.map((given) => {
        const record = written(given);
        shardOf(record).append(record);
        return record;
      });
    },
    split(id) {
      const { low, high } = close(id);
      const middle = Math.floor((low + high) / 2);
      return [openShard(low, middle, id), openShard(middle, high, id)];
    },
    roll(id) {
      const { low, high } = close(id);
      return openShard(low, high, id);
    },
    close(id) {
      close(id);
    },
    trim(upTo) {
      for (const [id, shard] of shards) if (shard.trim(upTo)) shards.delete(id);
    },
    expireIterators() {
      generation += 1;
    },
    shards: async () => [...shards.values()].map(({ description }) => description),
    iterator: async (id, position) => `${id} ${shardNamed(id).placeOf(position)} ${generation}`,
    async records(iterator, limit) {
      const [id = '', place, given] = iterator.split(' ');
      if (Number(given) < generation) throw new ExpiredIteratorError('the iterator is too old');
      const { records, next } = shardNamed(id).page(Number(place), Math.min(limit, pageSize));
      return { records, ...(next !== undefined && { next: `${id} ${next} ${generation}` }) };
    },
  };
}
