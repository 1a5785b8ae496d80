-- Part of admit: which key serves which request of a lane, and what the script returns.

-- Keys of a pool that has as many may be skipped until they can open: prefix .. 'closed' has until when, in us. The end of a call
-- of a key takes it out, and so does an operator; what else opens a key, such as a higher limit, is seen after 5 s at the latest.
-- Shortly before a key opens it is looked at again, so that no difference between two callers' `ahead` matters.
local _MANY, _CLOSED_FOR, _SHORTLY = tonumber(ARGV[15] or '16'), 5000000, 100000
local terms, closed_until, closed, used = {}, {}, {}, {}

-- A key is sent as { label, the place of its terms, the print of its secret }, and has the fields of its terms once it is needed.
local function prepare(key)
  setmetatable(key, terms[key[2]])
  key.label, key.print = key[1], key[3] ~= '' and key[3] or nil
  key.free, key.granted, key.ids, key.counters = 0, 0, {}, {}
  local opens = closed_until[key.label]
  if opens then key.free, key.at = 1, opens end
end

-- Looks at what the limits allow. A key that is closed is noted as such, unless other keys' calls count in its limits.
local function look_and_note(key)
  look(key)
  local opens = math.min(key.at or now + _CLOSED_FOR, now + _CLOSED_FOR)
  if key.notes and not key.pooled and opens > now + _SHORTLY then
    closed[#closed + 1] = us(opens)
    closed[#closed + 1] = key.label
  end
end

-- The key that can serve first; of the keys that are open now, the one that has waited longest for its turn.
local function first_to_serve()
  local best = nil
  for i = lane.first, lane.last do
    local key = pool[i]
    if not key.label then prepare(key) end
    if not key.shut and (key.free <= 0 or key.pooled) then look_and_note(key) end
    if answer[1] ~= 'ok' then return nil end
    if key.at and (not best or key.at < best.at) then
      best = key
      -- None can be earlier than now, so that the others need no look.
      if key.at <= now then return key end
    end
  end
  return best
end

-- The most expired and newer requests that one admit removes from the lane, as other clients wait for Redis too.
local _MOST_PASSED = 100
local granted, members, bands, turns, expired, passed = 0, {}, {}, {}, 0, 0

-- The next request of the lane, which this key serves; those that are certain to be granted leave the lane together.
local popped, taken = {}, 0
local function next_in_lane(key)
  if taken == #popped then
    local sure = key.at <= now and not key.pooled and key.free or 1
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
  if #key.ids == 0 then used[#used + 1] = key end
  key.ids[#key.ids + 1] = id
  key.free, key.granted = key.free - 1, key.granted + 1
  granted, pool_granted, room = granted + 1, pool_granted + 1, room - 1
  -- Keys take turns: the one that has just served moves to the end.
  local at = lane.first
  while pool[at] ~= key do at = at + 1 end
  for i = at, lane.first + 1, -1 do pool[i] = pool[i - 1] end
  lane.first, lane.last = lane.first + 1, lane.last + 1
  pool[lane.last] = key
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

if room > 0 and parked > 0 then
  local sent = cjson.decode(ARGV[10])
  terms = sent.terms
  local many = #sent.keys >= _MANY
  for _, one in ipairs(terms) do
    one.__index, one.serves, one.notes = one, {}, many
    for _, window in ipairs(one.windows) do one.pooled = one.pooled or window[4] == 1 end
    for _, name in ipairs(one.lanes) do one.serves[name] = true end
  end
  for _, one in ipairs(lanes) do
    one.pool, one.first, one.last = {}, 1, 0
    for _, key in ipairs(sent.keys) do
      if terms[key[2]].serves[one.name] then
        one.last = one.last + 1
        one.pool[one.last] = key
      end
    end
  end
  if many then
    -- Later ones were noted before the clock stepped back.
    local noted = redis.call('ZRANGEBYSCORE', prefix .. 'closed', us(now + _SHORTLY + 1), us(now + _CLOSED_FOR), 'WITHSCORES')
    for i = 1, #noted, 2 do closed_until[noted[i]] = tonumber(noted[i + 1]) end
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
    local id = next_in_lane(key)
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
  for _, key in ipairs(used) do
    redis.call('SADD', prefix .. 'open:' .. key.label, unpack(key.ids))
    for _, counter in ipairs(key.counters) do
      redis.call('INCRBY', prefix .. counter, #key.ids)
      redis.call('EXPIRE', prefix .. counter, 259200)
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
for i = 1, #closed, 1000 do
  redis.call('ZADD', prefix .. 'closed', unpack(closed, i, math.min(i + 999, #closed)))
  redis.call('PEXPIRE', prefix .. 'closed', 10000)
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
