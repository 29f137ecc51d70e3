import type { StreamRecord } from '../../dynamodb/record.ts';
import { hash, itemHash } from '../item-hash.ts';
import { MemoryShard, type ShardOrigin } from './memory-shard.ts';
import { ExpiredIteratorError, type StreamReader, TrimmedError } from './reader.ts';

export interface MemoryStreamOptions {
  /** Name of the table, part of the stream's ARN. Default: `TestTable`. */
  readonly table?: string;
  /** Label of the stream, part of its ARN. Default: `2026-01-01T00:00:00.000`. */
  readonly label?: string;
  /** Number of shards at first. Items are spread over them. Default: 1. */
  readonly shards?: number;
  /** The first sequence number. Default: 100000000000000000001. */
  readonly sequenceNumber?: string | bigint;
  /** Largest number of records in a page, however many are requested. Default: no limit. */
  readonly pageSize?: number;
  /** Dates the records. Default: the system's clock. */
  readonly clock?: { now(): number };
}

/** A DynamoDB stream in memory, for tests: records can be appended, shards split, and old records trimmed. */
export interface MemoryStream extends StreamReader {
  readonly arn: string;
  /** Writes each record to the open shard of its item. Returns the records with their sequence numbers and dates. */
  append(...records: readonly StreamRecord[]): readonly StreamRecord[];
  /** Ids of the open shards, in no particular order. */
  readonly open: readonly string[];
  /** The shard to which `append` would write the record. */
  shardOf(record: StreamRecord): string;
  /** Closes a shard and opens two children that share its items. Returns their ids. */
  split(shardId: string): readonly [string, string];
  /** Closes a shard and opens one child with all its items, as DynamoDB does every few hours. Returns the child's id. */
  roll(shardId: string): string;
  /** Closes a shard without a child, as when the stream is disabled. */
  close(shardId: string): void;
  /** Removes all records up to a sequence number, or written before a time, and the shards that had ended by then. */
  trim(upTo: string | Date): void;
  /** Makes all existing iterators too old. */
  expireIterators(): void;
}

const HASHES = 2 ** 32;

export function memoryStream(options: MemoryStreamOptions = {}): MemoryStream {
  const { table = 'TestTable', label = '2026-01-01T00:00:00.000', shards: count = 1, pageSize = Infinity, clock = Date } = options;
  const arn = `arn:aws:dynamodb:eu-west-1:123456789012:table/${table}/stream/${label}`;
  const shards = new Map<string, MemoryShard>();
  let number = BigInt(options.sequenceNumber ?? 100_000_000_000_000_000_001n);
  let opened = 0;
  let generation = 0;

  const nextNumber = (): string => {
    const next = String(number);
    number += 1n;
    return next.padStart(21, '0');
  };
  const openShard = (low: number, high: number, parent?: string): string => {
    opened += 1;
    const id = `shardId-${String(opened).padStart(20, '0')}-${hash(String(opened)).toString(16).padStart(8, '0')}`;
    shards.set(id, new MemoryShard({ id, ...(parent !== undefined && { parent }), low, high }));
    return id;
  };
  const shardNamed = (id: string): MemoryShard => {
    const shard = shards.get(id);
    if (!shard) throw new TrimmedError(`there is no shard ${id}`);
    return shard;
  };
  const close = (id: string): ShardOrigin => {
    const shard = shardNamed(id);
    if (!shard.isOpen) throw new Error(`shard ${id} is closed already`);
    shard.close(nextNumber(), clock.now());
    return shard.origin;
  };
  const shardOf = (record: StreamRecord): MemoryShard => {
    const ofItem = itemHash(record);
    for (const shard of shards.values()) if (shard.takes(ofItem)) return shard;
    throw new Error('the stream is closed: no open shard takes this record');
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
      return [...shards.values()].filter(({ isOpen }) => isOpen).map(({ origin }) => origin.id);
    },
    shardOf: (record) => shardOf(record).origin.id,
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
    iterator: async (id, position) => `${id} ${shardNamed(id).indexOf(position)} ${generation}`,
    async records(iterator, limit) {
      const [id = '', index, given] = iterator.split(' ');
      if (Number(given) < generation) throw new ExpiredIteratorError('the iterator is too old');
      const { records, next } = shardNamed(id).page(Number(index), Math.min(limit, pageSize));
      return { records, ...(next !== undefined && { next: `${id} ${next} ${generation}` }) };
    },
  };
}
