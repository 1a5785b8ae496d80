-- Splits and dividends of symbols, of every vendor; what is gone stays, with the time.
-- name: splits
SELECT provider, symbol, CAST(ex_date AS TEXT), new_shares / old_shares, {ms:first_seen}, {ms:gone_at}, '', ''
FROM splits WHERE symbol {among}

-- name: dividends
SELECT provider, symbol, CAST(ex_date AS TEXT), amount, {ms:first_seen}, {ms:gone_at}, kind, currency
FROM dividends WHERE symbol {among}

-- name: lists
SELECT provider, dataset, symbol, {ms:fetched_at} FROM record_lists WHERE symbol {among}
