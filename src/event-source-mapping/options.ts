import type { StreamEvent, StreamRecord } from '../dynamodb/record.ts';
import { type Checkpoints, memoryCheckpoints } from './checkpoints/checkpoints.ts';
import type { MappingEvent } from './events.ts';
import { type FilterCriteria, filterOf } from './filter/filter.ts';
import type { LambdaHandler } from './handler.ts';
import type { StreamReader } from './streams/reader.ts';
import { type Clock, systemClock } from './time/clock.ts';
import { uuidOf } from './uuid.ts';

/** Names and ranges are those of Lambda's event source mappings; so are the defaults. */
export interface MappingOptions<Event = StreamEvent> {
  readonly reader: StreamReader;
  readonly handler: LambdaHandler<Event>;
  /** 1 to 10,000; 100 unless told otherwise. A batch is never more than 6 MB of JSON. */
  readonly batchSize?: number;
  /** How long records are gathered for a full batch: 0 to 300; 0 unless told otherwise: whatever is there. */
  readonly maximumBatchingWindowInSeconds?: number;
  /** Batches of one shard at a time: 1 to 10; 1 unless told otherwise. Records of one item are in one batch at a time, in order. */
  readonly parallelizationFactor?: number;
  /** Where to begin when there are no checkpoints. TRIM_HORIZON unless told otherwise. */
  readonly startingPosition?: 'TRIM_HORIZON' | 'LATEST';
  /** −1 (until the records expire) to 10,000; −1 unless told otherwise. */
  readonly maximumRetryAttempts?: number;
  /** −1 (as old as the stream keeps), or 60 to 604,800; −1 unless told otherwise. Older records are given up unseen, in the first backlog too.
   * (DynamoDB Local dates records by the minute, so they look up to 60 s older than they are.) */
  readonly maximumRecordAgeInSeconds?: number;
  /** Halves a batch whose invocation failed. */
  readonly bisectBatchOnFunctionError?: boolean;
  /** Without `ReportBatchItemFailures` the function's answer is ignored. */
  readonly functionResponseTypes?: readonly 'ReportBatchItemFailures'[];
  readonly filterCriteria?: FilterCriteria;
  /** Where records go that were given up. */
  readonly onFailure?: OnFailure;
  /** In memory unless told otherwise: another mapping begins anew. */
  readonly checkpoints?: Checkpoints;
  /** 1 to 900,000; 3,000 unless told otherwise. */
  readonly functionTimeoutMs?: number;
  /** How often a shard without news is asked for some: 1 to 86,400,000; 250 unless told otherwise, which is Lambda's "4 times per second". */
  readonly pollIntervalMs?: number;
  /** Part of the function's ARN. */
  readonly functionName?: string;
  /** Names the mapping in the names of letters. */
  readonly uuid?: string;
  /** The system's unless told otherwise. */
  readonly clock?: Clock;
  /** From 0 to below 1, as `Math.random`, which it is unless told otherwise. */
  readonly random?: () => number;
  /** How long to wait after the `failures`th failure in a row, ms: from 250 to 60,000, doubled each time, unless told otherwise. */
  readonly backoffMs?: (failures: number) => number;
  /** Told all that happens, at once. A throw ends the mapping. */
  readonly onEvent?: (event: MappingEvent) => void;
}

/**
 * Where records go that were given up. `put` is an S3 bucket's way (a `LetterStore` has it): the letter has the records as its `payload`.
 * `send` is that of a queue or a topic: the message tells where the records are in the stream, which keeps them for 24 hours. A throw:
 * it is called again, later and later, until it takes the letter; the shard waits.
 */
export type OnFailure = { put(name: string, text: string): Promise<unknown> } | { send(text: string): Promise<unknown> };

export interface MappingSettings {
  readonly reader: StreamReader;
  readonly handler: LambdaHandler<never>;
  readonly batchSize: number;
  readonly windowMs: number;
  readonly parallelizationFactor: number;
  readonly startingPosition: 'TRIM_HORIZON' | 'LATEST';
  /** Infinity: until the records expire. */
  readonly retries: number;
  /** Infinity: none but the stream's own. */
  readonly maximumAgeMs: number;
  readonly bisects: boolean;
  readonly reportsFailures: boolean;
  readonly passes: (record: StreamRecord) => boolean;
  readonly onFailure: OnFailure | undefined;
  readonly checkpoints: Checkpoints;
  readonly functionTimeoutMs: number;
  readonly pollIntervalMs: number;
  readonly functionName: string;
  readonly uuid: string;
  readonly clock: Clock;
  readonly random: () => number;
  readonly backoffMs: (failures: number) => number;
  readonly onEvent: (event: MappingEvent) => void;
}

/** @throws RangeError that names every fault. */
export function mappingSettingsOf<Event>(options: MappingOptions<Event>): MappingSettings {
  const faults: string[] = [];
  const integer = (name: keyof MappingOptions, absent: number, least: number, most: number, also?: number): number => {
    const value = options[name] ?? absent;
    if (typeof value === 'number' && ((Number.isInteger(value) && value >= least && value <= most) || value === also)) return value;
    faults.push(`${name} is ${value}: use ${also === undefined ? '' : `${also} or `}${least} to ${most}`);
    return absent;
  };
  const { random = Math.random, startingPosition = 'TRIM_HORIZON', functionResponseTypes = [] } = options;
  const retries = integer('maximumRetryAttempts', -1, 0, 10_000, -1);
  const age = integer('maximumRecordAgeInSeconds', -1, 60, 604_800, -1);
  if (startingPosition !== 'TRIM_HORIZON' && startingPosition !== 'LATEST') {
    faults.push(`startingPosition is ${startingPosition}: use TRIM_HORIZON or LATEST`);
  }
  const unknown = functionResponseTypes.filter((type) => type !== 'ReportBatchItemFailures');
  if (unknown.length > 0) faults.push(`functionResponseTypes has ${unknown.join(', ')}: there is ReportBatchItemFailures alone`);
  if (options.handler.length > 2) faults.push('the handler takes a callback, which Lambda refuses from nodejs24.x on: make it async');
  const filter = filterOf(options.filterCriteria);
  faults.push(...filter.faults);
  const settings: MappingSettings = {
    reader: options.reader,
    handler: options.handler as LambdaHandler<never>,
    batchSize: integer('batchSize', 100, 1, 10_000),
    windowMs: integer('maximumBatchingWindowInSeconds', 0, 0, 300) * 1_000,
    parallelizationFactor: integer('parallelizationFactor', 1, 1, 10),
    startingPosition,
    retries: retries === -1 ? Infinity : retries,
    maximumAgeMs: age === -1 ? Infinity : age * 1_000,
    bisects: options.bisectBatchOnFunctionError ?? false,
    reportsFailures: functionResponseTypes.length > 0,
    passes: filter.passes,
    onFailure: options.onFailure,
    checkpoints: options.checkpoints ?? memoryCheckpoints(),
    functionTimeoutMs: integer('functionTimeoutMs', 3_000, 1, 900_000),
    pollIntervalMs: integer('pollIntervalMs', 250, 1, 86_400_000),
    functionName: options.functionName ?? 'function',
    uuid: options.uuid ?? uuidOf(random),
    clock: options.clock ?? systemClock,
    random,
    backoffMs: options.backoffMs ?? ((failures) => Math.min(60_000, 250 * 2 ** (failures - 1)) * (0.5 + random() / 2)),
    onEvent: options.onEvent ?? (() => {}),
  };
  if (faults.length > 0) throw new RangeError(`event source mapping: ${faults.join('; ')}`);
  return settings;
}
