import { type StreamRecord, writtenAt } from '../../dynamodb/record.ts';
import { type Position, type Shard, TrimmedError } from './reader.ts';

export interface ShardOrigin {
  readonly id: string;
  readonly parent?: string;
  /** The shard has the items whose hashes are at least `low` and below `high`. */
  readonly low: number;
  readonly high: number;
}

/** One shard of a stream in memory. */
export class MemoryShard {
  readonly origin: ShardOrigin;
  readonly #records: StreamRecord[] = [];
  /** Number of records that were trimmed. They stay in `#records`, so that iterators can count from the first record. */
  #trimmed = 0;
  /** The shard's last sequence number. Undefined while the shard is open. */
  #end: string | undefined;
  #closedAt = Infinity;

  constructor(origin: ShardOrigin) {
    this.origin = origin;
  }

  get isOpen(): boolean {
    return this.#end === undefined;
  }

  get description(): Shard {
    const { id, parent } = this.origin;
    return { id, ...(parent !== undefined && { parent }), closed: !this.isOpen };
  }

  takes(hash: number): boolean {
    return this.isOpen && this.origin.low <= hash && hash < this.origin.high;
  }

  append(record: StreamRecord): void {
    this.#records.push(record);
  }

  close(end: string, at: number): void {
    this.#end = end;
    this.#closedAt = at;
  }

  /** Removes records up to a sequence number, or written before a time. Returns whether the whole shard had ended by then. */
  trim(upTo: string | Date): boolean {
    const isGone = (record: StreamRecord): boolean =>
      typeof upTo === 'string'
        ? BigInt(record.dynamodb?.SequenceNumber ?? 0) <= BigInt(upTo)
        : (writtenAt(record) ?? Infinity) < upTo.getTime();
    for (let next = this.#records[this.#trimmed]; next && isGone(next); next = this.#records[this.#trimmed]) this.#trimmed += 1;
    if (this.#end === undefined) return false;
    return typeof upTo === 'string' ? BigInt(this.#end) <= BigInt(upTo) : this.#closedAt < upTo.getTime();
  }

  /** The number of records before a position. Throws TrimmedError. */
  indexOf(position: Position): number {
    switch (position.type) {
      case 'TRIM_HORIZON':
        return this.#trimmed;
      case 'LATEST':
        return this.#records.length;
      case 'AT':
      case 'AFTER': {
        const { sequenceNumber } = position;
        const index = this.#records.findIndex(({ dynamodb }) => dynamodb?.SequenceNumber === sequenceNumber);
        if (index === -1) throw new Error(`shard ${this.origin.id} has no sequence number ${sequenceNumber}`);
        if (index < this.#trimmed) throw new TrimmedError(`sequence number ${sequenceNumber} was trimmed`);
        return position.type === 'AT' ? index : index + 1;
      }
    }
  }

  /** Records from an index on, and the next index unless the shard ends there. Throws TrimmedError. */
  page(from: number, limit: number): { readonly records: readonly StreamRecord[]; readonly next?: number } {
    if (from < this.#trimmed) throw new TrimmedError(`records of shard ${this.origin.id} were trimmed`);
    const to = Math.min(this.#records.length, from + limit);
    const atEnd = !this.isOpen && to === this.#records.length;
    return { records: this.#records.slice(from, to), ...(!atEnd && { next: to }) };
  }
}
