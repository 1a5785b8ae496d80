-- Rows 2, 2b, 4e of the state machine: returns expired leases to the lane, then grants what the limits of the keys allow.
--
-- KEYS  1 ready  2 delayed  3 granted (score = start-by)  4 running (score = end-by)  5 held (score = due)
--       6 tags   7 epoch    8 counts   9 newer (score = the format of a request that a newer release has parked)
-- ARGV  1 prefix   2 most to grant now   3 most that may be granted and not started   4 start-by in ms from now
--       5 ms until a held request is redelivered   6 most held before admission stops
--       7 us by which a grant may be ahead of its slot, while fewer calls are open than 12; otherwise a third of it   8 epoch, or "" to skip the check
--       9 the caller's estimate of the clock in us, 0 to skip the check   10 the pool's keys, JSON (marketfetch/quotas/limits.py)
--       11 most bytes of batches that are not stored yet before admission stops
--       12 open calls from which no child is free to wait
--       13 ms for which no batch was stored though some wait before admission stops
--       14 the lanes that these keys serve, JSON: "" for the one without an owner; a key serves all of its `lanes`
-- Returns { "ok" | "epoch" | "clock" | "stale", wait in us or -1, how many were left to workers of a newer release,
--           then per grant { id, fence, label, attempts, arguments, message, kind } }
--       epoch, clock: the call history is lost, or time has stepped: nothing was granted, see marketfetch/quotas/epoch.py;
--       stale: the calendar days in ARGV 10 are over, the caller calls again;
--       kind "go": the right to make one call. "held": due to be redelivered. "answered": a task whose outcome another task's
--       call has brought. "dropped": a task that has expired or was revoked, until it is marked as REVOKED
--
-- One round trip and atomic: a refusal by one limit spends nothing of another. All times are on Redis's own clock.
-- A request that a newer release has parked blocks no other: it moves from the lane into `newer`, from where the first admit
-- that knows its format moves it to its old place.

local prefix, room, most_granted, start_by = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local held_again, most_held, ahead = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local now = clock()
local now_ms = math.floor(now / 1000)

if ARGV[8] ~= '' and redis.call('GET', KEYS[7]) ~= ARGV[8] then
  return { 'epoch', -1, 0 }
end
if ARGV[9] ~= '0' and math.abs(now - tonumber(ARGV[9])) > 250000 then
  return { 'clock', -1, 0 }
end

-- The ms until the next look at an expired deadline of a newer release, whose own workers may handle it meanwhile.
local _LEFT_FOR = 3000
run_even_when_full(prefix)
local answer = { 'ok', -1, 0 }
local wait = nil
local function wait_until(at)
  if at and (wait == nil or at < wait) then wait = at end
end

-- The ids whose format this release knows; the others stay for a newer release.
local function ours(set, ids)
  local found = {}
  for _, id in ipairs(ids) do
    if format_of(redis.call('HGET', prefix .. 'req:' .. id, 'r')) <= FORMAT then
      found[#found + 1] = id
    else
      redis.call('ZADD', set, now_ms + _LEFT_FOR, id)
      answer[3] = answer[3] + 1
    end
  end
  return found
end

-- The due members of a set of deadlines; the caller wakes up for the next one.
local function due(set, most)
  local head = redis.call('ZRANGE', set, 0, 0, 'WITHSCORES')
  if not head[2] then return {} end
  if tonumber(head[2]) > now_ms then
    wait_until(tonumber(head[2]) * 1000)
    return {}
  end
  wait_until(now)  -- more may be due than this admit handles
  return redis.call('ZRANGEBYSCORE', set, '-inf', now_ms, 'LIMIT', 0, most)
end

-- 2b: granted and not started in time. The message may be lost or late; the fence makes a late one harmless.
for _, id in ipairs(ours(KEYS[3], due(KEYS[3], 100))) do
  local record = prefix .. 'req:' .. id
  redis.call('ZREM', KEYS[3], id)
  close_call(prefix, id, record, now, false)
  if enter_lane(prefix, id, record) then
    redis.call('HSET', record, 's', 'parked')
    redis.call('ZINCRBY', prefix .. 'unstarted', 1, id)
    redis.call('ZREMRANGEBYRANK', prefix .. 'unstarted', 0, -1001)
    redis.call('PEXPIRE', prefix .. 'unstarted', 60000 + 2 * start_by)
  end
end

-- 4e: running after its end-by, so its worker is gone. After the third time the request itself is suspected and fails.
for _, id in ipairs(ours(KEYS[4], due(KEYS[4], 100))) do
  local record = prefix .. 'req:' .. id
  redis.call('ZREM', KEYS[4], id)
  close_call(prefix, id, record, now, true)
  if redis.call('EXISTS', record) == 0 then
    -- The record is lost: its job or task parks the request again.
  elseif redis.call('HINCRBY', record, 'k', 1) >= 3 then
    redis.call('HSET', record, 's', 'held', 'w', 'its worker died three times while it ran')
    redis.call('ZADD', KEYS[5], now_ms, id)
  elseif still_wanted(prefix, record, now) then
    redis.call('HSET', record, 's', 'parked')
    enter_lane(prefix, id, record)
  end
end

-- Held and due: the store task is late. The message is redelivered; `start` will return "held".
for _, id in ipairs(ours(KEYS[5], due(KEYS[5], 50))) do
  local fields = redis.call('HMGET', prefix .. 'req:' .. id, 'f', 'y', 'a', 'q', 'm', 's')
  if fields[6] then
    redis.call('ZADD', KEYS[5], now_ms + held_again, id)
    local kind = fields[6] == 'answered' and 'answered' or (fields[6] == 'expired' or fields[6] == 'revoked') and 'dropped' or 'held'
    answer[#answer + 1] = { id, tonumber(fields[1]), fields[2] or '', tonumber(fields[3] or '0'), fields[4], fields[5] or '', kind }
  else
    redis.call('ZREM', KEYS[5], id)
  end
end

for _, id in ipairs(due(KEYS[2], 100)) do
  redis.call('ZREM', KEYS[2], id)
  enter_lane(prefix, id, prefix .. 'req:' .. id)
end

-- Requests that workers of the release before have moved to `newer`.
local aside = redis.call('ZCARD', KEYS[9])
if aside > 0 then
  for n, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[9], '-inf', FORMAT, 'LIMIT', 0, 100)) do
    redis.call('ZREM', KEYS[9], id)
    enter_lane(prefix, id, prefix .. 'req:' .. id)
    aside = aside - 1
    if n == 100 then wait_until(now) end
  end
end

local waiting = redis.call('ZCARD', KEYS[3])
if waiting + redis.call('ZCARD', KEYS[4]) >= tonumber(ARGV[12]) then ahead = math.floor(ahead / 3) end
room = math.min(room, most_granted - waiting)
local unstored = redis.call('HMGET', KEYS[8], 'away', 'bytes', 'fine', 'stored')
local shut = unstored[1] or tonumber(unstored[2] or '0') > tonumber(ARGV[11]) or redis.call('ZCARD', KEYS[5]) >= most_held
  or (tonumber(unstored[2] or '0') > 0 and now_ms - tonumber(unstored[4] or now_ms) > tonumber(ARGV[13]))
if shut then room = 0 end

-- The lanes with parked requests; each time another one comes first.
local lanes, parked = {}, 0
for _, name in ipairs(cjson.decode(ARGV[14])) do
  local set = name == '' and KEYS[1] or (prefix .. 'ready:' .. name)
  local many = redis.call('ZCARD', set)
  if many > 0 then
    lanes[#lanes + 1] = { name = name, set = set, parked = many }
  elseif name ~= '' then
    redis.call('SREM', prefix .. 'lanes', name)
  end
  parked = parked + many
end
for _ = 2, #lanes > 1 and 1 + math.floor(now / 1000) % #lanes or 1 do table.insert(lanes, table.remove(lanes, 1)) end
-- Without room the releasers sleep until half of what may be granted has started, or, where batches wait to be stored, until one
-- is settled: a later `start` or `settle` of any worker then wakes them.
local function sleep_until_room()
  if room <= 0 and parked > 0 then redis.call('HSET', KEYS[8], 'full', shut and -1 or math.floor(most_granted / 2)) end
end
sleep_until_room()

local lane, pool = nil, nil  -- the lane that is served, and the keys that may serve it
local pool_granted = 0  -- calls granted in this run of the script, which are in no set yet

-- How many calls a window allows now; if none, when it allows the next one. `want` > 0.
local function of_window(key, window, want)
  local label, taken, full, lost = key.label, key.open, key.full, key.lost
  if window[4] == 1 then
    label, taken = '*', redis.call('ZCARD', KEYS[3]) + redis.call('ZCARD', KEYS[4]) + pool_granted
    local state = redis.call('HMGET', prefix .. 'key:*', 'full', 'lost')
    full, lost = tonumber(state[1] or '-1e18'), tonumber(state[2] or '0')
    want = 1  -- the other keys must see what one key uses of it
  end
  local free = window[1] - taken
  if free <= 0 then return 0, nil end
  if full + window[2] >= now then
    -- Calls without a stamp, made at `full` at the latest; a long window counts the reserved ones.
    if window[2] > 60000000 then
      lost = tonumber(redis.call('HGET', prefix .. 'key:' .. label, 'lost:' .. us(window[2])) or lost)
    end
    if lost < 0 or free <= lost then
      local set = prefix .. (window[3] == 1 and 'done:' or 'early:') .. label
      local stamp = redis.call('ZREVRANGE', set, free - 1, free - 1, 'WITHSCORES')[2]
      return 1, math.max(full, tonumber(stamp or full)) + window[2] + 1
    end
    free = free - lost
  end
  want = math.min(want, free)
  local set = prefix .. (window[3] == 1 and 'done:' or 'early:') .. label
  local stamp = redis.call('ZREVRANGE', set, free - want, free - want, 'WITHSCORES')[2]
  if not stamp or tonumber(stamp) + window[2] < now then return want, now end
  if want > 1 then
    local fit = free - redis.call('ZCOUNT', set, us(now - window[2]), '+inf')
    if fit > 0 then return fit, now end
    stamp = redis.call('ZREVRANGE', set, free - 1, free - 1, 'WITHSCORES')[2]
  end
  return 1, tonumber(stamp) + window[2] + 1
end

-- The counter of a calendar day. A new counter (of a new day, or a new limit) begins with the stamps of this day and with the
-- open calls, since they may reach the vendor in it.
local function used_today(key, name, starts, line)
  local counted = redis.call('GET', prefix .. name)
  if counted then return tonumber(counted) end
  local open = redis.call('SMEMBERS', prefix .. 'open:' .. key.label)
  for _, id in ipairs(open) do
    local record = prefix .. 'req:' .. id
    redis.call('HSET', record, 'd', (redis.call('HGET', record, 'd') or '') .. line)
  end
  local used = #open + redis.call('ZCOUNT', prefix .. 'done:' .. key.label, us(starts), '+inf')
  redis.call('SET', prefix .. name, used, 'EX', 259200)
  return used
end

-- A secret that was counted under another label brings its history along: its calls, its pause, its days and its open calls.
-- So a limit holds also where a key gets another label, or where another of its labels counts from now on.
local function succeed(key)
  local hash, was = prefix .. 'key:' .. key.label, redis.call('HGET', prefix .. 'secrets', key.print)
  if was and was ~= key.label then
    local fields = redis.call('HGETALL', prefix .. 'key:' .. was)
    for i = 1, #fields, 2 do redis.call('HSETNX', hash, fields[i], fields[i + 1]) end
    redis.call('HDEL', prefix .. 'key:' .. was, 'print')
    for _, name in ipairs({ 'done:', 'early:' }) do
      local set = prefix .. name .. key.label
      if redis.call('ZUNIONSTORE', set, 2, set, prefix .. name .. was, 'AGGREGATE', 'MAX') > 0 then
        redis.call('EXPIRE', set, key.ttl)
      end
    end
    for _, limit in ipairs(key.calendars) do
      for _, period in ipairs(limit[3]) do
        local day = ':' .. limit[1] .. ':' .. period[1]
        local ours, theirs = prefix .. 'day:' .. key.label .. day, redis.call('GET', prefix .. 'day:' .. was .. day)
        if theirs then redis.call('SET', ours, theirs + (redis.call('GET', ours) or 0), 'EX', 259200) end
      end
    end
    for _, id in ipairs(redis.call('SMEMBERS', prefix .. 'open:' .. was)) do
      local record = prefix .. 'req:' .. id
      local days = string.gsub(redis.call('HGET', record, 'd') or '', '([^%c]+)', function(text)
        local old = 'day:' .. was .. ':'
        return string.sub(text, 1, #old) == old and 'day:' .. key.label .. ':' .. string.sub(text, #old + 1) or text
      end)
      redis.call('HSET', record, 'y', key.label, 'd', days)
      redis.call('SMOVE', prefix .. 'open:' .. was, prefix .. 'open:' .. key.label, id)
    end
  end
  redis.call('HSET', prefix .. 'secrets', key.print, key.label)
  redis.call('HSET', hash, 'print', key.print)
end

-- Sets how many calls this key may make (`free`) and from when (`at`, us); `at` is nil when the key opens at the end of an
-- open call or by an operator.
local look
look = function(key)
  key.free, key.at, key.shut = 0, nil, true
  local state = redis.call('HMGET', prefix .. 'key:' .. key.label, 'until', 'aside', 'keep', 'ttl', 'slack', 'full', 'lost', 'ill', 'suspect', 'print')
  if key.print and state[10] ~= key.print then
    succeed(key)
    return look(key)
  end
  if state[3] ~= tostring(key.keep) or state[4] ~= tostring(key.ttl) or state[5] ~= tostring(key.slack) then
    redis.call('HSET', prefix .. 'key:' .. key.label, 'keep', key.keep, 'ttl', key.ttl, 'slack', key.slack)
    redis.call('HSET', prefix .. 'key:*', 'keep', key.pool_keep, 'ttl', key.pool_ttl)
  end
  if state[2] then return end
  key.full, key.lost = tonumber(state[6] or '-1e18'), tonumber(state[7] or '0')
  key.open = redis.call('SCARD', prefix .. 'open:' .. key.label) + key.granted
  local free, at = room, math.max(now, tonumber(state[1] or '0') * 1000)
  if at > now then free = 1 end
  if key.concurrency > 0 then free = math.min(free, key.concurrency - key.open) end
  -- Circuit breaker half open: one probe tells whether the vendor has recovered; further calls would be wasted.
  -- A suspected key: one call decides, and others would be refused with it.
  if tonumber(state[8] or '0') >= UNHEALTHY_FROM or state[9] then free = math.min(free, 1 - key.open) end
  for _, window in ipairs(key.windows) do
    if free <= 0 then return end
    local fit, opens = of_window(key, window, free)
    free = math.min(free, fit)
    if opens then at = math.max(at, opens) end
  end
  key.days, key.counters = '', {}
  for _, limit in ipairs(key.calendars) do
    local found = false
    for i, period in ipairs(limit[3]) do
      if now >= period[2] and now < period[3] and limit[3][i + 1] then
        found = true
        local days = 'day:' .. key.label .. ':' .. limit[1] .. ':'
        local counter = days .. period[1]
        local line = counter .. '\t' .. us(period[3]) .. '\t' .. days .. limit[3][i + 1][1] .. '\n'
        local left = limit[2] - used_today(key, counter, period[2], line) - key.granted
        -- Nothing is granted ahead of a midnight: a clock there may be late.
        if left <= 0 then left, at = 1, math.max(at, period[3] + ahead + 1) end
        free = math.min(free, left)
        key.counters[#key.counters + 1] = counter
        key.days = key.days .. line
      end
    end
    if not found then
      answer[1] = 'stale'
      return
    end
  end
  if free > 0 then key.free, key.at, key.shut = free, at, false end
end

-- The key that can serve first; of the keys that are open now, the one that has waited longest for its turn.
local function first_to_serve()
  local best = nil
  for _, key in ipairs(pool) do
    if not key.shut and (key.free <= 0 or key.pooled) then look(key) end
    if answer[1] ~= 'ok' then return nil end
    if key.at and (not best or key.at < best.at) then best = key end
  end
  return best
end

-- The most expired and newer requests that one admit removes from the lane, as other clients wait for Redis too.
local _MOST_PASSED = 100
local granted, members, bands, turns, expired, passed = 0, {}, {}, {}, 0, 0

-- The next request of the lane; those that are certain to be granted leave the lane together.
local popped, taken = {}, 0
local function next_in_lane()
  if taken == #popped then
    local sure = 0
    for _, key in ipairs(pool) do
      if key.at and key.at <= now and not key.pooled then sure = sure + key.free end
    end
    popped, taken = redis.call('ZPOPMIN', lane.set, math.max(1, math.min(sure, room))), 0
  end
  parked, taken, lane.parked = parked - 1, taken + 2, lane.parked - 1
  return popped[taken - 1]
end

-- Grants one request to this key.
local function grant(id, record, key, fields)
  local fence = tonumber(fields[4]) + 1
  redis.call('HSET', record, 's', 'granted', 'f', us(fence), 'y', key.label, 'b', us(key.at), 'd', key.days)
  members[#members + 1] = now_ms + start_by
  members[#members + 1] = id
  answer[#answer + 1] = { id, fence, key.label, tonumber(fields[5] or '0'), fields[6], fields[7] or '', 'go' }
  key.ids[#key.ids + 1] = id
  key.free, key.granted = key.free - 1, key.granted + 1
  granted, pool_granted, room = granted + 1, pool_granted + 1, room - 1
  -- Keys take turns: the one that has just served moves to the end.
  for i, one in ipairs(pool) do
    if one == key then table.remove(pool, i) break end
  end
  pool[#pool + 1] = key
end

-- Drops an expired task without a call. Another waiter keeps the place; the releaser marks the task, now or at the next due.
local function expire(record, fields)
  expired, passed = expired + 1, passed + 1
  local task, message = fields[9], fields[7]
  if promote(record) then
    parked, taken, lane.parked = parked + 1, taken - 2, lane.parked + 1  -- the request is considered again, before those behind it
  else
    leave_lane(prefix, fields[2] .. ':' .. fields[3], 1)
    redis.call('DEL', record)
  end
  redis.call('HSET', prefix .. 'req:' .. task, 's', 'expired', 'f', 0, 'q', '', 'o', task, 'm', message,
    'r', format_for(task))
  redis.call('ZADD', KEYS[5], now_ms + held_again, task)
  answer[#answer + 1] = { task, 0, '', 0, '', message, 'dropped' }
end

-- Moves a request of a newer format to `newer`: it keeps its tag, and no limit is spent.
local function leave(id, fields)
  passed, aside = passed + 1, aside + 1
  leave_lane(prefix, fields[2] .. ':' .. fields[3], 1)
  redis.call('ZADD', KEYS[9], format_of(fields[10]), id)
end

local every_key = {}
if room > 0 and parked > 0 then
  every_key = cjson.decode(ARGV[10])
  for _, key in ipairs(every_key) do
    key.free, key.granted, key.ids, key.counters, key.serves = 0, 0, {}, {}, {}
    for _, window in ipairs(key.windows) do key.pooled = key.pooled or window[4] == 1 end
    for _, name in ipairs(key.lanes) do key.serves[name] = true end
  end
  for _, one in ipairs(lanes) do
    one.pool = {}
    for _, key in ipairs(every_key) do
      if key.serves[one.name] then one.pool[#one.pool + 1] = key end
    end
  end
end

-- Grants requests of one lane, until the room is used, the lane is empty, or none of its keys is open.
local function serve()
  while room > 0 and lane.parked > 0 do
    if passed >= _MOST_PASSED then
      wait_until(now)
      return
    end
    local key = first_to_serve()
    if not key then
      lane.opens_later = answer[1] == 'ok'
      return
    end
    if key.at > now + ahead then
      wait_until(key.at - ahead)
      lane.opens_later = true
      return
    end
    local id = next_in_lane()
    local record = prefix .. 'req:' .. id
    local fields = redis.call('HMGET', record, 't', 'p', 'j', 'f', 'a', 'q', 'm', 'x', 'o', 'r')
    if fields[1] then
      local expires = tonumber(fields[8] or '0')
      if format_of(fields[10]) > FORMAT then
        leave(id, fields)
      elseif (lane_of(id) or '') ~= lane.name then
        -- A release that knows no lanes of owners has put it here.
        passed = passed + 1
        leave_lane(prefix, fields[2] .. ':' .. fields[3], 1)
        enter_lane(prefix, id, record)
        wait_until(now)
      elseif expires > 0 and expires <= now_ms then
        expire(record, fields)
      else
        local tag, band, turn = tonumber(fields[1]), band_of(fields[2], id), fields[2] .. ':' .. fields[3]
        bands[band] = math.max(bands[band] or 0, tag)
        turns[turn] = (turns[turn] or 0) + 1
        grant(id, record, key, fields)
      end
    end
  end
end

-- First each lane has its share of the room, then what others have left.
local left = room
for round = 1, 2 do
  for i, one in ipairs(lanes) do
    if left > 0 and one.parked > 0 and not one.opens_later and answer[1] == 'ok' and passed < _MOST_PASSED then
      lane, pool, popped, taken = one, one.pool, {}, 0
      local share = round == 1 and math.ceil(left / (#lanes - i + 1)) or left
      room = share
      serve()
      left = left - (share - room)
      -- Requests that were popped and not considered return to their places.
      for n = taken + 1, #popped, 2 do redis.call('ZADD', one.set, popped[n + 1], popped[n]) end
    end
  end
end
room = left
-- `opens_later`: no lane waits for anything but its keys. `waits`: a lane with requests does.
local opens_later, waits = answer[1] == 'ok', false
for _, one in ipairs(lanes) do
  opens_later = opens_later and (one.parked == 0 or one.opens_later)
  waits = waits or (one.parked > 0 and one.opens_later)
end

if granted > 0 then
  redis.call('ZADD', KEYS[3], unpack(members))
  wait_until((now_ms + start_by) * 1000)
  for _, key in ipairs(every_key) do
    if #key.ids > 0 then
      redis.call('SADD', prefix .. 'open:' .. key.label, unpack(key.ids))
      for _, counter in ipairs(key.counters) do
        redis.call('INCRBY', prefix .. counter, #key.ids)
        redis.call('EXPIRE', prefix .. counter, 259200)
      end
    end
  end
  -- A band's virtual time is the tag of its last grant; a job keeps its last tag while it has requests in the lane.
  local names, changes = {}, {}
  for band in pairs(bands) do names[#names + 1] = band end
  local first_turn = #names + 1
  for turn in pairs(turns) do names[#names + 1] = 'N:' .. turn end
  local known = redis.call('HMGET', KEYS[6], unpack(names))
  for i, name in ipairs(names) do
    local was = tonumber(known[i] or '0')
    if i < first_turn then
      changes[#changes + 1] = name
      changes[#changes + 1] = us(math.max(was, bands[name]))
    else
      local turn = string.sub(name, 3)
      local left = was - turns[turn]
      if left > 0 then
        changes[#changes + 1] = name
        changes[#changes + 1] = left
      else
        redis.call('HDEL', KEYS[6], name, 'L:' .. turn, 'O:' .. turn)
      end
    end
  end
  redis.call('HSET', KEYS[6], unpack(changes))
  redis.call('HINCRBY', KEYS[8], 'admitted', granted)
end
if granted > 0 then sleep_until_room() end
-- The keys of a lane allow no call now, and the end of an open one may change that.
if waits then redis.call('HSET', KEYS[8], 'later', 1) end
if expired > 0 then redis.call('HINCRBY', KEYS[8], 'expired', expired) end
-- The gate makes progress when it admits, when nothing waits, and when nothing may run yet.
-- The stamp is written once a second at most, as health checks ask about minutes.
local fine = granted > 0 or parked == 0 or shut or opens_later
if fine and now_ms - tonumber(unstored[3] or '0') >= 1000 then redis.call('HSET', KEYS[8], 'fine', now_ms) end
if wait ~= nil then answer[2] = math.max(wait - now, 0) end
answer[3] = answer[3] + aside
return answer
