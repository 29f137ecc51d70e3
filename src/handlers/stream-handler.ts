import { Logger } from '@aws-lambda-powertools/logger';
import { type RetryOptions, retry } from '../backoff.ts';
import type { CacheClient } from '../cache.ts';
import { decodeRecord, type StreamEvent, type StreamRecord } from '../dynamodb/record.ts';
import { CacheUnavailableError } from '../errors.ts';
import { letterName, letterText } from '../letters/letter.ts';
import type { LetterStore } from '../letters/store.ts';
import { poisonRun } from '../sync/poison-run.ts';
import { type Letter, type Report, sync } from '../sync/sync.ts';
import type { View } from '../view.ts';
import { type BatchCounts, type BatchFacts, factsOf, timesOf } from './batch-facts.ts';
import { batchLine, logHeadroom, type StructuredLogger, setAsideLine, shownCause } from './batch-log.ts';
import { type RetentionOptions, retentionWatch } from './retention.ts';

export type { StructuredLogger };

export interface StreamHandlerOptions {
  readonly views: readonly View[];
  readonly cache: CacheClient;
  /**
   * Where dead letters go: a record that will never be applied is put there, whole, before it is reported as done. If that fails, the record
   * is retried. Without a store such records are only logged.
   */
  readonly letters?: LetterStore;
  /** Another place for records that will never be applied. Called besides; a throw makes the record be retried. */
  readonly setAside?: (letter: Letter<StreamRecord>) => Promise<void>;
  /** Powertools' logger unless told otherwise. */
  readonly logger?: StructuredLogger;
  /** Told what became of each batch, after it was logged. */
  readonly onReport?: (report: Report) => void;
  /** Told the figures of each batch. */
  readonly metrics?: (facts: BatchFacts) => void;
  /**
   * In the last so many ms of the function's time no further record is begun, and no call is repeated; the stream delivers again. Keep it above
   * the time that a call of the cache may take; 5,500 unless told otherwise, for a deadline of 5 s. However short the time, the first records
   * of a batch are begun, so that it gets on.
   */
  readonly marginMs?: number;
  /** How the cache and the store are called again. `forMs`: for how long, where the context tells of no time limit; 2,000 unless told otherwise. */
  readonly retries?: Pick<RetryOptions, 'baseMs' | 'capMs' | 'sleep' | 'random'> & { readonly forMs?: number };
  /** So many records that cannot be decoded or projected are set aside in a row; see `poisonRun`. 10 unless told otherwise; 0: no limit. */
  readonly poisonRunLimit?: number;
  /** When records that wait are worth a warning. `false`: never, for events that were saved. */
  readonly retention?: RetentionOptions | false;
}

/** What Lambda's `ReportBatchItemFailures` reads: the lowest failed sequence number is the checkpoint; an empty list is success. */
export interface StreamAnswer {
  readonly batchItemFailures: readonly { readonly itemIdentifier: string }[];
}

/** The part of Lambda's context that is used. */
export interface InvocationContext {
  getRemainingTimeInMillis?(): number;
  readonly awsRequestId?: string;
  readonly invokedFunctionArn?: string;
  readonly functionName?: string;
}

/**
 * A Lambda handler for a DynamoDB stream (`NEW_AND_OLD_IMAGES`, `FunctionResponseTypes: [ReportBatchItemFailures]`).
 *
 * It throws when the event is no stream event, or when a record that has no sequence number could not be set aside: Lambda then
 * retries the whole batch.
 */
export function streamHandler(options: StreamHandlerOptions): (event: StreamEvent, context?: InvocationContext) => Promise<StreamAnswer> {
  const { views, cache, letters, logger = new Logger(), marginMs = 5_500, retries = {}, poisonRunLimit = 10 } = options;
  const run = poisonRun(poisonRunLimit);
  const retention = options.retention === false ? undefined : retentionWatch(options.retention);

  return async (event, context) => {
    if (!Array.isArray(event?.Records))
      throw new TypeError('the event has no Records: this function takes the events of a DynamoDB stream');
    const { Records: records } = event;
    const started = Date.now();
    const remaining = context?.getRemainingTimeInMillis?.();
    const counts: BatchCounts = { setAside: 0, retries: 0, withheld: 0, cacheMs: [] };
    /** Poison from this place of the batch on is not set aside. */
    let heldFrom = Infinity;

    const repeatedly = <T>(call: () => Promise<T>, isTransient?: RetryOptions['isTransient']): Promise<T> => {
      const { forMs = 2_000, ...how } = retries;
      const begun = performance.now();
      return retry(call, {
        ...how,
        isTransient,
        remainingMs: () =>
          context?.getRemainingTimeInMillis ? context.getRemainingTimeInMillis() - marginMs : begun + forMs - performance.now(),
        onRetry() {
          counts.retries += 1;
        },
      });
    };
    const report = await sync({
      records,
      decode: (record, index) => decodeRecord(record, index),
      views,
      cache: {
        apply: (mutations) =>
          repeatedly(async () => {
            const asked = performance.now();
            try {
              return await cache.apply(mutations);
            } finally {
              counts.cacheMs.push(performance.now() - asked);
            }
          }, isUnavailable),
      },
      async setAside(letter) {
        if (letter.index >= heldFrom)
          throw new Error(`there is nothing but poison, and more than ${poisonRunLimit} records of it in a row`);
        const name = letters && letterName(letter.record);
        if (letters && name) {
          const text = letterText({ ...contentOf(letter), requestId: context?.awsRequestId, functionArn: context?.invokedFunctionArn });
          await repeatedly(() => letters.put(name, text));
          counts.setAside += 1;
        }
        await options.setAside?.(letter);
        logger.error('record set aside', setAsideLine(letter, name));
      },
      // An error would fail all poison of the batch. What is held of it fails in setAside, which comes after this.
      objection({ sound, poison }) {
        const names = poison.map(({ record }) => letterName(record));
        if (sound > 0) {
          run.end(names);
          return undefined;
        }
        const withheld = poison.slice(run.admits(names));
        const [first] = withheld;
        if (!first) return undefined;
        heldFrom = first.index;
        counts.withheld = withheld.length;
        logger.error('poison is not set aside', {
          answer:
            'nothing else comes, so it may be this code: roll it back or mend it, and the stream delivers again; if the records are bad, raise POISON_RUN_LIMIT (0: no limit)',
          poison: withheld.length,
          poisonRunLimit,
          causes: first.causes.map(shownCause),
          sequenceNumber: first.record?.dynamodb?.SequenceNumber,
        });
        return undefined;
      },
      signal: remaining === undefined ? undefined : AbortSignal.timeout(Math.max(0, Math.floor(remaining - marginMs))),
    });

    const now = Date.now();
    const times = timesOf(records);
    const headroom = times && retention?.see({ stream: String(records[0]?.eventSourceARN), ...times, now });
    const facts = factsOf(report, counts, { now, headroom, functionName: context?.functionName });
    const line = batchLine(facts, times, started, now);
    const failure = report.records.find(({ status }) => status === 'failed');
    if (failure?.error) logger.warn('batch failed in part', { ...line, error: failure.error });
    else logger.info('batch', line);
    if (headroom?.changed) logHeadroom(logger, headroom, records);
    try {
      options.metrics?.(facts);
    } catch (error) {
      logger.warn('the metrics of a batch are missing', { error });
    }
    options.onReport?.(report);
    return answerOf(records, report);
  };
}

function isUnavailable(error: unknown): boolean {
  return error instanceof CacheUnavailableError;
}

function contentOf({ record, causes }: Letter<StreamRecord>) {
  const condition = causes.every(({ stage }) => stage === 'rejected') ? 'Rejected' : 'Poison';
  return { records: [record], condition, at: new Date(), causes: causes.map(shownCause) };
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
