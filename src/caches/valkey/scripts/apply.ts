import { VERSION_LENGTH } from '../../../version.ts';
import { inWindow } from './envelope.ts';
import { PRELUDE } from './prelude.ts';

/**
 * Applies mutations of documents and lists.
 *
 * KEYS: the key of each document mutation, then `members`, `scores` and `peaks` of each list.
 *
 * ARGV: the call's window last (`envelope.ts`), and before it one MessagePack array of strings:
 * - entry TTL, tombstone TTL (ms);
 * - the number of document mutations, then for each of them the string to store;
 * - then for each list `keep` and the number of its mutations, and for each of these: field, member, score, score before (or empty).
 *
 * Returns one digit per mutation, in this order: 1 applied, 0 stale.
 */
export const APPLY = inWindow(
  `${PRELUDE}
local argv = cmsgpack.unpack(ARGV[1])
local entry_ttl, tombstone_ttl, documents = argv[1], argv[2], tonumber(argv[3])
local outcomes = {}
for i = 1, documents do
  local key, document = KEYS[i], argv[3 + i]
  local header = document_header(key)
  if header ~= '' and version_of(header) > version_of(document) then
    outcomes[i] = '0'
  else
    local ttl = state_of(document) == 'p' and entry_ttl or tombstone_ttl
    if ttl == '0' then call('SET', key, document) else call('SET', key, document, 'PX', ttl) end
    outcomes[i] = '1'
  end
end
local at = 4 + documents
for k = documents + 1, #KEYS, 3 do
  local list = load_or_new(KEYS[k], KEYS[k + 1], KEYS[k + 2])
  local changed = false
  local keep, count = tonumber(argv[at]), tonumber(argv[at + 1])
  at = at + 2
  for _ = 1, count do
    local peak_count = list.peak_count
    local applied, has_changed = apply(list, argv[at], argv[at + 1], argv[at + 2], argv[at + 3], 'stream')
    if applied then trim(list, keep) end
    if list.peak_count > peak_count then sweep(list, tombstone_ttl) end
    changed = changed or has_changed
    outcomes[#outcomes + 1] = applied and '1' or '0'
    at = at + 4
  end
  if changed then save(list, entry_ttl, tombstone_ttl) end
end
return table.concat(outcomes)
`,
  `
-- The stream will repeat the call. Until then no reader may find a value that it replaces, so drop each document and each list that it changes.
local function is_older(held, field) return type(held) ~= 'table' and string.sub(held or '', 1, ${VERSION_LENGTH}) < string.sub(field, 1, ${VERSION_LENGTH}) end
local argv = cmsgpack.unpack(ARGV[1])
local documents = tonumber(argv[3])
for i = 1, documents do
  if is_older(redis.pcall('GETRANGE', KEYS[i], 0, ${VERSION_LENGTH - 1}), argv[3 + i]) then redis.call('UNLINK', KEYS[i]) end
end
local at = 4 + documents
for k = documents + 1, #KEYS, 3 do
  local changed = false
  local count = tonumber(argv[at + 1])
  at = at + 2
  for _ = 1, count do
    changed = changed or is_older(redis.pcall('HGET', KEYS[k], argv[at + 1]), argv[at])
    at = at + 4
  end
  if changed then redis.call('UNLINK', KEYS[k], KEYS[k + 1], KEYS[k + 2]) end
end
`,
);
