-- name: add_request
INSERT INTO ledger (request_id, root, page, provider, symbol, outcome, reason, rows, rejects, key_label, calls,
                    final_to, called_at, next_cursor, over_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (request_id) DO NOTHING

-- name: add_reject
INSERT INTO rejects (request_id, provider, symbol, row, field, value, reason, rejected_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)

-- name: find_series
SELECT s.id, z.zone FROM series s LEFT JOIN series_zones z ON z.series_id = s.id
WHERE s.provider = ? AND s.symbol = ? AND s.timespan = ? AND s.adjustment = ?

-- name: add_series
INSERT INTO series (provider, symbol, timespan, adjustment) VALUES (?, ?, ?, ?)

-- The series of many symbols, in the order of the JSON list of their names; NULL for one that is new.
-- name: find_many_series
SELECT s.id, z.zone FROM json_each(?) AS listed
LEFT JOIN series s ON s.provider = ? AND s.symbol = listed.value AND s.timespan = ? AND s.adjustment = ?
LEFT JOIN series_zones z ON z.series_id = s.id
ORDER BY listed.key

-- name: add_many_series
INSERT INTO series (symbol, provider, timespan, adjustment) SELECT value, ?, ?, ? FROM json_each(?) WHERE true
ON CONFLICT DO NOTHING

-- What all bars of a series in a batch share is written into the statement: to bind it per row costs a sixth more.
-- name: row
($series, $fetched, $ledger, ?, ?, ?, ?, ?, ?, ?, ?, $partial)

-- An equal bar is left alone, its `fetched_at` and its request too.
-- name: upsert
INSERT INTO bar_rows (series_id, fetched_at, ledger_id, ts, open, high, low, close, volume, vwap, trades, partial)
VALUES $rows
ON CONFLICT (series_id, ts) DO UPDATE SET (open, high, low, close, volume, vwap, trades, partial, fetched_at, ledger_id)
  = (excluded.open, excluded.high, excluded.low, excluded.close, excluded.volume, excluded.vwap, excluded.trades,
     excluded.partial, $fetched, $ledger)
WHERE bar_rows.fetched_at <= $fetched
  AND (bar_rows.open IS NOT excluded.open OR bar_rows.high IS NOT excluded.high OR bar_rows.low IS NOT excluded.low
       OR bar_rows.close IS NOT excluded.close OR bar_rows.volume IS NOT excluded.volume
       OR bar_rows.vwap IS NOT excluded.vwap OR bar_rows.trades IS NOT excluded.trades
       OR bar_rows.partial IS NOT excluded.partial)

-- name: pages
SELECT page, outcome, next_cursor IS NULL, final_to, coalesce(called_at, 0) FROM ledger WHERE root = ? ORDER BY page

-- The last column: whether anything is stored of what changes adjusted prices. Most databases have none.
-- name: coverage
SELECT provider, dataset, symbol, timespan, adjustment, first_day, last_day, final_to, fetched_at,
    EXISTS (SELECT 1 FROM splits) OR EXISTS (SELECT 1 FROM dividends)
FROM coverage
WHERE provider = ? AND dataset = ? AND symbol = ? AND timespan = ? AND adjustment = ? AND first_day <= ? AND last_day >= ?

-- name: uncover
DELETE FROM coverage
WHERE provider = ? AND dataset = ? AND symbol = ? AND timespan = ? AND adjustment = ? AND first_day = ?

-- name: cover
INSERT OR REPLACE INTO coverage (provider, dataset, symbol, timespan, adjustment, first_day, last_day, final_to, fetched_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
