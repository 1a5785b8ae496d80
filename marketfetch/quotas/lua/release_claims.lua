-- Releases claimed batches that the caller did not store: each is redelivered, and no attempt is counted.
--
-- KEYS  1 held
-- ARGV  1 prefix   2 ms until they are redelivered   3 the name under which the caller stored in turn, which ends; "" for none
--       4 ... ids
-- Returns how many are still held.

local now_ms, found = math.floor(clock() / 1000), 0
if ARGV[3] ~= '' and redis.call('GET', ARGV[1] .. 'storing') == ARGV[3] then redis.call('DEL', ARGV[1] .. 'storing') end
for i = 4, #ARGV do
  if redis.call('ZSCORE', KEYS[1], ARGV[i]) then
    redis.call('HDEL', ARGV[1] .. 'req:' .. ARGV[i], 'u')
    redis.call('ZADD', KEYS[1], us(now_ms + tonumber(ARGV[2])), ARGV[i])
    found = found + 1
  end
end
if found > 0 then wake(ARGV[1]) end
return found
