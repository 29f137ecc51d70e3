import { randomBytes } from 'node:crypto';
import { hitOf, LEASE_TTL_MS, type Lookup, MISS, STANDING_MS } from '../../cache.ts';
import type { DocumentMutation } from '../../mutation.ts';
import { FLOOR, VERSION_LENGTH, type Version } from '../../version.ts';
import { type Codec, type Edit, NONCE_LENGTH } from './cell.ts';

/** A document as it is stored at its key. */
export interface DocumentCell {
  readonly version: Version;
  readonly state: 'live' | 'gone' | 'forgotten';
  readonly json: string;
  /**
   * Set by a lease, and removed by the next write: while it is set, nothing was written since the lease. It is a token, and then when a reader took the
   * lease: the last 32 bits of the ms since 1970 by the reader's clock, as 8 hex digits.
   */
  readonly lease?: string;
  /** ms since 1970. A lease does not prolong it. */
  readonly expiresAt: number;
}

/** How long entries and tombstones live after they were written, ms. */
export interface Ttls {
  readonly entryTtlMs: number;
  readonly tombstoneTtlMs: number;
  /** Of an item that the table lacks and of which no version is known. */
  readonly absentTtlMs: number;
}

const MARK = 'M1';
const STATES = { live: 'p', gone: 'd', forgotten: 'f' } as const;
const NO_LEASE = ' '.repeat(NONCE_LENGTH);
const TIME_LENGTH = 13;
const TOKEN_LENGTH = 8;
const CLOCK_RANGE = 2 ** 32;
const TOKEN = `[\\w ]{${NONCE_LENGTH}}`;
const VERSION = '\\d{4}-\\d\\d-\\d\\dT[\\d:.]{12}/\\d{40}';
const HEADER = new RegExp(`^${MARK}([pdf])(${VERSION})(${TOKEN})(${TOKEN})(\\d{${TIME_LENGTH}})`);

/** Bytes before the JSON text: mark, state, version, lease, nonce of the write, time of expiry. */
export const DOCUMENT_OVERHEAD_BYTES = MARK.length + 1 + VERSION_LENGTH + 2 * NONCE_LENGTH + TIME_LENGTH;

/** A header in ASCII, then the JSON text unchanged, so that programs in any language can read it. */
export const documentCodec: Codec<DocumentCell> = {
  encode({ version, state, json, lease = NO_LEASE, expiresAt }, nonce) {
    const header = MARK + STATES[state] + version + lease + nonce + String(expiresAt).padStart(TIME_LENGTH, '0');
    const bytes = Buffer.from(header + json);
    return { bytes, weight: bytes.length };
  },
  decode(bytes) {
    const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString();
    const [header, letter, version, lease, nonce = '', time] = HEADER.exec(text) ?? [];
    const state = (['live', 'gone', 'forgotten'] as const).find((name) => STATES[name] === letter);
    if (header === undefined || !state) return undefined;
    const cell = { version: version as Version, state, json: text.slice(header.length), expiresAt: Number(time) };
    return { state: lease === NO_LEASE ? cell : { ...cell, lease }, nonce, weight: bytes.byteLength };
  },
  blank() {
    const now = Date.now();
    return { version: FLOOR, state: 'forgotten', json: '', lease: newToken() + clockAt(now), expiresAt: now + LEASE_TTL_MS };
  },
  ttlMs: ({ expiresAt }) => expiresAt - Date.now(),
};

/** What a stored document says; undefined: there is none. */
export function lookup(bytes: Uint8Array | undefined): Lookup {
  const cell = bytes && documentCodec.decode(bytes)?.state;
  switch (cell?.state) {
    case 'live':
      return hitOf(cell.json, cell.version);
    case 'gone':
      return { type: 'gone', version: cell.version };
    default:
      return MISS;
  }
}

/** Results in whether the mutation was applied. */
export function applyDocument(mutation: DocumentMutation, ttls: Ttls): Edit<DocumentCell, boolean> {
  return (held) => {
    const { version } = mutation;
    if (held && held.version > version) return { result: false };
    if (mutation.type === 'put') return { result: true, next: cellOf(version, mutation.json, ttls) };
    if (mutation.type === 'delete') return { result: true, next: cellOf(version, undefined, ttls) };
    return { result: true, next: { ...cellOf(version, undefined, ttls), state: 'forgotten' } };
  };
}

/** What a lease on a document notes. */
export interface DocumentLease {
  readonly token: string;
  readonly standingMs?: number;
}

/** Results in the lease taken since the last write, or in a new one. */
export function leaseDocument(): Edit<DocumentCell, DocumentLease> {
  const fresh = newToken();
  let wasEmpty = false;
  return (held) => {
    const now = Date.now();
    // Then the edit runs again, on a blank document of this client.
    if (!held) {
      wasEmpty = true;
      return { result: { token: fresh }, next: documentCodec.blank() };
    }
    if (held.lease === undefined) return { result: { token: fresh }, next: { ...held, lease: fresh + clockAt(now) } };
    const token = tokenOf(held.lease);
    if (held.state !== 'forgotten') return { result: { token } };
    const age = (now - Number.parseInt(held.lease.slice(TOKEN_LENGTH), 16) + CLOCK_RANGE) % CLOCK_RANGE;
    if (!(age < STANDING_MS)) return { result: { token }, next: { ...held, lease: token + clockAt(now) } };
    return { result: { token, ...(!wasEmpty && { standingMs: age }) } };
  };
}

/**
 * Results in whether the document was settled; false: the lease is lost.
 *
 * @param json absent: the table has no such item
 */
export function settleDocument(token: string, json: string | undefined, ttls: Ttls): Edit<DocumentCell, boolean> {
  return (held) => {
    if (held?.lease === undefined || tokenOf(held.lease) !== token) return { result: false };
    const cell = cellOf(held.version, json, ttls);
    const isUnknown = json === undefined && held.version === FLOOR;
    return { result: true, next: isUnknown ? { ...cell, expiresAt: Date.now() + ttls.absentTtlMs } : cell };
  };
}

function newToken(): string {
  return randomBytes(6).toString('base64url').replaceAll('-', '_');
}

function tokenOf(lease: string): string {
  return lease.slice(0, TOKEN_LENGTH);
}

function clockAt(ms: number): string {
  return (ms % CLOCK_RANGE).toString(16).padStart(NONCE_LENGTH - TOKEN_LENGTH, '0');
}

function cellOf(version: Version, json: string | undefined, { entryTtlMs, tombstoneTtlMs }: Ttls): DocumentCell {
  if (json === undefined) return { version, state: 'gone', json: '', expiresAt: Date.now() + tombstoneTtlMs };
  return { version, state: 'live', json, expiresAt: Date.now() + entryTtlMs };
}
