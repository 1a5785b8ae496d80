-- name: columns
w.job_id, w.waiter, w.message, w.tries, {ms:w.gives_up_at}

-- name: add
INSERT INTO job_waiters (job_id, waiter, message, tries, due_at, gives_up_at) VALUES (?, ?, ?, 0, {time:?}, {time:?})
ON CONFLICT DO NOTHING

-- name: of_job
SELECT {columns} FROM job_waiters w WHERE w.job_id = ? ORDER BY w.waiter

-- From the requests, which are in few jobs: there may be many thousand waiters.
-- name: jobs_of_requests
SELECT DISTINCT w.job_id FROM job_requests r JOIN job_waiters w ON w.job_id = r.job_id WHERE r.root {among}

-- name: due
SELECT {columns} FROM job_waiters w JOIN jobs j ON j.id = w.job_id
WHERE w.due_at <= {time:?} AND (j.done_at IS NOT NULL OR j.cancelled_at IS NOT NULL OR w.gives_up_at <= {time:?})
ORDER BY w.due_at, w.job_id, w.waiter LIMIT ?

-- name: claim
UPDATE job_waiters SET tries = tries + 1, due_at = {time:?} WHERE job_id = ? AND waiter = ? AND due_at <= {time:?}
RETURNING tries

-- name: forget
DELETE FROM job_waiters WHERE job_id = ? AND waiter = ? RETURNING waiter
