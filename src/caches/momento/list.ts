import { deflateRawSync, inflateRawSync } from 'node:zlib';
import type { FoundList } from '../../cache.ts';
import type { MemberMutation } from '../../mutation.ts';
import { BoundedList, type ListLease } from '../list/bounded-list.ts';
import { type Change, type Codec, NONCE_LENGTH, newNonce } from './cell.ts';
import type { Ttls } from './document.ts';
import { packList, unpackList } from './list-text.ts';

/** A whole list, as it stands at its key. */
export interface ListCell {
  /** Tells a list from one that was evicted, and begun anew since. */
  readonly birth: string;
  readonly list: BoundedList;
}

export interface ListSeen {
  readonly birth: string;
  readonly seen: ListLease;
}

const MARK = 'M1l';
const HEADER = MARK.length + 2 * NONCE_LENGTH;
/** Objects and tree nodes of one member in memory, bytes. */
const MEMBER_WEIGHT = 300;
/** What does not fit is cut back to this share of the limit, so that it need not be cut at every write. */
const ROOM = 0.9;
/** Of zlib: less than half the time of the default, for a hundredth more bytes. */
const LEVEL = 1;

/** `mark, nonce, birth` in ASCII, then the list as text, compressed (raw deflate). */
export function listCodec(maxBytes: number, { entryTtlMs, tombstoneTtlMs }: Ttls): Codec<ListCell> {
  return {
    encode(cell, nonce) {
      for (;;) {
        const text = Buffer.from(packList(cell.list.content));
        const bytes = Buffer.concat([Buffer.from(MARK + nonce + cell.birth), deflateRawSync(text, { level: LEVEL })]);
        if (bytes.length <= maxBytes) return { bytes, weight: weightOf(text.length, cell.list) };
        // A list that is too large for one value keeps fewer members. Without any it fits.
        cell.list.shed(1 - (ROOM * maxBytes) / bytes.length, Date.now());
      }
    },
    decode(bytes) {
      const header = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(HEADER, bytes.byteLength)).toString('latin1');
      if (!header.startsWith(MARK) || header.length < HEADER) return undefined;
      try {
        const text = inflateRawSync(bytes.subarray(HEADER)).toString();
        const list = BoundedList.of(unpackList(text));
        const [nonce, birth] = [header.slice(MARK.length, -NONCE_LENGTH), header.slice(-NONCE_LENGTH)];
        return { state: { birth, list }, nonce, weight: weightOf(text.length, list) };
      } catch {
        return undefined;
      }
    },
    ttlMs: ({ list }) => (list.isEmpty ? tombstoneTtlMs : Math.max(entryTtlMs, tombstoneTtlMs)),
  };
}

function weightOf(characters: number, { size }: BoundedList): number {
  return characters + size * MEMBER_WEIGHT;
}

function emptyList(): ListCell {
  return { birth: newNonce(), list: new BoundedList() };
}

/** One answer a mutation: whether it is applied. All are of one list, which is written when anything of it is another. */
export function applyMembers(mutations: readonly MemberMutation[], { tombstoneTtlMs }: Ttls): Change<ListCell, readonly boolean[]> {
  return (held) => {
    const cell = held ?? emptyList();
    const effects = mutations.map((mutation) => cell.list.apply(mutation, Date.now(), tombstoneTtlMs));
    const isAnother = effects.some((effect) => effect !== 'stale');
    return { result: effects.map((effect) => effect === 'applied'), ...(isAnother && { next: cell }) };
  };
}

export function leaseList(): Change<ListCell, ListSeen> {
  return (held) => {
    const cell = held ?? emptyList();
    return { result: { birth: cell.birth, seen: cell.list.lease() }, ...(!held && { next: cell }) };
  };
}

/** Whether the lease still stood. `tooLarge` tells of a value that it cannot be held. */
export function settleList(
  { birth, seen }: ListSeen,
  found: FoundList,
  keep: number,
  tooLarge: (json: string) => boolean,
): Change<ListCell, boolean> {
  return (held) => {
    if (held?.birth !== birth || !held.list.settle(seen, found, keep, Date.now(), tooLarge)) return { result: false };
    return { result: true, next: held };
  };
}
