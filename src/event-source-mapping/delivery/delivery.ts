import type { Condition } from '../events.ts';
import type { Run } from '../run.ts';
import { RETENTION_MS } from '../streams/reader.ts';
import { aftermathOf } from './aftermath.ts';
import type { QueuedRecord, RecordBatch } from './batch.ts';
import { invoke } from './invocation.ts';
import { discard } from './on-failure.ts';

/** Brings batches of one shard to the function until each record is done. */
export class Delivery {
  readonly #run: Run;
  readonly #shardId: string;
  readonly #finish: (records: readonly QueuedRecord[]) => void;

  /** @param finish called with records as soon as they are done. */
  constructor(run: Run, shardId: string, finish: (records: readonly QueuedRecord[]) => void) {
    this.#run = run;
    this.#shardId = shardId;
    this.#finish = finish;
  }

  /** Delivers one batch, and its parts if it is split. Returns between two invocations when the mapping is stopping. */
  async deliver(records: readonly QueuedRecord[]): Promise<void> {
    const waiting: RecordBatch[] = [{ records, retries: 0, invocations: 0, refusals: 0, delayMs: 0 }];
    for (let next = waiting.shift(); next; next = waiting.shift()) {
      if (next.delayMs > 0) await this.#run.pause(next.delayMs);
      if (this.#run.stopping.aborted) return;
      const young = await this.#withoutOld(next);
      if (this.#run.stopping.aborted) return;
      if (young.records.length > 0) waiting.unshift(...(await this.#attempt(young)));
    }
  }

  /**
   * Removes the leading records that are too old. The limit of a first attempt is `maximumRecordAgeInSeconds`; records beyond it are
   * discarded. A retry also ends when the stream no longer has the records.
   */
  async #withoutOld(batch: RecordBatch): Promise<RecordBatch> {
    const { clock, maximumAgeMs } = this.#run.settings;
    const isRetry = batch.invocations + batch.refusals > 0;
    const limit = isRetry ? Math.min(maximumAgeMs, RETENTION_MS) : maximumAgeMs;
    const young = batch.records.findIndex(({ writtenAt }) => writtenAt === undefined || clock.now() - writtenAt <= limit);
    if (young === 0) return batch;
    const cut = young === -1 ? batch.records.length : young;
    const old = { ...batch, records: batch.records.slice(0, cut) };
    if (limit === maximumAgeMs) await this.#discard(old, 'RecordAgeExceeded');
    else this.#expire(old.records);
    return { ...batch, records: batch.records.slice(cut) };
  }

  /** Invokes the function. Returns the batches that remain to be delivered, in order. */
  async #attempt(batch: RecordBatch): Promise<readonly RecordBatch[]> {
    const invocation = await invoke(this.#run, this.#shardId, batch.records);
    if (this.#run.killed) return [];
    const { events, done, exhausted, rest } = aftermathOf(batch, invocation, this.#shardId, this.#run.settings);
    for (const event of events) this.#run.emit(event);
    this.#finish(done);
    if (exhausted) await this.#discard(exhausted, 'RetryAttemptsExhausted');
    return rest;
  }

  async #discard(batch: RecordBatch, condition: Condition): Promise<void> {
    if (await discard(this.#run, this.#shardId, batch, condition)) this.#finish(batch.records);
  }

  /** Reports records that the stream no longer has. They become no letter, because Lambda could not read them either. */
  #expire(records: readonly QueuedRecord[]): void {
    const [first, last] = [records[0], records.at(-1)];
    const from = { sequenceNumber: first?.sequenceNumber, at: first?.writtenAt };
    const to = { sequenceNumber: last?.sequenceNumber, at: last?.writtenAt };
    this.#run.emit({ type: 'gap', shardId: this.#shardId, reason: 'expired', from, to });
    this.#finish(records);
  }
}
