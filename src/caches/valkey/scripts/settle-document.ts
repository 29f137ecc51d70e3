import { VERSION_LENGTH } from '../../../version.ts';
import { DOCUMENT_HEADER_BYTES, TOKEN_LENGTH } from '../layout.ts';
import { inWindow } from './envelope.ts';
import { FOREIGN } from './foreign.ts';

/**
 * Settles a lease on a document, at the version that the document has.
 *
 * KEYS: the document's key.
 *
 * ARGV: the lease's token; `p`, or `d` if the table has no such item; the value as JSON text; its TTL (ms; 0: none); the call's
 * window.
 *
 * Returns 1 settled, 0 lost.
 */
export const SETTLE_DOCUMENT = inWindow(`${FOREIGN}
local header = document_header(KEYS[1])
if string.sub(header, ${DOCUMENT_HEADER_BYTES - TOKEN_LENGTH + 1}) ~= ARGV[1] then return 0 end
local document = string.sub(header, 1, ${VERSION_LENGTH}) .. ARGV[2] .. string.rep(' ', ${TOKEN_LENGTH}) .. ARGV[3]
if ARGV[4] == '0' then redis.call('SET', KEYS[1], document) else redis.call('SET', KEYS[1], document, 'PX', ARGV[4]) end
return 1
`);
