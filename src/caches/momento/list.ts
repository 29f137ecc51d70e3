import { deflateRawSync, inflateRawSync } from 'node:zlib';
import type { FoundList, SurveyedList } from '../../cache.ts';
import type { MemberMutation } from '../../mutation.ts';
import { BoundedList, type ListLease } from '../list/bounded-list.ts';
import { type Codec, type Edit, NONCE_LENGTH, newNonce } from './cell.ts';
import type { Ttls } from './document.ts';
import { KEY_BYTES } from './limits.ts';
import { packList, unpackList } from './list-text.ts';

/** A whole list as it is stored at its key. */
export interface ListCell {
  /** Tells a list from an earlier one of the same name that was evicted (R13). */
  readonly birth: string;
  readonly list: BoundedList;
  /** True if the birth is new and not yet stored (R24). A lease must store it, or the settle would find another birth. */
  readonly isReborn?: boolean;
}

/** What a lease on a list notes (R13). */
export interface ListSeen {
  readonly birth: string;
  readonly seen: ListLease;
}

const MARK = 'M1l';
const HEADER = MARK.length + 2 * NONCE_LENGTH;
/** Memory for the objects and tree nodes of one member, bytes. */
const MEMBER_WEIGHT = 300;
/** A list that is too large is cut to this share of the limit, so that not every write has to cut it. */
const SHARE_AFTER_CUT = 0.9;
/** zlib's fastest level takes less than half the time of its default, for 1 % more bytes. */
const COMPRESSION_LEVEL = 1;

/**
 * Mark, nonce and birth in ASCII, then the list as text (`packList`), compressed as raw deflate.
 *
 * @param maxBytes the largest list at a key of `KEY_BYTES` or fewer
 */
export function listCodec(maxBytes: number, { entryTtlMs, tombstoneTtlMs, absentTtlMs }: Ttls): Codec<ListCell> {
  return {
    encode(cell, nonce, key = '') {
      const mostBytes = maxBytes - Math.max(0, Buffer.byteLength(key) - KEY_BYTES);
      for (;;) {
        const text = Buffer.from(packList(cell.list.content));
        const bytes = Buffer.concat([Buffer.from(MARK + nonce + cell.birth), deflateRawSync(text, { level: COMPRESSION_LEVEL })]);
        if (bytes.length <= mostBytes) return { bytes, weight: weightOf(text.length, cell.list) };
        // R11 (shed). The loop ends, because an empty list fits.
        cell.list.shed(1 - (SHARE_AFTER_CUT * mostBytes) / bytes.length, Date.now());
      }
    },
    decode(bytes) {
      const header = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(HEADER, bytes.byteLength)).toString('latin1');
      if (!header.startsWith(MARK) || header.length < HEADER) return undefined;
      try {
        const text = inflateRawSync(bytes.subarray(HEADER)).toString();
        const { content, isUnknown } = unpackList(text);
        const list = BoundedList.of(content);
        const [nonce, birth] = [header.slice(MARK.length, -NONCE_LENGTH), header.slice(-NONCE_LENGTH)];
        const state = isUnknown ? { birth: newNonce(), list, isReborn: true } : { birth, list };
        return { state, nonce, weight: weightOf(text.length, list) };
      } catch {
        return undefined;
      }
    },
    blank: emptyList,
    // R21 (expiry)
    ttlMs({ list }) {
      if (list.isUnknown) return absentTtlMs;
      return list.isEmpty ? tombstoneTtlMs : Math.max(entryTtlMs, tombstoneTtlMs);
    },
  };
}

function weightOf(characters: number, { size }: BoundedList): number {
  return characters + size * MEMBER_WEIGHT;
}

function emptyList(): ListCell {
  return { birth: newNonce(), list: new BoundedList() };
}

/** Results in whether each mutation was applied. All belong to one list; it is saved only if something changed. */
export function applyMembers(mutations: readonly MemberMutation[], { tombstoneTtlMs }: Ttls): Edit<ListCell, readonly boolean[]> {
  return (held) => {
    const cell = held ?? emptyList();
    const effects = mutations.map((mutation) => cell.list.apply(mutation, Date.now(), tombstoneTtlMs));
    const changed = effects.some((effect) => effect !== 'stale');
    return { result: effects.map((effect) => effect === 'applied'), ...(changed && { next: cell }) };
  };
}

/** Results in what a lease notes. Saves a list whose birth is new (R13, R24). */
export function leaseList(): Edit<ListCell, ListSeen> {
  return (held) => {
    const { birth, list } = held ?? emptyList();
    const isNew = !held || held.isReborn;
    return { result: { birth, seen: list.lease() }, ...(isNew && { next: { birth, list } }) };
  };
}

/** Marks a list for a survey, or an empty one in its place. */
export function markList(survey: string, keep: number): Edit<ListCell, undefined> {
  return (held) => {
    const { birth, list } = held && !held.list.needsFresh(survey, keep) ? held : emptyList();
    list.mark(survey);
    return { result: undefined, next: { birth, list } };
  };
}

/** Results in whether the list has the survey's mark. */
export function fillList(survey: string, { members, keep }: SurveyedList, tooLarge: (json: string) => boolean): Edit<ListCell, boolean> {
  return (held) => {
    if (!held?.list.fill(survey, members, keep, Date.now(), tooLarge)) return { result: false };
    return { result: true, next: held };
  };
}

/** Results in whether the list was sealed; false: it does not have the survey's mark. */
export function sealList(survey: string): Edit<ListCell, boolean> {
  return (held) => {
    if (!held?.list.seal(survey)) return { result: false };
    return { result: true, next: held };
  };
}

/**
 * Results in whether the list was settled; false: the lease is lost.
 *
 * @param tooLarge whether the cache rejects a value
 */
export function settleList(
  { birth, seen }: ListSeen,
  found: FoundList,
  keep: number,
  tooLarge: (json: string) => boolean,
): Edit<ListCell, boolean> {
  return (held) => {
    if (held?.birth !== birth || !held.list.settle(seen, found, keep, Date.now(), tooLarge)) return { result: false };
    return { result: true, next: held };
  };
}
