-- A final bar that gets other values is a correction. Both statements run before the upsert of the same bars, whose series are locked.
-- name: corrections
unnest(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
     AS new (ts, fetched_at, ledger_id, open, high, low, close, volume, vwap, trades, series_id, partial)
JOIN bar_rows b ON b.series_id = new.series_id AND b.ts = new.ts
WHERE NOT b.partial AND b.ledger_id <> new.ledger_id AND b.fetched_at <= new.fetched_at
  AND (b.open, b.high, b.low, b.close, b.volume, b.vwap, b.trades)
      IS DISTINCT FROM (nullif(new.open, 'NaN'), nullif(new.high, 'NaN'), nullif(new.low, 'NaN'), nullif(new.close, 'NaN'),
                        nullif(new.volume, 'NaN'), nullif(new.vwap, 'NaN'), nullif(new.trades, 'NaN'))

-- name: count
UPDATE ledger l SET corrected = l.corrected + found.bars
FROM (SELECT new.ledger_id, count(*) AS bars FROM {corrections} GROUP BY new.ledger_id) AS found WHERE l.id = found.ledger_id

-- name: keep
INSERT INTO history_rows (ts, fetched_at, ledger_id, replaced_at, replaced_by, open, high, low, close, volume, vwap, trades, series_id)
SELECT b.ts, b.fetched_at, b.ledger_id, new.fetched_at, new.ledger_id, b.open, b.high, b.low, b.close, b.volume, b.vwap, b.trades,
       b.series_id
FROM {corrections}
ON CONFLICT DO NOTHING
