import type { StreamEvent } from '../dynamodb/record.ts';
import { type MappingOptions, type MappingSettings, mappingSettingsOf } from './options.ts';
import { Run } from './run.ts';
import { Shards } from './shards/shards.ts';

/** Connects a stream with a function, as Lambda does. It runs once: to go on, make another one with the same checkpoints. */
export interface EventSourceMapping {
  /** Throws when the checkpoints or the stream's shards cannot be read, or the first of them not be saved; it can be called again then. */
  start(): Promise<void>;
  /**
   * Resolves when all that is in the stream now is done (the function succeeded with it, or it was filtered out or given up), and the
   * checkpoints are saved. An empty page of an open shard is taken for its end: DynamoDB itself may give one before. Throws when the
   * mapping ends before.
   */
  drained(): Promise<void>;
  /** Begins nothing more, lets invocations come to their end, and saves the checkpoints. Throws when that failed, or the mapping had failed. */
  stop(): Promise<void>;
  /** As if the process had died: nothing more is done, told or saved. Invocations that are under way run on, and are ignored. */
  kill(): void;
  /** Resolves after `stop` or `kill`; throws when the mapping ended because of a fault: `onEvent` threw, say. */
  readonly finished: Promise<void>;
}

/**
 * Follows a stream of DynamoDB (of AWS, of DynamoDB Local, or in memory), shard by shard, parents before children, and brings its records
 * to a handler with the semantics of a Lambda event source mapping. Each record is delivered at least once, and those of one item in order,
 * unless it is given up (`maximumRetryAttempts`, `maximumRecordAgeInSeconds`), filtered out, or gone from the stream (event `gap`).
 *
 * @throws RangeError that names every setting that is out of range.
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
    // Whoever calls `stop` is told, too.
    this.finished.catch(() => {});
  }

  async start(): Promise<void> {
    if (this.#started || this.#run.stopping.aborted) throw new Error('this event source mapping was started before: make another');
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
    const ended = () => new Error('this event source mapping was ended before it was drained');
    await Promise.race([
      this.#shards.caughtUp(),
      this.finished.then(() => {
        throw ended();
      }),
    ]);
    // Whoever is stopping is told of no more shards.
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
