-- Splits and dividends of symbols, of every vendor; what is gone stays, with the time.
-- name: splits
SELECT provider, symbol, CAST(ex_date AS TEXT), new_shares / old_shares, {ms:first_seen}, {ms:gone_at}, '', ''
FROM splits WHERE symbol {among}

-- name: dividends
SELECT provider, symbol, CAST(ex_date AS TEXT), amount, {ms:first_seen}, {ms:gone_at}, kind, currency
FROM dividends WHERE symbol {among}

-- name: lists
SELECT provider, dataset, symbol, {ms:fetched_at} FROM record_lists WHERE symbol {among}

-- What vendors have adjusted, and when it was fetched.
-- name: adjusted
SELECT provider, symbol, timespan, adjustment, CAST(first_day AS TEXT), {ms:fetched_at}
FROM coverage WHERE adjustment IN ('split', 'split_dividend')

-- name: adjusted_of
{adjusted} AND symbol {among}

-- Series that a vendor has adjusted and that have no raw one beside them.
-- name: without_raw
SELECT s.provider, s.timespan, s.adjustment, s.symbol FROM series s
WHERE s.adjustment <> 'raw' AND NOT EXISTS (
  SELECT 1 FROM series r
  WHERE r.provider = s.provider AND r.symbol = s.symbol AND r.timespan = s.timespan AND r.adjustment = 'raw')
ORDER BY s.provider, s.timespan, s.adjustment, s.symbol
