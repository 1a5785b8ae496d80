-- Keeps the raw reply of a request that has crashed a worker before, or that the vendor's reader could not read, so that an
-- operator can inspect it.
--
-- KEYS  1 raws   the ids whose replies are kept, newest first
-- ARGV  1 prefix   2 id   3 the reply (bytes)   4 ms until it expires   5 most replies kept   6 fence of the call, or ""
-- Returns how many replies are kept; 0 when the call's lease was lost: then `finish`, which deletes the reply of a success, may
-- have run.

local raws, prefix, id = KEYS[1], ARGV[1], ARGV[2]
if ARGV[6] ~= '' then
  local fields = redis.call('HMGET', prefix .. 'req:' .. id, 's', 'f')
  if fields[1] ~= 'running' or fields[2] ~= ARGV[6] then return 0 end
end
redis.call('LREM', raws, 0, id)
for _, old in ipairs(redis.call('LRANGE', raws, tonumber(ARGV[5]) - 1, -1)) do
  redis.call('DEL', prefix .. 'raw:' .. old)
end
redis.call('LTRIM', raws, 0, tonumber(ARGV[5]) - 2)
redis.call('SET', prefix .. 'raw:' .. id, ARGV[3], 'PX', ARGV[4])
local kept = redis.call('LPUSH', raws, id)
redis.call('PEXPIRE', raws, ARGV[4])
return kept
