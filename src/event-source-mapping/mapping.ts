import type { StreamEvent } from '../dynamodb/record.ts';
import { type MappingOptions, type MappingSettings, mappingSettingsOf } from './options.ts';
import { Run } from './run.ts';
import { Shards } from './shards/shards.ts';

/** Connects a stream with a function, as Lambda does. A mapping runs once. To resume, make another mapping with the same checkpoints. */
export interface EventSourceMapping {
  /**
   * Starts to follow the stream. Rejects when the checkpoints or the list of shards cannot be read, or when the first checkpoints cannot be
   * saved. `start` may be called again then.
   */
  start(): Promise<void>;
  /**
   * Resolves when all records that are in the stream now are done, and the checkpoints are saved. A record is done when the function
   * succeeded with it, or when it was filtered out, discarded or removed by the stream. Rejects when the mapping ends before.
   *
   * An empty page of an open shard counts as the end of the stream, although DynamoDB may return one earlier.
   */
  drained(): Promise<void>;
  /**
   * Starts no further invocation, waits for those that are running, and saves the checkpoints. Rejects when the checkpoints could not be
   * saved, or when the mapping had failed before.
   */
  stop(): Promise<void>;
  /** Ends the mapping as if its process had died. Starts, reports and saves nothing more, and ignores the results of running invocations. */
  kill(): void;
  /** Resolves after `stop` or `kill`. Rejects when a fault ended the mapping, for example when `onEvent` threw. */
  readonly finished: Promise<void>;
}

/**
 * Follows a DynamoDB stream and invokes a handler with its records, as a Lambda event source mapping does. The stream may be in AWS, in
 * DynamoDB Local, or in memory. A shard starts when its parent has ended.
 *
 * Each record is delivered at least once, and the records of one item in order. Exceptions: records that are discarded
 * (`maximumRetryAttempts`, `maximumRecordAgeInSeconds`), filtered out, or removed by the stream (event `gap`).
 *
 * @throws RangeError that names every option that is out of range.
 */
export function eventSourceMapping<Event = StreamEvent>(options: MappingOptions<Event>): EventSourceMapping {
  return new Mapping(mappingSettingsOf(options));
}

class Mapping implements EventSourceMapping {
  readonly finished: Promise<void>;
  readonly #run: Run;
  readonly #shards: Shards;
  #started = false;

  constructor(settings: MappingSettings) {
    this.#run = new Run(settings);
    this.#shards = new Shards(this.#run);
    this.finished = new Promise((resolve, reject) => {
      this.#run.onStop(async () => {
        await this.#shards.ended();
        if (this.#run.failure) reject(this.#run.failure);
        else resolve();
      });
    });
    // A caller that only uses `stop` and `drained` learns of the fault there.
    this.finished.catch(() => {});
  }

  async start(): Promise<void> {
    if (this.#started || this.#run.stopping.aborted) throw new Error('this event source mapping was started before: make another one');
    this.#started = true;
    try {
      await this.#shards.open();
    } catch (error) {
      this.#started = false;
      throw error;
    }
  }

  async drained(): Promise<void> {
    if (!this.#started) throw new Error('this event source mapping was not started');
    const ended = () => new Error('this event source mapping ended before it was drained');
    await Promise.race([
      this.#shards.caughtUp(),
      this.finished.then(() => {
        throw ended();
      }),
    ]);
    // While the mapping is stopping, `caughtUp` sees no shards and resolves at once.
    if (this.#run.stopping.aborted) throw ended();
  }

  async stop(): Promise<void> {
    this.#run.stop();
    await this.finished;
  }

  kill(): void {
    this.#run.kill();
  }
}
