import { inWindow } from './envelope.ts';
import { PRELUDE } from './prelude.ts';

/**
 * One step of a survey, on several lists.
 *
 * KEYS: `members`, `scores`, `peaks` of each list.
 *
 * ARGV: the call's window last (`envelope.ts`), and before it one MessagePack array of strings: entry TTL, tombstone TTL (ms); `mark`, `fill` or
 * `seal`; the survey; for `mark` then for each list `keep`; for `fill` for each list `keep`, the number of its members, and for each member: `p`, or `f` if
 * the cache rejects its value; name; score; value as JSON text, empty for `f`.
 *
 * Returns one digit per list: 1 done, 0 the list does not have the mark.
 */
export const SURVEY_LISTS = inWindow(`${PRELUDE}
local argv = cmsgpack.unpack(ARGV[1])
local entry_ttl, tombstone_ttl, step, survey = argv[1], argv[2], argv[3], argv[4]
local outcomes = {}
local at = 5
for k = 1, #KEYS, 3 do
  local list
  if step == 'mark' then list = load_or_new(KEYS[k], KEYS[k + 1], KEYS[k + 2]) else list = load(KEYS[k], KEYS[k + 1], KEYS[k + 2]) end
  local count = step == 'fill' and tonumber(argv[at + 1]) or 0
  if step ~= 'mark' and not (list and list.survey == survey) then
    outcomes[#outcomes + 1] = '0'
  else
    if step == 'mark' then
      -- R29 (mark afresh)
      local is_lacking = list.bottom ~= '-inf' and list.live_count < tonumber(argv[at]) / 2
      if list.survey ~= survey and (list.forgotten_count > 0 or is_lacking) then list = new_list(list.members, list.scores, list.peaks) end
      -- R25 (mark)
      list.survey = survey
    elseif step == 'fill' then
      -- R26 (survey fill)
      local keep = tonumber(argv[at])
      for i = at + 2, at + 1 + 4 * count, 4 do
        local applied = apply(list, FLOOR .. argv[i] .. argv[i + 3], argv[i + 1], argv[i + 2], '', 'table')
        if applied then trim(list, keep) end
      end
    else
      -- R27 (seal)
      list.settled = list.settled + 1
    end
    save(list, entry_ttl, tombstone_ttl)
    outcomes[#outcomes + 1] = '1'
  end
  if step == 'mark' then at = at + 1 elseif step == 'fill' then at = at + 2 + 4 * count end
end
return table.concat(outcomes)
`);
