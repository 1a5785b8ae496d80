-- An operator pauses a key. A longer pause, by the vendor or by an operator, stays in force.
--
-- KEYS  1 counts
-- ARGV  1 prefix   2 the key's label   3 ms from now   4 why
-- Returns 1, or 0 when a longer pause is in force.

local key = ARGV[1] .. 'key:' .. ARGV[2]
local ends = math.floor(clock() / 1000) + tonumber(ARGV[3])
if ends <= tonumber(redis.call('HGET', key, 'until') or '0') then return 0 end
run_even_when_full(ARGV[1])
redis.call('HSET', key, 'until', us(ends), 'why', ARGV[4])
redis.call('HINCRBY', KEYS[1], 'paused', 1)
return 1
