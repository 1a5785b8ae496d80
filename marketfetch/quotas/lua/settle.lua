-- Row 6 of the state machine: over -> gone. Deletes a request that the ledger has.
--
-- KEYS  1 ready   2 delayed   3 granted   4 running   5 held   6 newer   7 tasks   8 counts   9 over
-- ARGV  1 prefix   2 id   3 its outcome, for the waiting tasks (JSON)
-- Returns how many waiting tasks are notified, or -1 when the request was gone already.
--
-- A process that read the ledger before and parks after this moment finds the request in `over`: see park.
-- Each waiting task gets a record of its own, due at once: admit publishes its message, and `start` returns the outcome.

local prefix, id = ARGV[1], ARGV[2]
local record = prefix .. 'req:' .. id
run_even_when_full(prefix)
local bytes = redis.call('STRLEN', prefix .. 'batch:' .. id)
local now = clock()
if bytes > 0 then
  if redis.call('HINCRBY', KEYS[8], 'bytes', -bytes) < 0 then redis.call('HDEL', KEYS[8], 'bytes') end
  redis.call('HSET', KEYS[8], 'stored', math.floor(now / 1000))
end
redis.call('ZADD', KEYS[9], us(now), id)
redis.call('ZREMRANGEBYRANK', KEYS[9], 0, -20001)  -- 20,000 entries cover some seconds of the fastest pool and take 3 MB
redis.call('EXPIRE', KEYS[9], 60)
local fields = redis.call('HMGET', record, 's', 'o', 'p', 'j')
if not fields[1] then
  redis.call('ZREM', KEYS[5], id)
  redis.call('DEL', prefix .. 'batch:' .. id)
  return -1
end
-- The batch was held and is in the ledger now, so the database is available.
if fields[1] == 'held' then redis.call('HDEL', KEYS[8], 'away') end
if fields[1] == 'granted' or fields[1] == 'running' then
  close_call(prefix, id, record, now, fields[1] == 'running')
end
local notified = 0
for _, one in ipairs(waiters(record)) do
  if one[2] ~= '' then
    notified = notified + 1
    redis.call('HSET', prefix .. 'req:' .. one[1], 's', 'answered', 'f', 0, 'q', '', 'o', one[1],
      'm', string.match(one[2], '^%d+ (.*)$'), 'w', ARGV[3], 'r', format_for(one[1]))
    redis.call('ZADD', KEYS[5], math.floor(now / 1000), one[1])
    redis.call('HSET', KEYS[7], string.match(one[1], '^task:(.*)$'), one[1])
  end
end
local task = string.match(fields[2] or '', '^task:(.*)$')
if task then redis.call('HDEL', KEYS[7], task) end
if redis.call('ZREM', ready_of(prefix, id), id) == 1 then leave_lane(prefix, fields[3] .. ':' .. fields[4], 1) end
for i = 2, 6 do redis.call('ZREM', KEYS[i], id) end
redis.call('ZREM', prefix .. 'unstarted', id)
redis.call('DEL', record, prefix .. 'batch:' .. id, prefix .. 'raised:' .. id, prefix .. 'buried:' .. id)
-- A task is to be notified, or the batch was what kept the gate from admitting.
if notified > 0 or redis.call('HDEL', KEYS[8], 'full') == 1 then wake(prefix) end
return notified
