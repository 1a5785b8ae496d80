-- What is chosen: a job's rejects, a vendor's, a symbol's, those of one reason. An empty text chooses all.
-- name: chosen
(? = '' OR r.request_id IN (SELECT l.request_id FROM job_requests j JOIN ledger l ON l.root = j.root WHERE j.job_id = ?))
AND (? = '' OR r.provider = ?) AND (? = '' OR r.symbol = ?)
AND (? = '' OR lower(r.field || ': ' || r.reason) LIKE ? ESCAPE '!')

-- name: by_reason
SELECT r.field, r.reason, count(*), count(DISTINCT r.symbol), count(DISTINCT r.request_id), {ms:max(r.rejected_at)}
FROM rejects r WHERE {chosen} GROUP BY r.field, r.reason ORDER BY count(*) DESC, r.field, r.reason LIMIT ?

-- name: latest
SELECT r.request_id, r.provider, r.symbol, r.row, r.field, r.value, r.reason, {ms:r.rejected_at}
FROM rejects r WHERE {chosen} ORDER BY r.rejected_at DESC, r.request_id, r.row, r.id LIMIT ?

-- name: kept
SELECT count(*) FROM rejects r WHERE {chosen}

-- Of a job or a vendor the ledger counts also the rejects of which no row is kept.
-- name: counted
SELECT coalesce(sum(l.rejects), 0) FROM ledger l
WHERE l.rejects > 0 AND (? = '' OR l.provider = ?)
  AND (? = '' OR l.root IN (SELECT j.root FROM job_requests j WHERE j.job_id = ?))

-- name: has_symbol
SELECT 1 FROM rejects WHERE symbol = ? UNION ALL SELECT 1 FROM series WHERE symbol = ? LIMIT 1
