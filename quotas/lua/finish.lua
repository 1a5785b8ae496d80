-- Rows 4a and 4d of the state machine: running -> held. Stamp, batch, next page and the freed slot are one step.
--
-- KEYS  1 running   2 held   3 ready
-- ARGV  1 prefix   2 id   3 fence   4 batch (bytes)   5 ms until it is handed on again   6 id of the next page or ""
--       7 arguments of the next page   8 us since the reply had arrived: reading it took them, not the vendor
-- Returns 1, or 0 when the lease was lost meanwhile: then nothing is written, and the reply is not to be used.
--
-- The next page inherits job and priority and stands where its request stood: pages of one range follow one another.

local record = ARGV[1] .. 'req:' .. ARGV[2]
local fields = redis.call('HMGET', record, 's', 'f', 'p', 'j', 't', 'y')
if fields[1] ~= 'running' or fields[2] ~= ARGV[3] then
  return 0
end
local now = clock()
close_call(ARGV[1], ARGV[2], record, now - tonumber(ARGV[8]), true, true)
redis.call('HDEL', ARGV[1] .. 'key:' .. (fields[6] or ''), 'strikes')
redis.call('ZREM', KEYS[1], ARGV[2])
redis.call('SET', ARGV[1] .. 'batch:' .. ARGV[2], ARGV[4])
redis.call('HSET', record, 's', 'held')
redis.call('ZADD', KEYS[2], math.floor(now / 1000) + tonumber(ARGV[5]), ARGV[2])

local page = ARGV[1] .. 'req:' .. ARGV[6]
if ARGV[6] ~= '' and redis.call('EXISTS', page) == 0 then
  redis.call('HSET', page, 's', 'parked', 'f', 0, 't', fields[5], 'p', fields[3], 'j', fields[4], 'a', 0, 'q', ARGV[7])
  in_lane(ARGV[1], ARGV[6], page)
end
return 1
