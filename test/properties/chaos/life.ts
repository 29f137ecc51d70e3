import {
  type Checkpoint,
  type Checkpoints,
  type EventSourceMapping,
  eventSourceMapping,
  type MemoryStream,
  type StreamReader,
} from '../../../src/testing/index.ts';
import type { Mortal } from './lambda.ts';
import { Witness } from './witness.ts';
import type { World } from './world.ts';

export type Saved = ReadonlyMap<string, Checkpoint>;

/** Takes the records of items that the views project. */
const FILTERS = ['order#', 'cart#', 'user#'].map((prefix) => ({
  pattern: JSON.stringify({ dynamodb: { Keys: { pk: { S: [{ prefix }] } } } }),
}));

/** One mapping, from its start to its end. */
export class Life implements Mortal {
  isDead = false;
  #die: () => void = () => {};
  readonly #death = new Promise<void>((resolve) => {
    this.#die = resolve;
  });
  readonly #world: World;
  readonly #saved: Saved[];
  readonly #mapping: EventSourceMapping;
  readonly #started: Promise<void>;

  constructor(world: World, stream: MemoryStream, saved: Saved[]) {
    this.#world = world;
    this.#saved = saved;
    const { clock, chance, lambda, letters, history } = world;
    const witness = new Witness(world, stream.arn);
    const isAlive = () => !this.isDead;
    const { batchSize, windowS, factor, retries, ageS, bisects, filters } = history.mapping;
    this.#mapping = eventSourceMapping({
      reader: this.#reader(stream),
      handler: (event, context) => lambda.invoke(this, event, context),
      checkpoints: this.#checkpoints(stream.arn),
      batchSize,
      maximumBatchingWindowInSeconds: windowS,
      parallelizationFactor: factor,
      maximumRetryAttempts: retries,
      maximumRecordAgeInSeconds: ageS,
      bisectBatchOnFunctionError: bisects,
      functionResponseTypes: ['ReportBatchItemFailures'],
      filterCriteria: { filters: filters ? FILTERS : [] },
      functionTimeoutMs: history.timeoutMs,
      onFailure: letters.client(isAlive, () => true),
      clock,
      random: chance.next,
      backoffMs: (failures) => Math.min(4_000, 100 * 2 ** (failures - 1)) * (0.5 + chance.next() / 2),
      onEvent: (event) => witness.hear(event),
    });
    this.#started = this.#start();
    // `drained` and `stop` throw the error.
    this.#started.catch(() => {});
  }

  async #start(): Promise<void> {
    while (!this.isDead) {
      try {
        return await this.#mapping.start();
      } catch {
        this.#world.tally.add('worker: could not start');
        await this.#world.clock.sleep(300);
      }
    }
  }

  async drained(): Promise<void> {
    await this.#started;
    await this.#mapping.drained();
  }

  /** Stops in order, unless it dies meanwhile. */
  async stop(): Promise<void> {
    const stop = async () => {
      await this.#started;
      await this.#mapping.stop();
    };
    await Promise.race([stop().catch(() => {}), this.#death]);
  }

  end(): void {
    this.isDead = true;
    this.#die();
    this.#mapping.kill();
  }

  #reader(stream: MemoryStream): StreamReader {
    const call = <T>(act: () => Promise<T>) =>
      this.#world.weathers.call('stream', {
        act,
        fault: () => new Error('InternalServerError'),
        isAlive: () => !this.isDead,
        isPrompt: true,
      });
    return {
      shards: () => call(() => stream.shards()),
      iterator: (shardId, position) => call(() => stream.iterator(shardId, position)),
      // The most frequent call is made directly in fine weather, to save time.
      records: (iterator, limit) =>
        this.#world.weathers.of('stream') === 'fine' ? stream.records(iterator, limit) : call(() => stream.records(iterator, limit)),
    };
  }

  /** A dead process saves nothing, and no save overtakes another, so a shard is never further than its parents. */
  #checkpoints(stream: string): Checkpoints {
    const saved = this.#saved;
    const isAlive = () => !this.isDead;
    const call = <T>(act: () => Promise<T>) =>
      this.#world.weathers.call('checkpoints', { act, fault: () => new Error('the checkpoints are away'), isAlive, isPrompt: true });
    const change = (edit: (checkpoints: Map<string, Checkpoint>) => void) =>
      call(async () => {
        if (!isAlive()) return;
        const next = new Map(saved.at(-1));
        edit(next);
        saved.push(next);
      });
    return {
      load: () => call(async () => new Map(saved.at(-1))),
      save: (shardId, checkpoint) =>
        change((checkpoints) => {
          checkpoints.set(shardId, checkpoint);
          if (checkpoint.type !== 'after' && checkpoint.type !== 'ended') return;
          const upTo = checkpoint.type === 'after' ? checkpoint.sequenceNumber : undefined;
          const skipped = this.#world.journal.skipped(stream, shardId, upTo);
          if (skipped) this.#world.misdeed(`the checkpoint ${upTo ?? 'ended'} of ${shardId} skips ${skipped.number} of ${skipped.item}`);
        }),
      delete: (shardId) =>
        change((checkpoints) => {
          checkpoints.delete(shardId);
        }),
    };
  }
}
