-- Row 2b of the state machine ahead of its deadline: granted -> parked, in the old place. A releaser that stops returns its
-- grants that no child has started; a running request, or one with another grant by now, stays.
--
-- KEYS  1 granted   2 ready
-- ARGV  1 prefix   2 ... per grant: id, fence
-- Returns how many grants were returned.

local prefix, returned = ARGV[1], 0
local now = clock()
for i = 2, #ARGV, 2 do
  local id = ARGV[i]
  local record = prefix .. 'req:' .. id
  local fields = redis.call('HMGET', record, 's', 'f')
  if fields[1] == 'granted' and fields[2] == ARGV[i + 1] then
    redis.call('ZREM', KEYS[1], id)
    close_call(prefix, id, record, now, false)
    redis.call('HSET', record, 's', 'parked')
    enter_lane(prefix, id, record)
    returned = returned + 1
  end
end
if returned > 0 then wake(prefix) end
return returned
