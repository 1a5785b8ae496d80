-- Put before every script: the clock, the lane, who waits for a request, and what the end of a call changes. Not a script of
-- its own.
--
-- A request's record, the hash req:<id>:
--   s state, f fence, t tag, p priority, j job whose turn it takes, q arguments,
--   a attempts, k kills, c calls, each absent for none,
--   o owner when that is not j: another job, or a user's task ("task:<task id>"); m its message, x when it expires (Unix ms),
--   +<who> one more that waits: a job (empty), or task:<task id> (when it expires, a blank, its message),
--   y the key's label, b when its call may be or was sent (us), v who started it, n its next page, d the calendar days it counts in, w why it is held,
--   u how often somebody has begun to store it, and when for the last time (ms),
--   h how often the database was away for it, g set when its owner has gone while it ran, z when nobody is left,
--   r the format it was made in, as FORMAT below; absent in format 1. It keeps it for as long as it lives
-- A parked request of a job has seven fields, as a hash of eight takes 150 bytes more: a is absent until there was one.
-- A record of a newer format is left to the workers of the release that made it. A newer format may add fields, and put
-- something else into q and w; all others keep their meaning, as any release may park it again, settle or withdraw it.
-- Per key of the pool, all under the pool's prefix:
--   open:<label>   set of ids whose call is granted or running
--   done:<label>   sorted set id:fence:when -> when its reply had arrived (us): exact at the vendor under any latency
--   early:<label>  the same, earlier by what the way there and back takes at the very least: for short windows
--   key:<label>    hash: until and why of a pause, aside (the reason), strikes (refusals in a row), struck (when the
--                  last one came), ill (unusable answers in a row to different requests) and illby (the last of those), keep, ttl, slack, n round trips, r
--                  the fastest, lost calls that nobody knows of (-1: as many as there may be) and full, when the last was made;
--                  lost:<us>, instead of lost, for a window of that length
--   day:<label>:<zone>:<date>   calls counted for a calendar day
-- The label "*" stands for all keys together. A call's stamp is written once and never moved.
-- The hash counts: parked, admitted, paused, refused, expired since ever; fine = when the gate last did what it should (ms),
-- full = set when releasers have no room, away = since when the database takes no batch (ms), bytes = of batches not stored yet,
-- stored = when one was stored last, or the first of those that wait began to (ms).

local ILL = 3  -- so many unusable answers in a row to different requests, and a vendor counts as ill
local FORMAT = 2  -- the one place; docs/decisions/0008-versions-in-redis.md says when it is raised

local function clock()
  local time = redis.call('TIME')
  return time[1] * 1000000 + time[2]
end

-- Whoever sleeps until this pool's next opening looks again.
local function wake(prefix)
  redis.call('PUBLISH', 'mf:wake', string.match(prefix, '{(.*)}'))
end

-- A Redis that is full (maxmemory) refuses a script whose first write may grow it, and after one that deletes it refuses none. So
-- each script that ends a call, stores, or takes back begins with this: whatever it then takes, it goes to its end.
local function even_when_full(prefix)
  redis.call('DEL', prefix .. 'nothing')
end

local function us(number)
  return string.format('%.0f', number)
end

-- The format of a record, by its field r.
local function format_of(field)
  return tonumber(field or '1') or 1
end

-- A request goes (back) to its place in the lane; one that has none yet, since it had to wait for its moment, takes its turn.
-- Start-time fair queueing, in the hash tags: V:<prio> is the band's virtual time, L:<prio>:<job> the last tag a job was given,
-- N:<prio>:<job> how many of its requests stand in the lane; with the last one that leaves, L says nothing any more.
local function in_lane(prefix, id, record)
  local fields, tags = redis.call('HMGET', record, 'p', 't', 'j'), prefix .. 'tags'
  if not fields[1] then return false end  -- the record is gone: there is nothing to wait for
  local tag, turn = tonumber(fields[2]), fields[1] .. ':' .. fields[3]
  if tag == 0 then
    local known = redis.call('HMGET', tags, 'V:' .. fields[1], 'L:' .. turn)
    tag = 1 + math.max(tonumber(known[1] or '0'), tonumber(known[2] or '0'))
    redis.call('HSET', tags, 'L:' .. turn, us(tag))
    redis.call('HSET', record, 't', us(tag))
  end
  redis.call('HINCRBY', tags, 'N:' .. turn, 1)
  redis.call('ZADD', prefix .. 'ready', us(tonumber(fields[1]) * 281474976710656 + tag), id)
  return true
end

-- Is a record where its state says? One that is in no place would wait for ever, as nobody comes by.
local function placed(prefix, id, state)
  if state == 'parked' then
    return redis.call('ZSCORE', prefix .. 'ready', id) or redis.call('ZSCORE', prefix .. 'delayed', id)
      or redis.call('ZSCORE', prefix .. 'newer', id)
  elseif state == 'granted' then
    return redis.call('ZSCORE', prefix .. 'granted', id)
  elseif state == 'running' then
    return redis.call('ZSCORE', prefix .. 'running', id)
  end
  return redis.call('ZSCORE', prefix .. 'held', id)
end

local function out_of_lane(prefix, turn, many)
  local tags = prefix .. 'tags'
  if redis.call('HINCRBY', tags, 'N:' .. turn, -many) <= 0 then
    redis.call('HDEL', tags, 'N:' .. turn, 'L:' .. turn)
  end
end

-- Others that wait for a request besides its owner: who -> message with expiry ("" for a job).
local function waiters(record)
  local found, all = {}, redis.call('HGETALL', record)
  for i = 1, #all, 2 do
    if string.sub(all[i], 1, 1) == '+' then found[#found + 1] = { string.sub(all[i], 2), all[i + 1] } end
  end
  return found
end

-- The owner has gone: the next waiter takes over. False when nobody is left.
local function promote(record)
  local heir = waiters(record)[1]
  if not heir then return false end
  redis.call('HDEL', record, '+' .. heir[1], 'o', 'm', 'x')
  if heir[2] == '' then
    redis.call('HSET', record, 'o', heir[1])
  else
    local expires, message = string.match(heir[2], '^(%d+) (.*)$')
    redis.call('HSET', record, 'o', heir[1], 'm', message, 'x', expires)
  end
  return true
end

-- A task that left is offered to releasers from `due` (ms) on until it has been marked as revoked.
local function tell_revoked(prefix, who, message, due)
  redis.call('DEL', prefix .. 'req:' .. who)
  redis.call('HSET', prefix .. 'req:' .. who, 's', 'revoked', 'f', 0, 'q', '', 'o', who, 'm', message, 'r', FORMAT)
  redis.call('ZADD', prefix .. 'held', due, who)
end

-- Before a request that ran goes back to the lane: its owner may have left meanwhile. False, and it is gone, when nobody is left.
local function still_wanted(prefix, record, now)
  local fields = redis.call('HMGET', record, 'z', 'g', 'o', 'm')
  if not fields[1] and not fields[2] then return true end
  redis.call('HDEL', record, 'z', 'g')
  local wanted = promote(record)
  if not wanted then redis.call('DEL', record) end
  -- Only now: a task that asks for what could not be planned is told by the record that it had itself.
  if fields[3] and fields[4] then tell_revoked(prefix, fields[3], fields[4], math.floor(now / 1000)) end
  return wanted
end

-- What the ways there and back take at the very least, in us: a share of the fastest of all n round trips so far. The fastest
-- seen is no lower bound, as it may have been slow on one of its ways; the more were seen the nearer it is to one. A network
-- that becomes several times faster from one call to the next is the one thing that this can't know: such a limit is ";strict".
local function head_start(key, round_trip)
  local fields = redis.call('HMGET', key, 'n', 'r')
  local n, fastest = tonumber(fields[1] or '0'), tonumber(fields[2] or '0')
  if n == 0 or round_trip < fastest then fastest = round_trip end
  redis.call('HSET', key, 'n', n + 1, 'r', us(fastest))
  return fastest * 0.9 * n / (n + 100)
end

-- The member of a stamp is its own, also where a request was cancelled and asked again: a stamp is never written over.
local function stamp(prefix, label, call, now, early)
  local member = call .. ':' .. us(now)
  local fields = redis.call('HMGET', prefix .. 'key:' .. label, 'keep', 'ttl')
  local keep = -tonumber(fields[1] or '1000') - 1
  for name, at in pairs({ done = now, early = early }) do
    local set = prefix .. name .. ':' .. label
    redis.call('ZADD', set, us(at), member)
    redis.call('ZREMRANGEBYRANK', set, 0, keep)
    redis.call('EXPIRE', set, tonumber(fields[2] or '172800'))
  end
end

-- The end of a granted or running call. `made`: it may have reached the vendor, so it is stamped; otherwise its share of the
-- calendar days is given back. `now` may be a little ago: when the reply came. `sent`: when the call was written to the wire, nil
-- when that is not known.
local function close_call(prefix, id, record, now, made, sent)
  local fields = redis.call('HMGET', record, 'y', 'f', 'd')
  local label = fields[1] or ''
  redis.call('SREM', prefix .. 'open:' .. label, id)
  if label == '' then return end
  local key = prefix .. 'key:' .. label
  if made then
    local early = now
    if sent and sent <= now then
      early = now - head_start(key, now - sent)
      local slack = tonumber(redis.call('HGET', key, 'slack') or '-1')
      if slack >= 0 and sent + slack < early then early = sent + slack end
    end
    stamp(prefix, label, id .. ':' .. fields[2], now, early)
    stamp(prefix, '*', id .. ':' .. fields[2], now, early)
  end
  -- d: a line per calendar day, "counter TAB end TAB next counter". A call open across a reset counts in both days.
  for counter, last, following in string.gmatch(fields[3] or '', '([^\t\n]+)\t(%d+)\t([^\t\n]+)\n') do
    if not made then
      -- A day of more than three days ago is forgotten.
      if redis.call('EXISTS', prefix .. counter) == 1 then redis.call('DECR', prefix .. counter) end
    elseif now >= tonumber(last) and not string.find(fields[3], following .. '\t', 1, true)
        and redis.call('EXISTS', prefix .. following) == 1 then
      redis.call('INCR', prefix .. following)
      redis.call('EXPIRE', prefix .. following, 259200)
    end
  end
end
