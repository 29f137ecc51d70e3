import { Logger } from '@aws-lambda-powertools/logger';
import type { CacheClient } from '../cache.ts';
import { decodeRecord, type StreamEvent, type StreamRecord } from '../sources/stream.ts';
import { type Letter, type RecordReport, type Report, sync } from '../sync.ts';
import type { View } from '../view.ts';

export interface StreamHandlerOptions {
  readonly views: readonly View[];
  readonly cache: CacheClient;
  /** A durable place for records that will never be applied. Called besides logging them; a throw makes the record be retried. */
  readonly setAside?: (letter: Letter<StreamRecord>) => Promise<void>;
  /** Powertools' logger unless told otherwise. */
  readonly logger?: StructuredLogger;
  /** Told what became of each batch, after it was logged. */
  readonly onReport?: (report: Report) => void;
  /**
   * In the last so many ms of the function's time no further record is begun; the stream delivers it again. Keep it above the time that a
   * call of the cache may take; 5,500 unless told otherwise, for a deadline of 5 s. However short the time, the first records of a batch
   * are begun, so that it gets on.
   */
  readonly marginMs?: number;
}

/** A logger that takes a message and fields. */
export interface StructuredLogger {
  info(message: string, fields: LogFields): void;
  warn(message: string, fields: LogFields): void;
  error(message: string, fields: LogFields): void;
}

type LogFields = { readonly [name: string]: unknown };

/** What Lambda's `ReportBatchItemFailures` reads: the lowest failed sequence number is the checkpoint; an empty list is success. */
export interface StreamAnswer {
  readonly batchItemFailures: readonly { readonly itemIdentifier: string }[];
}

/** The part of Lambda's context that is used. */
export interface InvocationContext {
  getRemainingTimeInMillis?(): number;
}

/**
 * A Lambda handler for a DynamoDB stream (`NEW_AND_OLD_IMAGES`, `FunctionResponseTypes: [ReportBatchItemFailures]`).
 *
 * It throws when the event is no stream event, or when a record that has no sequence number could not be set aside: Lambda then
 * retries the whole batch.
 */
export function streamHandler(options: StreamHandlerOptions): (event: StreamEvent, context?: InvocationContext) => Promise<StreamAnswer> {
  const { views, cache, logger = new Logger(), marginMs = 5_500 } = options;
  const setAside = async (letter: Letter<StreamRecord>): Promise<void> => {
    await options.setAside?.(letter);
    logger.error('record set aside', aside(letter));
  };
  return async (event, context) => {
    if (!Array.isArray(event?.Records))
      throw new TypeError('the event has no Records: this function takes the events of a DynamoDB stream');
    const started = Date.now();
    const remaining = context?.getRemainingTimeInMillis?.();
    const signal = remaining === undefined ? undefined : AbortSignal.timeout(Math.max(0, Math.floor(remaining - marginMs)));
    const report = await sync({
      records: event.Records,
      decode: (record, index) => decodeRecord(record, index),
      views,
      cache,
      setAside,
      signal,
    });
    const line = { ...summaryOf(report, started), milliseconds: Date.now() - started };
    const failure = report.records.find(({ status }) => status === 'failed');
    if (failure?.error) logger.warn('batch failed in part', { ...line, error: failure.error });
    else logger.info('batch', line);
    options.onReport?.(report);
    return answerOf(event.Records, report);
  };
}

/** Keys tell which item it is; its values stay out of logs, and so does what a view threw, for that may quote some. */
function aside({ record, index, change, cause }: Letter<StreamRecord>): LogFields {
  const { stage, error } = cause;
  const thrown = error.cause instanceof Error ? error.cause : error;
  return {
    stage,
    view: stage === 'decode' ? undefined : stage === 'view' ? cause.view : cause.address.split(':', 1)[0],
    error: { name: error.name, message: error.message, location: locationOf(thrown) },
    keys: change?.keys,
    sequenceNumber: record?.dynamodb?.SequenceNumber,
    eventId: record?.eventID,
    index,
  };
}

/** The first frame of the stack: what stands before the frames is the message, which may quote values. */
function locationOf({ stack, message }: Error): string | undefined {
  if (typeof stack !== 'string' || typeof message !== 'string') return undefined;
  const frames = stack.slice(stack.indexOf(message) + message.length);
  return frames
    .split('\n')
    .find((line) => /^\s+at /.test(line))
    ?.trim();
}

function summaryOf({ records }: Report, now: number) {
  const sum = (count: (record: RecordReport) => number): number => records.reduce((total, record) => total + count(record), 0);
  const newest = records.reduce((at, { change }) => Math.max(at, change?.at ?? 0), 0);
  return {
    records: records.length,
    applied: sum(({ applied }) => applied),
    stale: sum(({ stale }) => stale),
    rejected: sum(({ rejected }) => rejected),
    poison: sum(({ causes }) => causes.filter(({ stage }) => stage !== 'rejected').length),
    failed: sum(({ status }) => (status === 'failed' ? 1 : 0)),
    newestAgeMs: newest === 0 ? undefined : now - newest,
  };
}

function answerOf(records: readonly StreamRecord[], report: Report): StreamAnswer {
  let lowest: string | undefined;
  for (const [index, { status, error }] of report.records.entries()) {
    if (status !== 'failed') continue;
    const sequenceNumber = records[index]?.dynamodb?.SequenceNumber;
    if (typeof sequenceNumber !== 'string' || !/^\d+$/.test(sequenceNumber)) throw error ?? new Error(`record ${index} failed`);
    if (lowest === undefined || BigInt(sequenceNumber) < BigInt(lowest)) lowest = sequenceNumber;
  }
  return { batchItemFailures: lowest === undefined ? [] : [{ itemIdentifier: lowest }] };
}
