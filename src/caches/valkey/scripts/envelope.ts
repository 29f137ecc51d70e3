/** First word of a script's error that rejects a call outside its window; the server's time follows, ms since 1970. */
export const LATE = 'LATE';

/**
 * Gives a script's errors the same text on all servers: code first, as in `READONLY You can't write against a read only replica.` Redis 6.2
 * begins the text with the script's digest and line.
 *
 * @param whenFull runs if the server has no memory for the script's first write. It may free memory; it cannot take any. A server checks its
 * memory only at the first write of a script, so the script has written nothing then.
 */
export const withErrors = (body: string, whenFull = ''): string => `
local function run()
${body}
end
local done, answer = pcall(run)
if done then return answer end
local text = type(answer) == 'table' and answer.err or answer
local reason = string.match(text, '^@%S+ %d+: %-(.*)$') or text
if not string.find(reason, '^%u+ ') then reason = 'ERR ' .. reason end
if string.find(reason, '^OOM ') then
${whenFull}
end
return redis.error_reply(reason)
`;

/**
 * Rejects a call that the client no longer waits for: a network or a frozen function may deliver it minutes later. The last of ARGV is the
 * call's window in server time: the earliest and the latest time, ms since 1970. A call that comes too early shows that the server's clock is not
 * the one the client knows.
 */
export const inWindow = (body: string, whenFull = ''): string =>
  withErrors(
    `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local earliest, latest = string.match(ARGV[#ARGV], '^(%S+) (%S+)$')
if now < tonumber(earliest) or now > tonumber(latest) then return redis.error_reply(string.format('${LATE} %.0f', now)) end
${body}`,
    whenFull,
  );
