import type { StreamRecord } from '../../dynamodb/record.ts';
import { writtenAt } from '../../dynamodb/record.ts';
import { asError } from '../../errors.ts';
import type { Checkpoint } from '../checkpoints/checkpoints.ts';
import type { StreamPlace } from '../events.ts';
import type { Run } from '../run.ts';
import { ExpiredIteratorError, type Position, RETENTION_MS, type RecordPage, TrimmedError } from '../streams/reader.ts';

/** Records tell the second in which they were written, those of DynamoDB Local the minute: what may have been written since is taken. */
const RESOLUTION_MS = 60_000;

/** Reads one shard page by page, from a checkpoint on: renews iterators, notices what was trimmed, bears with a stream that fails. */
export class ShardCursor {
  readonly #run: Run;
  readonly #shardId: string;
  readonly #from: Checkpoint;
  #iterator: string | undefined;
  #opened = false;
  #last: StreamRecord | undefined;
  #failures = 0;
  /** LATEST is a place only while it is now. Later it is what was written since, as far as records tell. */
  #latest: 'to come' | 'here' | 'since then' | undefined;
  /** What was lost lies after it. It is told with what is found there next. */
  #lostAfter: StreamPlace | undefined;

  /** `fresh`: the checkpoint was made just now, and not by an earlier mapping. */
  constructor(run: Run, shardId: string, from: Checkpoint, fresh: boolean) {
    this.#run = run;
    this.#shardId = shardId;
    this.#from = from;
    if (from.type === 'start' && from.position === 'LATEST') this.#latest = fresh ? 'to come' : 'since then';
  }

  /** The next page; `lost`: a gap before it was told. Undefined: ask again, unless the mapping is to stop. */
  async next(limit: number): Promise<(RecordPage & { readonly lost: boolean }) | undefined> {
    try {
      this.#iterator ??= await this.#open();
      if (this.#run.stopping.aborted) return undefined;
      if (this.#iterator === undefined) return { records: [], lost: true };
      const page = await this.#run.settings.reader.records(this.#iterator, limit);
      if (this.#run.killed) return undefined;
      this.#failures = 0;
      this.#iterator = page.next;
      return this.#take(page);
    } catch (error) {
      await this.#recover(error);
      return undefined;
    }
  }

  #take({ records, next }: RecordPage) {
    this.#last = records.at(-1) ?? this.#last;
    if (this.#last && this.#latest === 'here') this.#latest = undefined;
    const wanted = this.#latest === 'since then' ? this.#since(records) : records;
    const lost = this.#lostAfter !== undefined;
    if (lost) this.#tellGap('trimmed', wanted[0]);
    return { records: wanted, next, lost };
  }

  #since(records: readonly StreamRecord[]): readonly StreamRecord[] {
    const first = records.findIndex((record) => (writtenAt(record) ?? Infinity) + RESOLUTION_MS > this.#from.at);
    if (first === -1) return [];
    this.#latest = undefined;
    return records.slice(first);
  }

  /** An iterator at the place after the last record that was read. Undefined: the shard is gone. */
  async #open(): Promise<string | undefined> {
    const { reader, clock } = this.#run.settings;
    if (this.#latest === 'here') this.#latest = 'since then';
    const position = this.#position();
    if (!this.#opened) {
      this.#opened = true;
      this.#run.emit({ type: 'shard-started', shardId: this.#shardId, position });
      // As long as no record was read there is no place to ask for that would tell whether it is still there.
      if (this.#from.type === 'start' && clock.now() - this.#from.at > RETENTION_MS) this.#lostAfter = { at: this.#from.at };
    }
    try {
      const iterator = await reader.iterator(this.#shardId, position);
      if (position.type === 'LATEST') this.#latest = 'here';
      return iterator;
    } catch (error) {
      if (!(error instanceof TrimmedError)) throw error;
    }
    if (this.#run.stopping.aborted) return undefined;
    this.#lostAfter ??= this.#place();
    try {
      return await reader.iterator(this.#shardId, { type: 'TRIM_HORIZON' });
    } catch (error) {
      if (!(error instanceof TrimmedError)) throw error;
      if (!this.#run.killed) this.#tellGap('vanished');
      return undefined;
    }
  }

  #position(): Position {
    if (this.#last) return { type: 'AFTER', sequenceNumber: this.#last.dynamodb?.SequenceNumber ?? '' };
    switch (this.#from.type) {
      case 'at':
      case 'after':
        return { type: this.#from.type === 'at' ? 'AT' : 'AFTER', sequenceNumber: this.#from.sequenceNumber };
      default:
        return { type: this.#latest === 'to come' ? 'LATEST' : 'TRIM_HORIZON' };
    }
  }

  /** As far as it was read. */
  #place(): StreamPlace {
    if (this.#last) return placeOf(this.#last);
    const { at } = this.#from;
    return this.#from.type === 'at' || this.#from.type === 'after' ? { sequenceNumber: this.#from.sequenceNumber, at } : { at };
  }

  #tellGap(reason: 'trimmed' | 'vanished', next?: StreamRecord): void {
    const from = this.#lostAfter ?? this.#place();
    this.#lostAfter = undefined;
    this.#run.emit({ type: 'gap', shardId: this.#shardId, reason, from, ...(next && { to: placeOf(next) }) });
  }

  async #recover(error: unknown): Promise<void> {
    this.#failures += 1;
    const old = error instanceof TrimmedError || error instanceof ExpiredIteratorError;
    if (old) this.#iterator = undefined;
    if (old && this.#failures === 1) return;
    const delayMs = this.#run.settings.backoffMs(this.#failures);
    this.#run.emit({ type: 'read-failed', shardId: this.#shardId, error: asError(error), delayMs });
    await this.#run.pause(delayMs);
  }
}

function placeOf(record: StreamRecord): StreamPlace {
  return { sequenceNumber: record.dynamodb?.SequenceNumber, at: writtenAt(record) };
}
