-- name: columns
id, spec, {ms:created_at}, {ms:cancelled_at}, owner, name, tags

-- name: one
SELECT {columns} FROM jobs WHERE id = ?

-- name: chosen
(? = '' OR owner = ?) AND (? = '' OR {among_tags}) AND (? = '' OR {has_failed})

-- name: latest
SELECT {columns} FROM jobs WHERE {chosen} ORDER BY created_at DESC, id LIMIT ?

-- name: chosen_open
SELECT {columns} FROM jobs WHERE done_at IS NULL AND cancelled_at IS NULL AND {chosen} AND {is_open} ORDER BY created_at DESC, id

-- name: has_failed
(SELECT 1 FROM job_requests j JOIN ledger l ON l.root = j.root
 WHERE j.job_id = jobs.id AND l.outcome = 'failed' LIMIT 1) IS NOT NULL

-- name: beginning_with
SELECT {columns} FROM jobs WHERE id >= ? AND id < ? ORDER BY created_at DESC, id LIMIT ?

-- name: named
SELECT {columns} FROM jobs WHERE name = ? ORDER BY created_at DESC, id LIMIT ?

-- name: named_by
SELECT {columns} FROM jobs WHERE name = ? AND owner = ? ORDER BY created_at DESC, id LIMIT ?

-- name: cancelled
SELECT {columns} FROM jobs WHERE cancelled_at IS NOT NULL ORDER BY cancelled_at DESC, id LIMIT ?

-- name: add
INSERT INTO jobs (id, spec, created_at, owner, name, tags) VALUES (?, ?, {time:?}, ?, ?, ?) ON CONFLICT (id) DO NOTHING RETURNING id

-- A purge that was stopped may have left requests of an older job of this id.
-- name: add_requests
INSERT INTO job_requests (job_id, root) SELECT ?, value FROM {listed} WHERE true ON CONFLICT DO NOTHING

-- Each value is the root (40 characters: in the lane of an owner it has 37), the position (10) and the arguments: one list serves both databases.
-- name: add_plan
INSERT INTO job_requests (job_id, root, position, arguments)
SELECT ?, trim(substr(value, 1, 40)), CAST(substr(value, 41, 10) AS INTEGER), substr(value, 51) FROM {listed}
WHERE true ON CONFLICT DO NOTHING

-- The requests with the whole market whose reply is stored.
-- name: market_requests
SELECT j.arguments FROM job_requests j JOIN ledger l ON l.root = j.root
WHERE j.job_id = ? AND l.page = 0 AND l.symbol = '*' AND l.outcome = 'stored' AND j.arguments IS NOT NULL ORDER BY j.position

-- name: planned_requests
SELECT count(*) FROM job_requests WHERE job_id = ?

-- name: resume
UPDATE jobs SET cancelled_at = NULL WHERE id = ?

-- name: cancel
UPDATE jobs SET cancelled_at = {time:?} WHERE id = ? AND cancelled_at IS NULL RETURNING id

-- Scalar subqueries, not EXISTS: Postgres turns an EXISTS into a hash of the whole ledger, once per job.
-- name: first_is_missing
(SELECT 1 FROM ledger l WHERE l.root = j.root AND l.page = 0 LIMIT 1) IS NULL

-- name: next_is_missing
l.next_cursor IS NOT NULL AND (SELECT 1 FROM ledger n WHERE n.root = l.root AND n.page = l.page + 1 LIMIT 1) IS NULL

-- name: first_pages
SELECT j.root, 0 AS page, NULL AS cursor FROM job_requests j WHERE j.job_id = ? AND {first_is_missing}

-- name: next_pages
SELECT l.root, l.page + 1, l.next_cursor FROM job_requests j JOIN ledger l ON l.root = j.root
WHERE j.job_id = ? AND {next_is_missing}

-- name: unfinished
{first_pages} UNION ALL {next_pages}

-- Stops at its limit only after it has seen all: the order is that of the plan.
-- name: to_do
SELECT t.root, t.page, t.cursor, t.arguments FROM (
    SELECT j.root, 0 AS page, NULL AS cursor, j.position, j.arguments FROM job_requests j
    WHERE j.job_id = ? AND {first_is_missing}
    UNION ALL
    SELECT l.root, l.page + 1, l.next_cursor, j.position, j.arguments FROM job_requests j JOIN ledger l ON l.root = j.root
    WHERE j.job_id = ? AND {next_is_missing}) AS t
ORDER BY t.position, t.page LIMIT ?

-- Ordered by root, as the keys are, so that each half stops after its limit.
-- name: some_first_pages
{first_pages} ORDER BY j.root LIMIT ?

-- name: some_next_pages
{next_pages} ORDER BY j.root, l.page LIMIT ?

-- name: some_next_pages_up_to
{next_pages} AND j.root <= ? ORDER BY j.root, l.page LIMIT ?

-- Whether a row of `jobs` has a request that is not over. Ends at the first one.
-- name: is_open
((SELECT 1 FROM job_requests j WHERE j.job_id = jobs.id
  AND ({first_is_missing} OR (SELECT 1 FROM ledger l WHERE l.root = j.root AND {next_is_missing} LIMIT 1) IS NOT NULL)
  LIMIT 1) IS NOT NULL)

-- name: is_job_open
SELECT {is_open} FROM jobs WHERE id = ?

-- name: not_known_to_be_over
SELECT {columns}, {is_open} FROM jobs WHERE done_at IS NULL AND cancelled_at IS NULL ORDER BY created_at, id

-- name: lock
SELECT id FROM jobs WHERE id {among} ORDER BY id {for_update}

-- name: note_over
UPDATE jobs SET done_at = coalesce(
    (SELECT max(l.over_at) FROM job_requests j JOIN ledger l ON l.root = j.root WHERE j.job_id = jobs.id), created_at)
WHERE id {among} AND NOT {is_open}

-- A line for all planned requests of a job, and one for each outcome. Pending are the planned requests without a first page in
-- the ledger, and the next pages that a page names: a later page can be over before the one that names it. A job that is noted as
-- over has nothing pending. Young: over since that moment, and since the job was recorded.
-- name: tallies
SELECT p.job_id, CASE WHEN b.done_at IS NOT NULL THEN 'over' WHEN b.cancelled_at IS NULL THEN 'open' ELSE 'ended' END,
       p.planned, 0, 0, 0, 0, NULL, 0, 0
FROM (SELECT job_id, count(*) AS planned FROM job_requests WHERE job_id {among} GROUP BY job_id) AS p
JOIN jobs b ON b.id = p.job_id
UNION ALL
SELECT o.job_id, o.outcome, count(*), sum(o.rows), sum(o.rejects), sum(o.corrected), count(o.young), {ms:max(o.over_at)},
       count(o.first), count(o.ahead)
FROM (SELECT j.job_id, l.outcome, l.rows, l.rejects, l.corrected, l.over_at,
             CASE WHEN l.over_at >= {time:?} AND l.over_at >= b.created_at THEN 1 END AS young,
             CASE WHEN l.page = 0 THEN 1 END AS first,
             CASE WHEN {next_is_missing} THEN 1 END AS ahead
      FROM job_requests j JOIN jobs b ON b.id = j.job_id JOIN ledger l ON l.root = j.root
      WHERE j.job_id {among}) AS o
GROUP BY o.job_id, o.outcome

-- The counts of a job that is noted as over stay as they are until a request of it is forgotten, which takes the note away. A
-- later note has a later time, since the request was over again after it.
-- name: noted
SELECT id, {ms:done_at}, CASE WHEN tallied_at = {ms:done_at} THEN tally END FROM jobs WHERE id {among} AND done_at IS NOT NULL

-- name: keep_tally
UPDATE jobs SET tally = ?, tallied_at = ? WHERE id = ? AND {ms:done_at} = ?

-- Below: the counts of many jobs that go on, see open_tallies.py.
-- name: latest_row
SELECT coalesce(max(id), 0) FROM ledger

-- name: settled_row
SELECT coalesce(max(id), 0) FROM ledger WHERE id > ? AND over_at < {time:?}

-- Counts of an open job are told from those of a job that is over by a `tallied_at` that no `done_at` has.
-- name: kept_open
SELECT id, {ms:created_at}, CASE WHEN cancelled_at IS NULL THEN 0 ELSE 1 END, CASE WHEN tallied_at = -1 THEN tally END
FROM jobs WHERE id {among} AND done_at IS NULL

-- name: keep_open
UPDATE jobs SET tally = ?, tallied_at = -1 WHERE id = ? AND done_at IS NULL

-- name: planned_of
SELECT job_id, count(*) FROM job_requests WHERE job_id {among} GROUP BY job_id

-- A page is ahead of the next one, of which no row up to that id tells.
-- name: sums
b.id, count(CASE WHEN l.outcome = 'stored' THEN 1 END), count(CASE WHEN l.outcome = 'empty' THEN 1 END),
       count(CASE WHEN l.outcome = 'failed' THEN 1 END), count(CASE WHEN l.outcome = 'cancelled' THEN 1 END),
       sum(l.rows), sum(l.rejects), sum(l.corrected), {ms:max(l.over_at)}, count(CASE WHEN l.page = 0 THEN 1 END),
       {joined:CASE WHEN l.outcome = 'failed' THEN l.request_id END},
       {joined:CASE WHEN l.next_cursor IS NOT NULL AND (SELECT 1 FROM ledger n WHERE n.root = l.root AND n.page = l.page + 1
                                                        AND n.id <= ? LIMIT 1) IS NULL THEN l.request_id END}

-- SQLite joins in the order of a CROSS JOIN: from the requests of the jobs, or from the rows of the ledger where these are fewer.
-- From a row it finds the requests by their root; without the `|| ''` it would look for the root in each of the jobs.
-- name: up_to
SELECT {sums} FROM jobs b CROSS JOIN job_requests j CROSS JOIN ledger l
WHERE b.id {among} AND j.job_id = b.id AND l.root = j.root AND l.id <= ? GROUP BY b.id

-- name: up_to_from_rows
SELECT {sums} FROM ledger l CROSS JOIN job_requests j CROSS JOIN jobs b
WHERE l.id <= ? AND j.root = l.root AND b.id = j.job_id AND b.id || '' {among} GROUP BY b.id

-- Behind the rows since an id those of the loose requests; last the id of the next page: 0 where none is named, -1 while it is missing.
-- name: since
SELECT b.id, {of_row} FROM ledger l CROSS JOIN job_requests j CROSS JOIN jobs b
WHERE l.id > ? AND j.root = l.root AND b.id = j.job_id AND b.id || '' {among}
UNION ALL
SELECT NULL, {of_row} FROM ledger l WHERE l.request_id {among}

-- name: of_row
l.id, l.request_id, l.outcome, l.rows, l.rejects, l.corrected, {ms:l.over_at}, l.page,
CASE WHEN l.next_cursor IS NULL THEN 0
     ELSE coalesce((SELECT n.id FROM ledger n WHERE n.root = l.root AND n.page = l.page + 1 LIMIT 1), -1) END

-- name: first_pages_of
SELECT job_id, root FROM job_requests WHERE job_id {among} AND root {among}

-- name: over
SELECT request_id FROM ledger WHERE request_id {among}

-- name: reject_reasons
SELECT r.reason, count(*)
FROM job_requests j JOIN ledger l ON l.root = j.root JOIN rejects r ON r.request_id = l.request_id
WHERE j.job_id = ? GROUP BY r.reason ORDER BY count(*) DESC, r.reason
