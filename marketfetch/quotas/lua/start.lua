-- Row 3 of the state machine: granted -> running. The worker's child calls it just before it sends.
--
-- KEYS  1 granted   2 running   3 counts
-- ARGV  1 prefix   2 id   3 fence   4 end-by in ms from now   5 the calling child, or "": a child whose reply from Redis was lost calls again and gets "go" again
-- Returns { verdict, key label, attempts, calls, reason, us to wait before sending, worker crashes }: "go" once per fence;
-- "held" when the reply is here already, with the reason if it is a failure; "answered" when another task's call has fetched
-- what this one asked for, with the outcome (JSON) as the reason; "over" when the request has ended; "lost" for every other holder of an old grant, where the key
-- has been paused meanwhile, or is suspected and has another call running (then the request has returned to its place), and for a request of a newer release: its grant
-- expires.
--
-- A grant may be some ms ahead of its slot, so that the message's time to the child costs the slot nothing.

local record = ARGV[1] .. 'req:' .. ARGV[2]
local fields = redis.call('HMGET', record, 's', 'f', 'y', 'a', 'w', 'b', 'v', 'c', 'r', 'k')
local state, fence = fields[1], fields[2]
if not state then
  return { 'over', '', 0, 0, '', 0, 0 }
end
if format_of(fields[9]) > FORMAT then
  return { 'lost', '', 0, 0, '', 0, 0 }
end
if state == 'held' then
  local calls = tonumber(redis.call('HGET', record, 'c') or '0')
  return { 'held', fields[3] or '', tonumber(fields[4] or '0'), calls, fields[5] or '', 0, 0 }
end
if state == 'answered' then
  return { 'answered', '', 0, 0, fields[5] or '', 0, 0 }
end
if state == 'running' and fence == ARGV[3] and ARGV[5] ~= '' and fields[7] == ARGV[5] then
  return { 'go', fields[3] or '', tonumber(fields[4] or '0'), tonumber(fields[8]), '', math.max(0, tonumber(fields[6]) - clock()),
    tonumber(fields[10] or '0') }
end
if state ~= 'granted' or fence ~= ARGV[3] then
  return { 'lost', '', 0, 0, '', 0, 0 }
end
local now = clock()
-- The key has been paused since the grant, so the vendor would refuse this call too.
local key = redis.call('HMGET', ARGV[1] .. 'key:' .. fields[3], 'until', 'suspect')
local returns = key[1] and tonumber(key[1]) * 1000 > now
-- The key has become suspected since the grant, and makes one call at a time.
for _, other in ipairs(key[2] and redis.call('SMEMBERS', ARGV[1] .. 'open:' .. fields[3]) or {}) do
  returns = returns or redis.call('ZSCORE', KEYS[2], other)
end
if returns then
  redis.call('ZREM', KEYS[1], ARGV[2])
  close_call(ARGV[1], ARGV[2], record, now, false)
  redis.call('HSET', record, 's', 'parked')
  enter_lane(ARGV[1], ARGV[2], record)
  if key[2] then wake(ARGV[1]) end
  return { 'lost', '', 0, 0, '', 0, 0 }
end
local sent = math.max(now, tonumber(fields[6] or '0'))
redis.call('ZREM', KEYS[1], ARGV[2])
redis.call('ZREM', ARGV[1] .. 'unstarted', ARGV[2])
redis.call('ZADD', KEYS[2], math.floor(sent / 1000) + tonumber(ARGV[4]), ARGV[2])
redis.call('HSET', record, 's', 'running', 'b', us(sent), 'v', ARGV[5])
local calls = redis.call('HINCRBY', record, 'c', 1)
local full = redis.call('HGET', KEYS[3], 'full')
if full and redis.call('ZCARD', KEYS[1]) <= tonumber(full) then
  redis.call('HDEL', KEYS[3], 'full')
  wake(ARGV[1])
end
return { 'go', fields[3] or '', tonumber(fields[4] or '0'), calls, '', sent - now, tonumber(fields[10] or '0') }
