-- Row 4b of the state machine: running -> parked, in the old place, no attempt spent; pauses the key or sets it aside if asked.
--
-- KEYS  1 running   2 granted   3 ready   4 counts
-- ARGV  1 prefix   2 id   3 fence   4 ms to pause the key, 0 for none   5 why
--       6 "grow": the vendor named no time, so each refusal in a row doubles the pause; "aside": the key is set aside;
--       "unhealthy": the reply was unusable; three in a row to different requests open the key's circuit breaker: then as
--       "grow"; or ""
--       7 "unsent" when the call was never made, so that it is not counted; or ""
--       8 the key's label: when the grant was lost meanwhile, the request may have another key by now
-- Returns 1, or 0 when the grant was lost meanwhile: then only the key's state is kept; or 2 when the request spends an
-- attempt: the circuit breaker is closed, or this call was its probe.

local record = ARGV[1] .. 'req:' .. ARGV[2]
local fields = redis.call('HMGET', record, 's', 'f', 'b')
local now = clock()
run_even_when_full(ARGV[1])
local key = ARGV[1] .. 'key:' .. ARGV[8]
if ARGV[6] == 'unhealthy' then
  local unusable = redis.call('HMGET', key, 'ill', 'illby')
  local times = tonumber(unusable[1] or '0')
  if unusable[2] ~= ARGV[2] then
    times = times + 1
    redis.call('HSET', key, 'ill', times, 'illby', ARGV[2])
  end
  if times < UNHEALTHY_FROM then return 2 end
end
if ARGV[6] == 'aside' then
  redis.call('HSET', key, 'aside', ARGV[5])
  redis.call('HINCRBY', KEYS[4], 'refused', 1)
elseif tonumber(ARGV[4]) > 0 then
  local probe = false
  local pause = tonumber(ARGV[4])
  if ARGV[6] == 'grow' or ARGV[6] == 'unhealthy' then
    -- Calls that were open together are refused together: they count as one refusal, not as many in a row.
    local struck = redis.call('HMGET', key, 'strikes', 'struck', 'until')
    local strikes = tonumber(struck[1] or '0')
    local rests = tonumber(struck[3] or '0') * 1000 > now
    local anew = not rests and tonumber(fields[3] or '0') > tonumber(struck[2] or '0')
    -- The probe of an open circuit breaker.
    probe = ARGV[6] == 'unhealthy' and strikes > 0 and anew
    if strikes == 0 or anew then
      strikes = strikes + 1
      redis.call('HSET', key, 'strikes', strikes, 'struck', us(now))
    end
    pause = pause * 2 ^ math.min(strikes - 1, 6)
  end
  local ends = math.floor(now / 1000) + pause
  if ends > tonumber(redis.call('HGET', key, 'until') or '0') then
    redis.call('HSET', key, 'until', us(ends), 'why', ARGV[5])
    redis.call('HINCRBY', KEYS[4], 'paused', 1)
  end
  redis.call('HINCRBY', KEYS[4], 'refused', 1)
  if probe then
    -- A failed probe spends an attempt and goes to the end of the lane: the request itself may be the cause.
    if fields[1] == 'running' and fields[2] == ARGV[3] then redis.call('HSET', record, 't', 0) end
    return 2
  end
end

if (fields[1] ~= 'running' and fields[1] ~= 'granted') or fields[2] ~= ARGV[3] then
  return 0
end
close_call(ARGV[1], ARGV[2], record, now, fields[1] == 'running' and ARGV[7] == '')
if fields[1] == 'running' and ARGV[7] ~= '' then redis.call('HINCRBY', record, 'c', -1) end
redis.call('ZREM', KEYS[1], ARGV[2])
redis.call('ZREM', KEYS[2], ARGV[2])
if still_wanted(ARGV[1], record, now) then
  redis.call('HSET', record, 's', 'parked')
  enter_lane(ARGV[1], ARGV[2], record)
end
wake(ARGV[1])
return 1
