/** What a batch tells of the time that is left before the stream trims. Times are ms since the epoch. */
export interface Batch {
  readonly stream: string;
  /** When its oldest record was written. */
  readonly oldest: number;
  readonly newest: number;
  readonly now: number;
}

export interface Headroom {
  readonly oldestAgeMs: number;
  /** Until the oldest record may be trimmed, ms; 0 when it is due. */
  readonly headroomMs: number;
  /**
   * - `late`: records wait for long.
   * - `lost`: what was written in `span` may have left the stream before it was read.
   */
  readonly state: 'in time' | 'late' | 'lost';
  /** It differs from what the batch before said. */
  readonly changed: boolean;
  /** Of `lost`. Without `from`, it begins with the last record that was delivered before; nobody here has seen that. */
  readonly span?: { readonly from?: number; readonly to: number };
}

export interface RetentionOptions {
  /** DynamoDB keeps stream records for 24 hours; ms. */
  readonly retentionMs?: number;
  /** Age from which a batch is `late`, ms. */
  readonly warnMs?: number;
  /** So close to its end retention is taken for over, ms. */
  readonly marginMs?: number;
}

export interface RetentionWatch {
  /** `undefined`: the batch is twice as old as retention, so it is a saved one and comes from no stream. */
  see(batch: Batch): Headroom | undefined;
}

/** A mapping that runs delivers within seconds; one that was off has a backlog. ms */
const BACKLOG_MS = 900_000;

/**
 * Watches the age of what is delivered against the retention of the stream.
 *
 * Whether a record was trimmed unread cannot be known from inside a function: an event names no shard, sequence numbers have gaps, and what is lost leaves no trace. Two
 * things can be seen. A batch whose oldest record is about as old as retention comes from the edge at which the stream trims: older
 * ones that were not delivered are gone, or are going. And when for about that long nothing was delivered of a stream, and then a backlog, delivery stood still for
 * as long. Both mean that loss is likely, neither that it happened. Not seen is what was lost while no environment lived to see it and the
 * records that were left are young.
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

/** Of several shards, one may be behind what another one had delivered: then nothing is known of its beginning. */
function spanOf(from: number | undefined, to: number): { from?: number; to: number } {
  return from !== undefined && from < to ? { from, to } : { to };
}
