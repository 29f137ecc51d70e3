import type { StreamRecord } from '../../src/dynamodb/record.ts';
import { type QueuedRecord, queuedRecordOf } from '../../src/event-source-mapping/delivery/batch.ts';
import {
  type EventSourceMapping,
  eventSourceMapping,
  type LambdaContext,
  type MappingEvent,
  type MappingOptions,
  type MemoryStreamOptions,
  memoryCheckpoints,
  memoryStream,
  type Position,
  type StreamReader,
  virtualClock,
} from '../../src/testing/index.ts';

interface Delivery {
  /** Names of the records in the batch; see `nameOf`. */
  readonly records: readonly string[];
  /** When the function was invoked, ms since the epoch. */
  readonly at: number;
}

export type Answer = (names: readonly string[], context: LambdaContext, event: { readonly Records: readonly StreamRecord[] }) => unknown;

/** A stream in memory, a function that notes the batches it receives, and a virtual clock. */
export function mappingWorld(options: MemoryStreamOptions = {}) {
  const clock = virtualClock();
  const stream = memoryStream({ clock, ...options });
  const checkpoints = memoryCheckpoints();
  const deliveries: Delivery[] = [];
  const events: MappingEvent[] = [];
  const random = randomOf(1);
  let written = 0;

  return {
    clock,
    stream,
    checkpoints,
    deliveries,
    events,
    random,

    /** Writes one record of each item, in order. Returns the records. */
    write(...items: readonly string[]): readonly StreamRecord[] {
      return stream.append(...items.map((item) => recordOf(item, ++written)));
    },

    /** Makes a mapping with the world's checkpoints, so that it resumes where the mapping before it ended. */
    mapping({ answer, ...settings }: Partial<MappingOptions> & { readonly answer?: Answer } = {}): EventSourceMapping {
      return eventSourceMapping({
        reader: stream,
        clock,
        random,
        checkpoints,
        backoffMs: () => 1_000,
        onEvent: (event) => events.push(event),
        handler: (event, context) => {
          const records = event.Records.map(nameOf);
          deliveries.push({ records, at: clock.now() });
          return answer?.(records, context, event);
        },
        ...settings,
      });
    },

    /** Runs a mapping until every record of the stream is done. */
    async follow(settings?: Parameters<typeof this.mapping>[0]): Promise<void> {
      const mapping = this.mapping(settings);
      await mapping.start();
      await clock.run(mapping.drained());
      await clock.run(mapping.stop());
    },

    get batches(): readonly (readonly string[])[] {
      return deliveries.map(({ records }) => records);
    },

    eventsOf<Type extends MappingEvent['type']>(type: Type): Extract<MappingEvent, { type: Type }>[] {
      return events.filter((event): event is Extract<MappingEvent, { type: Type }> => event.type === type);
    },
  };
}

export type MappingWorld = ReturnType<typeof mappingWorld>;

/** A record that writes the number `n` into an item. */
export function recordOf(item: string, n: number, more: Record<string, unknown> = {}): StreamRecord {
  return {
    eventName: 'INSERT',
    dynamodb: {
      Keys: { pk: { S: item } },
      NewImage: { pk: { S: item }, n: { N: String(n) }, ...more },
      StreamViewType: 'NEW_AND_OLD_IMAGES',
    },
  };
}

/** The name of a record in these tests: `a1` is the record that wrote 1 into item a. */
export function nameOf(record: StreamRecord): string {
  const image = record.dynamodb?.NewImage as { pk: { S: string }; n: { N: string } } | undefined;
  return `${image?.pk.S}${image?.n.N}`;
}

/** Records with these sequence numbers, as a shard's poller queues them. */
export function queuedRecords(...sequenceNumbers: readonly string[]): QueuedRecord[] {
  return sequenceNumbers.map((SequenceNumber) => queuedRecordOf({ dynamodb: { SequenceNumber } }, 0));
}

export function numberOf(record: StreamRecord | undefined): string {
  return record?.dynamodb?.SequenceNumber ?? 'none';
}

/** Lehmer's generator: the same numbers for the same seed. */
export function randomOf(seed: number): () => number {
  let state = (Math.abs(seed) % 2_147_483_646) + 1;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return (state - 1) / 2_147_483_646;
  };
}

/** The answer of a function that reports the records of these names as failed. */
export function failing(event: { readonly Records: readonly StreamRecord[] }, ...names: readonly string[]) {
  const failed = event.Records.filter((record) => names.includes(nameOf(record)));
  return { batchItemFailures: failed.map((record) => ({ itemIdentifier: numberOf(record) })) };
}

/** A reader of the world's stream that fails once for each error in `faults`, and notes the positions that were requested. */
export function faulty(world: MappingWorld) {
  const faults: Error[] = [];
  const asked: Position[] = [];
  const fault = () => {
    const error = faults.shift();
    if (error) throw error;
  };
  const reader: StreamReader = {
    async shards() {
      fault();
      return world.stream.shards();
    },
    async iterator(shardId, position) {
      asked.push(position);
      fault();
      return world.stream.iterator(shardId, position);
    },
    async records(iterator, limit) {
      fault();
      return world.stream.records(iterator, limit);
    },
  };
  return { reader, faults, asked };
}
