import type { StreamAnswer } from '../../../src/handlers/stream-handler.ts';
import type { Written } from './table.ts';

/** One shard as an event source mapping reads it. The answer of the handler decides where reading goes on. */
export class Shard {
  readonly records: Written[] = [];
  /** The checkpoint. */
  at = 0;
  /** The furthest checkpoint so far. */
  furthest = 0;

  get drained(): boolean {
    return this.at >= this.records.length;
  }

  /** Records from the checkpoint on, of one stream. */
  batch(size: number): Written[] {
    const batch = this.records.slice(this.at, this.at + size);
    const other = batch.findIndex(({ stream }) => stream !== batch[0]?.stream);
    return other === -1 ? batch : batch.slice(0, other);
  }

  /** Does as Lambda does. No failures and no answer mean success. The lowest number is the checkpoint. An unknown identifier fails the batch. */
  settle(batch: readonly Written[], answer: StreamAnswer | 'thrown'): void {
    if (answer === 'thrown') return;
    const failures = answer?.batchItemFailures ?? [];
    if (failures.length === 0) this.at += batch.length;
    else {
      const known = failures.map(({ itemIdentifier }) => batch.findIndex(({ number }) => number === itemIdentifier));
      if (known.every((i) => i >= 0)) this.at += Math.min(...known);
    }
    this.furthest = Math.max(this.furthest, this.at);
  }
}
