-- name: columns
l.request_id, l.root, l.page, l.provider, l.symbol, l.outcome, l.reason, l.rows, l.rejects, l.key_label, l.calls,
coalesce({ms:l.called_at}, 0), l.next_cursor

-- name: over
SELECT request_id FROM ledger WHERE request_id {among}

-- name: ended_roots
SELECT root, max(CASE WHEN outcome IN ('failed', 'cancelled') THEN 1 ELSE 0 END) FROM ledger WHERE root {among} GROUP BY root

-- name: outcomes
SELECT {columns} FROM ledger l WHERE l.request_id {among}

-- By number, which needs no index of its own: rows get their numbers nearly in the order of `over_at`.
-- name: latest_over
SELECT l.id, l.provider, {ms:l.over_at}, {columns} FROM ledger l WHERE l.id < ? ORDER BY l.id DESC LIMIT ?

-- name: recent_calls
SELECT {ms:called_at} FROM (SELECT provider, called_at FROM ledger ORDER BY id DESC LIMIT ?) AS latest
WHERE provider = ? AND called_at IS NOT NULL ORDER BY called_at

-- name: failures
SELECT {columns} FROM job_requests j JOIN ledger l ON l.root = j.root
WHERE j.job_id = ? AND l.outcome = 'failed' ORDER BY l.symbol, l.root, l.page LIMIT ?

-- Of each symbol of which nothing came and nothing failed; behind it how many there are. Pages of one request count together.
-- name: empty_symbols
SELECT l.symbol, count(*) OVER () FROM job_requests j JOIN ledger l ON l.root = j.root
WHERE j.job_id = ? GROUP BY l.symbol HAVING min(CASE WHEN l.outcome = 'empty' THEN 1 ELSE 0 END) = 1 ORDER BY l.symbol LIMIT ?

-- name: calls
SELECT (SELECT coalesce(sum(calls), 0) FROM ledger WHERE provider = ? AND key_label = ? AND called_at >= {time:?})
     + (SELECT coalesce(sum(calls), 0) FROM spent_calls WHERE provider = ? AND key_label = ? AND called_at >= {time:?})

-- name: last_call
SELECT coalesce(max(at), 0) FROM (
    SELECT max({ms:called_at}) AS at FROM ledger WHERE provider = ? AND key_label = ?
    UNION ALL
    SELECT max({ms:called_at}) FROM spent_calls WHERE provider = ? AND key_label = ?) AS made

-- name: failed_of_job
SELECT request_id, root FROM ledger
WHERE outcome = 'failed' AND root IN (SELECT root FROM job_requests WHERE job_id = ?) {for_update}

-- name: failed_request
SELECT request_id, root FROM ledger WHERE outcome = 'failed' AND request_id = ? {for_update}

-- name: keep_calls
INSERT INTO spent_calls (provider, key_label, calls, called_at)
SELECT provider, key_label, calls, called_at FROM ledger
WHERE request_id {among} AND calls > 0 AND called_at IS NOT NULL

-- name: forget_rejects
DELETE FROM rejects WHERE request_id {among}

-- name: forget
DELETE FROM ledger WHERE request_id {among}

-- name: reopen_jobs
UPDATE jobs SET done_at = NULL WHERE id IN (SELECT job_id FROM job_requests WHERE root {among})
