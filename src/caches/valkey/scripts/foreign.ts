import { VERSION_LENGTH } from '../../../version.ts';
import { DOCUMENT_HEADER_BYTES } from '../layout.ts';

/** Functions that read keys at which another program may have written. Its bytes and its types count as nothing. */
export const FOREIGN = `
-- Sends a command that reads. Returns the given answer instead of the reply if the key has another type than the command expects.
local function read(if_foreign, ...)
  local reply = redis.pcall(...)
  if type(reply) ~= 'table' or not reply.err then return reply end
  if string.find(reply.err, 'WRONGTYPE', 1, true) then return if_foreign end
  error(reply.err, 0)
end

-- Returns the header of a document, or '' if there is none.
local function document_header(key)
  local header = read('', 'GETRANGE', key, 0, ${DOCUMENT_HEADER_BYTES - 1})
  if #header ~= ${DOCUMENT_HEADER_BYTES} then return '' end
  local _, last = string.find(header, '^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%d%.%d%d%d/%d+[pdf]')
  return last == ${VERSION_LENGTH + 1} and header or ''
end
`;
