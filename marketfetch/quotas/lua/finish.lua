-- Rows 4a, 4d and 4g of the state machine: running -> held, or -> parked for another call. Stamp, batch, next page and the
-- freed slot are one atomic step.
--
-- KEYS  1 running   2 held   3 ready   4 counts
-- ARGV  1 prefix   2 id   3 fence   4 batch (bytes)   5 ms until it is redelivered   6 id of the next page or ""
--       7 arguments of the next page   8 us since the reply had arrived, which reading it took
--       9 the vendor's own count of calls, 0 for none: then in 10 a window in us and in 11 whether it is strict,
--       or in 10 the counter of a calendar day and in 11 ""   12 us since the call was written to the wire, "" when not known,
--       "unsent" when it never was   13 why the request has failed, "" when it has not
--       14 what the chain of pages has brought (bytes), kept for the next page; "" keeps what is there, and the last page ends it
--       15 the arguments of another call that this request needs before it is over, "" when it needs none: then there is no
--       batch yet, and the request returns to its old place with these arguments, its waiters unchanged, no attempt spent
--       16 the name under which the caller stores in turn, "" when it stores nothing   17 ms for which a turn lasts
--       18 "own" when the caller stores this batch in any case, "" when it does so only if the turn is free
-- Returns 2 when the batch is claimed for the caller to store, 1 when another process will store it, or 0 when the lease was lost
-- meanwhile: then nothing is written, and the caller drops the reply.
--
-- One process at a time has the turn to store: it also stores what other children keep meanwhile, see settle. So a batch needs no
-- message, and many are one transaction. A holder that has died loses the turn when it expires; what it had claimed is redelivered.
--
-- The next page inherits the job, the priority, the waiting jobs and the place of its request, so that the pages of one range
-- follow one another. A request without waiters gets no next page. The vendor's count replaces ours only where it is higher.

local prefix, id = ARGV[1], ARGV[2]
local record = prefix .. 'req:' .. id
local fields = redis.call('HMGET', record, 's', 'f', 'p', 'j', 't', 'y', 'o', 'z', 'g')
if fields[1] ~= 'running' or fields[2] ~= ARGV[3] then
  return 0
end
local now = clock()
local label = fields[6] or ''
local sent = tonumber(ARGV[12])
close_call(prefix, id, record, now - tonumber(ARGV[8]), ARGV[12] ~= 'unsent', sent and now - sent)
if ARGV[12] == 'unsent' then redis.call('HINCRBY', record, 'c', -1) end
redis.call('HDEL', prefix .. 'key:' .. label, 'strikes')
-- A usable reply closes the circuit breaker and clears the key of suspicion. A failed request may have had none.
if ARGV[13] == '' then redis.call('HDEL', prefix .. 'key:' .. label, 'ill', 'illby', 'suspect', 'verdict', 'unknown') end
redis.call('ZREM', KEYS[1], id)
-- The raw reply of a request that has failed stays for a developer, until it expires.
if ARGV[13] == '' and redis.call('DEL', prefix .. 'raw:' .. id) == 1 then redis.call('LREM', prefix .. 'raws', 0, id) end
local over, kept = ARGV[15] == '', 1
if over then
  redis.call('SET', prefix .. 'batch:' .. id, ARGV[4])
  if redis.call('HINCRBY', KEYS[4], 'bytes', #ARGV[4]) == #ARGV[4] then
    redis.call('HSET', KEYS[4], 'stored', math.floor(now / 1000))  -- the first waiting batch starts the clock of the store
  end
  redis.call('HSET', record, 's', 'held')
  if ARGV[13] ~= '' then redis.call('HSET', record, 'w', ARGV[13]) end
  redis.call('ZADD', KEYS[2], math.floor(now / 1000) + tonumber(ARGV[5]), id)
  if ARGV[16] ~= '' and (ARGV[18] == 'own' or redis.call('SET', prefix .. 'storing', ARGV[16], 'NX', 'PX', ARGV[17])) then
    redis.call('HSET', record, 'u', '1:' .. us(math.floor(now / 1000)))
    kept = 2
  end
elseif still_wanted(prefix, record, now) then
  redis.call('HSET', record, 's', 'parked', 'q', ARGV[15])
  enter_lane(prefix, id, record)
end

local page = prefix .. 'req:' .. ARGV[6]
if ARGV[6] ~= '' and not fields[8] and redis.call('EXISTS', page) == 0 then
  redis.call('HSET', page, 's', 'parked', 'f', us(now), 't', fields[5], 'p', fields[3], 'j', fields[4], 'q', ARGV[7],
    'r', format_for(ARGV[6]))
  -- A task waits for its first page only; a job waits for every page.
  local owner = fields[7] and string.sub(fields[7], 1, 5) ~= 'task:' and fields[7]
  local left = fields[9]  -- set when the owner has left while the request ran: the next job becomes the owner
  for _, one in ipairs(waiters(record)) do
    if one[2] == '' and left then
      owner, left = one[1], false
    elseif one[2] == '' then
      redis.call('HSET', page, '+' .. one[1], '')
    end
  end
  if owner then redis.call('HSET', page, 'o', owner) end
  redis.call('HSET', record, 'n', ARGV[6])
  if nothing_parked(prefix) then redis.call('HSET', KEYS[4], 'fine', math.floor(now / 1000)) end
  enter_lane(prefix, ARGV[6], page)
  redis.call('HINCRBY', KEYS[4], 'parked', 1)
end

-- A key of its own: the record's format stays, and a worker of the release before neither reads nor writes it.
local chain = prefix .. 'pages:' .. string.match(id, '^[^/]*')
if ARGV[14] ~= '' then
  redis.call('SET', chain, ARGV[14], 'EX', 1209600)
elseif over and ARGV[6] == '' and ARGV[13] == '' and string.find(id, '/', 1, true) then
  redis.call('DEL', chain)
end

local counted = tonumber(ARGV[9])
if counted > 0 and ARGV[11] == '' then
  if counted > tonumber(redis.call('GET', prefix .. ARGV[10]) or '0') then
    redis.call('SET', prefix .. ARGV[10], counted, 'EX', 259200)
  end
elseif counted > 0 then
  local set = prefix .. (ARGV[11] == '1' and 'done:' or 'early:') .. label
  local ours = redis.call('ZCOUNT', set, us(now - tonumber(ARGV[10])), '+inf') + redis.call('SCARD', prefix .. 'open:' .. label)
  for n = 1, math.min(counted - ours, 1000) do
    stamp(prefix, label, id .. ':' .. fields[2] .. ':said' .. n, now, now)
  end
end
-- Something new is in the lane, or the releasers wait for the end of a call.
if ARGV[6] ~= '' or not over or redis.call('HDEL', KEYS[4], 'later') == 1 then wake(prefix) end
return kept
