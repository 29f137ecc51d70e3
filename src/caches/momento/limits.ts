import { ABSENT_TTL_MS } from '../../cache.ts';
import { checkWholeNumbers, overLimit } from '../checks.ts';
import { DOCUMENT_OVERHEAD_BYTES, type Ttls } from './document.ts';

export interface LimitOptions {
  /**
   * How long a document lives after it was written, ms; 0: as long as `maxTtlMs` allows. A list expires as a whole, when nothing was
   * written to it for this time and for the tombstones' time. Default: 0.
   */
  readonly entryTtlMs?: number;
  /** How long a tombstone (the mark of a deleted entry) lives, ms; at least the longest replay (a stream keeps 24 h). Default: 24 h. */
  readonly tombstoneTtlMs?: number;
  /** How long it lives that the table lacks an item, or the members of a list, of which the cache knew no version, ms. Default: 60,000. */
  readonly absentTtlMs?: number;
  /** The longest TTL that the cache allows, ms; a provisioned cache allows more. Default: 24 h. */
  readonly maxTtlMs?: number;
  /** The largest item that the cache allows, bytes of key and value. A larger list keeps fewer members. Default: 4,883 KiB. */
  readonly maxItemBytes?: number;
  /** A larger value is `rejected`, bytes; a list member over 128 KiB too. Default: `maxItemBytes`. */
  readonly maxValueBytes?: number;
}

export interface Limits {
  readonly ttls: Ttls;
  /** The largest list without its key, bytes. */
  readonly listBytes: number;
  /** Why the document's value is rejected; undefined if it fits. */
  document(key: string, json: string): string | undefined;
  /** Why the member's value is rejected; undefined if it fits. */
  member(json: string): string | undefined;
}

const DAY_MS = 86_400_000;
/** Of a cache on demand, by its own error message. See also https://docs.momentohq.com/cache/manage/limits */
const ITEM_BYTES = 4_883 * 1_024;
/**
 * Momento's limit for an element of its own collections. Members have the same limit, because a list is written and read as a whole: one
 * large member would make each page of the list slow.
 */
const MEMBER_BYTES = 128 * 1_024;
/** Reserved for a list's key. Under a longer key, the list is smaller. */
export const KEY_BYTES = 4_096;

/** @throws TypeError that names the option which is out of its range */
export function limitsOf(options: LimitOptions): Limits {
  const { entryTtlMs = 0, maxTtlMs = DAY_MS, tombstoneTtlMs = DAY_MS, maxItemBytes = ITEM_BYTES } = options;
  const { maxValueBytes = maxItemBytes, absentTtlMs = ABSENT_TTL_MS } = options;
  checkWholeNumbers([
    ['maxTtlMs', maxTtlMs, 1_000],
    ['entryTtlMs', entryTtlMs, 0],
    ['tombstoneTtlMs', tombstoneTtlMs, 1],
    ['absentTtlMs', absentTtlMs, 1],
    ['maxItemBytes', maxItemBytes, 2 * KEY_BYTES],
    ['maxValueBytes', maxValueBytes, 1],
  ]);
  for (const [name, ttlMs] of Object.entries({ entryTtlMs, tombstoneTtlMs, absentTtlMs })) {
    if (ttlMs > maxTtlMs) throw new TypeError(`cache option ${name} is ${ttlMs}: give ${maxTtlMs} or less, as maxTtlMs requires`);
  }
  return {
    ttls: { entryTtlMs: entryTtlMs === 0 ? maxTtlMs : entryTtlMs, tombstoneTtlMs, absentTtlMs },
    listBytes: maxItemBytes - KEY_BYTES,
    document: (key, json) => overLimit(json, Math.min(maxValueBytes, maxItemBytes - DOCUMENT_OVERHEAD_BYTES - Buffer.byteLength(key))),
    member: (json) => overLimit(json, Math.min(maxValueBytes, MEMBER_BYTES)),
  };
}
