import type { Lookup, PageMember } from '../../cache.ts';
import type { Stage } from '../../cause.ts';
import type { Config } from '../../config/worker.ts';
import type { StreamAnswer } from '../../handlers/stream-handler.ts';

/** What a replay did. `--json` prints this object. */
export interface Replay {
  readonly backend: Config['backend'];
  readonly files: readonly ReplayedFile[];
  /** The contents of the cache after the replay, at the addresses that the records changed. */
  readonly views: Entries;
  /** How many records failed, or were set aside unexpectedly. */
  readonly unexpected: number;
}

export interface ReplayedFile extends Played {
  readonly file: string;
  /** One flag a record: it failed, or was set aside and the file's expectation does not record this cause. */
  readonly unexpected: readonly boolean[];
}

/** What one event did. */
export interface Played {
  /** The handler's answer to Lambda. */
  readonly response: StreamAnswer;
  readonly records: readonly RecordResult[];
}

/** What one record did, as plain data. */
export interface RecordResult {
  readonly event: string | null;
  /** The item's key values as a JSON array; null if the record could not be decoded. */
  readonly item: string | null;
  readonly sequenceNumber: string | null;
  /** Present if DynamoDB's time-to-live deleted the item. */
  readonly expired?: true;
  readonly status: 'done' | 'failed';
  /** How many mutations the cache applied. */
  readonly applied: number;
  readonly stale: number;
  readonly rejected: number;
  /** Mutations of views that readers cannot read now. Absent: none. */
  readonly skipped?: number;
  /** Why the record, or a view's part of it, was set aside. */
  readonly setAside: readonly SetAsideCause[];
  /** Why the record failed. */
  readonly error?: string;
}

/** A cause as plain data. */
export interface SetAsideCause {
  readonly stage: Stage;
  readonly view?: string;
  readonly address?: string;
  readonly reason: string;
  /** Paths of the fields that the schema refuses, if one of them lies within another: `items[0].size`. The reason has the first names only. */
  readonly fields?: readonly string[];
}

/** The contents of the cache by address, in the order in which the records first changed the addresses. */
export interface Entries {
  readonly documents: Readonly<Record<string, Lookup>>;
  readonly lists: Readonly<Record<string, { readonly members: readonly PageMember[]; readonly complete: boolean }>>;
}
