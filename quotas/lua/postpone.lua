-- Row 5b of the state machine: held -> held, offered again later, since the database is away.
--
-- KEYS  1 held
-- ARGV  1 id   2 ms from now
-- Returns 1, or 0 when it is not held any more.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if not redis.call('ZSCORE', KEYS[1], ARGV[1]) then
  return 0
end
redis.call('ZADD', KEYS[1], now + tonumber(ARGV[2]), ARGV[1])
return 1
