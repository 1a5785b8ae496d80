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

-- Blocks other writers of one list of records until the transaction ends. The second number keeps our locks apart from others'.
-- name: lock_list
SELECT pg_advisory_xact_lock(hashtextextended(?, 20260401))
