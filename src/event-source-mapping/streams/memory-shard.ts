import type { StreamRecord } from '../../dynamodb/record.ts';
import { writtenAt } from '../../dynamodb/record.ts';
import { type Position, type Shard, TrimmedError } from './reader.ts';

export interface Born {
  readonly id: string;
  readonly parent?: string;
  readonly start: string;
  /** It has the items whose hashes lie from `low` to below `high`. */
  readonly low: number;
  readonly high: number;
}

/** One shard of a stream in memory. */
export class MemoryShard {
  readonly born: Born;
  readonly #records: StreamRecord[] = [];
  /** So many of the records are gone. */
  #trimmed = 0;
  #end: string | undefined;
  #closedAt = Infinity;

  constructor(born: Born) {
    this.born = born;
  }

  get isOpen(): boolean {
    return this.#end === undefined;
  }

  get description(): Shard {
    const { id, parent, start } = this.born;
    const end = this.#end;
    return { id, ...(parent !== undefined && { parent }), closed: end !== undefined, start, ...(end !== undefined && { end }) };
  }

  takes(hash: number): boolean {
    return this.isOpen && this.born.low <= hash && hash < this.born.high;
  }

  append(record: StreamRecord): void {
    this.#records.push(record);
  }

  close(end: string, at: number): void {
    this.#end = end;
    this.#closedAt = at;
  }

  /** Removes records up to a number, or written before a time. Returns whether the shard had ended by then, so that nothing is left of it. */
  trim(upTo: string | Date): boolean {
    const isGone = ({ dynamodb }: StreamRecord, at: number | undefined): boolean =>
      typeof upTo === 'string' ? BigInt(dynamodb?.SequenceNumber ?? 0) <= BigInt(upTo) : (at ?? Infinity) < upTo.getTime();
    for (let next = this.#records[this.#trimmed]; next && isGone(next, writtenAt(next)); next = this.#records[this.#trimmed]) {
      this.#trimmed += 1;
    }
    if (this.#end === undefined) return false;
    return typeof upTo === 'string' ? BigInt(this.#end) <= BigInt(upTo) : this.#closedAt < upTo.getTime();
  }

  /** How many records come before it. Throws TrimmedError. */
  placeOf(position: Position): number {
    switch (position.type) {
      case 'TRIM_HORIZON':
        return this.#trimmed;
      case 'LATEST':
        return this.#records.length;
      case 'AT':
      case 'AFTER': {
        const { sequenceNumber } = position;
        const index = this.#records.findIndex(({ dynamodb }) => dynamodb?.SequenceNumber === sequenceNumber);
        if (index === -1) throw new Error(`shard ${this.born.id} has no sequence number ${sequenceNumber}`);
        if (index < this.#trimmed) throw new TrimmedError(`sequence number ${sequenceNumber} was trimmed`);
        return position.type === 'AT' ? index : index + 1;
      }
    }
  }

  /** Records from a place on, and the next place unless this is the end. Throws TrimmedError. */
  page(from: number, limit: number): { readonly records: readonly StreamRecord[]; readonly next?: number } {
    if (from < this.#trimmed) throw new TrimmedError(`records of shard ${this.born.id} were trimmed`);
    const to = Math.min(this.#records.length, from + limit);
    const atEnd = !this.isOpen && to === this.#records.length;
    return { records: this.#records.slice(from, to), ...(!atEnd && { next: to }) };
  }
}
