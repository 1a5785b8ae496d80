-- Rows 2, 2b, 4e of the state machine: returns what has expired, then grants what may run.
-- This gate lets everything through that has a free slot; limits of keys are decided here, and nowhere else.
--
-- KEYS  1 ready  2 delayed  3 granted (score = start-by)  4 running (score = end-by)  5 held (score = due)
--       6 tags   7 pool (hash: "until" and "why" of a pause, "turn" of the keys)
-- ARGV  1 prefix   2 most to grant now   3 most that may be granted and not started   4 most open calls, 0 = no cap
--       5 start-by in ms from now   6 ms until a held request is handed on again   7 most held before admission stops
--       8... labels of the pool's keys
-- Returns { wait_ms or -1, then per grant { id, fence, key label, attempts, arguments, message } }
--
-- Everything is on Redis's own clock; one round trip, all or nothing.

local prefix = ARGV[1]
local room, most_granted, most_open = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local start_by, held_again, most_held = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local answer = { -1 }

local function place(id, record)
  local fields = redis.call('HMGET', record, 'p', 't')
  redis.call('ZADD', KEYS[1], string.format('%.0f', tonumber(fields[1]) * 281474976710656 + tonumber(fields[2])), id)
end

local function grant(id, record, fence, label)
  local fields = redis.call('HMGET', record, 'a', 'q', 'm')
  answer[#answer + 1] = { id, fence, label, tonumber(fields[1]), fields[2], fields[3] or '' }
end

-- 2b: granted, and not started in time. Its message may be lost or late; the fence makes a late one harmless.
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', now, 'LIMIT', 0, 100)) do
  local record = prefix .. 'req:' .. id
  redis.call('ZREM', KEYS[3], id)
  redis.call('HSET', record, 's', 'parked')
  place(id, record)
end

-- 4e: running past its end-by: its worker is gone. The third time the request itself is the suspect.
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[4], '-inf', now, 'LIMIT', 0, 100)) do
  local record = prefix .. 'req:' .. id
  redis.call('ZREM', KEYS[4], id)
  if redis.call('HINCRBY', record, 'k', 1) >= 3 then
    redis.call('HSET', record, 's', 'held', 'w', 'its worker died three times while it ran')
    redis.call('ZADD', KEYS[5], now, id)
  else
    redis.call('HSET', record, 's', 'parked')
    place(id, record)
  end
end

-- Held and due: whoever should have stored it is late. Its message is published again; `start` will answer "held".
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[5], '-inf', now, 'LIMIT', 0, 50)) do
  local record = prefix .. 'req:' .. id
  redis.call('ZADD', KEYS[5], now + held_again, id)
  grant(id, record, tonumber(redis.call('HGET', record, 'f')), redis.call('HGET', record, 'y') or '')
end

for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now, 'LIMIT', 0, 100)) do
  redis.call('ZREM', KEYS[2], id)
  place(id, prefix .. 'req:' .. id)
end

local paused = tonumber(redis.call('HGET', KEYS[7], 'until') or '0')
local granted, running = redis.call('ZCARD', KEYS[3]), redis.call('ZCARD', KEYS[4])
room = math.min(room, most_granted - granted)
if most_open > 0 then
  room = math.min(room, most_open - granted - running)
end
if paused > now or redis.call('ZCARD', KEYS[5]) >= most_held then
  room = 0
end

if room > 0 then
  local popped = redis.call('ZPOPMIN', KEYS[1], room)
  for i = 1, #popped, 2 do
    local id = popped[i]
    local record = prefix .. 'req:' .. id
    local fields = redis.call('HMGET', record, 't', 'p', 'j')
    local tag, band = tonumber(fields[1]), 'V:' .. fields[2]
    if tag > tonumber(redis.call('HGET', KEYS[6], band) or '0') then
      redis.call('HSET', KEYS[6], band, fields[1])
    end
    local last = 'L:' .. fields[2] .. ':' .. fields[3]
    if tonumber(redis.call('HGET', KEYS[6], last) or '0') <= tag then
      redis.call('HDEL', KEYS[6], last)
    end
    local label = ''
    if #ARGV > 7 then
      local turn = redis.call('HINCRBY', KEYS[7], 'turn', 1)
      label = ARGV[8 + turn % (#ARGV - 7)]
    end
    local fence = redis.call('HINCRBY', record, 'f', 1)
    redis.call('HSET', record, 's', 'granted', 'y', label)
    redis.call('ZADD', KEYS[3], now + start_by, id)
    grant(id, record, fence, label)
  end
end

-- When asking again can give another answer: the end of a pause, the head of delayed, the earliest deadline.
local wait = nil
for _, set in ipairs({ KEYS[2], KEYS[3], KEYS[4], KEYS[5] }) do
  local head = redis.call('ZRANGE', set, 0, 0, 'WITHSCORES')
  if head[2] and (wait == nil or tonumber(head[2]) < wait) then
    wait = tonumber(head[2])
  end
end
if paused > now and redis.call('ZCARD', KEYS[1]) > 0 and (wait == nil or paused < wait) then
  wait = paused
end
if wait ~= nil then
  answer[1] = math.max(wait - now, 0)
end
return answer
