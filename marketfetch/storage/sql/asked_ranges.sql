-- name: covered
SELECT provider, dataset, symbol, timespan, adjustment, first_day, last_day, final_to, {ms:fetched_at} FROM coverage

-- Requests of jobs that failed, or of whose reply rows were rejected. A job of an earlier release has no `arguments`.
-- name: failed_or_rejected
SELECT l.request_id, l.outcome, l.provider, l.symbol, l.reason, l.rejects, {ms:l.over_at}, j.arguments, b.spec
FROM ledger l JOIN job_requests j ON j.root = l.root JOIN jobs b ON b.id = j.job_id
WHERE l.outcome = 'failed' OR l.rejects > 0

-- Requests of a vendor that have failed since a time.
-- name: failed_since
SELECT DISTINCT l.reason, j.arguments FROM ledger l JOIN job_requests j ON j.root = l.root
WHERE l.provider = ? AND l.outcome = 'failed' AND l.over_at >= {time:?} AND j.arguments IS NOT NULL

-- name: reasons
SELECT request_id, symbol, reason, count(*) FROM rejects GROUP BY request_id, symbol, reason

-- name: specs
SELECT spec FROM jobs
