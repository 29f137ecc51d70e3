import type { Version } from './version.ts';

/** A document: a value of its own. */
export interface DocumentAddress {
  readonly kind: 'document';
  readonly key: string;
}

/** A member of a list. */
export interface MemberAddress {
  readonly kind: 'member';
  readonly list: string;
  readonly member: string;
}

/** Where an entry lies. An address belongs to one item: only versions of one item are in order. */
export type Address = DocumentAddress | MemberAddress;

export interface DocumentEntry extends DocumentAddress {
  readonly json: string;
}

export interface MemberEntry extends MemberAddress {
  readonly json: string;
  /** The list's order: greatest first. A finite number. */
  readonly score: number;
  /** How many of its newest members the list holds. */
  readonly keep: number;
}

/** What a view makes of an item: a value, as JSON text, at an address. */
export type Entry = DocumentEntry | MemberEntry;

/**
 * A change of one address. After it a reader sees
 * - `put`: the value;
 * - `delete`: that nothing is there, and that the table need not be asked;
 * - `forget`: a miss, so the table is asked: its truth is newer than anything that can be held here.
 */
export type Mutation = DocumentMutation | MemberMutation;

export type DocumentMutation =
  | (DocumentEntry & { readonly type: 'put'; readonly version: Version })
  | (DocumentAddress & { readonly type: 'delete' | 'forget'; readonly version: Version });

export type MemberMutation =
  | (MemberEntry & {
      readonly type: 'put';
      readonly version: Version;
      /** The score that this member had before the change. */
      readonly from?: number | undefined;
    })
  | (MemberAddress & {
      readonly type: 'delete' | 'forget';
      readonly version: Version;
      /** The score that this member had before the change. */
      readonly score: number;
      readonly keep: number;
    });

/**
 * What became of a mutation. `stale`: its address holds a newer version. `rejected`: the cache will never take this value, too large
 * say; the address is forgotten at that version, so the older value is not served either.
 */
export type Outcome = { readonly type: 'applied' } | { readonly type: 'stale' } | { readonly type: 'rejected'; readonly reason: string };

export const APPLIED: Outcome = { type: 'applied' };
export const STALE: Outcome = { type: 'stale' };

/** What a cache does instead of a put whose value it will never take: forgets the address at that version. */
export function forgetInstead(put: Mutation & { readonly type: 'put' }): Mutation {
  const { version } = put;
  if (put.kind === 'document') return { kind: 'document', type: 'forget', key: put.key, version };
  const { list, member, keep, score, from = score } = put;
  // Older versions of the member may lie at the old score.
  return { kind: 'member', type: 'forget', list, member, keep, version, score: Math.max(score, from) };
}

/** `from`: the score that a list's member had before. */
export function putOf(entry: Entry, version: Version, from?: number): Mutation {
  if (entry.kind === 'document') return { kind: 'document', type: 'put', key: entry.key, json: entry.json, version };
  const { list, member, score, keep, json } = entry;
  return { kind: 'member', type: 'put', list, member, score, keep, json, version, from };
}

/** What ends an entry. */
export function without(entry: Entry, type: 'delete' | 'forget', version: Version): Mutation {
  switch (entry.kind) {
    case 'document':
      return { kind: 'document', key: entry.key, type, version };
    case 'member':
      return { kind: 'member', list: entry.list, member: entry.member, type, version, score: entry.score, keep: entry.keep };
  }
}

/** One string for one address, among addresses of one kind. */
export function nameOf(address: Address): string {
  switch (address.kind) {
    case 'document':
      return address.key;
    case 'member':
      return `${address.list.length}:${address.list}${address.member}`;
  }
}
