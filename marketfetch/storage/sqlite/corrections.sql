-- A final bar that gets other values is a correction. Triggers run for changed bars alone, so that new and equal ones cost nothing;
-- they belong to the connection that writes, so that no other program and no other release runs them.
-- name: is_correction
NOT OLD.partial AND OLD.ledger_id <> NEW.ledger_id
  AND (OLD.open, OLD.high, OLD.low, OLD.close, OLD.volume, OLD.vwap, OLD.trades)
      IS NOT (NEW.open, NEW.high, NEW.low, NEW.close, NEW.volume, NEW.vwap, NEW.trades)

-- name: count
CREATE TEMP TRIGGER IF NOT EXISTS count_corrections AFTER UPDATE ON main.bar_rows WHEN {is_correction} BEGIN
    UPDATE ledger SET corrected = corrected + 1 WHERE id = NEW.ledger_id;
END

-- name: keep
CREATE TEMP TRIGGER IF NOT EXISTS keep_history AFTER UPDATE ON main.bar_rows WHEN {is_correction} BEGIN
    INSERT INTO history_rows (series_id, ts, fetched_at, ledger_id, replaced_at, replaced_by,
                              open, high, low, close, volume, vwap, trades)
    VALUES (OLD.series_id, OLD.ts, OLD.fetched_at, OLD.ledger_id, NEW.fetched_at, NEW.ledger_id,
            OLD.open, OLD.high, OLD.low, OLD.close, OLD.volume, OLD.vwap, OLD.trades)
    ON CONFLICT DO NOTHING;
END
