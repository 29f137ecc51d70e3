import { LEASE_TTL_MS, type Lookup, MISS } from '../../cache.ts';
import type { DocumentMutation } from '../../mutation.ts';
import { FLOOR, VERSION_LENGTH, type Version } from '../../version.ts';
import { type Change, type Codec, NONCE_LENGTH, newNonce } from './cell.ts';

/** What stands at a document's key. */
export interface DocumentCell {
  readonly version: Version;
  readonly state: 'live' | 'gone' | 'forgotten';
  readonly json: string;
  /** Set by a lease, gone with the next write: while it stands nothing was written. */
  readonly lease?: string;
  /** ms since the epoch. A lease does not prolong it. */
  readonly expiresAt: number;
}

export interface Ttls {
  /** ms */
  readonly entryTtlMs: number;
  readonly tombstoneTtlMs: number;
}

const MARK = 'M1';
const STATES = { live: 'p', gone: 'd', forgotten: 'f' } as const;
const NO_LEASE = ' '.repeat(NONCE_LENGTH);
const TIME_LENGTH = 13;
const TOKEN = `[\\w ]{${NONCE_LENGTH}}`;
const VERSION = '\\d{4}-\\d\\d-\\d\\dT[\\d:.]{12}/\\d{40}';
const HEADER = new RegExp(`^${MARK}([pdf])(${VERSION})(${TOKEN})(${TOKEN})(\\d{${TIME_LENGTH}})`);

/** Bytes before the JSON text: mark, state, version, lease, nonce of the writing, end of its time. */
export const DOCUMENT_HEADER = MARK.length + 1 + VERSION_LENGTH + 2 * NONCE_LENGTH + TIME_LENGTH;

/** A header of ASCII, then the JSON text as it is, so that any language can read it. */
export const documentCodec: Codec<DocumentCell> = {
  encode({ version, state, json, lease = NO_LEASE, expiresAt }, nonce) {
    const header = MARK + STATES[state] + version + lease + nonce + String(expiresAt).padStart(TIME_LENGTH, '0');
    const bytes = Buffer.from(header + json);
    return { bytes, weight: bytes.length };
  },
  decode(bytes) {
    const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString();
    const [header, letter, version, lease, nonce = '', time] = HEADER.exec(text) ?? [];
    const state = (['live', 'gone', 'forgotten'] as const).find((it) => STATES[it] === letter);
    if (header === undefined || !state) return undefined;
    const cell = { version: version as Version, state, json: text.slice(header.length), expiresAt: Number(time) };
    return { state: lease === NO_LEASE ? cell : { ...cell, lease }, nonce, weight: bytes.byteLength };
  },
  ttlMs: ({ expiresAt }) => expiresAt - Date.now(),
};

export function lookup(bytes: Uint8Array | undefined): Lookup {
  const cell = bytes && documentCodec.decode(bytes)?.state;
  switch (cell?.state) {
    case 'live':
      try {
        return { type: 'hit', value: JSON.parse(cell.json), version: cell.version };
      } catch {
        // What something else has written, in our form. The parser's message would show it.
        return MISS;
      }
    case 'gone':
      return { type: 'gone', version: cell.version };
    default:
      return MISS;
  }
}

/** Whether the mutation is applied. */
export function applyDocument(mutation: DocumentMutation, ttls: Ttls): Change<DocumentCell, boolean> {
  return (held) => {
    const { version } = mutation;
    if (held && held.version > version) return { result: false };
    if (mutation.type === 'put') return { result: true, next: cellOf(version, mutation.json, ttls) };
    if (mutation.type === 'delete') return { result: true, next: cellOf(version, undefined, ttls) };
    return { result: true, next: { ...cellOf(version, undefined, ttls), state: 'forgotten' } };
  };
}

/** The token of the lease that stands, or of a new one. */
export function leaseDocument(): Change<DocumentCell, string> {
  const fresh = newNonce();
  return (held) => {
    if (held?.lease !== undefined) return { result: held.lease };
    if (held) return { result: fresh, next: { ...held, lease: fresh } };
    const place = { version: FLOOR, state: 'forgotten', json: '', expiresAt: Date.now() + LEASE_TTL_MS } as const;
    return { result: fresh, next: { ...place, lease: fresh } };
  };
}

/** `json` absent: the table has no such item. Whether the lease still stood. */
export function settleDocument(lease: string, json: string | undefined, ttls: Ttls): Change<DocumentCell, boolean> {
  return (held) => {
    if (held?.lease !== lease) return { result: false };
    return { result: true, next: cellOf(held.version, json, ttls) };
  };
}

function cellOf(version: Version, json: string | undefined, { entryTtlMs, tombstoneTtlMs }: Ttls): DocumentCell {
  if (json === undefined) return { version, state: 'gone', json: '', expiresAt: Date.now() + tombstoneTtlMs };
  return { version, state: 'live', json, expiresAt: Date.now() + entryTtlMs };
}
