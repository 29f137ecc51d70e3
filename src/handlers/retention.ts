/** When the records of a batch were written. Times are ms since the epoch. */
interface BatchTimes {
  readonly stream: string;
  readonly oldest: number;
  readonly newest: number;
  readonly now: number;
}

export interface Headroom {
  readonly oldestAgeMs: number;
  /** The time until the stream may trim the oldest record, ms; 0 when that time is over. */
  readonly headroomMs: number;
  /**
   * - `late`: records wait for long.
   * - `lost`: records that were written in `span` may have left the stream unread.
   */
  readonly state: 'in time' | 'late' | 'lost';
  /** The state differs from that of the batch before. */
  readonly changed: boolean;
  /** Present when the state is `lost`. `from` is absent when this environment has not seen the record delivered before. */
  readonly span?: { readonly from?: number; readonly to: number };
}

export interface RetentionOptions {
  /** How long DynamoDB keeps stream records, ms. Default: 24 hours. */
  readonly retentionMs?: number;
  /** The age from which a batch is `late`, ms. Default: 6 hours. */
  readonly warnMs?: number;
  /** A record this close to the end of its retention counts as trimmed, ms. Default: 1 hour. */
  readonly marginMs?: number;
}

export interface RetentionWatch {
  /** Returns `undefined` for a batch that is twice as old as the retention, because that is a saved event. */
  see(batch: BatchTimes): Headroom | undefined;
}

/** A mapping that runs delivers within seconds, ms. A mapping that was off has a backlog. */
const BACKLOG_MS = 900_000;

/**
 * Compares the age of delivered records with the retention of the stream.
 *
 * A function cannot know whether a record was trimmed unread: an event names no shard, sequence numbers have gaps, and a lost record leaves no
 * trace. Two signs mean that a loss is likely, but not certain:
 *
 * 1. The oldest record of a batch is about as old as the retention. Older records that were not delivered are gone, or will be soon.
 * 2. For about the length of the retention nothing of a stream was delivered, and then a backlog comes. Delivery stood still for that time.
 *
 * Blind spot: a loss while no environment was running, if the surviving records are recent.
 */
export function retentionWatch(options: RetentionOptions = {}): RetentionWatch {
  const { retentionMs = 86_400_000, warnMs = 21_600_000, marginMs = 3_600_000 } = options;
  const streams = new Map<string, { seenAt: number; newest: number; state: Headroom['state'] }>();
  return {
    see({ stream, oldest, newest, now }) {
      const oldestAgeMs = Math.max(0, now - oldest);
      if (oldestAgeMs > 2 * retentionMs) return undefined;
      const before = streams.get(stream);
      const silentMs = before ? now - before.seenAt : 0;
      const stoodStill = silentMs >= retentionMs - marginMs && oldestAgeMs >= BACKLOG_MS;
      const state = stoodStill || oldestAgeMs >= retentionMs - marginMs ? 'lost' : oldestAgeMs >= warnMs ? 'late' : 'in time';
      streams.set(stream, { seenAt: now, newest: Math.max(newest, before?.newest ?? 0), state });
      return {
        oldestAgeMs,
        headroomMs: Math.max(0, retentionMs - oldestAgeMs),
        state,
        changed: state !== (before?.state ?? 'in time'),
        ...(state === 'lost' && { span: spanOf(before?.newest, oldest) }),
      };
    },
  };
}

/** A shard may be behind what another shard has delivered. Then the start of the span is unknown. */
function spanOf(from: number | undefined, to: number): { from?: number; to: number } {
  return from !== undefined && from < to ? { from, to } : { to };
}
