-- Row 4c of the state machine: running -> delayed, one attempt spent. Publishing the task's retry calls it.
--
-- KEYS  1 running   2 delayed
-- ARGV  1 prefix   2 id   3 fence   4 not-before in ms from now   5 "unsent" when the vendor has not seen the call, or ""
-- Returns 1, or 0 when the lease was lost meanwhile: then nothing changes.

local record = ARGV[1] .. 'req:' .. ARGV[2]
local fields = redis.call('HMGET', record, 's', 'f')
if fields[1] ~= 'running' or fields[2] ~= ARGV[3] then
  return 0
end
local now = clock()
-- A cut or refused call is no measure of the network's speed: it is stamped as late as it can have arrived.
close_call(ARGV[1], ARGV[2], record, now, ARGV[5] == '')
redis.call('ZREM', KEYS[1], ARGV[2])
if ARGV[5] ~= '' then redis.call('HINCRBY', record, 'c', -1) end
if still_wanted(ARGV[1], record, now) then
  redis.call('HINCRBY', record, 'a', 1)
  redis.call('HSET', record, 's', 'parked')
  redis.call('ZADD', KEYS[2], math.floor(now / 1000) + tonumber(ARGV[4]), ARGV[2])
end
wake(ARGV[1])
return 1
