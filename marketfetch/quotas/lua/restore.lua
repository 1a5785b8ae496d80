-- Row 8 of the state machine: a gate that has lost its call history counts as full. Sets every window to the calls that may
-- have been made, the calendar days to at least the ledger's count, and begins a new epoch.
--
-- KEYS  1 epoch   2 granted   3 running   4 held   5 delayed
-- ARGV  1 prefix   2 the epoch that is over, as the caller knows it ("" when there was none)   3 the new epoch
--       4 per key, JSON: { label, used (whether any call was made with it, as far as the caller knows), lost (the most calls
--         that fit into the seconds that an append-only file may lack), days { counter = n },
--         reserved { length of a window in us = the most calls that it can hold now } }
--       5 ms by which the clock has stepped, 0 if it has not: every remembered moment moves with it
--       6 ms for which a call that is unknown here may still be on its way: windows are full from then on
--       7 "1" when this Redis was restarted from its append-only file: it lacks two seconds at most; else ""
-- Returns the epoch in force: the new one, or that of a faster caller.
--
-- A key that neither the caller nor this gate has seen in use starts empty.

local prefix, step, late = ARGV[1], tonumber(ARGV[5]), tonumber(ARGV[6])
local standing = redis.call('GET', KEYS[1])
if standing and standing ~= ARGV[2] then
  return standing
end
local now = clock()
run_even_when_full(prefix)
redis.call('DEL', prefix .. 'closed')

-- A long window has its own number of lost calls: the reserved calls without a stamp, whatever gaps there were before. The
-- calls that an append-only file may lack are added to it.
local function fill_long(label, lost, reserved, full)
  local key = prefix .. 'key:' .. label
  local fields = redis.call('HGETALL', key)
  for i = 1, #fields, 2 do
    local length = string.match(fields[i], '^lost:(%d+)$')
    if length and lost < 0 then
      redis.call('HDEL', key, fields[i])
    elseif length then
      redis.call('HSET', key, fields[i], lost + (full + tonumber(length) >= now and tonumber(fields[i + 1]) or 0))
    end
  end
  if lost > 0 then return end
  for length, calls in pairs(reserved) do
    local stamped = redis.call('ZCOUNT', prefix .. 'early:' .. label, us(now - tonumber(length)), '+inf')
      + redis.call('SCARD', prefix .. 'open:' .. label)
    redis.call('HSET', key, 'lost:' .. length, math.max(0, calls - stamped))
  end
end

-- Counts calls without a stamp as made `late` from now: `lost` of them, or (-1) as many as fill every window, a long one up to
-- its reservations.
local function fill(label, lost, reserved)
  local key = prefix .. 'key:' .. label
  if step ~= 0 then
    redis.call('DEL', prefix .. 'done:' .. label, prefix .. 'early:' .. label)
    redis.call('HDEL', key, 'n', 'r', 'struck')
    local pause = redis.call('HMGET', key, 'until', 'suspect')
    if pause[1] then redis.call('HSET', key, 'until', us(tonumber(pause[1]) + step)) end
    if pause[2] then redis.call('HSET', key, 'suspect', us(tonumber(pause[2]) + step * 1000)) end
  end
  if lost == 0 then return end
  -- The lost calls of an earlier gap add up with those of this one, as long as a window reaches back to it.
  local standing = redis.call('HMGET', key, 'full', 'lost', 'ttl')
  fill_long(label, lost, reserved, tonumber(standing[1] or '-1e18'))
  local before, reach = tonumber(standing[2] or '0'), tonumber(standing[3] or '172800') - 86400
  if before ~= 0 and tonumber(standing[1]) + reach * 1000000 >= now then
    lost = (lost < 0 or before < 0) and -1 or lost + before
  end
  redis.call('HSET', key, 'full', us(now + late * 1000), 'lost', lost)
end

local together, of_all, unreserved, keys = 0, {}, {}, cjson.decode(ARGV[4])
for _, key in ipairs(keys) do
  for length in pairs(key.reserved) do of_all[length] = 0 end
end
for _, key in ipairs(keys) do
  local seen = redis.call('EXISTS', prefix .. 'done:' .. key.label, prefix .. 'open:' .. key.label) > 0
  local lost = 0
  if key.used or seen then lost = ARGV[7] == '1' and key.lost or -1 end
  fill(key.label, lost, key.reserved)
  for length in pairs(of_all) do
    of_all[length] = of_all[length] + (key.reserved[length] or 0)
    if lost ~= 0 and not key.reserved[length] then unreserved[length] = true end
  end
  if lost == -1 or together == -1 then together = -1 else together = together + lost end
  for counter, calls in pairs(key.days) do
    if calls > tonumber(redis.call('GET', prefix .. counter) or '0') then
      redis.call('SET', prefix .. counter, calls, 'EX', 259200)
    end
  end
end
for length in pairs(unreserved) do of_all[length] = nil end
fill('*', together, of_all)

if step ~= 0 then
  for i = 2, 5 do
    for _, id in ipairs(redis.call('ZRANGE', KEYS[i], 0, -1)) do
      local record = prefix .. 'req:' .. id
      local fields = redis.call('HMGET', record, 'b', 't')
      if i <= 3 and fields[1] then redis.call('HSET', record, 'b', us(tonumber(fields[1]) + step * 1000)) end
      -- A user's own not-before (the request has no tag yet) does not move.
      if i < 5 or fields[2] ~= '0' then redis.call('ZINCRBY', KEYS[i], step, id) end
    end
  end
end
redis.call('SET', KEYS[1], ARGV[3])
return ARGV[3]
