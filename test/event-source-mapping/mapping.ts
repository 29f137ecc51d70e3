import type { StreamRecord } from '../../src/dynamodb/record.ts';
import {
  type EventSourceMapping,
  eventSourceMapping,
  type LambdaContext,
  type MappingEvent,
  type MappingOptions,
  type MemoryStreamOptions,
  memoryCheckpoints,
  memoryStream,
  virtualClock,
} from '../../src/testing/index.ts';

export interface Delivery {
  /** `a1`: item a, the first record that was written. */
  readonly records: readonly string[];
  readonly at: number;
}

export type Answer = (names: readonly string[], context: LambdaContext, event: { readonly Records: readonly StreamRecord[] }) => unknown;

/** A stream in memory, a function that writes down what it gets, and time that passes at once. */
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

    /** Changes of these items, one after the other. Returns their records. */
    write(...items: readonly string[]): readonly StreamRecord[] {
      return stream.append(...items.map((item) => changeOf(item, ++written)));
    },

    /** With the world's checkpoints, so that the next one goes on from where the last one was. */
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

    /** Follows the stream until all that is in it is done. */
    async follow(settings?: Parameters<typeof this.mapping>[0]): Promise<void> {
      const mapping = this.mapping(settings);
      await mapping.start();
      await clock.run(mapping.drained());
      await clock.run(mapping.stop());
    },

    get batches(): readonly (readonly string[])[] {
      return deliveries.map(({ records }) => records);
    },

    told<Type extends MappingEvent['type']>(type: Type): Extract<MappingEvent, { type: Type }>[] {
      return events.filter((event): event is Extract<MappingEvent, { type: Type }> => event.type === type);
    },
  };
}

export type MappingWorld = ReturnType<typeof mappingWorld>;

export function changeOf(item: string, n: number, more: Record<string, unknown> = {}): StreamRecord {
  return {
    eventName: 'INSERT',
    dynamodb: {
      Keys: { pk: { S: item } },
      NewImage: { pk: { S: item }, n: { N: String(n) }, ...more },
      StreamViewType: 'NEW_AND_OLD_IMAGES',
    },
  };
}

export function nameOf(record: StreamRecord): string {
  const image = record.dynamodb?.NewImage as { pk: { S: string }; n: { N: string } } | undefined;
  return `${image?.pk.S}${image?.n.N}`;
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

/** The answer that reports the records of these names as failed. */
export function failing(event: { readonly Records: readonly StreamRecord[] }, ...names: readonly string[]) {
  const failed = event.Records.filter((record) => names.includes(nameOf(record)));
  return { batchItemFailures: failed.map((record) => ({ itemIdentifier: numberOf(record) })) };
}
