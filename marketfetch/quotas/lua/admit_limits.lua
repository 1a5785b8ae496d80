-- Part of admit: what the limits of a key allow at this moment.

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
