import { inWindow } from './envelope.ts';
import { PRELUDE } from './prelude.ts';

/**
 * Takes a lease on a list (R13).
 *
 * KEYS: `members`, `scores`, `peaks`.
 *
 * ARGV: entry TTL, tombstone TTL (ms); the call's window (`envelope.ts`).
 *
 * Returns birth, bottom, lost count and settled count, then name and version of each member in any state.
 */
export const LEASE_LIST = inWindow(`${PRELUDE}
local list = load_or_new(KEYS[1], KEYS[2], KEYS[3])
if not list.header or list.is_reborn then save(list, ARGV[1], ARGV[2]) end
local lease = { list.birth, list.bottom, list.lost, list.settled }
local fields = call('HGETALL', list.members)
for i = 1, #fields, 2 do
  if fields[i] ~= '' then
    lease[#lease + 1] = fields[i]
    lease[#lease + 1] = version_of(fields[i + 1])
  end
end
return lease
`);
