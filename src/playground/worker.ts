import { setTimeout as sleep } from 'node:timers/promises';
import type { StreamEvent, StreamRecord } from '../dynamodb/record.ts';
import {
  type Checkpoints,
  type EventSourceMapping,
  eventSourceMapping,
  type LambdaHandler,
  type MappingEvent,
  type MappingOptions,
  memoryCheckpoints,
  type StreamReader,
} from '../event-source-mapping/index.ts';
import { Deliveries } from './deliveries.ts';
import { type Dam, heldReader } from './held-reader.ts';

/** A worker that can be killed, and that can begin again. */
export interface Worker {
  readonly progress: Deliveries;
  readonly isRunning: boolean;
  /** Starts where the checkpoints say, or where another place is given. */
  start(from?: StartPlace): Promise<void>;
  /** Ends the worker as the death of its process does. */
  kill(): void;
  /** Delivers records once more, beside the stream. */
  deliver(records: readonly StreamRecord[]): Promise<void>;
  stop(): Promise<void>;
}

/** Where a worker starts. */
interface StartPlace {
  /**
   * - `checkpoint`: where it was killed. All records after that are known.
   * - `beginning`: at the beginning of the stream.
   */
  readonly at: 'checkpoint' | 'beginning';
  /** The newest record of a stream whose records all have ascending numbers: with it, the worker has caught up. Default: the worker has caught up at an end of the stream. */
  readonly newest?: string | undefined;
}

export interface WorkerOptions {
  readonly stream: StreamReader;
  readonly dam: Dam;
  /** Makes the handler of one life of the worker. */
  handler(): LambdaHandler;
  readonly checkpoints?: Checkpoints | undefined;
  readonly mapping: Partial<MappingOptions>;
  onRecords(records: readonly StreamRecord[]): void;
  onEvent?(event: MappingEvent): void;
  /** A fault ended the worker. */
  onFault(error: Error): void;
}

/** Attempts of a delivery beside the stream. */
const ATTEMPTS = 100;
const PAUSE_MS = 200;

export function makeWorker(options: WorkerOptions): Worker {
  const progress = new Deliveries();
  let checkpoints = options.checkpoints ?? memoryCheckpoints();
  let mapping: EventSourceMapping | undefined;
  let handler: LambdaHandler | undefined;
  let direct = 0;

  return {
    progress,
    get isRunning() {
      return mapping !== undefined;
    },
    async start(from) {
      if (from?.at === 'beginning') checkpoints = memoryCheckpoints();
      const own = options.handler();
      handler = own;
      const started = eventSourceMapping({
        ...options.mapping,
        reader: heldReader(options.stream, options.dam, options.onRecords),
        handler: own,
        checkpoints,
        onEvent(event) {
          progress.event(event);
          options.onEvent?.(event);
        },
      });
      if (from?.at !== 'checkpoint') progress.catchUp(from?.newest);
      await started.start();
      mapping = started;
      started.finished.catch((error: Error) => options.onFault(error));
      started.drained().then(
        () => {
          if (mapping === started) progress.caughtUp();
        },
        () => {},
      );
    },
    kill() {
      mapping?.kill();
      mapping = undefined;
    },
    async deliver(records) {
      if (records.length === 0 || !handler) return;
      direct += 1;
      const requestId = `direct-${direct}`;
      const sequenceNumbers = records.map(({ dynamodb }) => String(dynamodb?.SequenceNumber));
      const base = { shardId: 'direct', requestId, sequenceNumbers };
      progress.event({ type: 'invoked', ...base });
      for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
        const end = Date.now() + (options.mapping.functionTimeoutMs ?? 3_000);
        const context = { functionName: 'playground', getRemainingTimeInMillis: () => Math.max(0, end - Date.now()) };
        const event: StreamEvent = JSON.parse(JSON.stringify({ Records: records }));
        const answer = (await Promise.resolve(handler(event, context as never, undefined as never)).catch(() => ({
          batchItemFailures: [0],
        }))) as { readonly batchItemFailures?: readonly unknown[] } | undefined;
        if (!answer?.batchItemFailures || answer.batchItemFailures.length === 0) break;
        await sleep(PAUSE_MS);
      }
      progress.event({ type: 'succeeded', ...base, milliseconds: 0 });
    },
    async stop() {
      const running = mapping;
      mapping = undefined;
      options.dam.release();
      await running?.stop().catch(() => {});
    },
  };
}
