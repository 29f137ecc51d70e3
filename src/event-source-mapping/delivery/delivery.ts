import type { Condition } from '../events.ts';
import type { Run } from '../run.ts';
import { RETENTION_MS } from '../streams/reader.ts';
import { aftermathOf } from './aftermath.ts';
import type { QueuedRecord, RecordBatch } from './batch.ts';
import { invoke } from './invocation.ts';
import { giveUp } from './on-failure.ts';

/** Brings batches of one shard to the function until each record is done: it succeeded, or was given up. */
export class Delivery {
  readonly #run: Run;
  readonly #shardId: string;
  readonly #finish: (entries: readonly QueuedRecord[]) => void;

  constructor(run: Run, shardId: string, finish: (entries: readonly QueuedRecord[]) => void) {
    this.#run = run;
    this.#shardId = shardId;
    this.#finish = finish;
  }

  /** Returns early, between two invocations, when the mapping is to stop. */
  async deliver(entries: readonly QueuedRecord[]): Promise<void> {
    const waiting: RecordBatch[] = [{ entries, retries: 0, invocations: 0, refusals: 0, delayMs: 0 }];
    for (let next = waiting.shift(); next; next = waiting.shift()) {
      if (next.delayMs > 0) await this.#run.pause(next.delayMs);
      if (this.#run.stopping.aborted) return;
      const young = await this.#withoutOld(next);
      if (this.#run.stopping.aborted) return;
      if (young.entries.length > 0) waiting.unshift(...(await this.#attempt(young)));
    }
  }

  /** Gives up those at its beginning that are too old. What failed is not retried for longer than the stream has it. */
  async #withoutOld(batch: RecordBatch): Promise<RecordBatch> {
    const { clock, maximumAgeMs } = this.#run.settings;
    const again = batch.invocations + batch.refusals > 0;
    const limit = again ? Math.min(maximumAgeMs, RETENTION_MS) : maximumAgeMs;
    const young = batch.entries.findIndex(({ at }) => at === undefined || clock.now() - at <= limit);
    if (young === 0) return batch;
    const cut = young === -1 ? batch.entries.length : young;
    const old = { ...batch, entries: batch.entries.slice(0, cut) };
    if (limit === maximumAgeMs) await this.#giveUp(old, 'RecordAgeExceeded');
    else this.#expire(old.entries);
    return { ...batch, entries: batch.entries.slice(cut) };
  }

  /** Invokes the function. Returns what remains to be done, in order. */
  async #attempt(batch: RecordBatch): Promise<readonly RecordBatch[]> {
    const invocation = await invoke(this.#run, this.#shardId, batch.entries);
    if (this.#run.killed) return [];
    const { events, done, exhausted, rest } = aftermathOf(batch, invocation, this.#shardId, this.#run.settings);
    for (const event of events) this.#run.emit(event);
    this.#finish(done);
    if (exhausted) await this.#giveUp(exhausted, 'RetryAttemptsExhausted');
    return rest;
  }

  async #giveUp(batch: RecordBatch, condition: Condition): Promise<void> {
    if (await giveUp(this.#run, this.#shardId, batch, condition)) this.#finish(batch.entries);
  }

  /** The stream has them no longer. No letter: Lambda would not have had them either. */
  #expire(entries: readonly QueuedRecord[]): void {
    const [first, final] = [entries[0], entries.at(-1)];
    const from = { sequenceNumber: first?.sequenceNumber, at: first?.at };
    const to = { sequenceNumber: final?.sequenceNumber, at: final?.at };
    this.#run.emit({ type: 'gap', shardId: this.#shardId, reason: 'expired', from, to });
    this.#finish(entries);
  }
}
