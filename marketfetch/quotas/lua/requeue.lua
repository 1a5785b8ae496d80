-- Row 4b of the state machine: running -> parked, in the old place, no attempt spent; pauses the key, suspects it or sets it
-- aside if asked.
--
-- KEYS  1 running   2 granted   3 ready   4 counts
-- ARGV  1 prefix   2 id   3 fence   4 ms to pause the key, 0 for none   5 why
--       6 "grow": the vendor named no time, so each refusal in a row doubles the pause;
--       "unhealthy": the reply was unusable; three in a row to different requests open the key's circuit breaker: then as
--       "grow"; "suspect": the vendor's own words reject the key; or ""
--       7 "unsent" when the call was never made, so that it is not counted; or ""
--       8 the key's label: when the grant was lost meanwhile, the request may have another key by now
--       9 what is not known of an unusable reply's words: "sentence", "refusal" (a 401 or 403), or ""   10 the words
--       11 label of another key of the pool, and so on to the end, for "suspect"
-- Returns 1, or 0 when the grant was lost meanwhile: then only the key's state is kept; or 2 when the request spends an
-- attempt: the circuit breaker is closed, or this call was its probe; 3 when this has set the key aside; or 4 when the key is
-- rejected a second time and no other key is in service: then nothing changes.

local prefix, id, label = ARGV[1], ARGV[2], ARGV[8]
local record = prefix .. 'req:' .. id
local fields = redis.call('HMGET', record, 's', 'f', 'b')
local now = clock()
run_even_when_full(prefix)
local key = prefix .. 'key:' .. label
local ours = fields[1] == 'running' and fields[2] == ARGV[3]
local sent = tonumber(fields[3] or '0')

-- Calls that were open together are refused together: they count as one refusal, not as many in a row.
local struck = redis.call('HMGET', key, 'strikes', 'struck', 'until', 'aside')
local strikes = tonumber(struck[1] or '0')
local rests = tonumber(struck[3] or '0') * 1000 > now
local anew = not rests and sent > tonumber(struck[2] or '0')

local function set_aside(why)
  redis.call('HDEL', key, 'suspect', 'verdict', 'unknown')
  redis.call('HSET', key, 'aside', why)
  redis.call('HINCRBY', KEYS[4], 'refused', 1)
end

-- Whether a second call decides on the key: one that was sent after the suspicion. A report that comes twice decides nothing.
local function rejected_again()
  local since = redis.call('HGET', key, 'suspect')
  if not since then
    redis.call('HSET', key, 'suspect', us(now), 'verdict', ARGV[5])
    redis.call('HINCRBY', KEYS[4], 'refused', 1)
    return false
  end
  return ours and sent > tonumber(since)
end

local function another_serves()
  for i = 11, #ARGV do
    if redis.call('HEXISTS', prefix .. 'key:' .. ARGV[i], 'aside') == 0 then return true end
  end
  return false
end

local answer = 1
if ARGV[6] == 'unhealthy' then
  if ARGV[10] and ARGV[10] ~= '' then
    redis.call('HINCRBY', key, 'sentences', 1)
    redis.call('HSET', key, 'sentence', ARGV[10])
  end
  if ARGV[9] == 'refusal' and ours and anew and redis.call('HINCRBY', key, 'unknown', 1) >= REFUSED_FROM then
    answer = 3
    set_aside('refused, reason not recognised: ' .. (ARGV[10] or ''))
  end
end
if ARGV[6] == 'unhealthy' and answer == 1 then
  local unusable = redis.call('HMGET', key, 'ill', 'illby')
  local times = tonumber(unusable[1] or '0')
  if unusable[2] ~= id then
    times = times + 1
    redis.call('HSET', key, 'ill', times, 'illby', id)
  end
  if times < UNHEALTHY_FROM then return 2 end
end
if ARGV[6] == 'suspect' then
  if struck[4] then
    answer = 3
  elseif rejected_again() then
    if not another_serves() then return 4 end
    answer = 3
    set_aside(ARGV[5])
  end
elseif tonumber(ARGV[4]) > 0 and answer == 1 then
  local probe = false
  local pause = tonumber(ARGV[4])
  if ARGV[6] == 'grow' or ARGV[6] == 'unhealthy' then
    -- The probe of an open circuit breaker.
    probe = ARGV[6] == 'unhealthy' and strikes > 0 and anew
    if strikes == 0 or anew then
      strikes = strikes + 1
      redis.call('HSET', key, 'strikes', strikes, 'struck', us(now))
    end
    pause = pause * 2 ^ math.min(strikes - 1, 6)
  end
  local ends = math.floor(now / 1000) + pause
  if ends > tonumber(struck[3] or '0') then
    redis.call('HSET', key, 'until', us(ends), 'why', ARGV[5])
    redis.call('HINCRBY', KEYS[4], 'paused', 1)
  end
  redis.call('HINCRBY', KEYS[4], 'refused', 1)
  if probe then
    -- A failed probe spends an attempt and goes to the end of the lane: the request itself may be the cause.
    if ours then redis.call('HSET', record, 't', 0) end
    return 2
  end
end

if (fields[1] ~= 'running' and fields[1] ~= 'granted') or fields[2] ~= ARGV[3] then
  return answer == 3 and 3 or 0
end
close_call(prefix, id, record, now, fields[1] == 'running' and ARGV[7] == '')
if fields[1] == 'running' and ARGV[7] ~= '' then redis.call('HINCRBY', record, 'c', -1) end
redis.call('ZREM', KEYS[1], id)
redis.call('ZREM', KEYS[2], id)
if still_wanted(prefix, record, now) then
  redis.call('HSET', record, 's', 'parked')
  enter_lane(prefix, id, record)
end
wake(prefix)
return answer
