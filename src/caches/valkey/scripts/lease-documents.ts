import { LEASE_TTL_MS, STANDING_MS } from '../../../cache.ts';
import { FLOOR, VERSION_LENGTH } from '../../../version.ts';
import { LEASE_AT, STATES, TOKEN_LENGTH } from '../layout.ts';
import { inWindow } from './envelope.ts';
import { FOREIGN } from './foreign.ts';

const CLOCK_RANGE = 2 ** 32;

/** A function that takes a lease on one document. It returns the token, and the age of a standing lease or -1. */
const LEASE = `${FOREIGN}
-- Returns the new token.
local function write(...)
  local reply = redis.pcall(...)
  if type(reply) ~= 'table' or not reply.err then return ARGV[1] end
  if if_full and string.find(reply.err, 'OOM', 1, true) then return if_full end
  error(reply.err, 0)
end

local function lease(key)
  local header = document_header(key)
  local taken_at = string.format('%08x', now % ${CLOCK_RANGE})
  if header == '' then
    return write('SET', key, '${FLOOR}${STATES.forget}' .. ARGV[1] .. taken_at, 'PX', ${LEASE_TTL_MS}), -1
  end
  local token = string.sub(header, ${LEASE_AT + 1}, ${LEASE_AT + TOKEN_LENGTH})
  if string.find(token, '^ ') then return write('SETRANGE', key, ${LEASE_AT}, ARGV[1] .. taken_at), -1 end
  if string.sub(header, ${LEASE_AT}, ${LEASE_AT}) ~= '${STATES.forget}' then return token, -1 end
  local age = (now - tonumber(string.sub(header, ${LEASE_AT + TOKEN_LENGTH + 1}), 16)) % ${CLOCK_RANGE}
  if age < ${STANDING_MS} then return token, age end
  write('SETRANGE', key, ${LEASE_AT + TOKEN_LENGTH}, taken_at)
  return token, -1
end
`;

/**
 * Takes leases on documents.
 *
 * KEYS: the documents' keys.
 *
 * ARGV: a new token; the call's window (`envelope.ts`).
 *
 * Returns for each key token and age of the lease: the token of the lease taken since the last write, if there is one, or the new one.
 */
export const LEASE_DOCUMENTS = inWindow(`local if_full
${LEASE}
local answers = {}
for i, key in ipairs(KEYS) do answers[i] = { lease(key) } end
return answers
`);

/**
 * Reads documents, and takes leases on those that are missing.
 *
 * KEYS and ARGV: as `LEASE_DOCUMENTS`.
 *
 * Returns for each key the stored document, or token and age of the lease; the token is empty if the server has no memory for a lease. Hits cost most of all reads, so documents that are all held are returned
 * before anything else; one document without an array around it.
 */
export const GET_OR_LEASE_DOCUMENTS = `
local stored, all_held = {}, true
for i, key in ipairs(KEYS) do
  local document = redis.pcall('GET', key)
  local state = type(document) == 'string' and string.byte(document, ${VERSION_LENGTH + 1})
  stored[i] = (state == ${STATES.put.charCodeAt(0)} or state == ${STATES.delete.charCodeAt(0)}) and document
  all_held = all_held and stored[i]
end
if all_held then return stored[2] and stored or stored[1] end
${inWindow(`local if_full = ''
${LEASE}
local answers = {}
for i, key in ipairs(KEYS) do answers[i] = stored[i] or { lease(key) } end
return answers
`)}`;
