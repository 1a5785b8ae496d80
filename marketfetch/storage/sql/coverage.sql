-- name: columns
provider, dataset, symbol, timespan, adjustment, first_day, last_day, final_to, {ms:fetched_at}

-- name: of_all
SELECT {columns} FROM coverage WHERE provider = ? AND dataset = ? AND timespan = ? AND adjustment = ? ORDER BY symbol, first_day

-- name: of_symbols
SELECT {columns} FROM coverage
WHERE provider = ? AND dataset = ? AND timespan = ? AND adjustment = ? AND symbol {among} ORDER BY symbol, first_day

-- name: count
SELECT count(*) FROM coverage

-- name: jobs_to_cover
SELECT job_id FROM jobs_to_cover ORDER BY job_id LIMIT ?

-- name: job_is_covered
DELETE FROM jobs_to_cover WHERE job_id = ?

-- All pages are there where as many stand in the ledger as the last one says, and one of them is the last.
-- name: replies
SELECT l.root, coalesce(min({ms:l.called_at}), 0)
FROM job_requests j JOIN ledger l ON l.root = j.root
WHERE j.job_id = ?
GROUP BY l.root
HAVING count(*) = max(l.page) + 1
   AND max(CASE WHEN l.next_cursor IS NULL THEN l.page ELSE -1 END) = max(l.page)
   AND max(CASE WHEN l.outcome IN ('stored', 'empty') THEN 0 ELSE 1 END) = 0
ORDER BY l.root

-- The bars of some symbols that begin within a range: all of them, or those that can't change any more.
-- name: hours_of_symbols
SELECT symbol, {joined:hour} FROM (
    SELECT s.symbol, {ms:b.ts} / 3600000 AS hour FROM series s JOIN bar_rows b ON b.series_id = s.id
    WHERE s.provider = ? AND s.timespan = ? AND s.adjustment = ? AND s.symbol {among}
      AND b.ts >= {time:?} AND b.ts <= {time:?} AND (? = 1 OR NOT b.partial)) AS kept
GROUP BY symbol
