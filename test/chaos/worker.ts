import {
  type Checkpoint,
  type Checkpoints,
  type EventSourceMapping,
  eventSourceMapping,
  type MappingEvent,
  type MemoryStream,
  type StreamReader,
} from '../../src/testing/index.ts';
import type { Mortal } from './lambda.ts';
import type { World } from './world.ts';

type Saved = ReadonlyMap<string, Checkpoint>;

/** All that happens to items of the views; the others may pass by. */
const FILTERS = ['order#', 'cart#', 'user#'].map((prefix) => ({
  pattern: JSON.stringify({ dynamodb: { Keys: { pk: { S: [{ prefix }] } } } }),
}));

/** An event source mapping that is killed and goes on, with the checkpoints that survive it. */
export class Worker {
  readonly stream: MemoryStream;
  readonly #world: World;
  /** What was ever saved, the newest last. */
  readonly #saved: Saved[];
  #life: Life | undefined;
  #restarting: Promise<void> = Promise.resolve();

  constructor(world: World, stream: MemoryStream, saved: Saved = new Map()) {
    this.stream = stream;
    this.#world = world;
    this.#saved = [saved];
    this.start();
  }

  start(): void {
    if (!this.#life && this.ago(0).size === 0) this.#world.journal.loseTrimmed();
    this.#life ??= new Life(this.#world, this.stream, this.#saved);
  }

  /**
   * The process dies. The next one goes on from so many checkpoints ago, and those that were saved since are forgotten: a replay that is begun is brought to
   * its end. Else what it brought back after an eviction would stay.
   */
  kill(stale: number): void {
    this.#life?.end();
    this.#life = undefined;
    this.#saved.splice(Math.max(1, this.#saved.length - stale));
  }

  beginAnew(): void {
    this.kill(0);
    this.#saved.splice(0, Infinity, new Map());
    this.start();
  }

  /** So many checkpoints ago: all that was saved at one time. */
  ago(stale: number): Saved {
    return this.#saved[Math.max(0, this.#saved.length - 1 - stale)] as Saved;
  }

  /** In order, and begun again. */
  restart(): void {
    this.#restarting = this.#restart();
  }

  async #restart(): Promise<void> {
    const life = this.#life;
    await life?.stop();
    if (this.#life !== life) return;
    this.kill(0);
    this.start();
  }

  async drained(): Promise<void> {
    await this.#restarting;
    this.start();
    await this.#life?.drained();
  }
}

/** One mapping, from its start to its end. */
class Life implements Mortal {
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
      onFailure: letters.client(() => !this.isDead),
      clock,
      random: chance.next,
      backoffMs: (failures) => Math.min(4_000, 100 * 2 ** (failures - 1)) * (0.5 + chance.next() / 2),
      onEvent: (event) => this.#hear(stream.arn, event),
    });
    this.#started = this.#start();
    // Whoever waits for it is told.
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

  /** Ends in order, unless it dies on the way. */
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
      // The call that is made all the time has no weather while it is fine.
      records: (iterator, limit) =>
        this.#world.weathers.of('stream') === 'fine' ? stream.records(iterator, limit) : call(() => stream.records(iterator, limit)),
    };
  }

  /** What a dead process has begun to save is not saved, and no save overtakes another: shards are never further than those before them. */
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

  #hear(stream: string, event: MappingEvent): void {
    const { journal, tally, misdeed, tell } = this.#world;
    tell?.(event);
    switch (event.type) {
      case 'filtered':
        for (const number of event.sequenceNumbers) {
          const written = journal.find(stream, number);
          if (written?.missing.delete('*') || written?.missing.size === 0) continue;
          misdeed(`${number} of ${written?.item} was filtered out`);
        }
        tally.add('records filtered out', event.sequenceNumbers.length);
        return;
      case 'gap':
        tally.add(`gaps: ${event.reason}`);
        tally.add('records lost, and told', journal.gap(stream, event));
        return;
      case 'dropped':
        misdeed(`records were dropped: ${event.sequenceNumbers}`);
        return;
      case 'failed':
        tally.add(`batches failed: ${event.reason}`);
        return;
      case 'delivered':
        tally.add(`letters: ${event.condition}`);
        return;
      case 'split':
      case 'shard-ended':
      case 'delivery-failed':
        tally.add(event.type);
        return;
    }
  }
}
