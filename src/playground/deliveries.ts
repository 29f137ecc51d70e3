import type { MappingEvent } from '../event-source-mapping/index.ts';

/** Which records of a stream a worker has not brought to their end. */
export class Deliveries {
  readonly #items = new Map<string, string>();
  readonly #open = new Map<string, Set<string>>();
  readonly #invoked = new Map<string, readonly string[]>();
  #isCatchingUp = false;
  #newest: bigint | undefined;

  /** Whether the worker is on its way through records that it has seen before, or that were written before it began. */
  get catchingUp(): boolean {
    return this.#isCatchingUp;
  }

  /** @param newest the record at which the worker has caught up. Default: `caughtUp` says when. */
  catchUp(newest?: string): void {
    this.#isCatchingUp = true;
    this.#newest = newest === undefined ? undefined : BigInt(newest);
  }

  caughtUp(): void {
    this.#isCatchingUp = false;
  }

  /** A record was written. */
  written(sequenceNumber: string, item: string): void {
    this.#items.set(sequenceNumber, item);
    this.#begin(sequenceNumber);
    // What is older is open, or was delivered long ago.
    for (const old of this.#items.keys()) {
      if (this.#items.size <= MOST_RECORDS) break;
      if (!this.#open.get(this.#items.get(old) ?? '')?.has(old)) this.#items.delete(old);
      else break;
    }
  }

  event(event: MappingEvent): void {
    switch (event.type) {
      case 'invoked':
        this.#invoked.set(event.requestId, event.sequenceNumbers);
        for (const number of event.sequenceNumbers) this.#begin(number);
        break;
      case 'succeeded':
        this.#end(event.sequenceNumbers);
        this.#invoked.delete(event.requestId);
        break;
      case 'failed': {
        const failed = new Set(event.sequenceNumbers);
        const invoked = this.#invoked.get(event.requestId) ?? [];
        if (event.reason === 'partial') this.#end(invoked.filter((number) => !failed.has(number)));
        this.#invoked.delete(event.requestId);
        break;
      }
      case 'dropped':
      case 'delivered':
      case 'filtered':
        this.#end(event.sequenceNumbers);
        break;
    }
  }

  /** Whether a record of the item is on its way. */
  isLate(item: string): boolean {
    return this.#isCatchingUp || this.#open.has(item);
  }

  get waiting(): number {
    return this.#open.size;
  }

  #begin(number: string): void {
    const item = this.#items.get(number);
    if (item === undefined) return;
    const open = this.#open.get(item);
    if (open) open.add(number);
    else this.#open.set(item, new Set([number]));
  }

  #end(numbers: readonly string[]): void {
    for (const number of numbers) {
      if (this.#newest !== undefined && BigInt(number) >= this.#newest) this.caughtUp();
      const item = this.#items.get(number);
      const open = item === undefined ? undefined : this.#open.get(item);
      open?.delete(number);
      if (open?.size === 0) this.#open.delete(item as string);
    }
  }
}

const MOST_RECORDS = 50_000;
