import type { Version } from './version.ts';

/** Names a document: one value, read by its key. */
export interface DocumentAddress {
  readonly kind: 'document';
  readonly key: string;
}

/** Names a member of a list. */
export interface MemberAddress {
  readonly kind: 'member';
  readonly list: string;
  readonly member: string;
}

/** Where an entry lies. An address belongs to one item, because only versions of one item are ordered. */
export type Address = DocumentAddress | MemberAddress;

/** The longest key of a document, name of a list or name of a member, bytes of UTF-8. */
export const MAX_NAME_BYTES = 65_536;

/** The longest key that a view may give, from the view's name on, bytes of UTF-8. The rest is room for what `withLives` adds. */
export const MAX_KEY_BYTES = MAX_NAME_BYTES - 64;

/**
 * Why a value cannot be the key of a document, the name of a list or the name of a member; undefined if it can. Never quotes the value.
 *
 * @param most bytes
 */
export function nameFault(name: unknown, most = MAX_NAME_BYTES): string | undefined {
  if (typeof name !== 'string') return `is of type ${typeof name}`;
  if (name === '') return 'is empty';
  // In UTF-8, half a surrogate pair becomes a replacement character, so two names would become one.
  if (!name.isWellFormed()) return 'has half a character: it was cut inside a surrogate pair';
  // A UTF-16 code unit takes at most 3 bytes in UTF-8, so short names need not be measured.
  if (name.length * 3 > most && Buffer.byteLength(name) > most) return `has more than ${most} bytes`;
  return undefined;
}

interface DocumentEntry extends DocumentAddress {
  readonly json: string;
}

interface MemberEntry extends MemberAddress {
  readonly json: string;
  /** Orders the list, greatest first. A finite number. */
  readonly score: number;
  /** The number of newest members that the list holds. */
  readonly keep: number;
}

/** A value, as JSON text, at an address. Views project items to entries. */
export type Entry = DocumentEntry | MemberEntry;

/**
 * A change of one address. A reader then finds:
 *
 * - after `put`: the value;
 * - after `delete`: `gone`, so the reader need not ask the table;
 * - after `forget`: a miss, so the reader asks the table, which is newer than any value that the cache could hold.
 */
export type Mutation = DocumentMutation | MemberMutation;

export type DocumentMutation =
  | (DocumentEntry & { readonly type: 'put'; readonly version: Version })
  | (DocumentAddress & { readonly type: 'delete' | 'forget'; readonly version: Version });

export type MemberMutation =
  | (MemberEntry & {
      readonly type: 'put';
      readonly version: Version;
      /** The score that the member had before the change. Default: `score`. */
      readonly from?: number | undefined;
    })
  | (MemberAddress & {
      readonly type: 'delete' | 'forget';
      readonly version: Version;
      /** The score that the member had before the change. */
      readonly score: number;
      readonly keep: number;
    });

/**
 * What became of a mutation.
 *
 * - `stale`: the address holds a newer version.
 * - `rejected`: the cache will never take this value, for example because it is too large. The address is forgotten at that version, so the older
 *   value is not served either.
 * - `skipped`: no value was written, because readers cannot read the view yet, or no longer; see `withLives`. Once they can, they find a miss there, or
 *   something newer.
 */
export type Outcome =
  | { readonly type: 'applied' }
  | { readonly type: 'stale' }
  | { readonly type: 'rejected'; readonly reason: string }
  | { readonly type: 'skipped'; readonly reason: string };

export const APPLIED: Outcome = { type: 'applied' };
export const STALE: Outcome = { type: 'stale' };

/** The mutation that replaces a put whose value the cache rejects: it forgets the address at that version. */
export function forgetInstead(put: Mutation & { readonly type: 'put' }): Mutation {
  const { version } = put;
  if (put.kind === 'document') return { kind: 'document', type: 'forget', key: put.key, version };
  const { list, member, keep, score, from = score } = put;
  // Older versions of the member may come back at the old score.
  return { kind: 'member', type: 'forget', list, member, keep, version, score: Math.max(score, from) };
}

/** @param from the score that the member of a list had before */
export function putOf(entry: Entry, version: Version, from?: number): Mutation {
  if (entry.kind === 'document') return { kind: 'document', type: 'put', key: entry.key, json: entry.json, version };
  const { list, member, score, keep, json } = entry;
  return { kind: 'member', type: 'put', list, member, score, keep, json, version, from };
}

/** The mutation that ends an entry. */
export function without(entry: Entry, type: 'delete' | 'forget', version: Version): Mutation {
  switch (entry.kind) {
    case 'document':
      return { kind: 'document', key: entry.key, type, version };
    case 'member':
      return { kind: 'member', list: entry.list, member: entry.member, type, version, score: entry.score, keep: entry.keep };
  }
}

/** A string that is unique among addresses of one kind. */
export function nameOf(address: Address): string {
  switch (address.kind) {
    case 'document':
      return address.key;
    case 'member':
      return `${address.list.length}:${address.list}${address.member}`;
  }
}
