-- name: splits
SELECT provider, symbol, ex_date, new_shares, old_shares FROM splits WHERE gone_at IS NULL AND new_shares > 0 AND old_shares > 0
ORDER BY provider, symbol, ex_date, new_shares, old_shares

-- name: fetched_before
SELECT min({ms:fetched_at}) FROM bar_rows WHERE series_id = ? AND ts < {time:?}

-- name: partial
SELECT {ms:ts} FROM bar_rows WHERE series_id = ? AND partial
