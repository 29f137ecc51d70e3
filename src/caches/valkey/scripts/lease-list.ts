import { STANDING_MS } from '../../../cache.ts';
import { inWindow } from './envelope.ts';
import { PRELUDE } from './prelude.ts';

/**
 * Takes a lease on a list (R13).
 *
 * KEYS: `members`, `scores`, `peaks`, `lease`.
 *
 * ARGV: entry TTL, tombstone TTL, TTL of a list of which nothing is known (ms); the call's window (`envelope.ts`).
 *
 * Returns the age of a standing lease or -1 (ms), birth, bottom, lost count and settled count, then name and version of each member in any state.
 */
export const LEASE_LIST = inWindow(`${PRELUDE}
local list = load_or_new(KEYS[1], KEYS[2], KEYS[3])
if not list.header or list.is_reborn then save(list, ARGV[1], ARGV[2], ARGV[3]) end
local taken_at = tonumber(read('', 'GET', KEYS[4]))
local age = taken_at and now - taken_at or -1
if age < 0 then call('SET', KEYS[4], string.format('%.0f', now), 'PX', ${STANDING_MS}) end
local lease = { math.max(age, -1), list.birth, list.bottom, list.lost, list.settled }
local fields = call('HGETALL', list.members)
for i = 1, #fields, 2 do
  if fields[i] ~= '' then
    lease[#lease + 1] = fields[i]
    lease[#lease + 1] = version_of(fields[i + 1])
  end
end
return lease
`);
