-- name: adjustments
SELECT adjustment FROM series WHERE provider = ? AND symbol = ? AND timespan = ? ORDER BY adjustment

-- name: bars
SELECT {ms:ts}, partial, open, high, low, close, volume, vwap, trades FROM bars
WHERE provider = ? AND symbol = ? AND timespan = ? AND adjustment = ? AND ts >= {time:?} AND ts < {time:?} ORDER BY ts

-- name: last_bars
SELECT {ms:ts}, partial, open, high, low, close, volume, vwap, trades FROM bars
WHERE provider = ? AND symbol = ? AND timespan = ? AND adjustment = ? AND ts >= {time:?} AND ts < {time:?}
ORDER BY ts DESC LIMIT ?

-- name: first_bars
SELECT {ms:ts}, partial, open, high, low, close, volume, vwap, trades FROM bars
WHERE provider = ? AND symbol = ? AND timespan = ? AND adjustment = ? AND ts >= {time:?} AND ts < {time:?}
ORDER BY ts LIMIT ?

-- name: rejects
SELECT r.request_id, r.row, r.field, r.value, r.reason, r.symbol
FROM job_requests j JOIN ledger l ON l.root = j.root JOIN rejects r ON r.request_id = l.request_id
WHERE j.job_id = ? ORDER BY r.request_id, r.row, r.id LIMIT ?

-- name: counts
SELECT (SELECT count(*) FROM bar_rows), (SELECT count(*) FROM series), (SELECT count(*) FROM ledger),
       (SELECT count(*) FROM rejects), (SELECT count(*) FROM jobs)
