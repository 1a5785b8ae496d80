-- Row 8 of the state machine: a gate that can't account for its past is full. Counts every window full as of now, sets the
-- calendar days to at least what the ledger knows, and begins a new epoch.
--
-- KEYS  1 epoch   2 granted   3 running   4 held
-- ARGV  1 prefix   2 the epoch that is over, as the caller knows it ("" when there was none)   3 the new epoch
--       4 per key, JSON: { label, stamps (how many make every window full, 0 for a key without a past), days { counter = n } }
--       5 ms until what was granted or running is given up: after a step of the clock its deadline means nothing
-- Returns the epoch in force: the new one, or that of whoever was faster.

local standing = redis.call('GET', KEYS[1])
if standing and standing ~= ARGV[2] then
  return standing
end
local now = clock()
local most = 0
local function fill(label, stamps)
  -- What stood there is older than now, or in a future that a step of the clock has undone: full as of now covers both.
  redis.call('DEL', ARGV[1] .. 'done:' .. label, ARGV[1] .. 'early:' .. label)
  redis.call('HDEL', ARGV[1] .. 'key:' .. label, 'until', 'why')
  for i = 1, stamps do
    stamp(ARGV[1], label, ARGV[3] .. ':' .. i, now, now)
  end
end
for _, key in ipairs(cjson.decode(ARGV[4])) do
  fill(key.label, key.stamps)
  most = math.max(most, key.stamps)
  for counter, calls in pairs(key.days) do
    if calls > tonumber(redis.call('GET', ARGV[1] .. counter) or '0') then
      redis.call('SET', ARGV[1] .. counter, calls, 'EX', 259200)
    end
  end
end
fill('*', most)
for i = 2, 4 do
  for _, id in ipairs(redis.call('ZRANGE', KEYS[i], 0, -1)) do
    redis.call('ZADD', KEYS[i], math.floor(now / 1000) + tonumber(ARGV[5]), id)
  end
end
redis.call('SET', KEYS[1], ARGV[3])
return ARGV[3]
