import type { StreamEvent, StreamRecord } from '../dynamodb/record.ts';
import { type Checkpoints, memoryCheckpoints } from './checkpoints/checkpoints.ts';
import type { MappingEvent } from './events.ts';
import { type FilterCriteria, filterOf } from './filter/filter.ts';
import type { LambdaHandler } from './handler.ts';
import type { StreamReader } from './streams/reader.ts';
import { type Clock, systemClock } from './time/clock.ts';
import { uuidOf } from './uuid.ts';

/** Names, ranges and defaults are Lambda's (Lambda Developer Guide, "Lambda parameters for Amazon DynamoDB event source mappings"). */
export interface MappingOptions<Event = StreamEvent> {
  /** The stream to follow. */
  readonly reader: StreamReader;
  /** The function to invoke. */
  readonly handler: LambdaHandler<Event>;
  /** Largest number of records in a batch: 1 to 10,000. A batch also ends before its JSON exceeds 6 MB. Default: 100. */
  readonly batchSize?: number;
  /** How long to gather records for a full batch, s: 0 to 300. With 0, a batch has the records that are there. Default: 0. */
  readonly maximumBatchingWindowInSeconds?: number;
  /** Number of batches of one shard that are delivered at the same time: 1 to 10. The records of one item stay in order. Default: 1. */
  readonly parallelizationFactor?: number;
  /** Where to start if there are no checkpoints. Default: `TRIM_HORIZON`. */
  readonly startingPosition?: 'TRIM_HORIZON' | 'LATEST';
  /** Number of retries of a failed batch: 0 to 10,000, or -1 to retry until the records expire. Default: -1. */
  readonly maximumRetryAttempts?: number;
  /**
   * Age from which records are discarded without an invocation, s: 60 to 604,800, or -1 for no limit. It applies to the first backlog, too.
   * DynamoDB Local dates records by the minute, so they look up to 60 s older than they are. Default: -1.
   */
  readonly maximumRecordAgeInSeconds?: number;
  /** Whether to halve a batch whose invocation failed. Default: false. */
  readonly bisectBatchOnFunctionError?: boolean;
  /** `ReportBatchItemFailures`: the function's answer names the records that failed. Otherwise the answer is ignored. Default: none. */
  readonly functionResponseTypes?: readonly 'ReportBatchItemFailures'[];
  /** Which records the function receives. Default: all. */
  readonly filterCriteria?: FilterCriteria;
  /** Where to send the records that are discarded. Default: nowhere. */
  readonly onFailure?: OnFailure;
  /** How far the stream is done. Default: in memory, so that the next mapping starts from the beginning. */
  readonly checkpoints?: Checkpoints;
  /** Timeout of the function, ms: 1 to 900,000. Default: 3,000. */
  readonly functionTimeoutMs?: number;
  /** Time from one poll of a shard to the next, ms: 1 to 86,400,000. Default: 250, which is Lambda's "4 times per second". */
  readonly pollIntervalMs?: number;
  /** Name of the function, part of its ARN. Default: `function`. */
  readonly functionName?: string;
  /** UUID of the mapping, part of the names of letters. Default: random. */
  readonly uuid?: string;
  /** Default: the system's clock. */
  readonly clock?: Clock;
  /** Returns numbers from 0 to below 1. Default: Math.random. */
  readonly random?: () => number;
  /** Returns the delay after the `failures`th consecutive failure, ms. Default: 250, doubled with each failure up to 60,000, with jitter. */
  readonly backoffMs?: (failures: number) => number;
  /** Called with each event when it happens. A throw ends the mapping. Default: nothing. */
  readonly onEvent?: (event: MappingEvent) => void;
}

/**
 * The on-failure destination of a mapping.
 *
 * - `put` stores a letter, as an S3 bucket does. The letter contains the records. A `LetterStore` fits.
 * - `send` sends a message, as a queue or a topic does. The message only says where the records are in the stream, which keeps them for 24
 *   hours.
 *
 * If a call rejects, it is repeated with growing delays until it succeeds. The shard waits meanwhile.
 */
export type OnFailure = { put(name: string, text: string): Promise<unknown> } | { send(text: string): Promise<unknown> };

/** The options with their defaults, in the units that the mapping computes with. */
export interface MappingSettings {
  readonly reader: StreamReader;
  readonly handler: LambdaHandler<never>;
  readonly batchSize: number;
  readonly windowMs: number;
  readonly parallelizationFactor: number;
  readonly startingPosition: 'TRIM_HORIZON' | 'LATEST';
  /** Infinity: until the records expire. */
  readonly retries: number;
  /** Infinity: no limit but the stream's. */
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

/** @throws RangeError that names every option that is out of range. */
export function mappingSettingsOf<Event>(options: MappingOptions<Event>): MappingSettings {
  const faults: string[] = [];
  const integer = (name: keyof MappingOptions, fallback: number, least: number, most: number, also?: number): number => {
    const value = options[name] ?? fallback;
    if (typeof value === 'number' && ((Number.isInteger(value) && value >= least && value <= most) || value === also)) return value;
    faults.push(`${name} is ${value}: use ${also === undefined ? '' : `${also} or `}${least} to ${most}`);
    return fallback;
  };
  const { random = Math.random, startingPosition = 'TRIM_HORIZON', functionResponseTypes = [] } = options;
  const retries = integer('maximumRetryAttempts', -1, 0, 10_000, -1);
  const age = integer('maximumRecordAgeInSeconds', -1, 60, 604_800, -1);
  if (startingPosition !== 'TRIM_HORIZON' && startingPosition !== 'LATEST') {
    faults.push(`startingPosition is ${startingPosition}: use TRIM_HORIZON or LATEST`);
  }
  const unknown = functionResponseTypes.filter((type) => type !== 'ReportBatchItemFailures');
  if (unknown.length > 0) faults.push(`functionResponseTypes has ${unknown.join(', ')}: use ReportBatchItemFailures`);
  if (options.handler.length > 2)
    faults.push('the handler takes a callback: make it async, because Lambda refuses callbacks from nodejs24.x on');
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
