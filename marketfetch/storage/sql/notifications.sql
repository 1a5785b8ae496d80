-- name: columns
id, target, kind, body, {ms:created_at}, tries

-- name: begin
INSERT INTO conditions (kind, subject, id, since) VALUES (?, ?, ?, {time:?}) ON CONFLICT DO NOTHING RETURNING id

-- name: end
DELETE FROM conditions WHERE kind = ? AND subject = ? RETURNING id

-- name: in_force
SELECT subject, {ms:since} FROM conditions WHERE kind = ?

-- Jobs that have ended since, and of which no event is recorded. A job that was resumed ends again.
-- name: ended_jobs
SELECT id, ended_at FROM (
    SELECT id, CASE WHEN cancelled_at IS NOT NULL THEN {ms:cancelled_at} ELSE {ms:done_at} END AS ended_at FROM jobs
    WHERE done_at >= {time:?} OR cancelled_at >= {time:?}
) ended
WHERE NOT EXISTS (SELECT 1 FROM conditions c WHERE c.kind = 'job over' AND c.subject = ended.id || ' ' || ended.ended_at)
ORDER BY ended_at, id LIMIT ?

-- name: add
INSERT INTO notifications (id, target, kind, body, created_at, due_at, tries, error)
VALUES (?, ?, ?, ?, {time:?}, {time:?}, 0, '') ON CONFLICT DO NOTHING

-- name: due
SELECT {columns} FROM notifications WHERE sent_at IS NULL AND given_up_at IS NULL AND due_at <= {time:?}
ORDER BY due_at, id, target LIMIT ?

-- name: claim
UPDATE notifications SET tries = tries + 1, due_at = {time:?}
WHERE id = ? AND target = ? AND tries = ? AND sent_at IS NULL AND given_up_at IS NULL RETURNING tries

-- name: sent
UPDATE notifications SET sent_at = {time:?}, error = '' WHERE id = ? AND target = ?

-- name: failed
UPDATE notifications SET due_at = {time:?}, error = ? WHERE id = ? AND target = ?

-- name: given_up
UPDATE notifications SET given_up_at = {time:?}, error = ? WHERE id = ? AND target = ?

-- name: waiting
SELECT target, count(*), coalesce(max(error), '') FROM notifications
WHERE sent_at IS NULL AND given_up_at IS NULL GROUP BY target ORDER BY target

-- name: given_up_since
SELECT target, count(*), coalesce(max(error), '') FROM notifications WHERE given_up_at >= {time:?} GROUP BY target ORDER BY target

-- name: forget_notifications
DELETE FROM notifications WHERE created_at < {time:?} AND (sent_at IS NOT NULL OR given_up_at IS NOT NULL)

-- name: forget_jobs
DELETE FROM conditions WHERE kind = 'job over' AND since < {time:?}
