-- Row 7 of the state machine: parked or granted -> gone, since nobody wants it any more. A grant's share is given back.
--
-- KEYS  1 ready   2 delayed   3 granted
-- ARGV  1 prefix   2 id
-- Returns { 1, message }, or { 0, "" } when it is not parked (it runs, is held, or is over): then nothing changes.

local record = ARGV[1] .. 'req:' .. ARGV[2]
local fields = redis.call('HMGET', record, 's', 'm')
if fields[1] ~= 'parked' and fields[1] ~= 'granted' then
  return { 0, '' }
end
if fields[1] == 'granted' then
  close_call(ARGV[1], ARGV[2], record, clock(), false, false)
end
for i = 1, 3 do
  redis.call('ZREM', KEYS[i], ARGV[2])
end
redis.call('DEL', record)
return { 1, fields[2] or '' }
