-- Rows 2, 2b, 4e of the state machine: takes back what has expired, then grants what the limits of the keys allow.
--
-- KEYS  1 ready  2 delayed  3 granted (score = start-by)  4 running (score = end-by)  5 held (score = due)
--       6 tags   7 epoch
-- ARGV  1 prefix   2 most to grant now   3 most that may be granted and not started   4 start-by in ms from now
--       5 ms until a held request is handed on again   6 most held before admission stops
--       7 us by which a grant may be ahead of its slot   8 epoch, or "" to skip the check
--       9 the caller's estimate of the clock in us, 0 to skip the check   10 the pool's keys, JSON (quotas/limits.py)
-- Returns { "ok" | "epoch" | "clock" | "stale", wait in us or -1, then per grant { id, fence, label, attempts, arguments, message } }
--       epoch, clock: the past can't be accounted for, or time has stepped: nothing was granted, see quotas/epoch.py;
--       stale: the calendar days passed are over, ask again
--
-- One round trip, all or nothing: a refusal by one limit spends nothing of another. Everything is on Redis's own clock.

local prefix, room, most_granted, start_by = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local held_again, most_held, ahead = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local pool = cjson.decode(ARGV[10])
local now = clock()
local now_ms = math.floor(now / 1000)

if ARGV[8] ~= '' and redis.call('GET', KEYS[7]) ~= ARGV[8] then
  return { 'epoch', -1 }
end
if ARGV[9] ~= '0' and math.abs(now - tonumber(ARGV[9])) > 250000 then
  return { 'clock', -1 }
end

local answer = { 'ok', -1 }

local function grant(id, record, fence, label)
  local fields = redis.call('HMGET', record, 'a', 'q', 'm')
  answer[#answer + 1] = { id, fence, label, tonumber(fields[1]), fields[2], fields[3] or '' }
end

-- 2b: granted, and not started in time. Its message may be lost or late; the fence makes a late one harmless.
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', now_ms, 'LIMIT', 0, 100)) do
  local record = prefix .. 'req:' .. id
  redis.call('ZREM', KEYS[3], id)
  redis.call('HSET', record, 's', 'parked')
  close_call(prefix, id, record, now, false, false)
  in_lane(prefix, id, record)
end

-- 4e: running past its end-by: its worker is gone. The third time the request itself is the suspect.
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[4], '-inf', now_ms, 'LIMIT', 0, 100)) do
  local record = prefix .. 'req:' .. id
  redis.call('ZREM', KEYS[4], id)
  close_call(prefix, id, record, now, true, false)
  if redis.call('HINCRBY', record, 'k', 1) >= 3 then
    redis.call('HSET', record, 's', 'held', 'w', 'its worker died three times while it ran')
    redis.call('ZADD', KEYS[5], now_ms, id)
  else
    redis.call('HSET', record, 's', 'parked')
    in_lane(prefix, id, record)
  end
end

-- Held and due: whoever should have stored it is late. Its message is published again; `start` will answer "held".
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[5], '-inf', now_ms, 'LIMIT', 0, 50)) do
  local record = prefix .. 'req:' .. id
  redis.call('ZADD', KEYS[5], now_ms + held_again, id)
  grant(id, record, tonumber(redis.call('HGET', record, 'f')), redis.call('HGET', record, 'y') or '')
end

for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now_ms, 'LIMIT', 0, 100)) do
  redis.call('ZREM', KEYS[2], id)
  in_lane(prefix, id, prefix .. 'req:' .. id)
end

-- When this key can take one more call (us); nil when only the end of an open call, or a person, can tell.
local function opening(key)
  local state = redis.call('HMGET', prefix .. 'key:' .. key.label, 'until', 'aside')
  if state[2] then return nil end
  local at = math.max(now, tonumber(state[1] or '0') * 1000)
  local open = redis.call('SCARD', prefix .. 'open:' .. key.label)
  if key.concurrency > 0 and open >= key.concurrency then return nil end
  for _, window in ipairs(key.windows) do
    local label, taken = key.label, open
    if window[4] == 1 then
      label, taken = '*', redis.call('SCARD', prefix .. 'open:*')
    end
    local left = window[1] - 1 - taken
    if left < 0 then return nil end
    local set = prefix .. (window[3] == 1 and 'done:' or 'early:') .. label
    local oldest = redis.call('ZREVRANGE', set, left, left, 'WITHSCORES')
    if oldest[2] then at = math.max(at, tonumber(oldest[2]) + window[2] + 1) end
  end
  key.days = ''
  for _, limit in ipairs(key.calendars) do
    local found = false
    for i, period in ipairs(limit[3]) do
      if now >= period[2] and now < period[3] and limit[3][i + 1] then
        found = true
        local counter = 'day:' .. key.label .. ':' .. limit[1] .. ':'
        if tonumber(redis.call('GET', prefix .. counter .. period[1]) or '0') >= limit[2] then at = math.max(at, period[3]) end
        key.days = key.days .. counter .. period[1] .. ' ' .. us(period[3]) .. ' ' .. counter .. limit[3][i + 1][1] .. '|'
      end
    end
    if not found then return -1 end
  end
  return at
end

local function first_to_serve()
  local best, best_at = nil, nil
  for _, key in ipairs(pool) do
    local at = opening(key)
    if at == -1 then return key, -1 end
    -- Of keys that are open now the one with the fewest open calls: they share the work.
    if at and (not best_at or at < best_at) then best, best_at = key, at end
  end
  return best, best_at
end

local wait = nil
local function wait_until(at)
  if at and (wait == nil or at < wait) then wait = at end
end

room = math.min(room, most_granted - redis.call('ZCARD', KEYS[3]))
if redis.call('ZCARD', KEYS[5]) >= most_held then room = 0 end
while room > 0 and redis.call('ZCARD', KEYS[1]) > 0 do
  local key, at = first_to_serve()
  if at == -1 then
    answer[1] = 'stale'
    break
  end
  if key == nil then break end
  if at > now + ahead then
    wait_until(at - ahead)
    break
  end
  local id = redis.call('ZPOPMIN', KEYS[1], 1)[1]
  local record = prefix .. 'req:' .. id
  local fields = redis.call('HMGET', record, 't', 'p', 'j')
  local tag, band, last = tonumber(fields[1]), 'V:' .. fields[2], 'L:' .. fields[2] .. ':' .. fields[3]
  if tag > tonumber(redis.call('HGET', KEYS[6], band) or '0') then redis.call('HSET', KEYS[6], band, fields[1]) end
  if tonumber(redis.call('HGET', KEYS[6], last) or '0') <= tag then redis.call('HDEL', KEYS[6], last) end

  redis.call('SADD', prefix .. 'open:' .. key.label, id)
  redis.call('SADD', prefix .. 'open:*', id)
  for counter in string.gmatch(key.days, '(%S+) %d+ %S+|') do
    redis.call('INCR', prefix .. counter)
    redis.call('EXPIRE', prefix .. counter, 259200)
  end
  if redis.call('HGET', prefix .. 'key:' .. key.label, 'keep') ~= tostring(key.keep) then
    redis.call('HSET', prefix .. 'key:' .. key.label, 'keep', key.keep, 'slack', key.slack)
  end
  local fence = redis.call('HINCRBY', record, 'f', 1)
  redis.call('HSET', record, 's', 'granted', 'y', key.label, 'b', us(at), 'd', key.days)
  redis.call('ZADD', KEYS[3], now_ms + start_by, id)
  grant(id, record, fence, key.label)
  room = room - 1
  -- Keys take turns: the one that has just served is looked at last.
  for i, one in ipairs(pool) do
    if one == key then table.remove(pool, i) break end
  end
  pool[#pool + 1] = key
end

-- When asking again can give another answer: an opening, the head of delayed, the earliest deadline.
for _, set in ipairs({ KEYS[2], KEYS[3], KEYS[4], KEYS[5] }) do
  local head = redis.call('ZRANGE', set, 0, 0, 'WITHSCORES')
  if head[2] then wait_until(tonumber(head[2]) * 1000) end
end
if wait ~= nil then answer[2] = math.max(wait - now, 0) end
return answer
