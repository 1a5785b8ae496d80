-- Row 5 of the state machine begins: whoever is about to store a held batch says so, and takes it along.
--
-- KEYS  1 held
-- ARGV  1 prefix   2 ms for which nobody else is to begin, and after which it is offered again   3 how often at most
--       somebody may have begun to store it before; "" for any number   4 ... ids
-- Returns per id { batch or "", which try this is }: 0 when it is not held (or was tried too often), -1 when another try is under way.
--
-- A try that is never heard of again has killed its worker. `postpone` and `put_back` forget the tries of a database that was away.

local now_ms = math.floor(clock() / 1000)
even_when_full(ARGV[1])
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
