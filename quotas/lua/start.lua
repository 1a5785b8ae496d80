-- Row 3 of the state machine: granted -> running. Asked by the worker's child just before it sends.
--
-- KEYS  1 granted   2 running
-- ARGV  1 prefix   2 id   3 fence   4 end-by in ms from now
-- Returns { verdict, key label, attempts, calls, reason }: "go" once per fence; "held" when the reply is here already;
-- "over" when the request has ended; "lost" for every other holder of an old grant.

local record = ARGV[1] .. 'req:' .. ARGV[2]
local fields = redis.call('HMGET', record, 's', 'f', 'y', 'a', 'w')
local state, fence = fields[1], fields[2]
if not state then
  return { 'over', '', 0, 0, '' }
end
if state == 'held' then
  return { 'held', fields[3] or '', tonumber(fields[4]), tonumber(redis.call('HGET', record, 'c') or '0'), fields[5] or '' }
end
if state ~= 'granted' or fence ~= ARGV[3] then
  return { 'lost', '', 0, 0, '' }
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREM', KEYS[1], ARGV[2])
redis.call('ZADD', KEYS[2], now + tonumber(ARGV[4]), ARGV[2])
redis.call('HSET', record, 's', 'running')
local calls = redis.call('HINCRBY', record, 'c', 1)
return { 'go', fields[3] or '', tonumber(fields[4]), calls, '' }
