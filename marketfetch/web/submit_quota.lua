-- Counts a submit of a token of the web API, unless its limit is reached. One step with the clock of Redis: counted in several,
-- or by the clocks of several servers, two submits at the same moment could both take the last place.
--
-- KEYS  1 the submits of the token: a sorted set, member -> when (ms)
-- ARGV  1 a member that no other submit has   2 the limit   3 its span, ms
-- Returns 0 when it is counted, else the ms until the oldest submit leaves the span: at least 1.

local time = redis.call('TIME')
local now, span = time[1] * 1000 + math.floor(time[2] / 1000), tonumber(ARGV[3])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now - span))
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[2]) then
  local oldest = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')[2]
  return math.max(1, tonumber(oldest) + span - now)
end
redis.call('ZADD', KEYS[1], string.format('%.0f', now), ARGV[1])
redis.call('PEXPIRE', KEYS[1], span)
return 0
