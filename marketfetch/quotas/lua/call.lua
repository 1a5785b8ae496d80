-- Prepended to every script: the clock, the lane, the waiters of a request, and the end of a call. It is no script of its own.
--
-- A request's record, the hash req:<id>:
--   s state, f fence, t tag, p priority, j job whose turn it takes, q arguments,
--   a attempts, k worker crashes, c calls, each absent for none,
--   o owner when that is not j: another job, or a user's task ("task:<task id>"); m its message, x when it expires (Unix ms),
--   +<who> one further waiter: a job (empty), or task:<task id> (when it expires, a blank, its message),
--   y the key's label, b when its call may be or was sent (us), v the child that started it, n its next page, d the calendar days it counts in, w why it is held,
--   u how often its batch was claimed, and when for the last time (ms),
--   h how often the database was unavailable for it, g set when its owner has left while it ran, z when no waiter is left,
--   r the format it was created in, as FORMAT below; absent in format 1. The record keeps its format for life
-- A parked request of a job has seven fields, as a hash of eight takes 150 bytes more: a is absent before the first attempt.
-- Only the workers of a newer release process a record of its format. A newer format may add fields, and change the content
-- of q and w; all other fields keep their meaning, as any release may park, settle or withdraw the record.
-- A request whose id begins with "<lane>~" is of the lane of an owner: it is parked in ready:<lane> instead of ready, and only keys
-- that serve this lane may grant it. The set lanes names the lanes of owners that may have parked requests.
-- Per key of the pool, all under the pool's prefix:
--   open:<label>   set of ids whose call is granted or running
--   done:<label>   sorted set id:fence:when -> when its reply had arrived (us): exact at the vendor under any latency
--   early:<label>  the same, earlier by the minimum network time of the round trip: for short windows
--   key:<label>    hash: until and why of a pause, aside (the reason), strikes (refusals in a row), struck (when the
--                  last one came), `ill` (unusable replies in a row to different requests) and `illby` (the last of those), suspect (since when
--                  the vendor's words reject the key, us) and verdict (those words), unknown (401s and 403s in a row whose words
--                  are not known), sentences (how many words were not known) and sentence (the last of them), keep, ttl, slack, n round trips, r
--                  the fastest, lost calls without a stamp (-1: an unknown number) and full, when the last was made;
--                  lost:<us>, instead of lost, for a window of that length; print, of its secret
--   secrets        hash: print of a secret -> the label under which its calls are counted
--   closed         sorted set label -> until when (us) an admit of a pool with many keys need not look at this key
--   day:<label>:<zone>:<date>   calls counted for a calendar day
-- Per request that does not get as far as its call:
--   unstarted      sorted set id -> how often in a row its grant has expired unstarted; gone a minute after the last time
--   raised:<id>    how many of its deliveries have raised an exception; gone a day after the last one
--   buried:<id>    the dead letter of its unusable message; gone a day after the last one
-- The label "*" stands for all keys together. A call's stamp is written once and never moved.
-- The hash counts: parked, admitted, paused, refused, expired since creation; fine = when the gate last made progress (ms),
-- full = set when releasers have no room: how few may be granted when they look again, -1 when batches must be stored first,
-- later = set when the keys allow no call, so that the end of a call wakes the releasers, away = since when the database takes no batch (ms), bytes = of batches not stored yet,
-- stored = when one was stored last, or when the oldest waiting one began to wait (ms).

local UNHEALTHY_FROM = 3  -- unusable replies in a row to different requests that open the circuit breaker of a key
local REFUSED_FROM = 5  -- 401s and 403s in a row whose words are not known that set a key aside
local PLAIN = 2  -- the format of a request without an owner
local FORMAT = 3  -- the newest that this release reads; the only place of the format number; docs/decisions/0008-versions-in-redis.md says when it is raised

local function clock()
  local time = redis.call('TIME')
  return time[1] * 1000000 + time[2]
end

-- Wakes the releasers that sleep until this pool's next opening. What stands before `mf:` is the prefix of the installation.
local function wake(prefix)
  local installation, pool = string.match(prefix, '^(.-)mf:{(.*)}:$')
  redis.call('PUBLISH', installation .. 'mf:wake', pool)
end

-- A full Redis (maxmemory) refuses a script whose first write may need memory; after a first write that deletes it refuses none.
-- Scripts that end a call, store, or return a request begin with this call, so that they always run to their end.
local function run_even_when_full(prefix)
  redis.call('DEL', prefix .. 'nothing')
end

local function us(number)
  return string.format('%.0f', number)
end

-- The format of a record, by its field r.
local function format_of(field)
  return tonumber(field or '1') or 1
end

-- The lane of a request, by its id: nil for one without an owner.
local function lane_of(id)
  return string.match(id, '^(%x+)~')
end

-- The format in which a request is created. A release that knows no lanes of owners would grant it with any key: it leaves
-- format 3 alone, and still reads everything else.
local function format_for(id)
  return lane_of(id) and FORMAT or PLAIN
end

-- The set of the parked requests of a request's lane.
local function ready_of(prefix, id)
  local lane = lane_of(id)
  return lane and (prefix .. 'ready:' .. lane) or (prefix .. 'ready')
end

-- The field of the hash tags that has the virtual time of a band. Each lane has its own, as lanes do not advance together.
local function band_of(priority, id)
  local lane = lane_of(id)
  return 'V:' .. priority .. (lane and (':' .. lane) or '')
end

local function nothing_parked(prefix)
  return redis.call('ZCARD', prefix .. 'ready') == 0 and redis.call('SCARD', prefix .. 'lanes') == 0
end

-- Notes that a lane of an owner has requests, and which lane a job's requests are in (O:<prio>:<job> in the hash tags).
local function note_lane(prefix, id, turn)
  local lane = lane_of(id)
  if not lane then return end
  redis.call('SADD', prefix .. 'lanes', lane)
  redis.call('HSET', prefix .. 'tags', 'O:' .. turn, lane)
end

-- Puts a request into the lane, at its old place; one without a place, whose not-before has come, gets its next turn.
-- Start-time fair queueing, in the hash tags: V:<prio> is the band's virtual time (V:<prio>:<lane> in the lane of an owner), L:<prio>:<job> the last tag of a job,
-- N:<prio>:<job> the number of its requests in the lane; L is deleted with the last one that leaves.
local function enter_lane(prefix, id, record)
  local fields, tags = redis.call('HMGET', record, 'p', 't', 'j'), prefix .. 'tags'
  if not fields[1] then return false end  -- the record is gone
  local tag, turn = tonumber(fields[2]), fields[1] .. ':' .. fields[3]
  if tag == 0 then
    local known = redis.call('HMGET', tags, band_of(fields[1], id), 'L:' .. turn)
    tag = 1 + math.max(tonumber(known[1] or '0'), tonumber(known[2] or '0'))
    redis.call('HSET', tags, 'L:' .. turn, us(tag))
    redis.call('HSET', record, 't', us(tag))
  end
  redis.call('HINCRBY', tags, 'N:' .. turn, 1)
  redis.call('ZADD', ready_of(prefix, id), us(tonumber(fields[1]) * 281474976710656 + tag), id)
  note_lane(prefix, id, turn)
  return true
end

-- True if a record is in the set that its state names. A record in no set would wait for ever.
local function placed(prefix, id, state)
  if state == 'parked' then
    return redis.call('ZSCORE', ready_of(prefix, id), id) or redis.call('ZSCORE', prefix .. 'delayed', id)
      or redis.call('ZSCORE', prefix .. 'newer', id)
  elseif state == 'granted' then
    return redis.call('ZSCORE', prefix .. 'granted', id)
  elseif state == 'running' then
    return redis.call('ZSCORE', prefix .. 'running', id)
  end
  return redis.call('ZSCORE', prefix .. 'held', id)
end

local function leave_lane(prefix, turn, many)
  local tags = prefix .. 'tags'
  if redis.call('HINCRBY', tags, 'N:' .. turn, -many) <= 0 then
    redis.call('HDEL', tags, 'N:' .. turn, 'L:' .. turn, 'O:' .. turn)
  end
end

-- The waiters of a request besides its owner: who, message with expiry ("" for a job).
local function waiters(record)
  local found, all = {}, redis.call('HGETALL', record)
  for i = 1, #all, 2 do
    if string.sub(all[i], 1, 1) == '+' then found[#found + 1] = { string.sub(all[i], 2), all[i + 1] } end
  end
  return found
end

-- Makes the next waiter the owner. False when no waiter is left.
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

-- Hands a withdrawn task to the releasers, from `due` (ms) on, until one has marked it as revoked.
local function announce_revoked(prefix, who, message, due)
  redis.call('DEL', prefix .. 'req:' .. who)
  redis.call('HSET', prefix .. 'req:' .. who, 's', 'revoked', 'f', 0, 'q', '', 'o', who, 'm', message, 'r', format_for(who))
  redis.call('ZADD', prefix .. 'held', due, who)
end

-- Checks, before a request returns to the lane, whether its owner has left while it ran. Deletes it and returns false when no
-- waiter is left.
local function still_wanted(prefix, record, now)
  local fields = redis.call('HMGET', record, 'z', 'g', 'o', 'm')
  if not fields[1] and not fields[2] then return true end
  redis.call('HDEL', record, 'z', 'g')
  local wanted = promote(record)
  if not wanted then redis.call('DEL', record) end
  -- After the deletion: the record of an unplannable task has the task's own name, which the announcement reuses.
  if fields[3] and fields[4] then announce_revoked(prefix, fields[3], fields[4], math.floor(now / 1000)) end
  return wanted
end

-- A lower estimate of the network time of a round trip, in us: a share of the fastest of all n round trips so far. The fastest
-- alone is no lower bound, as it may have been slow in one direction; with more round trips it comes nearer to one. The
-- estimate fails for a network that becomes several times faster from one call to the next: such a limit needs ";strict".
local function head_start(key, round_trip)
  local fields = redis.call('HMGET', key, 'n', 'r')
  local n, fastest = tonumber(fields[1] or '0'), tonumber(fields[2] or '0')
  if n == 0 or round_trip < fastest then fastest = round_trip end
  redis.call('HSET', key, 'n', n + 1, 'r', us(fastest))
  return fastest * 0.9 * n / (n + 100)
end

-- The member of a stamp is unique, also where a request was cancelled and submitted again: a stamp is never overwritten.
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

-- Ends a granted or running call. `made`: the call may have reached the vendor, so it is stamped; otherwise its share of the
-- calendar days is returned. `now` may lie in the recent past: when the reply came. `sent`: when the call was written to the
-- wire, nil when that is not known.
local function close_call(prefix, id, record, now, made, sent)
  local fields = redis.call('HMGET', record, 'y', 'f', 'd')
  local label = fields[1] or ''
  redis.call('SREM', prefix .. 'open:' .. label, id)
  if label == '' then return end
  redis.call('ZREM', prefix .. 'closed', label)  -- it may allow more now
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
  -- d holds a line per calendar day, "counter TAB end TAB next counter". A call open across a reset counts in both days.
  for counter, last, following in string.gmatch(fields[3] or '', '([^\t\n]+)\t(%d+)\t([^\t\n]+)\n') do
    if not made then
      -- The counter of a day expires after three days.
      if redis.call('EXISTS', prefix .. counter) == 1 then redis.call('DECR', prefix .. counter) end
    elseif now >= tonumber(last) and not string.find(fields[3], following .. '\t', 1, true)
        and redis.call('EXISTS', prefix .. following) == 1 then
      redis.call('INCR', prefix .. following)
      redis.call('EXPIRE', prefix .. following, 259200)
    end
  end
end
