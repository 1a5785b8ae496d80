-- Row 7 of the state machine: removes a waiter; without waiters a parked or granted request is deleted, and the share of its
-- grant is returned.
--
-- KEYS  1 ready   2 delayed   3 granted   4 newer
-- ARGV  1 prefix   2 who: a job, or task:<task id>   3 ... ids
-- Returns per id { what, message }: "gone": the request is deleted; "left": other waiters keep it; "stays": it runs or its
-- reply is here, so it continues to its end; "unknown": the gate has no such request or waiter. The message is the task's.
--
-- A task leaves a record, due in 10 s, that settle deletes once the task is marked as revoked: should the caller crash before
-- that, a releaser marks it.

local prefix, who = ARGV[1], ARGV[2]
local answer = {}

local withdraw

-- Withdraws the parked next page of a request whose reply is here; the ledger does not name that page yet.
local function withdraw_page(record)
  local page = redis.call('HGET', record, 'n')
  if page then withdraw(page) end
end

withdraw = function(id)
  local record = prefix .. 'req:' .. id
  local fields = redis.call('HMGET', record, 's', 'o', 'j', 'm', '+' .. who, 'p', 'g')
  if not fields[1] then return { 'unknown', '' } end
  local waits = fields[1] == 'parked' or fields[1] == 'granted'
  if fields[5] then
    redis.call('HDEL', record, '+' .. who)
    if not waits then
      if fields[7] and #waiters(record) == 0 then redis.call('HSET', record, 'z', 1) end
      withdraw_page(record)
    end
    return { 'left', string.match(fields[5], '^%d+ (.*)$') or '' }
  end
  if (fields[2] or fields[3]) ~= who then return { 'unknown', '' } end
  if id == who and not waits and fields[1] ~= 'running' and fields[1] ~= 'held' then
    return { 'gone', fields[4] or '' }  -- a notification of another outcome was due; the task becomes revoked instead
  end
  if not waits then
    redis.call('HSET', record, #waiters(record) == 0 and 'z' or 'g', 1)
    withdraw_page(record)
    return { 'stays', '' }
  end
  if fields[1] == 'granted' then
    close_call(prefix, id, record, clock(), false)
    redis.call('ZREM', KEYS[3], id)
    redis.call('HSET', record, 's', 'parked')
    enter_lane(prefix, id, record)
  end
  if promote(record) then return { 'left', fields[4] or '' } end
  if redis.call('ZREM', ready_of(prefix, id), id) == 1 then leave_lane(prefix, fields[6] .. ':' .. fields[3], 1) end
  redis.call('ZREM', KEYS[2], id)
  redis.call('ZREM', KEYS[4], id)
  redis.call('ZREM', prefix .. 'unstarted', id)
  redis.call('DEL', record, prefix .. 'raised:' .. id, prefix .. 'buried:' .. id)
  return { 'gone', fields[4] or '' }
end

run_even_when_full(prefix)
for i = 3, #ARGV do
  answer[#answer + 1] = withdraw(ARGV[i])
end
if string.sub(who, 1, 5) == 'task:' and answer[1][2] ~= '' then
  announce_revoked(prefix, who, answer[1][2], math.floor(clock() / 1000) + 10000)
end
wake(prefix)
return answer
