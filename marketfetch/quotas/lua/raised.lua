-- Rows 2c and 4f of the state machine: a delivery of a request has raised an exception that is no outcome.
--
-- KEYS  1 granted   2 running   3 delayed   4 held
-- ARGV  1 prefix   2 id   3 fence   4 the reason with which the request fails   5 the most deliveries that may raise
--       6 ms until the first redelivery, doubled each time   7 ms until a held request is redelivered
--       8 "before": the delivery did not come to its start, so a running request is another one's; "unsent": its call was never
--         sent; or "sent"
-- Returns { verdict, how many deliveries have raised, reason }: "again": the grant is returned, and the request waits for its
-- next delivery; "failed": the request is held with the reason, for the store task to record; "held": the reply is here
-- already, with the reason if it is a failure; "answered": a task that is notified of another's outcome; "over": the request
-- has ended; "lost": another delivery has the request.
--
-- The number is a key of its own, raised:<id>, and no field of the record: so the format stays, workers of the release before
-- settle such a request as any other, and a record keeps its size. Only this script counts. A grant that expires, since its
-- message was lost or no child was free, never does.

local prefix, id = ARGV[1], ARGV[2]
run_even_when_full(prefix)
local record = prefix .. 'req:' .. id
local fields = redis.call('HMGET', record, 's', 'f', 'r', 'w')
local state = fields[1]
if not state then return { 'over', 0, '' } end
if format_of(fields[3]) > FORMAT then return { 'lost', 0, '' } end
local has_call = state == 'granted' or state == 'running'
if state == 'parked' or (has_call and fields[2] ~= ARGV[3]) then return { 'lost', 0, '' } end
if state == 'running' and ARGV[8] == 'before' then return { 'lost', 0, '' } end

local now = clock()
local now_ms = math.floor(now / 1000)
local counter = prefix .. 'raised:' .. id
local times = redis.call('INCR', counter)
redis.call('EXPIRE', counter, 86400)
if state == 'held' then return { 'held', times, fields[4] or '' } end
if not has_call then return { 'answered', times, '' } end

local unsent = state == 'granted' or ARGV[8] == 'unsent'
close_call(prefix, id, record, now, not unsent)
redis.call('ZREM', KEYS[1], id)
redis.call('ZREM', KEYS[2], id)
redis.call('ZREM', prefix .. 'unstarted', id)
if state == 'running' and unsent then redis.call('HINCRBY', record, 'c', -1) end
wake(prefix)
if state == 'granted' and times < tonumber(ARGV[5]) then
  redis.call('HSET', record, 's', 'parked')
  redis.call('ZADD', KEYS[3], us(now_ms + tonumber(ARGV[6]) * 2 ^ (times - 1)), id)
  return { 'again', times, '' }
end
redis.call('DEL', counter)
redis.call('HSET', record, 's', 'held', 'w', ARGV[4])
redis.call('ZADD', KEYS[4], us(now_ms + tonumber(ARGV[7])), id)
return { 'failed', times, ARGV[4] }
