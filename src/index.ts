export type {
  CacheClient,
  Found,
  FoundDocument,
  FoundList,
  FoundMember,
  Lease,
  LeaseTarget,
  Lookup,
  Page,
  PageMember,
  PageQuery,
} from './cache.ts';
export type { Cause, Stage } from './cause.ts';
export type { Attributes, ChangeFacts } from './change.ts';
export { attributesOf, type Marshalled } from './dynamodb/attributes.ts';
export type { StreamEvent, StreamRecord } from './dynamodb/record.ts';
export { CacheUnavailableError, ConfigurationError, MalformedLetterError, MalformedRecordError, ViewError } from './errors.ts';
export { type FoundOptions, found } from './fill/found.ts';
export type { BatchFacts } from './handlers/batch-facts.ts';
export type { Headroom, RetentionOptions } from './handlers/retention.ts';
export {
  type InvocationContext,
  type StreamAnswer,
  type StreamHandlerOptions,
  type StructuredLogger,
  streamHandler,
} from './handlers/stream-handler.ts';
export type { LetterStore } from './letters/store.ts';
export type {
  Address,
  DocumentAddress,
  DocumentMutation,
  MemberAddress,
  MemberMutation,
  Mutation,
  Outcome,
} from './mutation.ts';
export type { RecordReport, Report, SetAside } from './sync/sync.ts';
export { FLOOR, type Version } from './version.ts';
export {
  type DocumentKey,
  type DocumentView,
  documentView,
  type Entity,
  entity,
  type KeyAttributes,
  keyOf,
  type ListKey,
  type ListQuery,
  type ListView,
  listView,
  type View,
} from './view.ts';
