import { type StreamRecord, writtenAt } from '../../dynamodb/record.ts';
import { asError } from '../../errors.ts';
import type { Checkpoint } from '../checkpoints/checkpoints.ts';
import type { StreamPlace } from '../events.ts';
import type { Run } from '../run.ts';
import { ExpiredIteratorError, type Position, RETENTION_MS, type RecordPage, type Shard, TrimmedError } from '../streams/reader.ts';

/** How much later than its date a record may have been written, ms. DynamoDB rounds dates down to a second, DynamoDB Local to a minute. */
const RESOLUTION_MS = 60_000;

export interface CursorPage {
  readonly records: readonly StreamRecord[];
  /** Records before the page may be lost, which a `gap` event has reported. */
  readonly lost: boolean;
  /**
   * - `more`: further pages follow, now or later;
   * - `unknown`: the stream returned no iterator, so the next call finds out whether the shard has ended;
   * - `nothing`: the shard has ended.
   */
  readonly follows: 'more' | 'unknown' | 'nothing';
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

/**
 * Reads one shard page by page from a checkpoint: renews iterators, notices trimmed records, and repeats calls that fail.
 *
 * A page without an iterator does not prove that the shard has ended. The shard has ended when the stream lists it as closed and a new iterator
 * after the last record gives nothing more. A shard that the stream removes before that is reported as a gap.
 */
export class ShardCursor {
  readonly #run: Run;
  readonly #shardId: string;
  readonly #from: Checkpoint;
  readonly #list: () => Promise<readonly Shard[]>;
  #iterator: string | undefined;
  #started = false;
  #last: StreamRecord | undefined;
  #failures = 0;
  /** Undefined: the cursor did not start at LATEST, or it has read a record since. */
  #latest: LatestState | undefined;
  /** The place after which records are lost, until the next page shows where the stream continues. */
  #lostAfter: StreamPlace | undefined;
  /** Whether the last page had no iterator. */
  #mayHaveEnded = false;
  /** Whether the stream listed the shard as closed after such a page. */
  #isClosed = false;

  /**
   * @param fresh whether this mapping has just made the checkpoint, so that LATEST still means now.
   * @param list lists the shards of the stream, again until it succeeds; resolves with an empty list when the mapping is stopping.
   */
  constructor(run: Run, shardId: string, from: Checkpoint, fresh: boolean, list: () => Promise<readonly Shard[]>) {
    this.#run = run;
    this.#shardId = shardId;
    this.#from = from;
    this.#list = list;
    if (from.type === 'start' && from.position === 'LATEST') this.#latest = fresh ? 'unopened' : 'resuming';
  }

  /** Resolves with the next page, or with undefined when the call failed or the mapping is stopping; then call again or stop. */
  async next(limit: number): Promise<CursorPage | undefined> {
    try {
      if (this.#mayHaveEnded && !this.#isClosed) await this.#consultList();
      // After LATEST there is no record to continue from, and a closed shard gets no further one.
      if (this.#isClosed && this.#latest === 'open') return { records: [], lost: false, follows: 'nothing' };
      if (!this.#run.stopping.aborted) this.#iterator ??= await this.#open();
      if (this.#run.stopping.aborted) return undefined;
      if (this.#iterator === undefined) return { records: [], lost: true, follows: 'nothing' };
      const page = await this.#run.settings.reader.records(this.#iterator, limit);
      if (this.#run.killed) return undefined;
      this.#refuseRepeated(page.records);
      return this.#take(page);
    } catch (error) {
      await this.#recover(error);
      return undefined;
    }
  }

  #take({ records, next }: RecordPage): CursorPage {
    // Services and their copies leave an iterator out, or write null or an empty text.
    const hasNext = typeof next === 'string' && next !== '';
    this.#iterator = hasNext ? next : undefined;
    this.#mayHaveEnded = !hasNext;
    if (hasNext || records.length > 0) this.#failures = 0;
    const isEnd = !hasNext && records.length === 0 && this.#isClosed;
    this.#last = records.at(-1) ?? this.#last;
    if (this.#last && this.#latest === 'open') this.#latest = undefined;
    const wanted = this.#latest === 'resuming' ? this.#writtenSinceCheckpoint(records) : records;
    const lost = this.#lostAfter !== undefined;
    if (lost) this.#reportGap('trimmed', wanted[0]);
    return { records: wanted, lost, follows: isEnd ? 'nothing' : hasNext ? 'more' : 'unknown' };
  }

  /** @throws ExpiredIteratorError when the page goes back, so that reading continues with a new iterator after the last record. */
  #refuseRepeated(records: readonly StreamRecord[]): void {
    const [first, last] = [records[0]?.dynamodb?.SequenceNumber, this.#last?.dynamodb?.SequenceNumber];
    if (first === undefined || last === undefined || isGreater(first, last)) return;
    // The record before the place is still there, so none after it was removed.
    this.#lostAfter = undefined;
    throw new ExpiredIteratorError(`the stream returned records of shard ${this.#shardId} again`);
  }

  /** @throws ExpiredIteratorError unless the shard is closed, so that reading continues with a new iterator after the last record. */
  async #consultList(): Promise<void> {
    const shard = await this.#shard();
    if (this.#run.stopping.aborted) return;
    this.#isClosed = shard?.closed === true;
    if (this.#isClosed) return;
    this.#mayHaveEnded = false;
    throw new ExpiredIteratorError(`the stream returned no iterator of shard ${this.#shardId}, which is ${shard ? 'open' : 'not listed'}`);
  }

  /** The shard in the stream's list. Undefined: the stream has removed it. */
  async #shard(): Promise<Shard | undefined> {
    return (await this.#list()).find(({ id }) => id === this.#shardId);
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
    try {
      const iterator = await reader.iterator(this.#shardId, { type: 'TRIM_HORIZON' });
      this.#lostAfter ??= this.#place();
      return iterator;
    } catch (error) {
      if (!(error instanceof TrimmedError)) throw error;
      return await this.#endOfRemoved(error);
    }
  }

  /** The stream has no place in the shard. An open shard cannot be removed, so the error is passed on to be repeated. */
  async #endOfRemoved(cause: TrimmedError): Promise<undefined> {
    const shard = await this.#shard();
    if (this.#run.stopping.aborted) return undefined;
    if (shard?.closed === false) {
      throw new Error(`the stream gives no iterator of shard ${this.#shardId}, which is open: ${cause.message}`, { cause });
    }
    this.#reportGap('vanished');
    return undefined;
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

/** Compares decimal numbers of any length. */
function isGreater(a: string, b: string): boolean {
  const [one, other] = [a.replace(/^0+/, ''), b.replace(/^0+/, '')];
  return one.length === other.length ? one > other : one.length > other.length;
}

function placeOf(record: StreamRecord): StreamPlace {
  return { sequenceNumber: record.dynamodb?.SequenceNumber, at: writtenAt(record) };
}
