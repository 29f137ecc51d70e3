import { DOCUMENT_HEADER_BYTES, TOKEN_LENGTH } from '../layout.ts';
import { inWindow } from './envelope.ts';
import { FOREIGN } from './foreign.ts';

/**
 * Takes a lease on a document.
 *
 * KEYS: the document's key.
 *
 * ARGV: a new token; version and state of the placeholder that holds the lease if there is no document; lease TTL of that placeholder (ms); the
 * call's window.
 *
 * Returns the lease's token: that of the lease taken since the last write, if there is one, or the new one.
 */
export const LEASE_DOCUMENT = inWindow(`${FOREIGN}
local header = document_header(KEYS[1])
if header == '' then
  redis.call('SET', KEYS[1], ARGV[2] .. ARGV[1], 'PX', ARGV[3])
  return ARGV[1]
end
local token = string.sub(header, ${DOCUMENT_HEADER_BYTES - TOKEN_LENGTH + 1})
if token ~= string.rep(' ', ${TOKEN_LENGTH}) then return token end
redis.call('SETRANGE', KEYS[1], ${DOCUMENT_HEADER_BYTES - TOKEN_LENGTH}, ARGV[1])
return ARGV[1]
`);
