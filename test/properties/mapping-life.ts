import * as fc from 'fast-check';
import { type StreamRecord, writtenAt } from '../../src/dynamodb/record.ts';
import {
  type Checkpoints,
  type EventSourceMapping,
  ExpiredIteratorError,
  eventSourceMapping,
  type LambdaContext,
  type MappingEvent,
  type MappingOptions,
  memoryCheckpoints,
  memoryStream,
  NotInvokedError,
  type RecordPage,
  type StreamReader,
  virtualClock,
} from '../../src/testing/index.ts';
import { nameOf, numberOf, randomOf, recordOf } from '../event-source-mapping/mapping-world.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const ITEMS = ['a', 'b', 'c', 'd', 'e', 'f', 'cursed', 'filtered'];

/** A number chooses an item or an open shard by its index, modulo their number at that time. */
export type Step =
  | { readonly type: 'write'; readonly items: readonly number[] }
  | { readonly type: 'split' | 'roll'; readonly shard: number }
  | { readonly type: 'wait'; readonly ms: number }
  | { readonly type: 'restart'; readonly how: 'kill' | 'stop'; readonly afterMs: number; readonly trims: boolean }
  | { readonly type: 'expire' }
  | { readonly type: 'calm' | 'storm' };

export interface Life {
  readonly seed: number;
  readonly shards: number;
  readonly pageSize: number;
  readonly settings: Partial<MappingOptions>;
  readonly bucket: boolean;
  readonly steps: readonly Step[];
}

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      type: fc.constant('write' as const),
      items: fc.array(fc.nat(ITEMS.length - 1), { minLength: 1, maxLength: 8 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ type: fc.constantFrom('split' as const, 'roll' as const), shard: fc.nat(5) }) },
  { weight: 5, arbitrary: fc.record({ type: fc.constant('wait' as const), ms: fc.constantFrom(10, 300, 1_000, 10_000) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      type: fc.constant('restart' as const),
      how: fc.constantFrom('kill' as const, 'stop' as const),
      afterMs: fc.constantFrom(0, 0, 90_000, 25 * HOUR, 50 * HOUR),
      trims: fc.boolean(),
    }),
  },
  { weight: 1, arbitrary: fc.constant({ type: 'expire' as const }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constantFrom('calm' as const, 'storm' as const) }) },
);

export const life: fc.Arbitrary<Life> = fc.record({
  seed: fc.nat(2 ** 31 - 2),
  shards: fc.integer({ min: 1, max: 3 }),
  pageSize: fc.constantFrom(2, 5, 1_000),
  bucket: fc.boolean(),
  settings: fc.record({
    batchSize: fc.constantFrom(1, 2, 4, 100),
    maximumBatchingWindowInSeconds: fc.constantFrom(0, 0, 2),
    parallelizationFactor: fc.constantFrom(1, 2, 3, 10),
    maximumRetryAttempts: fc.constantFrom(0, 1, 3),
    maximumRecordAgeInSeconds: fc.constantFrom(-1, -1, 60, 90_000),
    bisectBatchOnFunctionError: fc.boolean(),
    functionResponseTypes: fc.constantFrom<readonly 'ReportBatchItemFailures'[]>([], ['ReportBatchItemFailures']),
  }),
  steps: fc.array(step, { minLength: 1, maxLength: 25, size: 'max' }),
});

/** How often each thing happened. */
export type Tally = Record<string, number>;

interface Written {
  readonly record: StreamRecord;
  readonly name: string;
  readonly item: string;
  readonly number: string;
  readonly shardId: string;
  invocations: number;
  /** Why the record is done. */
  accounted?: 'succeeded' | 'discarded' | 'filtered' | 'expired';
}

/**
 * A stream, its mappings one after another, and a function, which all fail at random. Notes each violation of the mapping's promises in
 * `faults`.
 */
export class MappingLife {
  readonly faults: string[] = [];
  readonly story: string[] = [];
  readonly clock = virtualClock();
  readonly #life: Life;
  readonly #tally: Tally;
  readonly #random: () => number;
  readonly #stream;
  readonly #checkpoints: Checkpoints;
  readonly #written: Written[] = [];
  readonly #byNumber = new Map<string, Written>();
  readonly #parents = new Map<string, string>();
  readonly #gaps: Extract<MappingEvent, { type: 'gap' }>[] = [];
  #mapping: EventSourceMapping | undefined;
  #stormy = true;

  constructor(life: Life, tally: Tally) {
    this.#life = life;
    this.#tally = tally;
    this.#random = randomOf(life.seed);
    this.#stream = memoryStream({
      clock: this.clock,
      shards: life.shards,
      pageSize: life.pageSize,
      sequenceNumber: '999999999999999999970',
    });
    this.#checkpoints = this.#watched(memoryCheckpoints());
  }

  async live(): Promise<void> {
    await this.#start();
    for (const step of this.#life.steps) await this.#take(step);
    this.#stormy = false;
    this.story.push('all is calm');
    await this.#drain();
    await this.clock.run(this.#mapping?.stop() ?? Promise.resolve());
    this.#checkAll();
    const before = this.#written.reduce((sum, { invocations }) => sum + invocations, 0);
    await this.#start();
    await this.#drain();
    this.#mapping?.kill();
    const again = this.#written.reduce((sum, { invocations }) => sum + invocations, 0) - before;
    if (again > 0) this.faults.push(`${again} records are delivered again although all were done`);
  }

  async #take(step: Step): Promise<void> {
    const shard = 'shard' in step ? (this.#stream.open[step.shard % this.#stream.open.length] as string) : '';
    switch (step.type) {
      case 'write':
        for (const item of step.items) this.#write(ITEMS[item] as string);
        return;
      case 'split':
      case 'roll':
        if (this.#stream.open.length > 6) return;
        {
          const children = [this.#stream[step.type](shard)].flat();
          for (const child of children) this.#parents.set(child, shard);
          this.story.push(`${step.type} ${shard} to ${children}`);
        }
        return this.#count(step.type);
      case 'wait':
        this.story.push(`wait ${step.ms}`);
        return this.clock.advance(step.ms);
      case 'expire':
        this.story.push('iterators expire');
        return this.#stream.expireIterators();
      case 'calm':
      case 'storm':
        this.#stormy = step.type === 'storm';
        return;
      case 'restart':
        return this.#restart(step);
    }
  }

  #write(item: string): void {
    const [record] = this.#stream.append(recordOf(item, this.#written.length + 1)) as [StreamRecord];
    const [name, number, shardId] = [nameOf(record), numberOf(record), this.#stream.shardOf(record)];
    const written: Written = { record, name, item, number, shardId, invocations: 0, ...(item === 'filtered' && { accounted: 'filtered' }) };
    this.#written.push(written);
    this.#byNumber.set(number, written);
    this.story.push(`write ${name}, ${number}, shard ${shardId.slice(-10)}`);
  }

  async #restart({ how, afterMs, trims }: Extract<Step, { type: 'restart' }>): Promise<void> {
    this.story.push(`${how}, and start after ${afterMs}${trims ? ', when old records are trimmed' : ''}`);
    this.#count(how);
    if (how === 'kill') this.#mapping?.kill();
    else await this.clock.run(this.#mapping?.stop().catch(() => {}) ?? Promise.resolve());
    await this.clock.advance(afterMs);
    if (trims) this.#stream.trim(new Date(this.clock.now() - DAY));
    await this.#start();
  }

  async #start(): Promise<void> {
    const busy = new Set<string>();
    this.#mapping = eventSourceMapping({
      ...this.#life.settings,
      reader: this.#reader(),
      clock: this.clock,
      random: this.#random,
      pollIntervalMs: 2_000,
      backoffMs: (failures) => Math.min(4, failures) * 500,
      checkpoints: this.#checkpoints,
      filterCriteria: { filters: [{ pattern: '{"dynamodb":{"Keys":{"pk":{"S":[{"anything-but":["filtered"]}]}}}}' }] },
      ...(this.#life.bucket && { onFailure: { put: (_name: string, text: string) => this.#put(text) } }),
      handler: (event, context) => this.#invoke(event.Records, context, busy),
      onEvent: (event) => this.#observe(event),
    });
    for (let tries = 0; ; tries += 1) {
      try {
        return await this.clock.run(this.#mapping.start());
      } catch (error) {
        if (!(error instanceof BadLuck) || tries > 100) throw error;
      }
    }
  }

  async #drain(): Promise<void> {
    await this.clock.run(this.#mapping?.drained() ?? Promise.resolve());
  }

  #luck(chance: number): boolean {
    return this.#stormy && this.#random() < chance;
  }

  /** The stream, whose calls fail at random: before they take effect, or after. */
  #reader(): StreamReader {
    const unlucky = async <T>(call: () => Promise<T>): Promise<T> => {
      if (this.#luck(0.04)) throw new BadLuck('the stream is away');
      if (this.#luck(0.3)) await this.clock.sleep(Math.floor(this.#random() * 100));
      const value = await call();
      if (this.#luck(0.04)) throw new BadLuck('the answer of the stream is lost');
      return value;
    };
    return {
      shards: () => unlucky(() => this.#stream.shards()),
      iterator: (shardId, position) => unlucky(() => this.#stream.iterator(shardId, position)),
      records: (iterator, limit) => {
        if (this.#luck(0.02)) throw new ExpiredIteratorError('too old');
        return unlucky(async () => this.#wrongly(await this.#stream.records(iterator, limit), iterator));
      },
    };
  }

  /**
   * A page that is cut short and has no iterator although more follows, or the iterator that it was read with. A page of a closed shard keeps a
   * record: when such a shard gives neither a record nor an iterator, no reader can know that something follows.
   */
  #wrongly(page: RecordPage, iterator: string): RecordPage {
    if (this.#luck(0.03)) {
      this.#tally['no iterator'] = (this.#tally['no iterator'] ?? 0) + 1;
      const least = this.#stream.open.some((id) => iterator.startsWith(id)) ? 0 : 1;
      return { records: page.records.slice(0, least + Math.floor(this.#random() * page.records.length)) };
    }
    if (!this.#luck(0.03)) return page;
    this.#tally['same iterator'] = (this.#tally['same iterator'] ?? 0) + 1;
    return { records: page.records, next: iterator };
  }

  /** Checkpoints that are saved late, or not at all. Notes a fault if one passes a record that is not done. */
  #watched(checkpoints: Checkpoints): Checkpoints {
    return {
      load: () => checkpoints.load(),
      delete: (shardId) => checkpoints.delete(shardId),
      save: async (shardId, checkpoint) => {
        if (checkpoint.type === 'after' || checkpoint.type === 'ended') {
          for (const written of this.#written) {
            if (written.shardId !== shardId || this.#isAccounted(written)) continue;
            if (checkpoint.type === 'after' && BigInt(written.number) > BigInt(checkpoint.sequenceNumber)) continue;
            this.faults.push(`the checkpoint ${JSON.stringify(checkpoint)} of ${shardId} passes ${written.name}, which is not done`);
          }
        }
        const mapping = this.#mapping;
        if (this.#luck(0.1)) await this.clock.sleep(500);
        // A mapping that was killed saves nothing more.
        if (mapping !== this.#mapping || this.#luck(0.05)) throw new BadLuck('the checkpoint is not saved');
        await checkpoints.save(shardId, checkpoint);
        if (this.#luck(0.05)) throw new BadLuck('the checkpoint is saved, but the answer is lost');
      },
    };
  }

  async #invoke(records: readonly StreamRecord[], context: LambdaContext, busy: Set<string>): Promise<unknown> {
    const batch = records.map((record) => this.#byNumber.get(numberOf(record)) as Written);
    const names = batch.map(({ name }) => name).join(' ');
    if (this.#luck(0.05)) {
      this.#count('refused');
      throw new NotInvokedError('throttled');
    }
    this.#checkBatch(batch, busy);
    for (const written of batch) written.invocations += 1;
    const items = [...new Set(batch.map(({ item }) => item))];
    for (const item of items) busy.add(item);
    const free = () => {
      for (const item of items) busy.delete(item);
    };
    try {
      if (this.#stormy) await this.clock.sleep(Math.floor(this.#random() * 50));
      if (batch.some(({ item }) => item === 'cursed') || this.#luck(0.15)) {
        this.story.push(`${names}: throws`);
        throw new BadLuck('the function throws');
      }
      if (this.#luck(0.05)) {
        this.story.push(`${names}: hangs`);
        free();
        this.#count('timeouts');
        await this.clock.sleep(context.getRemainingTimeInMillis() + 1 + this.#random() * 5_000);
        return undefined;
      }
      const from = this.#luck(0.3) ? Math.floor(this.#random() * batch.length) : batch.length;
      const reports = (this.#life.settings.functionResponseTypes?.length ?? 0) > 0;
      // One misnamed identifier fails the whole batch.
      const misnamed = reports && this.#luck(0.05);
      for (const written of batch.slice(0, misnamed ? 0 : reports ? from : batch.length)) written.accounted = 'succeeded';
      this.story.push(`${names}: ${misnamed ? 'misnamed' : `done before ${from}`}`);
      const failures = batch.slice(from).map(({ number }) => ({ itemIdentifier: number }));
      // The function may report failures in any order.
      failures.sort(() => this.#random() - 0.5);
      return { batchItemFailures: misnamed ? [...failures, { itemIdentifer: '1' }] : failures };
    } finally {
      free();
    }
  }

  #checkBatch(batch: readonly Written[], busy: ReadonlySet<string>): void {
    const { batchSize = 100 } = this.#life.settings;
    const fault = (what: string) => this.faults.push(`batch ${batch.map(({ name }) => name).join(' ')}: ${what}`);
    if (batch.length > batchSize) fault('it is too large');
    if (batch.length === 0) fault('it is empty');
    if (new Set(batch.map(({ shardId }) => shardId)).size > 1) fault('it is of several shards');
    const before = new Set<Written>();
    for (const [i, written] of batch.entries()) {
      const next = batch[i + 1];
      if (next && BigInt(next.number) <= BigInt(written.number)) fault('it is not in order');
      if (busy.has(written.item)) fault(`item ${written.item} is in two batches at a time`);
      if (written.item === 'filtered') fault('it has a record that no filter lets pass');
      for (const earlier of this.#written) {
        if (earlier === written) break;
        if (earlier.item !== written.item || before.has(earlier) || this.#isAccounted(earlier)) continue;
        fault(`${written.name} comes although ${earlier.name} is not done`);
      }
      before.add(written);
    }
  }

  async #put(text: string): Promise<void> {
    if (this.#luck(0.2)) throw new BadLuck('the bucket is away');
    const { payload, requestContext, DDBStreamBatchInfo } = JSON.parse(text);
    const { Records } = JSON.parse(payload) as { Records: StreamRecord[] };
    if (Records.length !== DDBStreamBatchInfo.batchSize) this.faults.push('a letter has more or fewer records than it says');
    for (const record of Records) this.#discard(this.#byNumber.get(numberOf(record)) as Written, requestContext.condition);
    this.#count('letters');
    if (this.#luck(0.2)) throw new BadLuck('the letter is stored, but the answer is lost');
  }

  #discard(written: Written, condition: string): void {
    const { maximumRetryAttempts = -1, maximumRecordAgeInSeconds = -1 } = this.#life.settings;
    this.story.push(`${written.name} is discarded: ${condition}`);
    written.accounted ??= 'discarded';
    const age = this.clock.now() - (writtenAt(written.record) ?? 0);
    if (condition === 'RetryAttemptsExhausted' && written.invocations <= maximumRetryAttempts) {
      this.faults.push(`${written.name} is discarded after ${written.invocations} invocations`);
    }
    if (condition === 'RecordAgeExceeded' && age <= maximumRecordAgeInSeconds * 1_000) {
      this.faults.push(`${written.name} is discarded at an age of ${age} ms`);
    }
  }

  #observe(event: MappingEvent): void {
    this.#count(event.type);
    if (event.type === 'dropped') {
      for (const number of event.sequenceNumbers) this.#discard(this.#byNumber.get(number) as Written, event.condition);
    }
    if (event.type !== 'gap') return;
    this.story.push(`gap ${JSON.stringify(event)}`);
    this.#gaps.push(event);
    if (event.reason === 'expired') {
      for (const written of this.#written) if (this.#isCovered(written)) written.accounted ??= 'expired';
    }
  }

  /** Whether a record is done, or so old that the stream may have removed it. */
  #isAccounted(written: Written): boolean {
    return written.accounted !== undefined || this.#isTrimmed(written);
  }

  #isTrimmed({ record }: Written): boolean {
    return (writtenAt(record) ?? Infinity) < this.clock.now() - DAY;
  }

  /** Whether a reported gap covers a record: a gap of its shard, or a vanished shard that descends from it. */
  #isCovered({ shardId, number }: Written): boolean {
    return this.#gaps.some(({ shardId: of, reason, from, to }) => {
      if (of !== shardId) return reason === 'vanished' && this.#descends(of, shardId);
      const after = from.sequenceNumber === undefined || BigInt(number) >= BigInt(from.sequenceNumber);
      return after && (to?.sequenceNumber === undefined || BigInt(number) <= BigInt(to.sequenceNumber));
    });
  }

  #descends(shardId: string, from: string): boolean {
    const parent = this.#parents.get(shardId);
    return parent !== undefined && (parent === from || this.#descends(parent, from));
  }

  #checkAll(): void {
    for (const written of this.#written) {
      if (written.accounted) continue;
      if (!this.#isTrimmed(written)) this.faults.push(`${written.name} was neither delivered nor discarded`);
      else if (!this.#isCovered(written)) this.faults.push(`${written.name} is lost, and no gap was reported`);
      else this.#count('lost');
    }
  }

  #count(what: string): void {
    this.#tally[what] = (this.#tally[what] ?? 0) + 1;
  }
}

class BadLuck extends Error {}
