export * from './cache.ts';
export { type Attributes, type Change, type ChangeFacts, itemOf } from './change.ts';
export { decodeRecord, type StreamEvent, type StreamRecord } from './dynamodb/record.ts';
export * from './errors.ts';
export type { BatchFacts } from './handlers/batch-facts.ts';
export {
  type InvocationContext,
  type StreamAnswer,
  type StreamHandlerOptions,
  type StructuredLogger,
  streamHandler,
} from './handlers/stream-handler.ts';
export * from './letters/store.ts';
export {
  type Address,
  APPLIED,
  type DocumentAddress,
  type DocumentEntry,
  type DocumentMutation,
  type Entry,
  forgetInstead,
  type MemberAddress,
  type MemberEntry,
  type MemberMutation,
  type Mutation,
  nameOf,
  type Outcome,
  STALE,
} from './mutation.ts';
export * from './plan/plan.ts';
export * from './plan/settlement.ts';
export * from './sync/sync.ts';
export * from './version.ts';
export * from './view.ts';
