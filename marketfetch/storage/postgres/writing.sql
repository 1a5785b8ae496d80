-- name: add_requests
INSERT INTO ledger (request_id, root, page, provider, symbol, outcome, reason, rows, rejects, key_label, calls,
                    final_to, called_at, next_cursor, over_at)
SELECT request_id, root, page, provider, symbol, outcome, reason, rows, rejects, key_label, calls,
       final_to, to_timestamp(nullif(called_ms, 0) / 1000.0), next_cursor, now()
FROM unnest(?::text[], ?::text[], ?::int[], ?::text[], ?::text[], ?::text[], ?::text[], ?::int[], ?::int[],
            ?::text[], ?::int[], ?::date[], ?::bigint[], ?::text[])
     AS new (request_id, root, page, provider, symbol, outcome, reason, rows, rejects, key_label, calls, final_to, called_ms,
             next_cursor)
ON CONFLICT (request_id) DO NOTHING RETURNING request_id, id

-- name: copy_rejects
COPY rejects (request_id, provider, symbol, row, field, value, reason, rejected_at) FROM STDIN

-- name: keys
unnest(?::text[], ?::text[], ?::text[], ?::text[]) AS asked (provider, symbol, timespan, adjustment)

-- name: find_series
SELECT s.id, provider, symbol, timespan, adjustment FROM {keys} JOIN series s USING (provider, symbol, timespan, adjustment)

-- name: add_series
INSERT INTO series (provider, symbol, timespan, adjustment) SELECT asked.* FROM {keys} ON CONFLICT DO NOTHING

-- Always in one order, so that two writers of the same series cannot deadlock.
-- name: lock_series
SELECT id, provider, symbol, timespan, adjustment, (SELECT zone FROM series_zones WHERE series_id = id)
FROM series WHERE id = ANY(?::int[]) ORDER BY id FOR NO KEY UPDATE

-- Joined bytes per column: as rows of a result, 50,000 bars would arrive as 50,000 Python objects.
-- name: standing
SELECT bars.*
FROM unnest(?::int[], ?, ?) WITH ORDINALITY AS span (series_id, first, last, n)
CROSS JOIN LATERAL (
    SELECT string_agg(timestamptz_send(ts), ''),
           string_agg(float8send(coalesce(open, 'NaN')), ''), string_agg(float8send(coalesce(high, 'NaN')), ''),
           string_agg(float8send(coalesce(low, 'NaN')), ''), string_agg(float8send(coalesce(close, 'NaN')), ''),
           string_agg(float8send(coalesce(volume, 'NaN')), ''), string_agg(float8send(coalesce(vwap, 'NaN')), ''),
           string_agg(float8send(coalesce(trades, 'NaN')), ''), string_agg(boolsend(partial), '')
    FROM bar_rows b WHERE b.series_id = span.series_id AND b.ts BETWEEN span.first AND span.last
) AS bars
ORDER BY span.n

-- As above, for many series with a bar each, which are asked for by number and time.
-- name: standing_of_many
SELECT string_agg(int8send(b.series_id::bigint), ''),
       string_agg(float8send(coalesce(open, 'NaN')), ''), string_agg(float8send(coalesce(high, 'NaN')), ''),
       string_agg(float8send(coalesce(low, 'NaN')), ''), string_agg(float8send(coalesce(close, 'NaN')), ''),
       string_agg(float8send(coalesce(volume, 'NaN')), ''), string_agg(float8send(coalesce(vwap, 'NaN')), ''),
       string_agg(float8send(coalesce(trades, 'NaN')), ''), string_agg(boolsend(partial), '')
FROM unnest(?::int[], ?) AS asked (series_id, ts) JOIN bar_rows b ON b.series_id = asked.series_id AND b.ts = asked.ts

-- The columns stand in the order of the table.
-- name: copy_bars
COPY bar_rows (ts, fetched_at, ledger_id, open, high, low, close, volume, vwap, trades, series_id, partial)
FROM STDIN (FORMAT BINARY)

-- name: upsert
INSERT INTO bar_rows AS b (ts, fetched_at, ledger_id, open, high, low, close, volume, vwap, trades, series_id, partial)
SELECT ts, fetched_at, ledger_id, nullif(open, 'NaN'), nullif(high, 'NaN'), nullif(low, 'NaN'), nullif(close, 'NaN'),
       nullif(volume, 'NaN'), nullif(vwap, 'NaN'), nullif(trades, 'NaN'), series_id, partial
FROM unnest(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
     AS new (ts, fetched_at, ledger_id, open, high, low, close, volume, vwap, trades, series_id, partial)
ON CONFLICT (series_id, ts) DO UPDATE
SET (open, high, low, close, volume, vwap, trades, partial, fetched_at, ledger_id)
  = (excluded.open, excluded.high, excluded.low, excluded.close, excluded.volume, excluded.vwap, excluded.trades,
     excluded.partial, excluded.fetched_at, excluded.ledger_id)
WHERE b.fetched_at <= excluded.fetched_at
  AND (b.open IS DISTINCT FROM excluded.open OR b.high IS DISTINCT FROM excluded.high
       OR b.low IS DISTINCT FROM excluded.low OR b.close IS DISTINCT FROM excluded.close
       OR b.volume IS DISTINCT FROM excluded.volume OR b.vwap IS DISTINCT FROM excluded.vwap
       OR b.trades IS DISTINCT FROM excluded.trades OR b.partial IS DISTINCT FROM excluded.partial)

-- One writer of a series at a time, until its transaction ends: the next one then sees these pages and these rows. As few locks
-- as there are parts, of which each has many series, since a session may hold only some thousands.
-- name: lock_coverage
SELECT pg_advisory_xact_lock(part) FROM unnest(?::bigint[]) AS parts (part) ORDER BY part

-- name: pages
SELECT page, outcome, next_cursor IS NULL, final_to, coalesce({ms:called_at}, 0) FROM ledger WHERE root = ? ORDER BY page

-- name: covered_series
unnest(?::text[], ?::text[], ?::text[], ?::text[], ?::text[]

-- name: coverage
SELECT c.provider, c.dataset, c.symbol, c.timespan, c.adjustment, c.first_day, c.last_day, c.final_to, {ms:c.fetched_at}
FROM {covered_series}, ?::date[], ?::date[]) AS span (provider, dataset, symbol, timespan, adjustment, first_day, last_day)
JOIN coverage c USING (provider, dataset, symbol, timespan, adjustment)
WHERE c.first_day <= span.last_day AND c.last_day >= span.first_day

-- name: uncover
DELETE FROM coverage c
USING {covered_series}, ?::date[]) AS gone (provider, dataset, symbol, timespan, adjustment, first_day)
WHERE (c.provider, c.dataset, c.symbol, c.timespan, c.adjustment, c.first_day)
    = (gone.provider, gone.dataset, gone.symbol, gone.timespan, gone.adjustment, gone.first_day)

-- name: cover
INSERT INTO coverage (provider, dataset, symbol, timespan, adjustment, first_day, last_day, final_to, fetched_at)
SELECT provider, dataset, symbol, timespan, adjustment, first_day, last_day, final_to, to_timestamp(at_ms / 1000.0)
FROM {covered_series}, ?::date[], ?::date[], ?::date[], ?::bigint[])
     AS new (provider, dataset, symbol, timespan, adjustment, first_day, last_day, final_to, at_ms)
ON CONFLICT (provider, dataset, symbol, timespan, adjustment, first_day)
DO UPDATE SET last_day = excluded.last_day, final_to = excluded.final_to, fetched_at = excluded.fetched_at

-- Blocks other writers of one list of records until the transaction ends. The second number keeps our locks apart from others'.
-- name: lock_list
SELECT pg_advisory_xact_lock(hashtextextended(?, 20260401))
