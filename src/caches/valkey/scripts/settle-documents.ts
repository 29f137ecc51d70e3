import { FLOOR, VERSION_LENGTH } from '../../../version.ts';
import { LEASE_AT, LEASE_LENGTH, STATES, TOKEN_LENGTH } from '../layout.ts';
import { inWindow } from './envelope.ts';
import { FOREIGN } from './foreign.ts';

/**
 * Settles leases on documents, at the versions that the documents have.
 *
 * KEYS: the documents' keys.
 *
 * ARGV: the call's window last, and before it one MessagePack array of strings: entry TTL, tombstone TTL, TTL of an item that the table lacks and of
 * which no version is known (ms; 0: none); then for each document the lease's token; `p`, or `d` if the table has no such item; the value as JSON
 * text.
 *
 * Returns one digit per document: 1 settled, 0 lost.
 */
export const SETTLE_DOCUMENTS = inWindow(`${FOREIGN}
local argv = cmsgpack.unpack(ARGV[1])
local entry_ttl, tombstone_ttl, absent_ttl = argv[1], argv[2], argv[3]
local outcomes = {}
for i, key in ipairs(KEYS) do
  local token, state, json = argv[1 + 3 * i], argv[2 + 3 * i], argv[3 + 3 * i]
  local header = document_header(key)
  if string.sub(header, ${LEASE_AT + 1}, ${LEASE_AT + TOKEN_LENGTH}) ~= token then
    outcomes[i] = '0'
  else
    local version = string.sub(header, 1, ${VERSION_LENGTH})
    local document = version .. state .. string.rep(' ', ${LEASE_LENGTH}) .. json
    local ttl = state == '${STATES.put}' and entry_ttl or version == '${FLOOR}' and absent_ttl or tombstone_ttl
    if ttl == '0' then redis.call('SET', key, document) else redis.call('SET', key, document, 'PX', ttl) end
    outcomes[i] = '1'
  end
end
return table.concat(outcomes)
`);
