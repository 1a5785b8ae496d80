-- Row 4b of the state machine: running -> parked, in its old place, no attempt spent; the pool is paused when asked.
--
-- KEYS  1 running   2 granted   3 ready   4 pool
-- ARGV  1 prefix   2 id   3 fence   4 ms to pause the pool, 0 for none   5 why it is paused
-- Returns 1, or 0 when the grant was lost meanwhile: then only the pause is kept.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local pause = tonumber(ARGV[4])
if pause > 0 and now + pause > tonumber(redis.call('HGET', KEYS[4], 'until') or '0') then
  redis.call('HSET', KEYS[4], 'until', string.format('%.0f', now + pause), 'why', ARGV[5])
end

local record = ARGV[1] .. 'req:' .. ARGV[2]
local fields = redis.call('HMGET', record, 's', 'f', 'p', 't')
if (fields[1] ~= 'running' and fields[1] ~= 'granted') or fields[2] ~= ARGV[3] then
  return 0
end
redis.call('ZREM', KEYS[1], ARGV[2])
redis.call('ZREM', KEYS[2], ARGV[2])
redis.call('HSET', record, 's', 'parked')
redis.call('ZADD', KEYS[3], string.format('%.0f', tonumber(fields[3]) * 281474976710656 + tonumber(fields[4])), ARGV[2])
return 1
