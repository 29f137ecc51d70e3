import { type StreamRecord, writtenAt } from '../../dynamodb/record.ts';
import { asError } from '../../errors.ts';
import type { Checkpoint } from '../checkpoints/checkpoints.ts';
import type { StreamPlace } from '../events.ts';
import type { Run } from '../run.ts';
import { ExpiredIteratorError, type Position, RETENTION_MS, type RecordPage, TrimmedError } from '../streams/reader.ts';

/** How much later than its date a record may have been written, ms. DynamoDB rounds dates down to a second, DynamoDB Local to a minute. */
const RESOLUTION_MS = 60_000;

/** A page of records. `lost`: records before it may be lost, which a `gap` event has reported. */
export interface CursorPage extends RecordPage {
  readonly lost: boolean;
}

/**
 * LATEST has no sequence number to resume from. Once its iterator is lost, the cursor continues from TRIM_HORIZON and skips records that
 * were written before the checkpoint. The states:
 *
 * - `unopened`: the iterator of LATEST was not requested yet;
 * - `open`: the iterator is in use, but no record was read;
 * - `resuming`: the iterator is lost.
 */
type LatestState = 'unopened' | 'open' | 'resuming';

/** Reads one shard page by page from a checkpoint: renews iterators, notices trimmed records, and repeats calls that fail. */
export class ShardCursor {
  readonly #run: Run;
  readonly #shardId: string;
  readonly #from: Checkpoint;
  #iterator: string | undefined;
  #started = false;
  #last: StreamRecord | undefined;
  #failures = 0;
  /** Undefined: the cursor did not start at LATEST, or it has read a record since. */
  #latest: LatestState | undefined;
  /** The place after which records are lost, until the next page shows where the stream continues. */
  #lostAfter: StreamPlace | undefined;

  /** @param fresh whether this mapping has just made the checkpoint, so that LATEST still means now. */
  constructor(run: Run, shardId: string, from: Checkpoint, fresh: boolean) {
    this.#run = run;
    this.#shardId = shardId;
    this.#from = from;
    if (from.type === 'start' && from.position === 'LATEST') this.#latest = fresh ? 'unopened' : 'resuming';
  }

  /** Resolves with the next page, or with undefined when the call failed or the mapping is stopping; then call again or stop. */
  async next(limit: number): Promise<CursorPage | undefined> {
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

  #take({ records, next }: RecordPage): CursorPage {
    this.#last = records.at(-1) ?? this.#last;
    if (this.#last && this.#latest === 'open') this.#latest = undefined;
    const wanted = this.#latest === 'resuming' ? this.#writtenSinceCheckpoint(records) : records;
    const lost = this.#lostAfter !== undefined;
    if (lost) this.#reportGap('trimmed', wanted[0]);
    return { records: wanted, next, lost };
  }

  #writtenSinceCheckpoint(records: readonly StreamRecord[]): readonly StreamRecord[] {
    const first = records.findIndex((record) => (writtenAt(record) ?? Infinity) + RESOLUTION_MS > this.#from.at);
    if (first === -1) return [];
    this.#latest = undefined;
    return records.slice(first);
  }

  /** Requests an iterator after the last record that was read. Resolves with undefined when the shard no longer exists. */
  async #open(): Promise<string | undefined> {
    const { reader, clock } = this.#run.settings;
    if (this.#latest === 'open') this.#latest = 'resuming';
    const position = this.#position();
    if (!this.#started) {
      this.#started = true;
      this.#run.emit({ type: 'shard-started', shardId: this.#shardId, position });
      // A `start` checkpoint names no record, so the stream cannot say whether records after it were trimmed. Its age can.
      if (this.#from.type === 'start' && clock.now() - this.#from.at > RETENTION_MS) this.#lostAfter = { at: this.#from.at };
    }
    try {
      const iterator = await reader.iterator(this.#shardId, position);
      if (position.type === 'LATEST') this.#latest = 'open';
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
      if (!this.#run.killed) this.#reportGap('vanished');
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
        return { type: this.#latest === 'unopened' ? 'LATEST' : 'TRIM_HORIZON' };
    }
  }

  /** The place of the last record that was read, or else of the checkpoint. */
  #place(): StreamPlace {
    if (this.#last) return placeOf(this.#last);
    const { at } = this.#from;
    return this.#from.type === 'at' || this.#from.type === 'after' ? { sequenceNumber: this.#from.sequenceNumber, at } : { at };
  }

  #reportGap(reason: 'trimmed' | 'vanished', next?: StreamRecord): void {
    const from = this.#lostAfter ?? this.#place();
    this.#lostAfter = undefined;
    this.#run.emit({ type: 'gap', shardId: this.#shardId, reason, from, ...(next && { to: placeOf(next) }) });
  }

  /** Drops an iterator that is too old; the first time without a delay. Waits after all other failures. */
  async #recover(error: unknown): Promise<void> {
    this.#failures += 1;
    const isOld = error instanceof TrimmedError || error instanceof ExpiredIteratorError;
    if (isOld) this.#iterator = undefined;
    if (isOld && this.#failures === 1) return;
    const delayMs = this.#run.settings.backoffMs(this.#failures);
    this.#run.emit({ type: 'read-failed', shardId: this.#shardId, error: asError(error), delayMs });
    await this.#run.pause(delayMs);
  }
}

function placeOf(record: StreamRecord): StreamPlace {
  return { sequenceNumber: record.dynamodb?.SequenceNumber, at: writtenAt(record) };
}
