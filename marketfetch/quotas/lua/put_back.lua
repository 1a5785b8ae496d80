-- Batches that were taken to be stored, and are left to others: each is offered again, as if nobody had tried.
--
-- KEYS  1 held
-- ARGV  1 prefix   2 ms until they are offered   3 ... ids
-- Returns how many are still held.

local now_ms, found = math.floor(clock() / 1000), 0
for i = 3, #ARGV do
  if redis.call('ZSCORE', KEYS[1], ARGV[i]) then
    redis.call('HDEL', ARGV[1] .. 'req:' .. ARGV[i], 'u')
    redis.call('ZADD', KEYS[1], us(now_ms + tonumber(ARGV[2])), ARGV[i])
    found = found + 1
  end
end
if found > 0 then wake(ARGV[1]) end
return found
