import { inWindow } from './envelope.ts';
import { PRELUDE } from './prelude.ts';

/**
 * Settles a lease on a list.
 *
 * KEYS: `members`, `scores`, `peaks`.
 *
 * ARGV: the call's window last (`envelope.ts`), before it the TTL of a list of which nothing is known (ms), and first one MessagePack array of
 * strings:
 * - 1 entry TTL, 2 tombstone TTL (ms), 3 `keep`;
 * - of the lease: 4 birth, 5 bottom, 6 lost count, 7 settled count;
 * - 8 the score of the member that follows the found ones in the table, -inf if none follows;
 * - 9 the number of members that the lease saw, then name and version of each;
 * - then for each found member: `p`, or `f` if the cache rejects its value; name; score; value as JSON text, empty for `f`.
 *
 * Returns 1 settled, 0 lost.
 */
export const SETTLE_LIST = inWindow(`${PRELUDE}
local argv = cmsgpack.unpack(ARGV[1])
local list = load(KEYS[1], KEYS[2], KEYS[3])
-- R13 (lease), R14 (one settles)
if not list or list.birth ~= argv[4] or list.settled ~= tonumber(argv[7]) then return 0 end
local keep, next_score = tonumber(argv[3]), argv[8]
-- R15 (nothing lost)
local nothing_lost = list.bottom == argv[5] and list.lost == tonumber(argv[6])
if nothing_lost or number(next_score) > number(list.bottom) then list.bottom = next_score end
local seen, found = {}, {}
local newest = 10 + 2 * tonumber(argv[9])
-- R16 (found above)
for i = newest, #argv, 4 do
  if number(argv[i + 2]) > number(list.bottom) then found[argv[i + 1]] = true end
end
-- R17 (absent)
for i = 10, newest - 1, 2 do
  local id, version = argv[i], argv[i + 1]
  seen[id] = version
  local field = not found[id] and call('HGET', list.members, id)
  if field and version_of(field) == version then
    local was = state_of(field)
    if was ~= 'd' then make_gone(list, id, was, version, peak_of(list, id)) end
  end
end
-- R18 (seen)
for i = newest, #argv, 4 do
  local state, id, score, json = argv[i], argv[i + 1], argv[i + 2], argv[i + 3]
  if found[id] then apply(list, (seen[id] or FLOOR) .. state .. json, id, score, '', 'table') end
end
-- R28 (settle unmarks)
list.survey = ''
-- R19 (trim last)
list.settled = list.settled + 1
trim(list, keep)
if list.peak_count > 0 then purge(list) end
save(list, argv[1], argv[2], ARGV[2])
return 1
`);
