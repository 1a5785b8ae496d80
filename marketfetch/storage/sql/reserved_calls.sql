-- name: reserve
INSERT INTO call_marks (provider, key_label, minute, calls) VALUES (?, ?, ?, ?)
ON CONFLICT (provider, key_label, minute) DO UPDATE SET calls = call_marks.calls + excluded.calls

-- name: forget_before
DELETE FROM call_marks WHERE provider = ? AND key_label = ? AND minute < ?

-- name: first_and_sum
SELECT min(minute), coalesce(sum(CASE WHEN minute >= ? THEN calls END), 0) FROM call_marks
WHERE provider = ? AND key_label = ?
