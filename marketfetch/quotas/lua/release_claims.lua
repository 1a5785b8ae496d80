-- Releases claimed batches that the caller did not store: each is redelivered.
--
-- KEYS  1 held
-- ARGV  1 prefix   2 ms until they are redelivered   3 the name under which the caller stored in turn, which ends; "" for none
--       4 "counted" when the attempts stay counted, so that no process takes these batches in turn; "" when none was made
--       5 ... ids
-- Returns how many are still held.

local now_ms, found = math.floor(clock() / 1000), 0
if ARGV[3] ~= '' and redis.call('GET', ARGV[1] .. 'storing') == ARGV[3] then redis.call('DEL', ARGV[1] .. 'storing') end
for i = 5, #ARGV do
  if redis.call('ZSCORE', KEYS[1], ARGV[i]) then
    local record = ARGV[1] .. 'req:' .. ARGV[i]
    local tries = ARGV[4] == 'counted' and string.match(redis.call('HGET', record, 'u') or '', '^%d+')
    if tries then
      redis.call('HSET', record, 'u', tries .. ':0')
    else
      redis.call('HDEL', record, 'u')
    end
    redis.call('ZADD', KEYS[1], us(now_ms + tonumber(ARGV[2])), ARGV[i])
    found = found + 1
  end
end
if found > 0 then wake(ARGV[1]) end
return found
