-- name: is_old
coalesce(cancelled_at, done_at) < {time:?} AND created_at < {time:?}

-- The condition stands twice: a job may be reopened after the inner statement chose it.
-- name: jobs
DELETE FROM jobs WHERE id IN (SELECT id FROM jobs WHERE {is_old} LIMIT ?) AND {is_old} RETURNING id

-- name: waiters_without_job
DELETE FROM job_waiters WHERE NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.id = job_waiters.job_id) RETURNING waiter

-- One step through the key per job, however many requests each of them lists.
-- name: lists_without_job
WITH RECURSIVE listed (job_id) AS (
    SELECT min(job_id) FROM job_requests
    UNION ALL
    SELECT (SELECT min(r.job_id) FROM job_requests r WHERE r.job_id > listed.job_id) FROM listed
    WHERE listed.job_id IS NOT NULL)
SELECT job_id FROM listed WHERE job_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.id = listed.job_id)

-- The NOT EXISTS is needed: the same job may have been submitted anew in the meantime.
-- name: shorten_list
DELETE FROM job_requests
WHERE job_id = ? AND root IN (SELECT root FROM job_requests WHERE job_id = ? LIMIT ?)
  AND NOT EXISTS (SELECT 1 FROM jobs WHERE id = ?)
RETURNING root

-- name: in_no_job
(SELECT 1 FROM job_requests j WHERE j.root = ledger.root LIMIT 1) IS NULL

-- name: old_requests
SELECT id, request_id, rejects FROM ledger
WHERE id > ? AND over_at < {time:?} AND (called_at IS NULL OR called_at < {time:?}) AND {in_no_job}
ORDER BY id LIMIT ?

-- name: requests
DELETE FROM ledger WHERE request_id {among} AND {in_no_job} RETURNING request_id

-- name: rejects
DELETE FROM rejects WHERE request_id {among} RETURNING id

-- name: spent_calls
DELETE FROM spent_calls WHERE id IN (SELECT id FROM spent_calls WHERE called_at < {time:?} LIMIT ?) RETURNING id

-- name: reserved_calls
DELETE FROM call_marks WHERE minute < ?
