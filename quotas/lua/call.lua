-- Put before every script: the clock, and what the end of a call changes. Not a script of its own.
--
-- Per key of the pool, all under the pool's prefix:
--   open:<label>   set of ids whose call is granted or running
--   done:<label>   sorted set id:fence -> when its reply had arrived (us): exact at the vendor under any latency
--   early:<label>  the same, earlier by what the way there and back takes at the very least: for short windows
--   key:<label>    hash: until and why of a pause, aside (the reason), strikes, keep, slack, fastest round trips
--   day:<label>:<limit>:<date>   calls counted for a calendar day
-- The label "*" stands for all keys together. A call's stamp is written once and never moved.

local function clock()
  local time = redis.call('TIME')
  return time[1] * 1000000 + time[2]
end

local function us(number)
  return string.format('%.0f', number)
end

local function in_lane(prefix, id, record)
  local fields = redis.call('HMGET', record, 'p', 't')
  redis.call('ZADD', prefix .. 'ready', us(tonumber(fields[1]) * 281474976710656 + tonumber(fields[2])), id)
end

-- Half of the fastest of the last 128 to 256 round trips. The fastest seen is no lower bound of what the two ways take, since
-- it may have been slow on one of them; half of it is, unless the vendor's network is twice as fast at times.
local function head_start(key, round_trip)
  local fields = redis.call('HMGET', key, 'n', 'r', 'l')
  local n, fastest, last = tonumber(fields[1] or '0'), tonumber(fields[2] or '0'), tonumber(fields[3] or '0')
  if n == 0 or round_trip < fastest then fastest = round_trip end
  n = n + 1
  if n >= 128 then
    redis.call('HSET', key, 'n', 0, 'r', 0, 'l', us(fastest))
  else
    redis.call('HSET', key, 'n', n, 'r', us(fastest))
  end
  if last > 0 and last < fastest then fastest = last end
  if n < 8 and last == 0 then return 0 end
  return fastest / 2
end

local function stamp(prefix, label, member, now, early)
  local key = prefix .. 'key:' .. label
  local fields = redis.call('HMGET', key, 'keep', 'slack')
  local keep = -tonumber(fields[1] or '1000') - 1
  for name, at in pairs({ done = now, early = early }) do
    local set = prefix .. name .. ':' .. label
    redis.call('ZADD', set, us(at), member)
    redis.call('ZREMRANGEBYRANK', set, 0, keep)
    redis.call('EXPIRE', set, 172800)
  end
end

-- The end of a granted or running call. `made`: it may have reached the vendor, so it is stamped; otherwise its share of the
-- calendar days is given back. `replied`: the round trip is worth remembering. `now` may be a little ago: when the reply came.
local function close_call(prefix, id, record, now, made, replied)
  local fields = redis.call('HMGET', record, 'y', 'f', 'b', 'd')
  local label, sent = fields[1] or '', tonumber(fields[3] or '0')
  redis.call('SREM', prefix .. 'open:' .. label, id)
  redis.call('SREM', prefix .. 'open:*', id)
  if label == '' then return end
  local key = prefix .. 'key:' .. label
  if made then
    local early = now
    if replied and sent > 0 then
      early = now - head_start(key, now - sent)
      local slack = tonumber(redis.call('HGET', key, 'slack') or '-1')
      if slack >= 0 and sent + slack < early then early = sent + slack end
    end
    stamp(prefix, label, id .. ':' .. fields[2], now, early)
    stamp(prefix, '*', id .. ':' .. fields[2], now, early)
  end
  -- d: per calendar day "counter end next-counter", separated by "|". A call open across a reset counts in both days.
  for counter, last, following in string.gmatch(fields[4] or '', '(%S+) (%d+) (%S+)|') do
    if not made then
      redis.call('DECR', prefix .. counter)
    elseif now >= tonumber(last) then
      redis.call('INCR', prefix .. following)
      redis.call('EXPIRE', prefix .. following, 259200)
    end
  end
end
