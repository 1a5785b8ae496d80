-- Row 5b of the state machine: held -> held, redelivered later, since the database is unavailable. Nothing is admitted until a
-- batch is stored again: a reply that can't be stored must not be fetched.
--
-- KEYS  1 held   2 counts
-- ARGV  1 prefix   2 id   3 ms from now for the first time   4 ms at the most, as it doubles each time
-- Returns the ms until the batch is redelivered, 0 when it is not held any more.

if not redis.call('ZSCORE', KEYS[1], ARGV[2]) then return 0 end
run_even_when_full(ARGV[1])
local now_ms = math.floor(clock() / 1000)
redis.call('HDEL', ARGV[1] .. 'req:' .. ARGV[2], 'u')
local times = redis.call('HINCRBY', ARGV[1] .. 'req:' .. ARGV[2], 'h', 1)
local delay = math.min(tonumber(ARGV[3]) * 2 ^ math.min(times - 1, 20), tonumber(ARGV[4]))
redis.call('ZADD', KEYS[1], us(now_ms + delay), ARGV[2])
redis.call('HSETNX', KEYS[2], 'away', now_ms)
return delay
