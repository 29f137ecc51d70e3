/**
 * The scripts of the Valkey backend. Each runs as one atomic step, and all the keys of one call share a slot on a cluster.
 *
 * A document is a string: version (64 bytes), state (1: `p` put, `d` deleted, `f` forgotten), lease token (15, blank when there is no
 * lease), then the value as JSON.
 *
 * A list is three keys:
 * - members, a hash: member → version (64 bytes), state (1), then the value as JSON (`p`), when it was deleted in seconds (`d`) or nothing
 *   (`f`). The field with the empty name holds what is known of the list itself.
 * - scores, a sorted set: the score of each live member.
 * - peaks, a sorted set: the highest score at which an older version of a member could come back, for deleted and forgotten members and
 *   for live ones that had a higher score once.
 * The list's own field counts the rows of both sorted sets, so a script notices when one key of the three was evicted alone: then it
 * drops the others, and the list is lost as a whole, which is an honest miss.
 */

/** Bytes before the JSON of a document's string. */
export const DOCUMENT_HEADER = 80;
/** Bytes before the JSON of a member's field. */
export const MEMBER_HEADER = 65;
export const TOKEN_LENGTH = 15;

const PRELUDE = `
local call = redis.call
local VERSION = 64
-- Sweeping looks at so many markers whenever one is made: twice as many as are made keeps their number in bounds.
local SWEEP = 2

local function number(text)
  if text == '-inf' then return -math.huge end
  return tonumber(text)
end

-- Returns nil where there is no list, or where a part of it was evicted.
local function load(members, scores, peaks)
  local own = call('HGET', members, '')
  if not own then return nil end
  local born, bottom, lost, settled, forgotten, live, marks = string.match(own, '^(%S+) (%S+) (%d+) (%d+) (%d+) (%d+) (%d+)$')
  local list = {
    members = members, scores = scores, peaks = peaks, own = own, born = born, bottom = bottom, lost = tonumber(lost),
    settled = tonumber(settled), forgotten = tonumber(forgotten), live = tonumber(live), marks = tonumber(marks)
  }
  list.was_empty = list.live == 0
  if call('ZCARD', scores) ~= list.live or call('ZCARD', peaks) ~= list.marks then return nil end
  return list
end

local function load_or_new(members, scores, peaks)
  local list = load(members, scores, peaks)
  if list then return list end
  call('UNLINK', members, scores, peaks)
  local now = call('TIME')
  return {
    members = members, scores = scores, peaks = peaks, born = now[1] .. '.' .. now[2], bottom = '-inf', lost = 0,
    settled = 0, forgotten = 0, live = 0, marks = 0, was_empty = true
  }
end

local function expire(list, ms)
  call('PEXPIRE', list.members, ms)
  call('PEXPIRE', list.scores, ms)
  call('PEXPIRE', list.peaks, ms)
end

local function save(list, entry_ttl, tombstone_ttl)
  local own = string.format('%s %s %d %d %d %d %d', list.born, list.bottom, list.lost, list.settled, list.forgotten, list.live, list.marks)
  if own ~= list.own then call('HSET', list.members, '', own) end
  if list.live == 0 then
    expire(list, tombstone_ttl)
  elseif tonumber(entry_ttl) > 0 then
    expire(list, math.max(tonumber(entry_ttl), tonumber(tombstone_ttl)))
  elseif list.was_empty and list.own then
    call('PERSIST', list.members)
    call('PERSIST', list.peaks)
  end
end

-- was: the member's state until now, or nil when only its field and its mark are left to remove.
local function drop(list, id, was)
  if was == 'p' then
    call('ZREM', list.scores, id)
    list.live = list.live - 1
  elseif was == 'f' then
    list.forgotten = list.forgotten - 1
  end
  call('HDEL', list.members, id)
  if list.marks > 0 then list.marks = list.marks - call('ZREM', list.peaks, id) end
  list.lost = list.lost + 1
end

-- was: the member's state until now, or nil. field: its new version, state and what follows.
local function hold(list, id, was, field, score, peak)
  local state = string.sub(field, VERSION + 1, VERSION + 1)
  if state == 'p' then
    call('ZADD', list.scores, score, id)
    if was ~= 'p' then list.live = list.live + 1 end
  elseif was == 'p' then
    call('ZREM', list.scores, id)
    list.live = list.live - 1
  end
  if state ~= 'p' or number(peak) > number(score) then
    list.marks = list.marks + call('ZADD', list.peaks, peak, id)
  elseif list.marks > 0 and was then
    list.marks = list.marks - call('ZREM', list.peaks, id)
  end
  if state == 'f' then list.forgotten = list.forgotten + 1 end
  if was == 'f' then list.forgotten = list.forgotten - 1 end
  call('HSET', list.members, id, field)
end

-- Peaks below the bottom may be of live members too: after a settle that raised it.
local function purge(list)
  for _, id in ipairs(call('ZRANGEBYSCORE', list.peaks, '-inf', list.bottom)) do
    local state = string.sub(call('HGET', list.members, id), VERSION + 1, VERSION + 1)
    if state ~= 'p' then drop(list, id, state) end
  end
end

local function peak_of(list, id)
  local peak = list.marks > 0 and call('ZSCORE', list.peaks, id)
  return peak or call('ZSCORE', list.scores, id)
end

-- Of what is not live. At or below the bottom, the bottom is its tombstone already.
local function mark(list, id, was, field, peak)
  if number(peak) > number(list.bottom) then hold(list, id, was, field, nil, peak) else drop(list, id, was) end
end

local function bury(list, id, was, version, peak)
  mark(list, id, was, version .. 'd' .. call('TIME')[1], peak)
end

local function trim(list, keep)
  local bottom = list.bottom
  while list.live > keep do
    local lowest = call('ZPOPMIN', list.scores)
    local id, score = lowest[1], lowest[2]
    list.live = list.live - 1
    if number(score) > number(list.bottom) then list.bottom = score end
    local peak = list.marks > 0 and call('ZSCORE', list.peaks, id)
    if peak and number(peak) > number(list.bottom) then
      call('HSET', list.members, id, string.sub(call('HGET', list.members, id), 1, VERSION) .. 'd' .. call('TIME')[1])
    else
      drop(list, id)
    end
  end
  if list.marks > 0 and list.bottom ~= bottom then purge(list) end
end

-- Forgotten members do not end by their age: without them the list would call itself complete.
local function sweep(list, tombstone_ttl)
  local before = tonumber(call('TIME')[1]) - tonumber(tombstone_ttl) / 1000
  for _, id in ipairs(call('ZRANDMEMBER', list.peaks, SWEEP)) do
    local field = call('HGET', list.members, id)
    if string.sub(field, VERSION + 1, VERSION + 1) == 'd' and tonumber(string.sub(field, VERSION + 2)) < before then drop(list, id) end
  end
end

-- The law. field: version, type (p, d or f) and the value. from: the score before, or ''. Returns whether it was applied.
local function apply(list, field, id, score, from)
  local version = string.sub(field, 1, VERSION)
  local type = string.sub(field, VERSION + 1, VERSION + 1)
  local held = call('HGET', list.members, id)
  local was
  local peak = score
  if from ~= '' and number(from) > number(peak) then peak = from end
  if held then
    was = string.sub(held, VERSION + 1, VERSION + 1)
    local old = peak_of(list, id)
    if string.sub(held, 1, VERSION) > version then
      -- Replayed after the list was lost. What is replayed once may come again, late.
      if number(peak) > number(old) then list.marks = list.marks + call('ZADD', list.peaks, peak, id) end
      return false
    end
    if number(old) > number(peak) then peak = old end
  end
  if type == 'f' then
    mark(list, id, was, field, peak)
  elseif type == 'p' and number(score) > number(list.bottom) then
    hold(list, id, was, field, score, peak)
  else
    bury(list, id, was, version, peak)
    -- It is in the table, and nobody here knows.
    if type == 'p' then list.lost = list.lost + 1 end
  end
  return true
end
`;

/**
 * KEYS: the documents' keys, then members, scores and peaks of each list.
 * ARGV: one MessagePack array of strings: entry TTL and tombstone TTL in ms; the number of documents and a string (as it is stored) for each;
 *   then for each list keep and the number of its mutations, and for each of these: field, member, score, score before.
 * Returns one digit a mutation, in that order: 1 applied, 0 stale.
 */
export const APPLY = `${PRELUDE}
local argv = cmsgpack.unpack(ARGV[1])
local entry_ttl, tombstone_ttl, documents = argv[1], argv[2], tonumber(argv[3])
local outcomes = {}
for i = 1, documents do
  local key, body = KEYS[i], argv[3 + i]
  if call('GETRANGE', key, 0, VERSION - 1) > string.sub(body, 1, VERSION) then
    outcomes[i] = '0'
  else
    local ttl = string.sub(body, VERSION + 1, VERSION + 1) == 'p' and entry_ttl or tombstone_ttl
    if ttl == '0' then call('SET', key, body) else call('SET', key, body, 'PX', ttl) end
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
    local marks, lost = list.marks, list.lost
    local applied = apply(list, argv[at], argv[at + 1], argv[at + 2], argv[at + 3])
    if applied then trim(list, keep) end
    if list.marks > marks then sweep(list, tombstone_ttl) end
    -- A stale one may add a mark while the sweep drops another.
    changed = changed or applied or list.marks ~= marks or list.lost ~= lost
    outcomes[#outcomes + 1] = applied and '1' or '0'
    at = at + 4
  end
  if changed then save(list, entry_ttl, tombstone_ttl) end
end
return table.concat(outcomes)
`;

/**
 * KEYS: members, scores, peaks.
 * ARGV: limit; desc or asc; the score and the name of the member after which to start, or '' and ''.
 * Returns bottom, times settled, forgotten members, then name, score and field of each member; nothing where there is no list.
 */
export const PAGE = `${PRELUDE}
local list = load(KEYS[1], KEYS[2], KEYS[3])
if not list then return {} end
local limit, descending = math.min(tonumber(ARGV[1]), list.live), ARGV[2] == 'desc'

-- Names sort by their bytes; Lua's own < sorts by the server's locale.
local function before(a, b)
  for i = 1, math.min(#a, #b) do
    local x, y = string.byte(a, i), string.byte(b, i)
    if x ~= y then return x < y end
  end
  return #a < #b
end

-- How many members come before this place in ascending order, and whether a member lies on it.
local function rank_of(score, id)
  local held = call('ZSCORE', list.scores, id)
  if held and number(held) == number(score) then return call('ZRANK', list.scores, id), true end
  local low = call('ZCOUNT', list.scores, '-inf', '(' .. score)
  local high = low + call('ZCOUNT', list.scores, score, score)
  while low < high do
    local middle = math.floor((low + high) / 2)
    if before(call('ZRANGE', list.scores, middle, middle)[1], id) then low = middle + 1 else high = middle end
  end
  return low, false
end

local first, last = 0, list.live - 1
if ARGV[3] ~= '' then
  local rank, held = rank_of(ARGV[3], ARGV[4])
  if descending then last = rank - 1 else first = held and rank + 1 or rank end
end
if descending then first = math.max(0, last - limit + 1) else last = math.min(last, first + limit - 1) end

local page = { list.bottom, list.settled, list.forgotten }
if last < first then return page end
local rows = call('ZRANGE', list.scores, first, last, 'WITHSCORES')
local from, to, step = 1, #rows - 1, 2
if descending then from, to, step = #rows - 1, 1, -2 end
for i = from, to, step do
  page[#page + 1] = rows[i]
  page[#page + 1] = rows[i + 1]
  page[#page + 1] = call('HGET', list.members, rows[i])
end
return page
`;

/**
 * KEYS: the document's key.
 * ARGV: a fresh token; the version and state of a placeholder; tombstone TTL in ms.
 * Returns the token of the lease: the fresh one, or that of a lease which stands, since nothing was written after it.
 */
export const LEASE_DOCUMENT = `
local header = redis.call('GETRANGE', KEYS[1], 0, ${DOCUMENT_HEADER - 1})
if header == '' then
  redis.call('SET', KEYS[1], ARGV[2] .. ARGV[1], 'PX', ARGV[3])
  return ARGV[1]
end
local token = string.sub(header, ${DOCUMENT_HEADER - TOKEN_LENGTH + 1})
if token ~= string.rep(' ', ${TOKEN_LENGTH}) then return token end
redis.call('SETRANGE', KEYS[1], ${DOCUMENT_HEADER - TOKEN_LENGTH}, ARGV[1])
return ARGV[1]
`;

/**
 * KEYS: the document's key.
 * ARGV: the lease's token; p or d; the value as JSON; its TTL in ms, 0 for none.
 * Returns 1 settled, 0 lost.
 */
export const SETTLE_DOCUMENT = `
local header = redis.call('GETRANGE', KEYS[1], 0, ${DOCUMENT_HEADER - 1})
if string.sub(header, ${DOCUMENT_HEADER - TOKEN_LENGTH + 1}) ~= ARGV[1] then return 0 end
local body = string.sub(header, 1, 64) .. ARGV[2] .. string.rep(' ', ${TOKEN_LENGTH}) .. ARGV[3]
if ARGV[4] == '0' then redis.call('SET', KEYS[1], body) else redis.call('SET', KEYS[1], body, 'PX', ARGV[4]) end
return 1
`;

/**
 * KEYS: members, scores, peaks.
 * ARGV: entry TTL and tombstone TTL in ms.
 * Returns born, bottom, lost, times settled, then name and version of each member of any state.
 */
export const LEASE_LIST = `${PRELUDE}
local list = load_or_new(KEYS[1], KEYS[2], KEYS[3])
if not list.own then save(list, ARGV[1], ARGV[2]) end
local lease = { list.born, list.bottom, list.lost, list.settled }
local fields = call('HGETALL', list.members)
for i = 1, #fields, 2 do
  if fields[i] ~= '' then
    lease[#lease + 1] = fields[i]
    lease[#lease + 1] = string.sub(fields[i + 1], 1, VERSION)
  end
end
return lease
`;

/**
 * KEYS: members, scores, peaks.
 * ARGV: one MessagePack array of strings: entry TTL and tombstone TTL in ms; keep; the oldest version; born, bottom, lost and settled of the lease; the lowest score that
 *   the list can be sure of, -inf when the table had no more; the number of members that the lease saw, with name and version of each;
 *   then for each member that was found: p, or f where its value cannot be held; name; score; the value as JSON.
 * Returns 1 settled, 0 lost.
 */
export const SETTLE_LIST = `${PRELUDE}
local argv = cmsgpack.unpack(ARGV[1])
local list = load(KEYS[1], KEYS[2], KEYS[3])
-- Another may have filled it since, and lowered the bottom.
if not list or list.born ~= argv[5] or list.settled ~= tonumber(argv[8]) then return 0 end
local keep, floor, lowest = tonumber(argv[3]), argv[4], argv[9]
-- The bottom may sink to what was read only if nothing was thrown away since: else something older than the stream could slip in.
if (list.bottom == argv[6] and list.lost == tonumber(argv[7])) or number(lowest) > number(list.bottom) then list.bottom = lowest end
local seen, found = {}, {}
local newest = 11 + 2 * tonumber(argv[10])
for i = newest, #argv, 4 do
  if number(argv[i + 2]) > number(list.bottom) then found[argv[i + 1]] = true end
end
for i = 11, newest - 1, 2 do
  local id, version = argv[i], argv[i + 1]
  seen[id] = version
  local field = not found[id] and call('HGET', list.members, id)
  if field and string.sub(field, 1, VERSION) == version then
    local was = string.sub(field, VERSION + 1, VERSION + 1)
    if was ~= 'd' then bury(list, id, was, version, peak_of(list, id)) end
  end
end
for i = newest, #argv, 4 do
  local type, id, score, json = argv[i], argv[i + 1], argv[i + 2], argv[i + 3]
  if found[id] then apply(list, (seen[id] or floor) .. type .. json, id, score, '') end
end
list.settled = list.settled + 1
trim(list, keep)
if list.marks > 0 then purge(list) end
save(list, argv[1], argv[2])
return 1
`;
