-- The first bar of each series, and its last one that can't change any more (whose `partial` is false).
-- name: ends
SELECT s.id, (SELECT {ms:min(b.ts)} FROM bar_rows b WHERE b.series_id = s.id),
       (SELECT {ms:b.ts} FROM bar_rows b WHERE b.series_id = s.id AND NOT b.partial ORDER BY b.ts DESC LIMIT 1)
FROM series s

-- Hours since 1970: shorter than moments, and enough for the date of a session.
-- name: hours
SELECT series_id, {joined:hour} FROM (
    SELECT series_id, {ms:ts} / 3600000 AS hour FROM bar_rows
    WHERE series_id >= ? AND series_id <= ? AND ts >= {time:?} AND ts < {time:?} AND NOT partial) AS kept
GROUP BY series_id

-- Minutes since 1970, for bars shorter than a session.
-- name: minutes
SELECT series_id, {joined:minute} FROM (
    SELECT series_id, {ms:ts} / 60000 AS minute FROM bar_rows
    WHERE series_id >= ? AND series_id <= ? AND ts >= {time:?} AND ts < {time:?} AND NOT partial) AS kept
GROUP BY series_id
