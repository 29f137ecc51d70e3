import { hitOf, type Lookup, MISS } from '../../cache.ts';
import { isVersion, VERSION_LENGTH } from '../../version.ts';

/*
 * How the Valkey backend stores documents and lists.
 *
 * A document is one string: its version (64 bytes), its state (1 byte: `p` put, `d` deleted, `f` forgotten), a lease token (15 bytes, blank
 * if there is no lease), and its value as JSON text.
 *
 * A list is three keys in one slot of a cluster:
 * - `members`, a hash of all members. The field of a member is its version (64 bytes), its state (1 byte: `p` live, `d` gone, `f`
 *   forgotten), and then for `p` its value as JSON text, for `d` when it became gone (seconds since 1970), for `f` nothing. The field with
 *   the empty name is the header of the list: what is known of the list besides its members.
 * - `scores`, a sorted set: the score of each live member.
 * - `peaks`, a sorted set: the peak of each gone or forgotten member, and of each live member whose peak is above its score.
 *
 * The header counts the rows of both sorted sets. So a script notices when one of the three keys was evicted alone, and drops the other two
 * (R20 in docs/bounded-list.md).
 */

export const TOKEN_LENGTH = 15;
/** Bytes before the JSON text of a document. */
export const DOCUMENT_HEADER_BYTES = VERSION_LENGTH + 1 + TOKEN_LENGTH;
/** Bytes before the JSON text of a live member. */
export const MEMBER_HEADER_BYTES = VERSION_LENGTH + 1;

/** The state that each type of mutation leaves behind. */
export const STATES = { put: 'p', delete: 'd', forget: 'f' } as const;

export interface ValkeyKeys {
  document(key: string): string;
  list(list: string): readonly [members: string, scores: string, peaks: string];
}

export function keysIn(namespace: string): ValkeyKeys {
  return {
    document: (key) => `${namespace}:doc:${key}`,
    list(list) {
      // The braces enclose the hash tag. A brace in the name would end the tag early, and the three keys could be in different slots.
      const tag = `${namespace}:list:{${list.replace(/[%}]/g, encodeURIComponent)}}`;
      return [`${tag}:members`, `${tag}:scores`, `${tag}:peaks`];
    },
  };
}

/** Whether a stored document has a lease; null or undefined: there is no document. */
export function isLeased(stored: string | null | undefined): boolean {
  const text = stored ?? '';
  return isVersion(text.slice(0, VERSION_LENGTH)) && text.slice(VERSION_LENGTH + 1, DOCUMENT_HEADER_BYTES).trim() !== '';
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
