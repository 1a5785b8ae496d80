-- Row 2b of the state machine before its time: granted -> parked, in its old place. A releaser that ends takes back what it
-- has granted and nobody has started; what runs, or has another grant by now, stays.
--
-- KEYS  1 granted   2 ready
-- ARGV  1 prefix   2 ... per grant: id, fence
-- Returns how many were taken back.

local prefix, taken = ARGV[1], 0
local now = clock()
for i = 2, #ARGV, 2 do
  local id = ARGV[i]
  local record = prefix .. 'req:' .. id
  local fields = redis.call('HMGET', record, 's', 'f')
  if fields[1] == 'granted' and fields[2] == ARGV[i + 1] then
    redis.call('ZREM', KEYS[1], id)
    close_call(prefix, id, record, now, false)
    redis.call('HSET', record, 's', 'parked')
    in_lane(prefix, id, record)
    taken = taken + 1
  end
end
if taken > 0 then wake(prefix) end
return taken
