-- Row 5 of the state machine begins: claims held batches for a process that stores them.
--
-- KEYS  1 held
-- ARGV  1 prefix   2 ms for which the claim is exclusive, and after which the batch is redelivered   3 the most earlier
--       claims of a batch; "" for any number   4 ... ids
-- Returns per id { batch or "", number of this claim }: 0 when it is not held (or was claimed too often), -1 when another claim is in force.
--
-- A claim that is neither settled nor released has crashed its worker. `postpone` and `release_claims` reset the number, so
-- that an unavailable database does not count.

local now_ms = math.floor(clock() / 1000)
run_even_when_full(ARGV[1])
local answer = {}
for i = 4, #ARGV do
  local id = ARGV[i]
  local record = ARGV[1] .. 'req:' .. id
  local fields = redis.call('HMGET', record, 's', 'u', 'r')
  local tries, began = string.match(fields[2] or '0:0', '^(%d+):(%d+)$')
  if fields[1] ~= 'held' or format_of(fields[3]) > FORMAT or (ARGV[3] ~= '' and tonumber(tries) > tonumber(ARGV[3])) then
    answer[#answer + 1] = { '', 0 }
  elseif tries ~= '0' and now_ms < tonumber(began) + tonumber(ARGV[2]) then
    answer[#answer + 1] = { '', -1 }
  else
    tries = tonumber(tries) + 1
    redis.call('HSET', record, 'u', tries .. ':' .. us(now_ms))
    redis.call('ZADD', KEYS[1], us(now_ms + tonumber(ARGV[2])), id)
    answer[#answer + 1] = { redis.call('GET', ARGV[1] .. 'batch:' .. id) or '', tries }
  end
end
return answer
