-- With the vendor named, the keys of the tables find a symbol; without, every row is read. So are the vendors: one look-up for
-- each, where DISTINCT would read the whole table. A list by days is in the coverage alone.
-- name: vendors
WITH RECURSIVE each_vendor (provider) AS (
  SELECT min(provider) FROM record_lists
  UNION ALL
  SELECT (SELECT min(r.provider) FROM record_lists r WHERE r.provider > e.provider) FROM each_vendor e
  WHERE e.provider IS NOT NULL),
covering_vendor (provider) AS (
  SELECT min(provider) FROM coverage
  UNION ALL
  SELECT (SELECT min(c.provider) FROM coverage c WHERE c.provider > e.provider) FROM covering_vendor e
  WHERE e.provider IS NOT NULL)
SELECT provider FROM each_vendor WHERE provider IS NOT NULL
UNION SELECT provider FROM covering_vendor WHERE provider IS NOT NULL

-- Splits and dividends of symbols, of every vendor; what is gone stays, with the time.
-- name: splits
SELECT provider, symbol, CAST(ex_date AS TEXT), new_shares / old_shares, {ms:first_seen}, {ms:gone_at}, '', ''
FROM splits WHERE provider IN ({vendors}) AND symbol {among}

-- name: dividends
SELECT provider, symbol, CAST(ex_date AS TEXT), amount, {ms:first_seen}, {ms:gone_at}, kind, currency
FROM dividends WHERE provider IN ({vendors}) AND symbol {among}

-- Those of them that may make what was fetched later than a day stale: of ex dates from that day on, and of corrections. The
-- last column is when the first list that has a row of the symbol was fetched: a row that only a later one has is new, or late, unless a list by days has brought it.
-- name: later_splits
SELECT * FROM (SELECT provider, symbol, CAST(ex_date AS TEXT) AS ex_day, new_shares / old_shares, {ms:first_seen} AS seen,
    {ms:gone_at} AS gone, '', '', {ms:min(first_seen) OVER (PARTITION BY provider, symbol)} AS first_list
  FROM splits WHERE provider IN ({vendors}) AND symbol {among}) every_row
WHERE ex_day >= ? OR gone IS NOT NULL OR seen > first_list

-- name: later_dividends
SELECT * FROM (SELECT provider, symbol, CAST(ex_date AS TEXT) AS ex_day, amount, {ms:first_seen} AS seen,
    {ms:gone_at} AS gone, kind, currency, {ms:min(first_seen) OVER (PARTITION BY provider, symbol)} AS first_list
  FROM dividends WHERE provider IN ({vendors}) AND symbol {among}) every_row
WHERE ex_day >= ? OR gone IS NOT NULL OR seen > first_list

-- Where lists by days have been asked for, a row that came later than another one may be of days that no list had before. Whole
-- lists alone say that a row was not there: the earliest row of a symbol that no list by days can have brought.
-- name: of_days
SELECT count(*) FROM (SELECT 1 FROM coverage WHERE provider IN ({vendors}) AND dataset = ? LIMIT 1) AS one

-- name: whole_splits
SELECT provider, symbol, {ms:min(first_seen)} FROM splits r WHERE provider IN ({vendors}) AND symbol {among} AND NOT EXISTS (
  SELECT 1 FROM coverage c WHERE c.provider = r.provider AND c.dataset = 'splits' AND c.symbol IN (r.symbol, '*')
    AND c.first_day <= r.ex_date AND c.last_day >= r.ex_date)
GROUP BY provider, symbol

-- name: whole_dividends
SELECT provider, symbol, {ms:min(first_seen)} FROM dividends r WHERE provider IN ({vendors}) AND symbol {among} AND NOT EXISTS (
  SELECT 1 FROM coverage c WHERE c.provider = r.provider AND c.dataset = 'dividends' AND c.symbol IN (r.symbol, '*')
    AND c.first_day <= r.ex_date AND c.last_day >= r.ex_date)
GROUP BY provider, symbol

-- name: later
SELECT 'splits', s.* FROM ({later_splits}) s UNION ALL SELECT 'dividends', d.* FROM ({later_dividends}) d

-- name: lists
SELECT provider, dataset, symbol, {ms:fetched_at} FROM record_lists
WHERE provider IN ({vendors}) AND dataset IN ('splits', 'dividends') AND symbol {among}

-- What vendors have adjusted, and when it was fetched.
-- name: adjusted
SELECT provider, dataset, symbol, timespan, adjustment, first_day, last_day, final_to, {ms:fetched_at}
FROM coverage WHERE adjustment IN ('split', 'split_dividend')

-- name: adjusted_of
{adjusted} AND symbol {among}

-- name: adjusted_series
SELECT provider, timespan, adjustment, symbol FROM series WHERE adjustment <> 'raw'

-- Series that a vendor has adjusted and that have no raw one beside them.
-- name: without_raw
SELECT s.provider, s.timespan, s.adjustment, s.symbol FROM series s
WHERE s.adjustment <> 'raw' AND NOT EXISTS (
  SELECT 1 FROM series r
  WHERE r.provider = s.provider AND r.symbol = s.symbol AND r.timespan = s.timespan AND r.adjustment = 'raw')
ORDER BY s.provider, s.timespan, s.adjustment, s.symbol
