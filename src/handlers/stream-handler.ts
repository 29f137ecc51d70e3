import { Logger } from '@aws-lambda-powertools/logger';
import { type RetryOptions, retry } from '../backoff.ts';
import type { CacheClient } from '../cache.ts';
import { plainCause } from '../cause.ts';
import { decodeRecord, type StreamEvent, type StreamRecord } from '../dynamodb/record.ts';
import { asError, CacheUnavailableError } from '../errors.ts';
import { letterName, letterText } from '../letters/letter.ts';
import type { LetterStore } from '../letters/store.ts';
import { checkWithoutLives } from '../lives/without-lives.ts';
import { poisonRun } from '../sync/poison-run.ts';
import { type Report, type SetAside, sync } from '../sync/sync.ts';
import { checkDistinct, type View } from '../view.ts';
import { type BatchCounts, type BatchFacts, batchFactsOf, timesOf } from './batch-facts.ts';
import { batchLine, logHeadroom, type StructuredLogger, setAsideLine, withheldLine } from './batch-log.ts';
import { once } from './once.ts';
import { type RetentionOptions, retentionWatch } from './retention.ts';
import type { Sample, SampleCounts } from './sampler.ts';

export type { StructuredLogger };

export interface StreamHandlerOptions {
  readonly views: readonly View[];
  /** With `get`, the handler fails if the views of the cache have lives of which this client knows nothing; see `withLives`. */
  readonly cache: Pick<CacheClient, 'apply'> & Partial<Pick<CacheClient, 'get'>>;
  /**
   * Where dead letters go. A record that will never be applied is put there, whole, before it is reported as done. If that fails, the record is
   * retried. Default: such records are only logged.
   */
  readonly letters?: Pick<LetterStore, 'put'> | undefined;
  /** A further place for records that are set aside. Called after the letter was stored. If it throws, the record is retried. */
  readonly setAside?: ((record: SetAside<StreamRecord>) => Promise<void>) | undefined;
  /** Default: Powertools' logger. */
  readonly logger?: StructuredLogger | undefined;
  /** Called with what became of each batch, after the batch was logged. */
  readonly onReport?: ((report: Report) => void) | undefined;
  /**
   * Called with the figures of each batch. The handler then does not log a batch that succeeded, because the line of `batchMetrics` is its log line.
   */
  readonly metrics?: ((facts: BatchFacts) => void) | undefined;
  /**
   * In the last `marginMs` of the function's time no further record is begun, and no call is repeated; the stream delivers again. Keep it above the
   * deadline of one call of the cache, ms. Default: 5,500, for a deadline of 5 s. The first records of a batch are begun however short the time is,
   * so that every batch makes progress.
   */
  readonly marginMs?: number | undefined;
  /** How calls of the cache and the letter store are repeated. `forMs`: for how long where the context has no time limit. Default: 2,000. */
  readonly retries?: (Pick<RetryOptions, 'baseMs' | 'capMs' | 'sleep' | 'random'> & { readonly forMs?: number }) | undefined;
  /** The records of one run of poison that are set aside; see `poisonRun`. 0: all. Default: 10. */
  readonly poisonRunLimit?: number | undefined;
  /**
   * Called with the records of each batch that were applied; see `sampler` of `millrace/verify`. If it throws, or takes longer than half a second, its
   * sample is counted as failed, and the batch goes on.
   */
  readonly sample?: Sample | undefined;
  /** When waiting records are worth a warning. `false`: never, for saved events. */
  readonly retention?: RetentionOptions | false | undefined;
}

/** What Lambda's `ReportBatchItemFailures` reads. The lowest failed sequence number is the checkpoint. An empty list means success. */
export interface StreamAnswer {
  readonly batchItemFailures: { readonly itemIdentifier: string }[];
}

/** The part of Lambda's context that the handler uses. */
export interface InvocationContext {
  getRemainingTimeInMillis?(): number;
  readonly awsRequestId?: string;
  readonly invokedFunctionArn?: string;
  readonly functionName?: string;
}

/**
 * Makes a Lambda handler for a DynamoDB stream (`NEW_AND_OLD_IMAGES`, `FunctionResponseTypes: [ReportBatchItemFailures]`).
 *
 * Throws a ViewError when two of the views have the same keys. The handler throws when the event is not a stream event, and when a record without a sequence number fails. Lambda then retries the whole
 * batch.
 */
export function streamHandler(options: StreamHandlerOptions): (event: StreamEvent, context?: InvocationContext) => Promise<StreamAnswer> {
  const { views, cache, letters, logger = new Logger(), marginMs = 5_500, poisonRunLimit = 10 } = options;
  checkDistinct(views);
  const checkLives = once(async () => {
    if (cache.get) await checkWithoutLives(cache as Pick<CacheClient, 'get'>, WITHOUT_LIVES);
  });
  const { forMs = 2_000, ...retries } = options.retries ?? {};
  const run = poisonRun(poisonRunLimit);
  const retention = options.retention === false ? undefined : retentionWatch(options.retention);

  return async (event, context) => {
    if (!Array.isArray(event?.Records))
      throw new TypeError('the event has no Records: this function takes the events of a DynamoDB stream');
    const { Records: records } = event;
    const started = Date.now();
    const counts: BatchCounts = { setAside: 0, retries: 0, withheld: 0, cacheMs: [] };
    const remainingMs = (): number | undefined => context?.getRemainingTimeInMillis && context.getRemainingTimeInMillis() - marginMs;
    const remaining = remainingMs();

    const repeatedly = <T>(call: () => Promise<T>, isTransient?: RetryOptions['isTransient']): Promise<T> => {
      const end = performance.now() + forMs;
      return retry(call, {
        ...retries,
        isTransient,
        remainingMs: () => remainingMs() ?? end - performance.now(),
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
              await checkLives();
              return await cache.apply(mutations);
            } finally {
              if (mutations.length > 0) counts.cacheMs.push(performance.now() - asked);
            }
          }, isUnavailable),
      },
      admit({ sound, poison }) {
        const names = poison.map(({ record }) => letterName(record));
        if (sound > 0) {
          run.reset(names);
          return poison.length;
        }
        const admitted = run.admit(names);
        const first = poison[admitted];
        if (first) {
          counts.withheld = poison.length - admitted;
          logger.error('poison is not set aside', withheldLine(counts.withheld, poisonRunLimit, first));
        }
        return admitted;
      },
      async setAside(record) {
        const name = letters && letterName(record.record);
        if (letters && name !== undefined) {
          const text = letterText({ ...contentOf(record), requestId: context?.awsRequestId, functionArn: context?.invokedFunctionArn });
          await repeatedly(() => letters.put(name, text));
          counts.setAside += 1;
        }
        await options.setAside?.(record);
        logger.error('record set aside', setAsideLine(record, name));
        return name;
      },
      signal: remaining === undefined ? undefined : AbortSignal.timeout(Math.max(0, Math.floor(remaining))),
    });

    const sampled = options.sample && (await sampleOf(options.sample, appliedOf(records, report), remainingMs()));
    if (sampled?.error) logger.warn('a sample is missing', { failed: sampled.failed, error: sampled.error });
    const now = Date.now();
    const times = timesOf(records);
    const headroom = times && retention?.see({ stream: String(records[0]?.eventSourceARN), ...times, now });
    const facts = batchFactsOf(report, counts, {
      ...{ now, headroom, milliseconds: now - started, functionName: context?.functionName },
      ...{ sampled: sampled?.sampled ?? 0, sampleFailed: sampled?.failed ?? 0 },
    });
    const line = batchLine(facts, times && started - times.newest);
    const failure = report.records.find(({ status }) => status === 'failed');
    if (failure?.error) logger.warn('batch failed in part', { ...line, error: failure.error });
    else if (!options.metrics) logger.info('batch', line);
    if (headroom?.changed) logHeadroom(logger, headroom, records);
    try {
      options.metrics?.(facts);
    } catch (error) {
      logger.warn('the metrics of a batch are missing', { ...line, error });
    }
    options.onReport?.(report);
    return answerOf(records, report);
  };
}

const WITHOUT_LIVES =
  'this worker has the cache without them, so it would write keys that nobody reads: give it withLives(cache, { views }) of millrace/lives';

/** The longest that a sample may take, ms. */
const SAMPLE_MS = 500;

function appliedOf(records: readonly StreamRecord[], report: Report): readonly StreamRecord[] {
  return records.filter((_, i) => {
    const { status, applied, rejected } = report.records[i] ?? { status: 'failed' };
    return status === 'done' && (applied ?? 0) + (rejected ?? 0) > 0;
  });
}

/** Never throws, and ends in time: the sample of a batch is not worth the batch. */
async function sampleOf(
  sample: Sample,
  records: readonly StreamRecord[],
  remainingMs: number | undefined,
): Promise<SampleCounts & { readonly error?: Error }> {
  if (records.length === 0) return { sampled: 0, failed: 0 };
  const end = new AbortController();
  const ms = Math.max(0, Math.min(SAMPLE_MS, remainingMs ?? SAMPLE_MS));
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      const error = new Error(`the sample was not sent within ${ms} ms`);
      end.abort(error);
      reject(error);
    }, ms);
  });
  try {
    return await Promise.race([sample(records, end.signal), late]);
  } catch (error) {
    return { sampled: 0, failed: 1, error: asError(error) };
  } finally {
    clearTimeout(timer);
  }
}

function isUnavailable(error: unknown): boolean {
  return error instanceof CacheUnavailableError;
}

function contentOf({ record, causes }: SetAside<StreamRecord>) {
  const condition = causes.every(({ stage }) => stage === 'rejected') ? 'Rejected' : 'Poison';
  return { records: [record], condition, at: new Date(), causes: causes.map(plainCause) };
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
