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
--       15 the number of keys from which on those that are closed are skipped until they can open
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
