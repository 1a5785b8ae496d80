-- Records of a kind, read back; what stands behind a dollar sign is filled in from the kind's definition.
-- name: rows
SELECT provider, $columns, {ms:first_seen}, {ms:fetched_at}, {ms:gone_at} FROM $table WHERE $where ORDER BY $key LIMIT ?

-- name: of_job
SELECT provider, $columns, {ms:first_seen}, {ms:fetched_at}, {ms:gone_at} FROM $table
WHERE ledger_id IN (SELECT l.id FROM job_requests j JOIN ledger l ON l.root = j.root WHERE j.job_id = ?) ORDER BY $key

-- name: after
($key) > ($marks)

-- name: of_provider
provider = ?

-- name: of_symbols
symbol {among}

-- name: of_part
$scope = ?

-- name: from_day
CAST($day AS TEXT) >= ?

-- name: to_day
CAST($day AS TEXT) <= ?

-- What the vendor had at the time.
-- name: known
first_seen < {time:?} AND (gone_at IS NULL OR gone_at >= {time:?})

-- name: present
gone_at IS NULL

-- name: lists
SELECT provider, symbol, {ms:fetched_at} FROM record_lists WHERE dataset = ? AND symbol {among} ORDER BY provider, symbol
