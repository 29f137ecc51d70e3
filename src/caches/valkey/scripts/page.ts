import { withErrors } from './envelope.ts';
import { PRELUDE } from './prelude.ts';

/**
 * Reads a page of a list.
 *
 * KEYS: `members`, `scores`, `peaks`.
 *
 * ARGV: limit; `desc` or `asc`; the score and the name of the member after which the page starts, or two empty strings.
 *
 * Returns bottom, settled count and number of forgotten members, by which R12 decides; then name, score and field of each member. Returns
 * nothing if there is no list.
 */
export const PAGE = withErrors(`${PRELUDE}
local list = load(KEYS[1], KEYS[2], KEYS[3])
if not list then return {} end
local limit, descending = math.min(tonumber(ARGV[1]), list.live_count), ARGV[2] == 'desc'

-- Compares names by their bytes, because < in Lua compares by the server's locale.
local function before(a, b)
  for i = 1, math.min(#a, #b) do
    local x, y = string.byte(a, i), string.byte(b, i)
    if x ~= y then return x < y end
  end
  return #a < #b
end

-- The number of live members before this position in ascending order, and whether a live member is at it.
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

local first, last = 0, list.live_count - 1
if ARGV[3] ~= '' then
  local rank, held = rank_of(ARGV[3], ARGV[4])
  if descending then last = rank - 1 else first = held and rank + 1 or rank end
end
if descending then first = math.max(0, last - limit + 1) else last = math.min(last, first + limit - 1) end

local page = { list.bottom, list.settled, list.forgotten_count }
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
`);
