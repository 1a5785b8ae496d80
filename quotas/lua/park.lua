-- Rows 1 of the state machine: planned -> parked. Gives requests their place in the lane.
--
-- KEYS  1 ready    sorted set, score = priority * 2^48 + tag
--       2 delayed  sorted set, score = not-before in Unix ms
--       3 tags     hash, "V:<prio>" the band's virtual time, "L:<prio>:<job>" the last tag a job was given
-- ARGV  1 prefix of this pool's records   2 job   3 priority 0..9, 0 first   4 not-before in Unix ms, 0 for now
--       then three each: id, arguments, message
-- Returns how many were new. A known id keeps its place and is not counted.
--
-- Start-time fair queueing: a job's next request stands one behind the later of its last one and the band's virtual time,
-- so that jobs take turns whatever they have parked.

local prefix, job, priority, not_before = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local band = priority * 281474976710656
local last_field = 'L:' .. priority .. ':' .. job
local virtual = tonumber(redis.call('HGET', KEYS[3], 'V:' .. priority) or '0')
local last = tonumber(redis.call('HGET', KEYS[3], last_field) or '0')
local tag = math.max(virtual, last)
local new = 0

for i = 5, #ARGV, 3 do
  local record = prefix .. 'req:' .. ARGV[i]
  if redis.call('EXISTS', record) == 0 then
    tag = tag + 1
    new = new + 1
    redis.call('HSET', record, 's', 'parked', 'f', 0, 't', string.format('%.0f', tag), 'p', priority, 'j', job,
      'a', 0, 'q', ARGV[i + 1])
    if ARGV[i + 2] ~= '' then
      redis.call('HSET', record, 'm', ARGV[i + 2])
    end
    if not_before > 0 then
      redis.call('ZADD', KEYS[2], not_before, ARGV[i])
    else
      redis.call('ZADD', KEYS[1], string.format('%.0f', band + tag), ARGV[i])
    end
  end
end

if new > 0 then
  redis.call('HSET', KEYS[3], last_field, string.format('%.0f', tag))
end
return new
