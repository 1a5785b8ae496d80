-- Row 1 of the state machine: planned -> parked. Appends requests to the lane.
--
-- KEYS  1 ready    sorted set, score = priority * 2^48 + tag; in the lane of an owner ready:<lane> instead
--       2 delayed  sorted set, score = not-before in Unix ms
--       3 tags     hash, see call.lua
--       4 tasks    hash, task id, or that and a number, see `named` -> the request that a user's task waits for
--       5 counts   hash, see call.lua
--       6 over     sorted set, score = when a request was over, or job:<job> cancelled, in us
--       7 granted  8 running   9 held   where a known one may be
-- ARGV  1 prefix of this pool's records   2 job   3 priority 0..9, 0 first   4 not-before in Unix ms, 0 for now
--       5 when the caller read the ledger (us), 0 where it did not
--       then five each, all of one lane: id, arguments, task id or "", its message or "", when it expires in Unix ms or 0
-- Returns how many were new, or in no set. A known id keeps its place, unless the new priority is more urgent, and gains a
-- waiter: the job, or the task with its message. A request that ended after the caller read the ledger is not parked.
--
-- A job's next request is one behind the later of its last one and the band's virtual time, so that jobs take turns however
-- many requests they have parked. One with a not-before enters the lane when that has come.

local prefix, job, priority, not_before = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local turn = priority .. ':' .. job
local one = ARGV[#ARGV - 4]  -- of the ids, for their lane
local ready = lane_of(one) and ready_of(prefix, one) or KEYS[1]
local tags = redis.call('HMGET', KEYS[3], band_of(priority, one), 'L:' .. turn)
local first = math.max(tonumber(tags[1] or '0'), tonumber(tags[2] or '0'))
local tag, new = first, 0
-- A fence begins with the current time, so that a message of an earlier life of the same id, or from before Redis was emptied,
-- never matches.
local now = clock()
local fence = us(now)
local empty = nothing_parked(prefix)

-- In most calls the newest entry shows that no request has ended since.
local looked = tonumber(ARGV[5])
local newest = looked > 0 and redis.call('ZREVRANGE', KEYS[6], 0, 0, 'WITHSCORES')[2]
local function since_the_look(name)
  local at = newest and tonumber(newest) >= looked and redis.call('ZSCORE', KEYS[6], name)
  return at and tonumber(at) >= looked
end
if since_the_look('job:' .. job) then return 0 end

-- The name under which a task waits, and the id of its request. It is the task's own id, with a number where another request
-- waits for a task with that id: two tasks with one id are two, as in Celery. A record of one task alone (`task:<name>`) is
-- another's where its arguments differ. Nil for a 17th.
local UNIT_SEPARATOR = string.char(31)  -- in no id that a person writes, so that no id is the numbered name of another
local function named(task, id, arguments)
  local own = id == 'task:' .. task
  for n = 1, 16 do
    local name = n == 1 and task or (task .. UNIT_SEPARATOR .. n)
    local request = own and ('task:' .. name) or id
    local other = redis.call('HGET', KEYS[4], name)
    if not other or redis.call('EXISTS', prefix .. 'req:' .. other) == 0 then return name, request end
    if other == request and (not own or redis.call('HGET', prefix .. 'req:' .. request, 'q') == arguments) then
      return name, request
    end
  end
end

local function place(id)
  tag = tag + 1
  redis.call('ZADD', ready, us(priority * 281474976710656 + tag), id)
  return us(tag)
end

-- Repairs a record that is in no set, as a fault may have left it: its progress is lost, so it enters the lane as if new.
local function place_again(id, record, known)
  new = new + 1
  if known[1] == 'granted' or known[1] == 'running' then
    close_call(prefix, id, record, now, known[1] == 'running')
  elseif known[1] ~= 'parked' then
    redis.call('ZADD', KEYS[9], math.floor(now / 1000), id)
    return
  end
  if known[4] == job and tonumber(known[2]) == priority then
    redis.call('HSET', record, 's', 'parked', 't', place(id))
  else
    redis.call('HSET', record, 's', 'parked', 't', 0)
    enter_lane(prefix, id, record)
  end
end

for i = 6, #ARGV, 5 do
  local id, task, message, expires = ARGV[i], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4]
  if task ~= '' then task, id = named(task, id, ARGV[i + 1]) end
  if not task then return redis.error_reply('16 tasks with this id wait already: give each task an id of its own') end
  local record = prefix .. 'req:' .. id
  local known = redis.call('HMGET', record, 's', 'p', 'o', 'j')
  local who = task ~= '' and ('task:' .. task) or job
  if known[1] and not placed(prefix, id, known[1]) then place_again(id, record, known) end
  if not known[1] and since_the_look(id) then
    -- The request has ended.
  elseif not known[1] then
    new = new + 1
    local at = '0'
    if not_before > 0 then
      redis.call('ZADD', KEYS[2], not_before, id)
    else
      at = place(id)
    end
    redis.call('HSET', record, 's', 'parked', 'f', fence, 't', at, 'p', priority, 'j', job, 'q', ARGV[i + 1],
      'r', format_for(id))
    if task ~= '' then
      redis.call('HSET', record, 'o', who, 'm', message, 'x', expires)
    end
  elseif who == (known[3] or known[4]) then
    redis.call('HDEL', record, 'z', 'g')
  else
    if redis.call('HDEL', record, 'z') == 1 then redis.call('HSET', record, 'g', 1) end
    redis.call('HSET', record, '+' .. who, task ~= '' and (expires .. ' ' .. message) or '')
    if tonumber(known[2]) > priority and redis.call('ZSCORE', ready, id) then
      leave_lane(prefix, known[2] .. ':' .. known[4], 1)
      redis.call('HSET', record, 'p', priority, 't', 0)
      if known[4] == job then
        redis.call('HSET', record, 't', place(id))
      else
        enter_lane(prefix, id, record)
      end
    end
  end
  if task ~= '' then redis.call('HSET', KEYS[4], task, id) end
end

if tag > first then
  redis.call('HSET', KEYS[3], 'L:' .. turn, us(tag))
  redis.call('HINCRBY', KEYS[3], 'N:' .. turn, tag - first)
  note_lane(prefix, one, turn)
end
if new > 0 then redis.call('HINCRBY', KEYS[5], 'parked', new) end
if empty then redis.call('HSET', KEYS[5], 'fine', math.floor(now / 1000)) end
return new
