-- Row 6 of the state machine: over -> gone. The ledger has it; nothing of it stays here.
--
-- KEYS  1 held
-- ARGV  1 prefix   2 id
-- Returns 1, or 0 when it was gone already.

redis.call('ZREM', KEYS[1], ARGV[2])
return redis.call('DEL', ARGV[1] .. 'req:' .. ARGV[2], ARGV[1] .. 'batch:' .. ARGV[2]) > 0 and 1 or 0
