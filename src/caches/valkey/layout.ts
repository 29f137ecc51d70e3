import { hitOf, type Lookup, MISS } from '../../cache.ts';
import { isVersion, VERSION_LENGTH } from '../../version.ts';

/*
 * How the Valkey backend stores documents and lists.
 *
 * A document is one string: its version (64 bytes), its state (1 byte: `p` put, `d` deleted, `f` forgotten), its lease (15 bytes, blank if there is
 * none), and its value as JSON text. A lease is its token (7 bytes), and when a reader took it: the last 32 bits of the ms since 1970 by the server's
 * clock, as 8 hex digits.
 *
 * A list is three keys in one slot of a cluster:
 * - `members`, a hash of all members. The field of a member is its version (64 bytes), its state (1 byte: `p` live, `d` gone, `f`
 *   forgotten), and then for `p` its value as JSON text, for `d` when it became gone (seconds since 1970), for `f` nothing. The field with
 *   the empty name is the header of the list: what is known of the list besides its members.
 * - `scores`, a sorted set: the score of each live member.
 * - `peaks`, a sorted set: the peak of each gone or forgotten member, and of each live member whose peak is above its score.
 *
 * A fourth key beside them, `lease`, is when a reader took a lease on the list, ms since 1970 by the server's clock. It lives as long as the lease
 * stands.
 *
 * The header counts the rows of both sorted sets. So a script notices when one of the three keys was evicted alone, and drops the other two
 * (R20 in docs/bounded-list.md).
 */

/** Bytes before the lease of a document. */
export const LEASE_AT = VERSION_LENGTH + 1;
export const LEASE_LENGTH = 15;
export const TOKEN_LENGTH = 7;
/** Bytes before the JSON text of a document. */
export const DOCUMENT_HEADER_BYTES = LEASE_AT + LEASE_LENGTH;
/** Bytes before the JSON text of a live member. */
export const MEMBER_HEADER_BYTES = VERSION_LENGTH + 1;

/** The state that each type of mutation leaves behind. */
export const STATES = { put: 'p', delete: 'd', forget: 'f' } as const;

export interface ValkeyKeys {
  document(key: string): string;
  list(list: string): readonly [members: string, scores: string, peaks: string];
  /** The keys of a list, and that of its lease. */
  leasedList(list: string): readonly [members: string, scores: string, peaks: string, lease: string];
}

export function keysIn(namespace: string): ValkeyKeys {
  // The braces enclose the hash tag. A brace in the name would end the tag early, and the keys of a list could be in different slots.
  const tagOf = (list: string): string => `${namespace}:list:{${list.replace(/[%}]/g, encodeURIComponent)}}`;
  const listKeys = (tag: string) => [`${tag}:members`, `${tag}:scores`, `${tag}:peaks`] as const;
  return {
    document: (key) => `${namespace}:doc:${key}`,
    list: (list) => listKeys(tagOf(list)),
    leasedList: (list) => [...listKeys(tagOf(list)), `${tagOf(list)}:lease`],
  };
}

/** Whether a stored document has a lease; null or undefined: there is no document. */
export function isLeased(stored: string | null | undefined): boolean {
  const text = stored ?? '';
  return isVersion(text.slice(0, VERSION_LENGTH)) && text.slice(LEASE_AT, DOCUMENT_HEADER_BYTES).trim() !== '';
}

/** What a stored document says; null or undefined: there is none. Bytes that another program wrote are a miss. */
export function lookupOf(stored: string | null | undefined): Lookup {
  const version = stored?.slice(0, VERSION_LENGTH);
  if (!isVersion(version)) return MISS;
  switch (stored?.[VERSION_LENGTH]) {
    case STATES.put:
      return hitOf(stored.slice(DOCUMENT_HEADER_BYTES), version);
    case STATES.delete:
      return { type: 'gone', version };
    default:
      return MISS;
  }
}
