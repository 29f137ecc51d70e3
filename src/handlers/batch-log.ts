import { plainCause } from '../cause.ts';
import type { StreamRecord } from '../dynamodb/record.ts';
import type { SetAside } from '../sync/sync.ts';
import type { BatchFacts } from './batch-facts.ts';
import type { Headroom } from './retention.ts';

/** A logger that takes a message and fields. */
export interface StructuredLogger {
  info(message: string, fields: LogFields): void;
  warn(message: string, fields: LogFields): void;
  error(message: string, fields: LogFields): void;
}

type LogFields = { readonly [name: string]: unknown };

/**
 * The line on a record that was set aside. The keys tell which item it is; their secret values are hashed. Values stay out, and so does what a
 * view threw, because that may quote values.
 */
export function setAsideLine({ record, index, shownKeys, causes }: SetAside<StreamRecord>, letter: string | undefined): LogFields {
  return {
    causes: causes.map((cause) => ({ ...plainCause(cause), location: locationOf(cause.error) })),
    keys: shownKeys,
    sequenceNumber: record?.dynamodb?.SequenceNumber,
    eventId: record?.eventID,
    index,
    letter,
  };
}

/** The first frame of the stack. The message before the frames may quote values. */
function locationOf(error: Error): string | undefined {
  const { stack, message } = error.cause instanceof Error ? error.cause : error;
  // Without the message in the stack, lines of another message might pass for frames.
  if (typeof stack !== 'string' || typeof message !== 'string' || !stack.includes(message)) return undefined;
  const frames = stack.slice(stack.indexOf(message) + message.length);
  return frames
    .split('\n')
    .find((line) => /^\s+at /.test(line))
    ?.trim();
}

/** The line on poison that is not set aside. `first`: the first record of it. */
export function withheldLine(withheld: number, poisonRunLimit: number, { record, causes }: SetAside<StreamRecord>): LogFields {
  return {
    answer:
      'nothing else comes, so it may be this code: roll it back or mend it, and the stream delivers again; if the records are bad, raise POISON_RUN_LIMIT (0: no limit)',
    poison: withheld,
    poisonRunLimit,
    causes: causes.map(plainCause),
    sequenceNumber: record?.dynamodb?.SequenceNumber,
  };
}

/** The line on the whole batch. */
export function batchLine(facts: BatchFacts, newestAgeMs: number | undefined): LogFields {
  const { records, applied, stale, rejected, skipped, poison, setAside, retries, failed, sampled, sampleFailed, headroom, milliseconds } =
    facts;
  return {
    records,
    applied,
    stale,
    rejected,
    ...(skipped > 0 && { skipped }),
    poison,
    setAside,
    retries,
    failed,
    ...(sampled > 0 && { sampled }),
    ...(sampleFailed > 0 && { sampleFailed }),
    newestAgeMs,
    oldestAgeMs: headroom?.oldestAgeMs,
    milliseconds,
  };
}

/** Logs, once a change of state, that records wait for so long that the stream may trim them unread. */
export function logHeadroom(logger: StructuredLogger, headroom: Headroom, records: readonly StreamRecord[]): void {
  const { state, span, oldestAgeMs, headroomMs } = headroom;
  const place = {
    stream: records[0]?.eventSourceARN,
    shard: 'unknown: an event does not name it',
    sequenceNumber: records[0]?.dynamodb?.SequenceNumber,
    oldestAgeMs,
    headroomMs,
  };
  if (state === 'late') {
    logger.warn('records wait for long', { answer: 'see what holds them up: the stream trims them 24 hours after the write', ...place });
  }
  if (state === 'lost') {
    logger.error('records may be lost', {
      answer:
        'what was written between from and to may have left the stream unread: resync the table (a mapping that begins at TRIM_HORIZON says so once, too)',
      from: span?.from === undefined ? 'unknown: the last record that was delivered before' : new Date(span.from).toISOString(),
      to: span && new Date(span.to).toISOString(),
      ...place,
    });
  }
}
