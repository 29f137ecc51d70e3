import { DOCUMENT_HEADER, type Ttls } from './document.ts';

export interface LimitOptions {
  /**
   * Ends documents that long after they were written, ms; 0: as late as the cache allows. Lists end as a whole, when nothing was written to
   * them for that long and for the tombstones' time.
   */
  readonly entryTtlMs?: number;
  /** Must outlast the longest replay: the stream's retention is 24 h. */
  readonly tombstoneTtlMs?: number;
  /** The longest TTL that the cache allows, ms: 24 h on demand, more in a provisioned cache. */
  readonly maxTtlMs?: number;
  /** The largest item that the cache takes, bytes of key and value. A list is one item: beyond that, it keeps fewer members. */
  readonly maxItemBytes?: number;
  /** A larger value is `rejected`, bytes; in a document what an item can hold, unless told otherwise. */
  readonly maxValueBytes?: number;
  /**
   * The same for members of lists only: the limit of elements in Momento's own collections, unless told otherwise. A list is written and
   * read whole, so one large member makes each of its pages slow.
   */
  readonly maxMemberBytes?: number;
}

export interface Limits {
  readonly ttls: Ttls;
  /** For a list, without its key, bytes. */
  readonly listBytes: number;
  /** Why the value cannot be held; undefined where it can. */
  document(key: string, json: string): string | undefined;
  member(json: string): string | undefined;
}

const DAY_MS = 86_400_000;
/** https://docs.momentohq.com/cache/manage/limits; a cache on demand says of itself that its items have 4883 KiB at the most. */
const ITEM_BYTES = 4_883 * 1_024;
const ELEMENT_BYTES = 128 * 1_024;
/** Left to a list's key, bytes. */
const KEY_BYTES = 4_096;

/** @throws TypeError that names the option. */
export function limitsOf(options: LimitOptions): Limits {
  const { entryTtlMs = 0, maxTtlMs = DAY_MS, tombstoneTtlMs = DAY_MS, maxItemBytes = ITEM_BYTES } = options;
  const { maxValueBytes = maxItemBytes, maxMemberBytes = ELEMENT_BYTES } = options;
  for (const [name, value, least, most] of [
    ['maxTtlMs', maxTtlMs, 1_000, Infinity],
    ['entryTtlMs', entryTtlMs, 0, maxTtlMs],
    ['tombstoneTtlMs', tombstoneTtlMs, 1, maxTtlMs],
    ['maxItemBytes', maxItemBytes, 2 * KEY_BYTES, Infinity],
    ['maxValueBytes', maxValueBytes, 1, Infinity],
    ['maxMemberBytes', maxMemberBytes, 1, Infinity],
  ] as const) {
    if (!Number.isSafeInteger(value) || value < least || value > most) {
      const range = most === Infinity ? `${least} or more` : `${least} to ${most}, which maxTtlMs allows`;
      throw new TypeError(`cache option ${name} is ${value}: give a whole number of ${range}`);
    }
  }
  return {
    ttls: { entryTtlMs: entryTtlMs === 0 ? maxTtlMs : entryTtlMs, tombstoneTtlMs },
    listBytes: maxItemBytes - KEY_BYTES,
    document: (key, json) => overLimit(json, Math.min(maxValueBytes, maxItemBytes - DOCUMENT_HEADER - Buffer.byteLength(key))),
    member: (json) => overLimit(json, Math.min(maxValueBytes, maxMemberBytes)),
  };
}

function overLimit(json: string, limit: number): string | undefined {
  // A character has three bytes at the most in UTF-8, so short values need not be counted.
  if (json.length * 3 <= limit) return undefined;
  const bytes = Buffer.byteLength(json);
  return bytes > limit ? `value of ${bytes} bytes is over the limit of ${limit}` : undefined;
}
