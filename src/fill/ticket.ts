import { createHash } from 'node:crypto';
import { quoted } from '../errors.ts';
import { type DocumentView, keyOf } from '../view.ts';

/** Characters of the hash of an address: 48 bits. */
const HASH_LENGTH = 8;
const FORM = new RegExp(`^([0-9a-z]{8,9})\\.([\\w-]{${HASH_LENGTH}})$`);

/** The ticket of `Reader.wrote`, for code that writes and does not read. */
export function wrote(view: Pick<DocumentView<unknown, unknown>, 'name' | 'revision'>, key: string): string {
  return ticketOf(keyOf(view, key), Date.now());
}

/** The ticket of a write at an address (a full key of the cache) at this time, ms since 1970: letters, digits, `-`, `_` and `.`, fit for a cookie. */
export function ticketOf(address: string, now: number): string {
  return `${now.toString(36)}.${hashOf(address)}`;
}

/**
 * How old the newest of the tickets is that was given for the address, ms; `undefined` if none was.
 *
 * @throws RangeError when one of the tickets was not made by `ticketOf`
 */
export function ageOf(tickets: string | readonly string[] | undefined, address: string, now: number): number | undefined {
  if (tickets === undefined) return undefined;
  const hash = hashOf(address);
  let youngest: number | undefined;
  for (const ticket of [tickets].flat()) {
    const [, time, of] = FORM.exec(ticket) ?? [];
    if (time === undefined) throw new RangeError(`ticket ${quoted(ticket)} was not given by wrote(): pass a ticket unchanged`);
    // A clock that is behind must not end a ticket early, so its age may be below 0.
    const age = now - Number.parseInt(time, 36);
    if (of === hash) youngest = Math.min(age, youngest ?? Infinity);
  }
  return youngest;
}

function hashOf(address: string): string {
  return createHash('sha256').update(address).digest('base64url').slice(0, HASH_LENGTH);
}
