export { type Checkpoint, type Checkpoints, memoryCheckpoints } from './checkpoints/checkpoints.ts';
export { fileCheckpoints } from './checkpoints/file.ts';
export {
  type Condition,
  counted,
  type EventCounts,
  type FailureReason,
  type Gap,
  type MappingEvent,
  NO_EVENTS,
  type StreamPlace,
} from './events.ts';
export type { Filter, FilterCriteria } from './filter/filter.ts';
export { type LambdaContext, type LambdaHandler, NotInvokedError } from './handler.ts';
export { type EventSourceMapping, eventSourceMapping } from './mapping.ts';
export type { MappingOptions, OnFailure } from './options.ts';
export { eventRecord } from './streams/event-record.ts';
export { type MemoryStream, type MemoryStreamOptions, memoryStream } from './streams/memory.ts';
export { ExpiredIteratorError, type Position, type RecordPage, type Shard, type StreamReader, TrimmedError } from './streams/reader.ts';
export { type SdkStreamReaderOptions, type StreamsClient, sdkStreamReader } from './streams/sdk.ts';
export type { Clock } from './time/clock.ts';
export { type VirtualClock, virtualClock } from './time/virtual-clock.ts';
