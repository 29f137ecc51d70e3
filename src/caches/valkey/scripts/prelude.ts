import { FLOOR, VERSION_LENGTH } from '../../../version.ts';
import { FOREIGN } from './foreign.ts';

/**
 * Functions that the scripts on lists share. `layout.ts` says how a list is stored. R1, R2, … are the rules of docs/bounded-list.md.
 *
 * A loaded list is a Lua table:
 * - `members`, `scores`, `peaks`: its three keys;
 * - `header`: the stored header, nil if the list is new;
 * - `birth`, `bottom` (a string, `-inf` at first), `lost`, `settled`, `highest` (a string like `bottom`), `dropped`: what the header says;
 * - `is_reborn`: true if the birth is new and not yet stored (R24). A lease must store it, or the settle would find another birth;
 * - `survey`: the survey whose mark the list has (R25), or an empty string;
 * - `live_count`, `peak_count`, `forgotten_count`: the rows of `scores`, the rows of `peaks`, the forgotten members.
 *
 * Functions change the counts as they change the keys. `save` stores the header.
 */
export const PRELUDE = `
local call = redis.call
local VERSION = ${VERSION_LENGTH}
local FLOOR = '${FLOOR}'
-- Markers that a sweep looks at whenever a mutation makes one. Two per new one keep their number within bounds.
local SWEEP = 2

local function number(text)
  if text == '-inf' then return -math.huge end
  return tonumber(text)
end

local sub = string.sub
local function version_of(field) return sub(field, 1, VERSION) end
local function state_of(field) return sub(field, VERSION + 1, VERSION + 1) end

${FOREIGN}
local function new_birth()
  local now = call('TIME')
  return now[1] .. '.' .. now[2]
end

-- Returns nil if there is no list, or if one of its three keys was evicted or written by another program.
local function load(members, scores, peaks)
  local header = read(false, 'HGET', members, '')
  if not header then return nil end
  local birth, bottom, lost, settled, forgotten, live, peak_rows, highest, dropped, survey =
    string.match(header, '^(%S+) (%S+) (%d+) (%d+) (%d+) (%d+) (%d+) (%S+) (%S+) ?(%S*)$')
  if not birth then
    birth, bottom, lost, settled, forgotten, live, peak_rows = string.match(header, '^(%S+) (%S+) (%d+) (%d+) (%d+) (%d+) (%d+)')
    if not birth then return nil end
  end
  local list = {
    members = members, scores = scores, peaks = peaks, header = header, birth = birth, bottom = bottom, lost = tonumber(lost),
    settled = tonumber(settled), forgotten_count = tonumber(forgotten), live_count = tonumber(live), peak_count = tonumber(peak_rows),
    highest = highest or bottom, dropped = dropped or FLOOR, survey = survey or ''
  }
  -- R24 (earlier form)
  if not highest and list.lost > 0 then
    list.birth, list.settled, list.is_reborn = new_birth(), 0, true
  end
  list.was_empty = list.live_count == 0
  if read(-1, 'ZCARD', scores) ~= list.live_count or read(-1, 'ZCARD', peaks) ~= list.peak_count then return nil end
  return list
end

local function new_list(members, scores, peaks)
  -- R20 (whole). Without keys there is no UNLINK, because a server without memory allows a script all writes after such a one.
  if call('EXISTS', members, scores, peaks) > 0 then call('UNLINK', members, scores, peaks) end
  return {
    members = members, scores = scores, peaks = peaks, birth = new_birth(), bottom = '-inf', lost = 0, settled = 0,
    forgotten_count = 0, live_count = 0, peak_count = 0, highest = '-inf', dropped = FLOOR, survey = '', was_empty = true
  }
end

local function load_or_new(members, scores, peaks)
  return load(members, scores, peaks) or new_list(members, scores, peaks)
end

local function expire(list, ms)
  call('PEXPIRE', list.members, ms)
  call('PEXPIRE', list.scores, ms)
  call('PEXPIRE', list.peaks, ms)
end

-- absent_ttl: of a list that has no members in any state, dropped no version, and has no mark. Default: tombstone_ttl.
local function save(list, entry_ttl, tombstone_ttl, absent_ttl)
  local header = string.format(
    '%s %s %d %d %d %d %d %s %s',
    list.birth, list.bottom, list.lost, list.settled, list.forgotten_count, list.live_count, list.peak_count, list.highest, list.dropped
  )
  if list.survey ~= '' then header = header .. ' ' .. list.survey end
  if header ~= list.header then call('HSET', list.members, '', header) end
  -- R21 (expiry)
  if list.live_count == 0 then
    local is_unknown = list.peak_count == 0 and list.lost == 0 and list.survey == ''
    expire(list, is_unknown and absent_ttl or tombstone_ttl)
  elseif tonumber(entry_ttl) > 0 then
    expire(list, math.max(tonumber(entry_ttl), tonumber(tombstone_ttl)))
  elseif list.was_empty and list.header then
    call('PERSIST', list.members)
    call('PERSIST', list.peaks)
  end
end

-- R9 (count purged). was: the member's state until now; nil if only its field and its row of peaks are left to remove.
-- version: the one that is dropped.
local function drop(list, id, was, version)
  if was == 'p' then
    call('ZREM', list.scores, id)
    list.live_count = list.live_count - 1
  elseif was == 'f' then
    list.forgotten_count = list.forgotten_count - 1
  end
  call('HDEL', list.members, id)
  if list.peak_count > 0 then list.peak_count = list.peak_count - call('ZREM', list.peaks, id) end
  list.lost = list.lost + 1
  -- R22 (dropped)
  if version > list.dropped then list.dropped = version end
end

-- Stores a member. was: its state until now, or nil. field: its new field. score: nil unless the member is live now.
local function store(list, id, was, field, score, peak)
  local state = state_of(field)
  if state == 'p' then
    call('ZADD', list.scores, score, id)
    if was ~= 'p' then list.live_count = list.live_count + 1 end
  elseif was == 'p' then
    call('ZREM', list.scores, id)
    list.live_count = list.live_count - 1
  end
  if state ~= 'p' or number(peak) > number(score) then
    list.peak_count = list.peak_count + call('ZADD', list.peaks, peak, id)
  elseif list.peak_count > 0 and was then
    list.peak_count = list.peak_count - call('ZREM', list.peaks, id)
  end
  if state == 'f' then list.forgotten_count = list.forgotten_count + 1 end
  if was == 'f' then list.forgotten_count = list.forgotten_count - 1 end
  call('HSET', list.members, id, field)
end

local function peak_of(list, id)
  local peak = list.peak_count > 0 and call('ZSCORE', list.peaks, id)
  return peak or call('ZSCORE', list.scores, id)
end

-- Stores a marker, unless the bottom has reached its peak (R8).
local function store_marker(list, id, was, field, peak)
  if number(peak) > number(list.bottom) then store(list, id, was, field, nil, peak) else drop(list, id, was, version_of(field)) end
end

local function make_gone(list, id, was, version, peak)
  store_marker(list, id, was, version .. 'd' .. call('TIME')[1], peak)
end

-- R8 (tombstone). After a settle that raised the bottom, live members have peaks at or below it too.
local function purge(list)
  for _, id in ipairs(call('ZRANGEBYSCORE', list.peaks, '-inf', list.bottom)) do
    local field = call('HGET', list.members, id)
    local state = state_of(field)
    if state ~= 'p' then drop(list, id, state, version_of(field)) end
  end
end

-- R7 (keep)
local function trim(list, keep)
  local bottom = list.bottom
  while list.live_count > keep do
    local lowest = call('ZPOPMIN', list.scores)
    local id, score = lowest[1], lowest[2]
    list.live_count = list.live_count - 1
    if number(score) > number(list.bottom) then list.bottom = score end
    local version = version_of(call('HGET', list.members, id))
    local peak = list.peak_count > 0 and call('ZSCORE', list.peaks, id)
    if peak and number(peak) > number(list.bottom) then
      call('HSET', list.members, id, version .. 'd' .. call('TIME')[1])
    else
      drop(list, id, nil, version)
    end
  end
  -- R22 (dropped)
  if list.bottom ~= list.highest and number(list.bottom) > number(list.highest) then list.highest = list.bottom end
  if list.peak_count > 0 and list.bottom ~= bottom then purge(list) end
end

-- R10 (age): drops gone markers that are too old, of a few that are picked at random. Forgotten ones do not age.
local function sweep(list, tombstone_ttl)
  local before = tonumber(call('TIME')[1]) - tonumber(tombstone_ttl) / 1000
  for _, id in ipairs(call('ZRANDMEMBER', list.peaks, SWEEP)) do
    local field = call('HGET', list.members, id)
    if state_of(field) == 'd' and tonumber(string.sub(field, VERSION + 2)) < before then drop(list, id, 'd', version_of(field)) end
  end
end

-- Applies one mutation, without trimming. Returns whether it was applied, and whether it changed the list.
-- field: the new version, state and value. from: the score before the change, or ''. source: 'stream' or 'table'.
local function apply(list, field, id, score, from, source)
  local version, state = version_of(field), state_of(field)
  local held = call('HGET', list.members, id)
  local was
  -- R2 (peak)
  local reach = score
  if from ~= '' and number(from) > number(reach) then reach = from end
  local peak = reach
  if held then
    was = state_of(held)
    local held_peak = peak_of(list, id)
    -- R1 (law)
    if version_of(held) > version then
      -- R3: an older record, replayed after the list was evicted. It may be replayed again, so remember its score as the peak.
      local is_raised = number(peak) > number(held_peak)
      if is_raised then list.peak_count = list.peak_count + call('ZADD', list.peaks, peak, id) end
      return false, is_raised
    end
    if number(held_peak) > number(peak) then peak = held_peak end
  end
  -- R23 (doubt): a fill has lowered the bottom since versions were dropped here, and one of them may be newer than this record.
  local has_sunk = list.bottom ~= list.highest and number(list.bottom) < number(list.highest)
  local is_within = has_sunk and number(reach) <= number(list.highest) and (held or number(reach) > number(list.bottom))
  local is_doubtful = source == 'stream' and is_within and version <= list.dropped
  if state == 'f' or is_doubtful then
    -- R6 (forget)
    store_marker(list, id, was, version .. 'f', peak)
  elseif state == 'p' and number(score) > number(list.bottom) then
    store(list, id, was, field, score, peak)
  else
    -- R4 (bottom)
    make_gone(list, id, was, version, peak)
    -- R5: the table has this member, the list does not. Counting it as lost keeps the next settle from lowering the bottom past it.
    if state == 'p' then list.lost = list.lost + 1 end
  end
  return true, true
end
`;
