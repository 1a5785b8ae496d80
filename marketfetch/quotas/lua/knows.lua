-- A read-only check, no step of the state machine: is each of these requests in the gate?
--
-- KEYS  1 ready   2 delayed   3 granted   4 running   5 held
-- ARGV  1 prefix   2 ... ids
-- Returns 1, or 0 when one of them has no record, or is not in the set that its state names: then its job parks it again.

for i = 2, #ARGV do
  local state = redis.call('HGET', ARGV[1] .. 'req:' .. ARGV[i], 's')
  if not state or not placed(ARGV[1], ARGV[i], state) then return 0 end
end
return 1
