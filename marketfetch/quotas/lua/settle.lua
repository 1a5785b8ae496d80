-- Row 6 of the state machine: over -> gone. Deletes requests that the ledger has. Then row 5 for a caller that stores in turn: it
-- gets the batches that other processes have kept meanwhile.
--
-- KEYS  1 ready   2 delayed   3 granted   4 running   5 held   6 newer   7 tasks   8 counts   9 over
-- ARGV  1 prefix   2 the name under which the caller stores in turn, "" when it stores nothing more   3 ms for which the turn lasts
--       4 most batches to claim   5 bytes from which on no further batch is claimed   6 ms for which these claims are exclusive
--       7 ... id and outcome, for the waiting tasks (JSON), of each request that is over
-- Returns { per request how many waiting tasks are notified, or -1 when it was gone already }, { id, batch, ... of the next ones }.
--
-- A process that read the ledger before and parks after this moment finds the request in `over`: see park.
-- Each waiting task gets a record of its own, due at once: admit publishes its message, and `start` returns the outcome.
-- The turn ends when nothing is left. With 0 in ARGV 4 it ends in any case; then one id that is left is returned unclaimed, "" as
-- its batch, so that the caller can hand it on.

local prefix = ARGV[1]
run_even_when_full(prefix)
local now = clock()
local now_ms = math.floor(now / 1000)

local function settle(id, outcome)
  local record = prefix .. 'req:' .. id
  local bytes = redis.call('STRLEN', prefix .. 'batch:' .. id)
  if bytes > 0 then
    if redis.call('HINCRBY', KEYS[8], 'bytes', -bytes) < 0 then redis.call('HDEL', KEYS[8], 'bytes') end
    redis.call('HSET', KEYS[8], 'stored', now_ms)
  end
  redis.call('ZADD', KEYS[9], us(now), id)
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
        'm', string.match(one[2], '^%d+ (.*)$'), 'w', outcome, 'r', format_for(one[1]))
      redis.call('ZADD', KEYS[5], now_ms, one[1])
      redis.call('HSET', KEYS[7], string.match(one[1], '^task:(.*)$'), one[1])
    end
  end
  local task = string.match(fields[2] or '', '^task:(.*)$')
  if task then redis.call('HDEL', KEYS[7], task) end
  if fields[1] == 'held' then
    redis.call('ZREM', KEYS[5], id)
  else
    if redis.call('ZREM', ready_of(prefix, id), id) == 1 then leave_lane(prefix, fields[3] .. ':' .. fields[4], 1) end
    for i = 2, 6 do redis.call('ZREM', KEYS[i], id) end
    redis.call('ZREM', prefix .. 'unstarted', id)
  end
  redis.call('DEL', record, prefix .. 'batch:' .. id, prefix .. 'raised:' .. id, prefix .. 'buried:' .. id)
  return notified
end

-- The next batches for the holder of the turn, those that have waited longest first. A user's own task has a message that stores
-- its batch: its chain goes on with that one.
local function next_in_turn()
  local turn, most, found, bytes = prefix .. 'storing', tonumber(ARGV[4]), {}, 0
  local holder = redis.call('GET', turn)
  if holder and holder ~= ARGV[2] then return {} end
  for _, id in ipairs(redis.call('ZRANGE', KEYS[5], 0, 99)) do
    local record = prefix .. 'req:' .. id
    local fields = redis.call('HMGET', record, 's', 'u', 'm', 'r')
    if fields[1] == 'held' and not fields[2] and not fields[3] and format_of(fields[4]) <= FORMAT then
      local batch = redis.call('GET', prefix .. 'batch:' .. id)
      if batch and most == 0 then
        redis.call('DEL', turn)
        return { id, '' }
      elseif batch then
        redis.call('HSET', record, 'u', '1:' .. us(now_ms))
        redis.call('ZADD', KEYS[5], us(now_ms + tonumber(ARGV[6])), id)
        found[#found + 1] = id
        found[#found + 1] = batch
        bytes = bytes + #batch
      end
      if #found >= 2 * most or bytes >= tonumber(ARGV[5]) then break end
    end
  end
  if #found > 0 then redis.call('SET', turn, ARGV[2], 'PX', ARGV[3]) else redis.call('DEL', turn) end
  return found
end

local notified, any = {}, false
for i = 7, #ARGV, 2 do
  notified[#notified + 1] = settle(ARGV[i], ARGV[i + 1])
  any = any or notified[#notified] > 0
end
redis.call('ZREMRANGEBYRANK', KEYS[9], 0, -20001)  -- 20,000 entries cover some seconds of the fastest pool and take 3 MB
redis.call('EXPIRE', KEYS[9], 60)
-- A task is to be notified, or the batches were what kept the gate from admitting (a release before writes 1 for that).
local full = not any and redis.call('HGET', KEYS[8], 'full')
if full and tonumber(full) <= 1 then redis.call('HDEL', KEYS[8], 'full') end
if any or (full and tonumber(full) <= 1) then wake(prefix) end
return { notified, ARGV[2] ~= '' and next_in_turn() or {} }
