-- Row 7 of the state machine: one who waits goes; with the last one a parked or granted request is gone. A grant's share is
-- given back.
--
-- KEYS  1 ready   2 delayed   3 granted   4 held
-- ARGV  1 prefix   2 who: a job, or task:<task id>   3 ... ids
-- Returns per id { what, message }: "gone": nothing of the request is left; "left": others still wait for it; "stays": it runs
-- or its reply is here, so it comes to its end; "unknown": not here, or not wanted by them. The message is the task's.
--
-- A task leaves a record, due in 10 s, that settle deletes when it has been marked as revoked: should its caller die before, admit
-- has a releaser mark it.

local prefix, who = ARGV[1], ARGV[2]
local answer = {}

local function withdraw(id)
  local record = prefix .. 'req:' .. id
  local fields = redis.call('HMGET', record, 's', 'o', 'j', 'm', '+' .. who, 'p', 'g')
  if not fields[1] then return { 'unknown', '' } end
  if fields[5] then
    redis.call('HDEL', record, '+' .. who)
    local moves = fields[1] ~= 'parked' and fields[1] ~= 'granted'
    if fields[7] and moves and #waiters(record) == 0 then redis.call('HSET', record, 'z', 1) end
    return { 'left', string.match(fields[5], '^%d+ (.*)$') or '' }
  end
  if (fields[2] or fields[3]) ~= who then return { 'unknown', '' } end
  if fields[1] ~= 'parked' and fields[1] ~= 'granted' then
    redis.call('HSET', record, #waiters(record) == 0 and 'z' or 'g', 1)
    return { 'stays', '' }
  end
  if fields[1] == 'granted' then
    close_call(prefix, id, record, clock(), false)
    redis.call('ZREM', KEYS[3], id)
    redis.call('HSET', record, 's', 'parked')
    in_lane(prefix, id, record)
  end
  if promote(record) then return { 'left', fields[4] or '' } end
  if redis.call('ZREM', KEYS[1], id) == 1 then out_of_lane(prefix, fields[6] .. ':' .. fields[3], 1) end
  redis.call('ZREM', KEYS[2], id)
  redis.call('DEL', record)
  return { 'gone', fields[4] or '' }
end

for i = 3, #ARGV do
  answer[#answer + 1] = withdraw(ARGV[i])
end
if string.sub(who, 1, 5) == 'task:' and answer[1][2] ~= '' then
  redis.call('HSET', prefix .. 'req:' .. who, 's', 'revoked', 'f', 0, 'a', 0, 'q', '', 'o', who, 'm', answer[1][2])
  redis.call('ZADD', KEYS[4], math.floor(clock() / 1000) + 10000, who)
end
wake(prefix)
return answer
